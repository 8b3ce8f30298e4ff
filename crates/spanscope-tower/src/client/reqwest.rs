//! reqwest's client, which is a tower service with its own types.
//!
//! Its requests have no public extensions, so a second layer recognizes a request by its method and
//! URL while the first one sends it on the same thread. `reqwest::ClientBuilder::connector_layer`
//! is of no use here: its layers see connections and no requests.

use std::fmt::Display;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use reqwest::redirect::Policy;
use reqwest::{Body, Error, Request, RequestBuilder, Response, ResponseBuilderExt as _, Url};
use tower_service::Service;

use super::exchange::{ClientExchange, is_sending};
use super::layer::ClientLayer;
use super::request::{ClientRequest, without_brackets};
use super::service::{ClientBody, ClientService};
use crate::future::WatchedFuture;

impl<S> Service<Request> for ClientService<S>
where
    S: Service<Request, Response = Response>,
    S::Error: Display + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = ReqwestFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let read = ClientRequest::of_reqwest(&request, None);
        let mark = mark_of(&request);
        if is_sending(mark) {
            return ReqwestFuture::plain(self.inner.call(request));
        }
        let exchange = ClientExchange::start(&self.shared, &read, None)
            .reading(&read, request.body())
            .marked(mark);
        exchange.inject(request.headers_mut());
        let (exchange, inner) = exchange.begin(|| self.inner.call(request));
        ReqwestFuture::watched(inner, exchange)
    }
}

/// Returns the identity of a request in place of a mark in its extensions: its method and URL.
pub(super) fn mark_of(request: &Request) -> u64 {
    let mut hasher = DefaultHasher::new();
    request.method().hash(&mut hasher);
    request.url().as_str().hash(&mut hasher);
    hasher.finish()
}

/// The number of redirects that `reqwest` follows by default.
const MAX_REDIRECTS: usize = 10;

impl ClientLayer {
    /// Returns a redirect policy that keeps the trace from hosts that must not see it.
    ///
    /// A `reqwest` client follows redirects below the layer, and sends `traceparent`, `tracestate`
    /// and `baggage` to any host. With this policy it follows up to 10 redirects to hosts of
    /// [`propagate_to`](crate::ClientLayerBuilder::propagate_to); the response that redirects to
    /// another host is returned to the caller.
    ///
    /// ```
    /// use spanscope_tower::ClientLayer;
    ///
    /// let layer = ClientLayer::builder().propagate_to(["*.internal.example.com"]).build();
    /// let client = reqwest::Client::builder().redirect(layer.redirect_policy()).build()?;
    /// # Ok::<(), reqwest::Error>(())
    /// ```
    #[must_use]
    pub fn redirect_policy(&self) -> Policy {
        let shared = Arc::clone(&self.shared);
        Policy::custom(move |attempt| {
            if attempt.previous().len() > MAX_REDIRECTS {
                attempt.error("too many redirects")
            } else if shared
                .propagation
                .covers(attempt.url().host_str().map(without_brackets))
            {
                attempt.follow()
            } else {
                attempt.stop()
            }
        })
    }
}

/// Sends requests of a bare `reqwest` client through a [`ClientLayer`].
///
/// To wrap a client once takes less code: `ClientLayer::new().layer(reqwest::Client::new())` is a
/// tower service. Requests of `reqwest::blocking` can't be traced.
///
/// ```no_run
/// use spanscope_tower::{ClientLayer, SendTraced};
///
/// # async fn ask() -> reqwest::Result<()> {
/// let layer = ClientLayer::new();
/// let client = reqwest::Client::new();
/// let response = client.get("https://api.example.com/users/7").send_traced(&layer).await?;
/// # Ok(())
/// # }
/// ```
pub trait SendTraced {
    /// Sends the request in a span.
    ///
    /// # Errors
    /// Those of [`RequestBuilder::send`], unchanged.
    fn send_traced(self, layer: &ClientLayer) -> impl Future<Output = Result<Response, Error>> + Send;
}

impl SendTraced for RequestBuilder {
    fn send_traced(self, layer: &ClientLayer) -> impl Future<Output = Result<Response, Error>> + Send {
        let (client, request) = self.build_split();
        let mut service = ClientService::new(client, Arc::clone(&layer.shared));
        async move { service.call(request?).await }
    }
}

pin_project! {
    /// The future of the response of a [`ClientService`] around a `reqwest` client. After it has
    /// returned the response, it stays pending.
    #[derive(Debug)]
    pub struct ReqwestFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProjection]
    #[derive(Debug)]
    enum State<F> {
        // An outer layer watches the request.
        Plain {
            #[pin]
            inner: F,
        },
        Watched {
            #[pin]
            inner: WatchedFuture<F, ClientExchange>,
        },
    }
}

impl<F> ReqwestFuture<F> {
    pub(super) fn plain(inner: F) -> Self {
        Self {
            state: State::Plain { inner },
        }
    }

    pub(super) fn watched(inner: F, exchange: Box<ClientExchange>) -> Self {
        Self {
            state: State::Watched {
                inner: WatchedFuture::new(inner, Some(exchange)),
            },
        }
    }
}

impl<F, E> Future for ReqwestFuture<F>
where
    F: Future<Output = Result<Response, E>>,
    E: Display + 'static,
{
    type Output = Result<Response, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let inner = match self.project().state.project() {
            StateProjection::Plain { inner } => return inner.poll(context),
            StateProjection::Watched { inner } => inner,
        };
        let mut url = None;
        let read = |response: Response| {
            url = Some(response.url().clone());
            http::Response::<Body>::from(response)
        };
        let response = ready!(inner.poll_with(context, read));
        Poll::Ready(response.map(|response| to_reqwest(response.map(|inner| ClientBody { inner }), url)))
    }
}

/// Converts an `http` response to reqwest's. Only reqwest's extension of the builder can set the
/// URL.
fn to_reqwest(response: http::Response<ClientBody<Body>>, url: Option<Url>) -> Response {
    let (mut parts, body) = response.into_parts();
    if let Some(url) = url {
        let with_url = http::Response::builder().url(url).body(()).unwrap_or_default();
        parts.extensions.extend(with_url.into_parts().0.extensions);
    }
    Response::from(http::Response::from_parts(parts, Body::wrap(body)))
}
