//! Notifies long responses that the server ends. The server and the streams of runs do not depend
//! on each other.

use tokio::sync::watch;

/// The receiver of that notification, an extension of every request.
#[derive(Debug, Clone)]
pub(crate) struct Ends(pub(crate) watch::Receiver<bool>);

impl Ends {
    /// Becomes true when the server ends.
    pub(crate) fn receiver(&self) -> watch::Receiver<bool> {
        self.0.clone()
    }
}
