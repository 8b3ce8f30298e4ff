//! The service that wraps another service, and the future of its response.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::body::WatchedBody;
use crate::client::Seen;
use crate::future::WatchedFuture;
use crate::in_flight::InFlight;
use crate::shared::Shared;

/// The service that measures the requests of the inner one. Created by
/// [`RequestMetricsLayer`](crate::RequestMetricsLayer).
#[derive(Debug, Clone)]
pub struct RequestMetrics<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> RequestMetrics<S> {
    pub(crate) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S, RequestBody, ResponseBody> Service<Request<RequestBody>> for RequestMetrics<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
    ResponseBody: Body,
{
    type Response = Response<MeasuredBody<ResponseBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        // In one process, a client's request may arrive with the mark in its extensions. A request
        // that the handler sends on with these extensions needs a span again.
        request.extensions_mut().remove::<Seen>();
        let Some(in_flight) = InFlight::start(&self.shared, &request) else {
            return ResponseFuture {
                inner: WatchedFuture::new(self.inner.call(request), None),
            };
        };
        // A panic of `call` itself is caught by this too.
        let (in_flight, inner) = in_flight.begin(|| self.inner.call(request));
        ResponseFuture {
            inner: WatchedFuture::new(inner, Some(in_flight)),
        }
    }
}

pin_project! {
    /// The future of the response of a [`RequestMetrics`]. After it has returned the response, it
    /// stays pending.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: WatchedFuture<F, InFlight>,
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
{
    type Output = Result<Response<MeasuredBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.project().inner.poll_with(context, |response| response);
        polled.map_ok(|response| response.map(|inner| MeasuredBody { inner }))
    }
}

pin_project! {
    /// The body of a measured response. It passes on the inner body's frames.
    #[derive(Debug)]
    pub struct MeasuredBody<B> {
        #[pin]
        inner: WatchedBody<B, InFlight>,
    }
}

impl<B: Body> Body for MeasuredBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().inner.poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
