//! The service around a service, and the future of its answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::body::MeasuredBody;
use crate::in_flight::{End, InFlight};
use crate::shared::Shared;

/// Measures the requests of the service inside of it. Made by [`RequestMetricsLayer`](crate::RequestMetricsLayer).
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

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let Some(in_flight) = InFlight::start(&self.shared, &request) else {
            return ResponseFuture {
                inner: Some(self.inner.call(request)),
                in_flight: None,
            };
        };
        // A panic of `call` itself is caught by this too.
        let (in_flight, inner) = in_flight.begin(|| self.inner.call(request));
        ResponseFuture {
            inner: Some(inner),
            in_flight: Some(in_flight),
        }
    }
}

pin_project! {
    /// The future of the answer of a [`RequestMetrics`]. Once it has given it, it stays pending.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        // Gone once it is done.
        #[pin]
        inner: Option<F>,
        // None for a request that is left out, and once it is done.
        in_flight: Option<InFlight>,
    }

    impl<F> PinnedDrop for ResponseFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(in_flight) = this.in_flight.take() {
                // What the service lets go of, it lets go of in its span.
                let (in_flight, ()) = in_flight.work(|| this.inner.set(None));
                in_flight.finish(End::Cancelled);
            }
        }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
{
    type Output = Result<Response<MeasuredBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let mut poll = || {
            let Some(inner) = this.inner.as_mut().as_pin_mut() else {
                return Poll::Pending;
            };
            let answer = ready!(inner.poll(context));
            this.inner.set(None);
            Poll::Ready(answer)
        };
        let Some(in_flight) = this.in_flight.take() else {
            return poll().map_ok(|response| response.map(|body| MeasuredBody::new(body, None, None)));
        };
        let (in_flight, polled) = in_flight.work(poll);
        match polled {
            Poll::Pending => {
                *this.in_flight = Some(in_flight);
                Poll::Pending
            }
            Poll::Ready(Err(error)) => {
                in_flight.finish(End::ServiceError);
                Poll::Ready(Err(error))
            }
            Poll::Ready(Ok(response)) => {
                let announced = announced_length(&response);
                let in_flight = in_flight.head(&response, announced);
                Poll::Ready(Ok(
                    response.map(|body| MeasuredBody::new(body, in_flight, announced))
                ))
            }
        }
    }
}

/// How long the body will be by the head, if it says so.
fn announced_length<B>(response: &Response<B>) -> Option<u64> {
    let value = response.headers().get(http::header::CONTENT_LENGTH)?;
    value.to_str().ok()?.parse().ok()
}
