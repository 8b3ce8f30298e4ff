//! How an answer that goes on by itself learns that the server ends. The server sends, streams of
//! runs receive, and neither knows the other.

use tokio::sync::watch;

/// Tells answers that go on by themselves that the server ends; among the extensions of every
/// request.
#[derive(Debug, Clone)]
pub(crate) struct Ends(pub(crate) watch::Receiver<bool>);

impl Ends {
    /// Becomes true when the server ends.
    pub(crate) fn receiver(&self) -> watch::Receiver<bool> {
        self.0.clone()
    }
}
