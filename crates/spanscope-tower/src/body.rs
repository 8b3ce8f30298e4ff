//! The body of an answer, which a request is not over before.
//!
//! Servers don't always ask a body for its end: they stop after the last frame of a body that says it is at its end, after
//! trailers, and after as many bytes as the head announced. Each of these is an end here too; only what is dropped before
//! counts as cut off.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::in_flight::{End, InFlight};

pin_project! {
    /// The body of a measured answer. It passes on what the body inside of it gives, frame by frame.
    #[derive(Debug)]
    pub struct MeasuredBody<B> {
        // Gone only while this is being dropped.
        #[pin]
        inner: Option<B>,
        // None if the request is left out, and once it is over.
        in_flight: Option<InFlight>,
        // How many bytes are missing of those that the head announced.
        missing: Option<u64>,
    }

    impl<B> PinnedDrop for MeasuredBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(in_flight) = this.in_flight.take() {
                let (in_flight, ()) = in_flight.work(|| this.inner.set(None));
                in_flight.finish(End::Cancelled);
            }
        }
    }
}

impl<B> MeasuredBody<B> {
    pub(crate) fn new(inner: B, in_flight: Option<InFlight>, announced: Option<u64>) -> Self {
        Self {
            inner: Some(inner),
            in_flight,
            missing: announced,
        }
    }
}

impl<B: Body> Body for MeasuredBody<B> {
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
        let Some(in_flight) = this.in_flight.take() else {
            return inner.poll_frame(context);
        };
        let (in_flight, polled) = in_flight.work(|| inner.as_mut().poll_frame(context));
        let end = match &polled {
            Poll::Pending => None,
            Poll::Ready(None) => Some(End::Complete),
            Poll::Ready(Some(Err(_))) => Some(End::BodyError),
            Poll::Ready(Some(Ok(frame))) => {
                if let (Some(data), Some(missing)) = (frame.data_ref(), this.missing.as_mut()) {
                    *missing = missing.saturating_sub(data.remaining() as u64);
                }
                let is_last = frame.is_trailers() || *this.missing == Some(0) || inner.is_end_stream();
                is_last.then_some(End::Complete)
            }
        };
        match end {
            Some(end) => in_flight.finish(end),
            None => *this.in_flight = Some(in_flight),
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
