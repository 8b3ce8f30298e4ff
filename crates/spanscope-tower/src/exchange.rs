//! A running request, for the server and for the client: one owned value that moves from the call
//! to the future to the body.
//!
//! Because it is owned it ends exactly once. Before each step its owner sets what an end during the
//! step would mean ([`End`]), so a panic, a client that leaves and a timeout around the service
//! need no separate code. A panic is detected by the step that did not return, not by
//! `std::thread::panicking`, which is also true of a healthy request that is dropped by another
//! panic.

use bytes::Buf;
use http::Response;
use http_body::{Body, Frame};

use crate::request::RequestLabels;

/// How a request ends if it is dropped now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Everything was passed on.
    Complete,
    /// Dropped before its end: the caller left, or a timeout around the service expired.
    Cancelled,
    /// The service or its body panicked.
    Panicked,
    /// The service returned an error in place of a response.
    ServiceError,
    /// The body ended with an error.
    BodyError,
}

/// A request in progress. Dropping it measures it.
pub(crate) trait Exchange: Sized {
    /// Sets what the end would mean.
    fn set_end(&mut self, end: End);

    /// Reads the head of the response, which may announce the length of the body. Returns whether
    /// the request is over with it.
    fn head<B: Body>(&mut self, response: &Response<B>, announced: Option<u64>) -> bool;

    /// Reads a frame of the response's body, before the body's consumer does.
    fn frame<D: Buf>(&mut self, frame: &Frame<D>);

    /// Runs a step of the service, in the request's span.
    fn in_scope<T>(&self, work: impl FnOnce() -> T) -> T;

    /// Runs a step of the response's body.
    fn in_body_scope<T>(&self, work: impl FnOnce() -> T) -> T;

    /// Runs a step of the request in its span. If the step panics, the request is over.
    fn work<T>(mut self: Box<Self>, work: impl FnOnce(&Self) -> T) -> (Box<Self>, T) {
        self.set_end(End::Panicked);
        let done = self.in_scope(|| work(&self));
        self.set_end(End::Cancelled);
        (self, done)
    }
}

/// The request of a future or of a body; `None` if it is excluded, and once it is over. Boxed,
/// because futures and bodies are moved.
#[derive(Debug)]
pub(crate) struct Slot<X>(Option<Box<X>>);

impl<X: Exchange> Slot<X> {
    pub(crate) fn new(exchange: Option<Box<X>>) -> Self {
        Self(exchange)
    }

    pub(crate) fn get_mut(&mut self) -> Option<&mut X> {
        self.0.as_deref_mut()
    }

    /// Takes the request out, with the meaning of its end.
    pub(crate) fn take(&mut self) -> Self {
        Self(self.0.take())
    }

    /// Runs a step of the request. If it panics, the request is over.
    pub(crate) fn work<T>(&mut self, work: impl FnOnce(Option<&X>) -> T) -> T {
        let ends = EndsInPanic(self);
        let done = work(ends.0.0.as_deref());
        std::mem::forget(ends);
        done
    }

    /// Ends the request.
    pub(crate) fn finish(&mut self, end: End) {
        if let Some(mut exchange) = self.0.take() {
            exchange.set_end(end);
        }
    }
}

/// Ends the request while a panic unwinds, before its future or body is dropped.
struct EndsInPanic<'a, X: Exchange>(&'a mut Slot<X>);

impl<X: Exchange> Drop for EndsInPanic<'_, X> {
    fn drop(&mut self) {
        self.0.finish(End::Panicked);
    }
}

/// Notes an error that the service or the body returned, before it is passed on.
pub(crate) trait NoteError<E> {
    fn note_error(&mut self, error: &E);
}

/// Returns whether a request is over with the head of its response.
pub(crate) fn ends_with_head<B: Body>(
    labels: RequestLabels,
    response: &Response<B>,
    announced: Option<u64>,
) -> bool {
    announced == Some(0) || response.body().is_end_stream() || labels.ends_with_head(response.status())
}

/// Returns the length of the body from the head, if it is known.
pub(crate) fn announced_length<B>(response: &Response<B>) -> Option<u64> {
    let value = response.headers().get(http::header::CONTENT_LENGTH)?;
    value.to_str().ok()?.parse().ok()
}
