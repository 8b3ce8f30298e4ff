//! How a long response learns that the server ends. The server sends, streams of runs receive, and
//! neither knows the other.

use tokio::sync::watch;

/// Notifies long responses that the server ends; an extension of every request.
#[derive(Debug, Clone)]
pub(crate) struct Ends(pub(crate) watch::Receiver<bool>);

impl Ends {
    /// Becomes true when the server ends.
    pub(crate) fn receiver(&self) -> watch::Receiver<bool> {
        self.0.clone()
    }
}
