//! The service around a client, the future of its response, and the response's body.

use std::fmt::Display;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::exchange::{ClientExchange, Seen};
use super::request::ClientRequest;
use super::shared::Shared;
use crate::body::WatchedBody;
use crate::future::WatchedFuture;

/// The service that watches the requests of the inner client. Created by
/// [`ClientLayer`](crate::ClientLayer).
#[derive(Debug, Clone)]
pub struct ClientService<S> {
    pub(super) inner: S,
    pub(super) shared: Arc<Shared>,
}

impl<S> ClientService<S> {
    pub(crate) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S, RequestBody, ResponseBody> Service<Request<RequestBody>> for ClientService<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
    S::Error: Display + 'static,
    RequestBody: 'static,
    ResponseBody: Body,
{
    type Response = Response<ClientBody<ResponseBody>>;
    type Error = S::Error;
    type Future = ClientFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        if request.extensions().get::<Seen>().is_some() {
            return ClientFuture {
                inner: WatchedFuture::new(self.inner.call(request), None),
            };
        }
        let read = ClientRequest::of(&request, self.shared.origin.as_ref());
        let exchange = ClientExchange::start(&self.shared, &read, None).reading(&read, Some(request.body()));
        exchange.inject(request.headers_mut());
        request.extensions_mut().insert(Seen);
        // A panic of `call` itself is caught by this too.
        let (exchange, inner) = exchange.begin(|| self.inner.call(request));
        ClientFuture {
            inner: WatchedFuture::new(inner, Some(exchange)),
        }
    }
}

pin_project! {
    /// The future of the response of a [`ClientService`]. After it has returned the response, it
    /// stays pending.
    #[derive(Debug)]
    pub struct ClientFuture<F> {
        #[pin]
        inner: WatchedFuture<F, ClientExchange>,
    }
}

impl<F, B, E> Future for ClientFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
    E: Display + 'static,
{
    type Output = Result<Response<ClientBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.project().inner.poll_with(context, |response| response);
        polled.map_ok(|response| response.map(|inner| ClientBody { inner }))
    }
}

pin_project! {
    /// The body of a response that a [`ClientService`] watches. It passes on the inner body's
    /// frames; the request's span ends with it.
    #[derive(Debug)]
    pub struct ClientBody<B> {
        #[pin]
        pub(super) inner: WatchedBody<B, ClientExchange>,
    }
}

impl<B: Body<Error: Display + 'static>> Body for ClientBody<B> {
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
