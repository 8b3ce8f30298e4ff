//! async-openai: its requests are factories, because a retry builds a new request.
//!
//! Inside its retry layer each attempt is a request; outside there is one span, which counts the
//! attempts. A request can only be read once it is built, so the first one is built here and passed
//! on.

use std::fmt::Display;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use http::HeaderMap;
use reqwest::{Request, Response};
use tower_service::Service;

use super::exchange::{ClientExchange, is_sending};
use super::request::ClientRequest;
use super::reqwest::{ReqwestFuture, mark_of};
use super::service::ClientService;

impl<S> Service<HttpRequestFactory> for ClientService<S>
where
    S: Service<HttpRequestFactory, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Display + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, factory: HttpRequestFactory) -> Self::Future {
        // The clone that is ready is the one to be called.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let first = factory.build().await;
            let replay = Replay {
                factory,
                headers: HeaderMap::new(),
                attempts: Arc::default(),
            };
            let Ok(request) = &first else {
                // The client inside reports it.
                return inner.call(replay.starting_with(first)).await;
            };
            let read = ClientRequest::of_reqwest(request, None);
            let mark = mark_of(request);
            if is_sending(mark) {
                return inner.call(replay.starting_with(first)).await;
            }
            let exchange = ClientExchange::start(&shared, &read, None)
                .reading(&read, request.body())
                .marked(mark)
                .counted(Arc::clone(&replay.attempts));
            let mut replay = replay;
            exchange.inject(&mut replay.headers);
            let (exchange, response) = exchange.begin(|| inner.call(replay.starting_with(first)));
            ReqwestFuture::watched(response, exchange).await
        })
    }
}

/// Builds requests again, with the headers of the trace.
struct Replay {
    factory: HttpRequestFactory,
    headers: HeaderMap,
    attempts: Arc<AtomicU32>,
}

impl Replay {
    /// Returns a factory whose first request is this one.
    fn starting_with(self, first: Result<Request, OpenAIError>) -> HttpRequestFactory {
        let first = Mutex::new(Some(first));
        HttpRequestFactory::new(move || {
            self.attempts.fetch_add(1, Ordering::Relaxed);
            let first = first.lock().unwrap_or_else(PoisonError::into_inner).take();
            let (factory, headers) = (self.factory.clone(), self.headers.clone());
            async move {
                let mut request = match first {
                    Some(first) => first?,
                    None => factory.build().await?,
                };
                request.headers_mut().extend(headers);
                Ok(request)
            }
        })
    }
}
