//! An OpenAI-compatible server for the [`model`] on a free port of the loopback interface.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use spanscope_core::{SpanExt, propagation};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tracing::{Instrument, Span, debug, field, info, info_span, warn};

use crate::model::{self, Answer};
use crate::sse;
use crate::wire::{CHAT_PATH, ChatRequest, Choice, Completion, DONE, Message, Usage};

/// The time that the model takes per token. Without a delay the stream would end before its first
/// chunk is read, and the times in the trace would be meaningless.
pub const DELAY_PER_TOKEN: Duration = Duration::from_millis(1);
/// How long `stop` waits for requests in progress.
const STOP: Duration = Duration::from_secs(1);

/// How long the server waits after it could not accept a connection.
const PAUSE: Duration = Duration::from_millis(100);
/// Requests larger than this are refused.
const MAX_REQUEST: usize = 16 * 1024 * 1024;

type ResponseBody = Either<Full<Bytes>, EventBody>;

/// An OpenAI-compatible server on a free port of the loopback interface: `/v1/chat/completions`,
/// streamed and not, with tools. Its model is a set of rules: the same conversation gives the same
/// answer.
///
/// A dropped server stops listening; [`stop`](Self::stop) also waits for requests in progress.
#[derive(Debug)]
pub struct ModelServer {
    addr: SocketAddr,
    stop: oneshot::Sender<()>,
    all_done: mpsc::Receiver<Infallible>,
}

/// The state that every task of the server shares.
#[derive(Debug, Clone)]
struct Work {
    per_token: Duration,
    /// Held while a task runs, so that [`ModelServer::stop`] can wait for all tasks.
    _working: mpsc::Sender<Infallible>,
}

impl ModelServer {
    /// The model's name; the server accepts any.
    pub const MODEL: &str = "tiny-librarian";
    /// The provider's name in spans and metrics, see
    /// [`ChatClient::provider`](crate::ChatClient::provider).
    pub const PROVIDER: &str = "spanscope-demo";

    /// Starts the server with a model that takes [`DELAY_PER_TOKEN`] per token.
    ///
    /// # Errors
    /// The loopback interface has no free port.
    pub async fn start() -> io::Result<Self> {
        Self::start_slow(DELAY_PER_TOKEN).await
    }

    /// Starts the server with a model that takes this long per token, so that a stream can be
    /// watched.
    ///
    /// # Errors
    /// The loopback interface has no free port.
    pub async fn start_slow(per_token: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let addr = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let (_working, all_done) = mpsc::channel(1);
        let work = Work { per_token, _working };
        tokio::spawn(accept(listener, stopped, work));
        Ok(Self { addr, stop, all_done })
    }

    /// Returns the address of the server.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the base URL for OpenAI's clients, such as `http://127.0.0.1:34567/v1`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// Stops listening and waits at most a second until the spans of all requests have ended.
    pub async fn stop(mut self) {
        // It fails only if the server has stopped already.
        let _ = self.stop.send(());
        if tokio::time::timeout(STOP, self.all_done.recv()).await.is_err() {
            warn!(target: "server", "a request still runs, its span ends with the runtime");
        }
    }
}

async fn accept(listener: TcpListener, mut stopped: oneshot::Receiver<()>, work: Work) {
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tokio::spawn(serve(stream, work.clone()));
                }
                Err(error) => {
                    // Usually too many open files, some of which will be closed.
                    warn!(target: "server", %error, "can't accept a connection");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
}

async fn serve(stream: TcpStream, work: Work) {
    let service = service_fn(|request| {
        let work = work.clone();
        async move { Ok::<_, Infallible>(respond(request, work).await) }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        debug!(target: "server", %error, "a connection broke");
    }
}

/// Opens the request span as a child of the client's and responds within it.
async fn respond(request: Request<Incoming>, work: Work) -> Response<ResponseBody> {
    let span = info_span!(
        target: "server",
        parent: None,
        "request",
        otel.name = format!("{} {}", request.method(), request.uri().path()),
        otel.kind = "server",
        http.request.method = request.method().as_str(),
        url.path = request.uri().path(),
        http.response.status_code = field::Empty,
    );
    propagation::continue_from(&span, request.headers());
    async move {
        let response = route(request, work).await;
        Span::current().record("http.response.status_code", response.status().as_u16());
        response
    }
    .instrument(span)
    .await
}

async fn route(request: Request<Incoming>, work: Work) -> Response<ResponseBody> {
    if request.uri().path() != CHAT_PATH {
        return failure(StatusCode::NOT_FOUND, "there is only /v1/chat/completions");
    }
    if request.method() != Method::POST {
        return failure(StatusCode::METHOD_NOT_ALLOWED, "send a POST request");
    }
    let body = match Limited::new(request.into_body(), MAX_REQUEST).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return failure(StatusCode::BAD_REQUEST, &format!("can't read the body: {error}")),
    };
    match serde_json::from_slice::<ChatRequest>(&body) {
        Ok(request) if request.stream => streamed(request, work),
        Ok(request) => whole(&request, work.per_token).await,
        Err(error) => failure(
            StatusCode::BAD_REQUEST,
            &format!("the body is not a chat request: {error}"),
        ),
    }
}

