//! `rig-core` whose requests go through the client layer, which reads model calls: the crate's own
//! span describes the call, so the request below it is a plain one, and its tokens count once.

use futures_util::StreamExt;
use rig_core::client::CompletionClient;
use rig_core::completion::CompletionModel;
use rig_core::http_client::sse::BoxedStream;
use rig_core::http_client::{
    Error, HttpClientExt, LazyBody, MultipartForm, Request, Response, Result, StreamingResponse,
};
use rig_core::providers::openai::CompletionsClient;
use serde_json::json;
use spanscope_tower::{ClientLayer, SendTraced};

use super::support::{MODEL, ModelServer, QUESTION, SYSTEM, block_on_outside, client, measure, usage_of};

/// The crate's own client, with the layer around it.
#[derive(Debug, Clone, Default)]
struct LayeredClient {
    client: reqwest::Client,
    layer: ClientLayer,
}

impl LayeredClient {
    fn send<T: Into<bytes::Bytes>>(
        &self,
        request: Request<T>,
    ) -> impl Future<Output = Result<reqwest::Response>> + Send + 'static {
        let (parts, body) = request.into_parts();
        let request = self
            .client
            .request(parts.method, parts.uri.to_string())
            .headers(parts.headers)
            .body(body.into());
        let layer = self.layer.clone();
        async move {
            let response = request.send_traced(&layer).await;
            response.map_err(|error| Error::Instance(error.into()))
        }
    }
}

impl HttpClientExt for LayeredClient {
    fn send<T, U>(
        &self,
        request: Request<T>,
    ) -> impl Future<Output = Result<Response<LazyBody<U>>>> + Send + 'static
    where
        T: Into<bytes::Bytes> + Send,
        U: From<bytes::Bytes> + Send + 'static,
    {
        let response = LayeredClient::send(self, request);
        async {
            let response = response.await?;
            let body: LazyBody<U> = Box::pin(async {
                let bytes = response.bytes().await;
                bytes.map(U::from).map_err(|error| Error::Instance(error.into()))
            });
            Response::builder().body(body).map_err(Error::Protocol)
        }
    }

    fn send_multipart<U>(
        &self,
        _: Request<MultipartForm>,
    ) -> impl Future<Output = Result<Response<LazyBody<U>>>> + Send + 'static
    where
        U: From<bytes::Bytes> + Send + 'static,
    {
        std::future::ready(Err(Error::Instance("a completion is not a form".into())))
    }

    fn send_streaming<T>(&self, request: Request<T>) -> impl Future<Output = Result<StreamingResponse>> + Send
    where
        T: Into<bytes::Bytes> + Send,
    {
        let response = LayeredClient::send(self, request);
        async {
            let response = response.await?;
            let head = Response::builder().header("content-type", "text/event-stream");
            let pieces = response.bytes_stream();
            let pieces: BoxedStream =
                Box::pin(pieces.map(|piece| piece.map_err(|error| Error::Instance(error.into()))));
            head.body(pieces).map_err(Error::Protocol)
        }
    }
}

fn assert_counted_once(stream: bool) {
    let server = ModelServer::start();
    let measured = measure(async {
        let client_with_layer = LayeredClient {
            client: client(),
            layer: ClientLayer::builder().model_calls().build(),
        };
        let rig = CompletionsClient::builder()
            .api_key("no key")
            .base_url(server.base_url())
            .http_client(client_with_layer)
            .build()
            .unwrap();
        let model = rig.completion_model(MODEL);
        let request = model.completion_request(QUESTION).preamble(SYSTEM.to_owned());
        if stream {
            let mut stream = request.stream().await.unwrap();
            while let Some(piece) = stream.next().await {
                piece.unwrap();
            }
        } else {
            request.send().await.unwrap();
        }
    });
    let messages = json!([{ "role": "system", "content": SYSTEM }, { "role": "user", "content": QUESTION }]);
    let answer = block_on_outside(server.ask(&json!({ "model": MODEL, "messages": messages })));
    measured.assert_counted("openai", &[usage_of(&answer)]);
    measured.assert_one_labelled("gen_ai.client.operation.duration", "gen_ai.request.model", MODEL);
    measured.assert_one_labelled("http.client.request.duration", "http.request.method", "POST");
}

#[test]
fn a_whole_completion_counts_once() {
    assert_counted_once(false);
}

#[test]
fn a_streamed_completion_counts_once() {
    assert_counted_once(true);
}
