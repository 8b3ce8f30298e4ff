//! `reqwest-middleware`: the layer is a middleware.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next, Result};

use super::exchange::ClientExchange;
use super::layer::ClientLayer;
use super::request::ClientRequest;
use super::reqwest::ReqwestFuture;

/// The mark of a request that a middleware is sending. The extensions outlive the attempt, so it is
/// only valid during the attempt.
#[derive(Debug, Clone)]
struct Sending(Weak<()>);

/// How often the request was sent.
#[derive(Debug, Clone, Copy)]
struct Attempts(u32);

#[async_trait]
impl Middleware for ClientLayer {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let is_sending = |mark: &Sending| mark.0.strong_count() > 0;
        if extensions.get::<Sending>().is_some_and(is_sending) {
            return next.run(request, extensions).await;
        }
        let attempts = extensions
            .get::<Attempts>()
            .map_or(0, |Attempts(attempts)| *attempts);
        let read = ClientRequest::of_reqwest(&request, Some(extensions));
        let exchange = ClientExchange::start(&self.shared, &read, (attempts > 0).then_some(attempts))
            .reading(&read, request.body());
        exchange.inject(request.headers_mut());
        let attempt = Arc::new(());
        extensions.insert(Sending(Arc::downgrade(&attempt)));
        extensions.insert(Attempts(attempts.saturating_add(1)));
        let (exchange, response) = exchange.begin(|| next.run(request, extensions));
        ReqwestFuture::watched(response, exchange).await
    }
}