fn failure(status: StatusCode, message: &str) -> Response<ResponseBody> {
    warn!(target: "server", status = status.as_u16(), message, "refused a request");
    let mut response = json_response(&json!({ "error": { "message": message, "code": status.as_u16() } }));
    *response.status_mut() = status;
    response
}

fn json_response(body: &Value) -> Response<ResponseBody> {
    let mut response = Response::new(Either::Left(Full::new(body.to_string().into())));
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn generation_span(request: &ChatRequest) -> Span {
    info_span!(
        target: "inference",
        "generate",
        model = request.model,
        streamed = request.stream,
        context_messages = request.messages.len(),
        finish_reason = field::Empty,
    )
}

/// Runs the model, and records the result in the current span.
fn generate(request: &ChatRequest) -> Answer {
    let answer = model::answer(request);
    Span::current().record("finish_reason", answer.finish_reason);
    info!(
        target: "inference",
        context = answer.usage.prompt_tokens,
        generated = answer.usage.completion_tokens,
        "the model has decided"
    );
    answer
}

async fn whole(request: &ChatRequest, per_token: Duration) -> Response<ResponseBody> {
    async {
        let answer = generate(request);
        let tokens = u32::try_from(answer.usage.completion_tokens).unwrap_or(u32::MAX);
        tokio::time::sleep(per_token.saturating_mul(tokens)).await;
        let choice = Choice {
            message: Some(answer.message),
            finish_reason: Some(answer.finish_reason.to_owned()),
            ..Choice::default()
        };
        let envelope = Envelope::new("chat.completion", request);
        json_response(&json!(envelope.part(vec![choice], Some(answer.usage))))
    }
    .instrument(generation_span(request))
    .await
}

fn streamed(request: ChatRequest, work: Work) -> Response<ResponseBody> {
    let (events, receiver) = mpsc::channel(8);
    let span = generation_span(&request);
    // The task holds the request's span too, because the request lasts until its stream ends.
    let request_span = Span::current();
    tokio::spawn(async move {
        let written = write_stream(&request, &events, work.per_token)
            .instrument(span)
            .await;
        if written.is_none() {
            warn!(target: "server", parent: &request_span, "the client left before the end of the stream");
        }
        // The handler exited the span when it returned the response's head.
        request_span.end_now();
        drop(request_span);
        // Sent after both spans have ended, so that the trace is complete when the client sees the
        // end of the stream. A disconnected client misses it.
        let _ = events.send(sse::event(DONE).into()).await;
        // Dropped last, so that both spans have ended when `stop` returns.
        drop(work);
    });
    let mut response = Response::new(Either::Right(EventBody(receiver)));
    let events = header::HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, events);
    response
}

/// Sends the message in chunks of one word, without the final `[DONE]`; `None` if the client
/// disconnects.
async fn write_stream(
    request: &ChatRequest,
    events: &mpsc::Sender<Bytes>,
    per_token: Duration,
) -> Option<()> {
    let send = async |data: &str| events.send(sse::event(data).into()).await.ok();
    let answer = generate(request);
    let envelope = Envelope::new("chat.completion.chunk", request);
    let chunk = |delta: Message, finish_reason: Option<&str>| {
        let choice = Choice {
            delta: Some(delta),
            finish_reason: finish_reason.map(str::to_owned),
            ..Choice::default()
        };
        json!(envelope.part(vec![choice], None)).to_string()
    };
    let mut first = answer.message;
    let text = first.content.take().unwrap_or_default();
    for (index, call) in first.tool_calls.iter_mut().enumerate() {
        call.index = Some(index);
    }
    send(&chunk(first, None)).await?;
    for word in text.split_inclusive(' ') {
        // A disconnect is noticed immediately, however long a token takes.
        if tokio::time::timeout(per_token, events.closed()).await.is_ok() {
            return None;
        }
        let delta = Message {
            content: Some(word.to_owned()),
            ..Message::default()
        };
        send(&chunk(delta, None)).await?;
    }
    send(&chunk(Message::default(), Some(answer.finish_reason))).await?;
    if request
        .stream_options
        .as_ref()
        .is_some_and(|options| options.include_usage)
    {
        send(&json!(envelope.part(Vec::new(), Some(answer.usage))).to_string()).await?;
    }
    Some(())
}

/// The fields that all parts of a response share.
struct Envelope<'a> {
    id: String,
    object: &'a str,
    created: u64,
    model: &'a str,
}

impl<'a> Envelope<'a> {
    fn new(object: &'a str, request: &'a ChatRequest) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            id: format!("chatcmpl-{:x}", now.as_nanos()),
            object,
            created: now.as_secs(),
            model: &request.model,
        }
    }

    fn part(&self, choices: Vec<Choice>, usage: Option<Usage>) -> Completion {
        Completion {
            id: self.id.clone(),
            object: self.object.to_owned(),
            created: self.created,
            model: self.model.to_owned(),
            choices,
            usage,
            error: None,
        }
    }
}

/// A body whose pieces come from another task.
struct EventBody(mpsc::Receiver<Bytes>);

impl Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .poll_recv(context)
            .map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}
