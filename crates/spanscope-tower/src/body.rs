//! The body of a response. A request lasts until the end of the body.
//!
//! Bodies aren't always polled to their end: a server stops after the last frame of a body that
//! reports its end, after trailers, and after the announced number of bytes, and clients do the
//! same. Each of these is an end here too; only a body that is dropped earlier counts as cut off.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::exchange::{End, Exchange, NoteError, Slot};

pin_project! {
    /// A body with its request. It passes on the inner body's frames.
    #[derive(Debug)]
    pub(crate) struct WatchedBody<B, X>
    where
        X: Exchange,
    {
        // `None` only while this is being dropped.
        #[pin]
        inner: Option<B>,
        exchange: Slot<X>,
        // The number of bytes that the head announced and that have not arrived.
        missing: Option<u64>,
    }

    impl<B, X> PinnedDrop for WatchedBody<B, X>
    where
        X: Exchange,
    {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            this.exchange.work(|exchange| match exchange {
                Some(exchange) => exchange.in_body_scope(|| this.inner.set(None)),
                None => this.inner.set(None),
            });
            this.exchange.finish(End::Cancelled);
        }
    }
}

impl<B, X: Exchange> WatchedBody<B, X> {
    pub(crate) fn new(inner: B, exchange: Slot<X>, announced: Option<u64>) -> Self {
        Self {
            inner: Some(inner),
            exchange,
            missing: announced,
        }
    }
}

impl<B: Body, X: Exchange + NoteError<B::Error>> Body for WatchedBody<B, X> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let Some(mut inner) = this.inner.as_pin_mut() else {
            return Poll::Ready(None);
        };
        let polled = this.exchange.work(|exchange| match exchange {
            Some(exchange) => exchange.in_body_scope(|| inner.as_mut().poll_frame(context)),
            None => inner.as_mut().poll_frame(context),
        });
        let Some(exchange) = this.exchange.get_mut() else {
            return polled;
        };
        let end = match &polled {
            Poll::Pending => None,
            Poll::Ready(None) => Some(End::Complete),
            Poll::Ready(Some(Err(error))) => {
                exchange.note_error(error);
                Some(End::BodyError)
            }
            Poll::Ready(Some(Ok(frame))) => {
                exchange.frame(frame);
                if let (Some(data), Some(missing)) = (frame.data_ref(), this.missing.as_mut()) {
                    *missing = missing.saturating_sub(data.remaining() as u64);
                }
                let is_last = frame.is_trailers() || *this.missing == Some(0) || inner.is_end_stream();
                is_last.then_some(End::Complete)
            }
        };
        if let Some(end) = end {
            this.exchange.finish(end);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
