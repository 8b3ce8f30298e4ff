//! An answer piece by piece, as a stream.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio::sync::mpsc;

use crate::Error;

/// The future that produces the answer. It is also `Sync`, so that a future that holds a `&Pieces`
/// is `Send`.
type Work = Pin<Box<dyn Future<Output = Result<String, Error>> + Send + Sync>>;

/// The pieces of an answer as they arrive, and at the end the error, if it failed.
///
/// The work is done while the stream is polled, within the current span: there is no background
/// task. A slow reader slows the model's stream down, and dropping the stream ends the work.
pub struct Pieces {
    /// `None` once it is done.
    work: Option<Work>,
    pieces: mpsc::Receiver<String>,
    failure: Option<Error>,
}

impl Pieces {
    /// Creates a stream of the pieces that the work sends. The work must keep its sender until it
    /// is done, and drop it then.
    pub(crate) fn of<F>(work: impl FnOnce(mpsc::Sender<String>) -> F) -> Self
    where
        F: Future<Output = Result<String, Error>> + Send + Sync + 'static,
    {
        let (sender, pieces) = mpsc::channel(1);
        Self {
            work: Some(Box::pin(work(sender))),
            pieces,
            failure: None,
        }
    }
}

impl Stream for Pieces {
    type Item = Result<String, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(work) = &mut self.work
            && let Poll::Ready(done) = work.as_mut().poll(context)
        {
            self.failure = done.err();
            self.work = None;
        }
        // The work holds the sender, so the channel ends only when the work is done, and a failure
        // comes after all pieces.
        match self.pieces.poll_recv(context) {
            Poll::Ready(None) => Poll::Ready(self.failure.take().map(Err)),
            Poll::Ready(Some(piece)) => Poll::Ready(Some(Ok(piece))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces").finish_non_exhaustive()
    }
}
