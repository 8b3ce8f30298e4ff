//! An OpenAI-compatible server for the [`model`] on a free port of the loopback interface.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tracing::{Instrument, Span, debug, field, info, info_span, warn};

use super::model::{self, Answer};
use super::propagation;
use super::sse;
use super::wire::{CHAT_PATH, ChatRequest, Choice, Completion, DONE, Message, Usage};

/// How long the model takes for a token. Without it the stream would be over before its first chunk is read, and the
/// times in the trace would say nothing.
const PER_TOKEN: Duration = Duration::from_millis(1);
/// How long stopping waits for requests that still run.
const STOP: Duration = Duration::from_secs(1);

/// Every task of the server holds one of these while it works, so that [`ModelServer::stop`] can wait for all of them.
type Working = mpsc::Sender<Infallible>;
type ResponseBody = Either<Full<Bytes>, EventBody>;

/// The running server.
#[derive(Debug)]
pub(super) struct ModelServer {
    addr: SocketAddr,
    stop: oneshot::Sender<()>,
    all_done: mpsc::Receiver<Infallible>,
}

impl ModelServer {
    /// Starts to listen.
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let addr = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let (working, all_done) = mpsc::channel(1);
        tokio::spawn(accept(listener, stopped, working));
        Ok(Self { addr, stop, all_done })
    }

    /// Where it listens.
    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops to listen and waits until the spans of all requests have ended.
    pub(super) async fn stop(mut self) {
        // It fails only if the server has stopped already.
        let _ = self.stop.send(());
        if tokio::time::timeout(STOP, self.all_done.recv()).await.is_err() {
            warn!(target: "server", "a request still runs, its span ends with the runtime");
        }
    }
}

async fn accept(listener: TcpListener, mut stopped: oneshot::Receiver<()>, working: Working) {
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tokio::spawn(serve(stream, working.clone()));
                }
                Err(error) => {
                    warn!(target: "server", %error, "can't accept connections any more");
                    return;
                }
            },
        }
    }
}

async fn serve(stream: TcpStream, working: Working) {
    let service = service_fn(|request| {
        let working = working.clone();
        async move { Ok::<_, Infallible>(respond(request, working).await) }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        debug!(target: "server", %error, "a connection broke");
    }
}

/// Opens the request span as a child of the client's and answers in it.
async fn respond(request: Request<Incoming>, working: Working) -> Response<ResponseBody> {
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
    if let Some(parent) = request.headers().get(propagation::HEADER) {
        propagation::continue_from(&span, parent.to_str().unwrap_or_default());
    }
    async move {
        let response = route(request, working).await;
        Span::current().record("http.response.status_code", response.status().as_u16());
        response
    }
    .instrument(span)
    .await
}

async fn route(request: Request<Incoming>, working: Working) -> Response<ResponseBody> {
    if request.uri().path() != CHAT_PATH {
        return failure(StatusCode::NOT_FOUND, "there is only /v1/chat/completions");
    }
    if request.method() != Method::POST {
        return failure(StatusCode::METHOD_NOT_ALLOWED, "send a POST request");
    }
    let body = match request.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return failure(StatusCode::BAD_REQUEST, &format!("can't read the body: {error}")),
    };
    match serde_json::from_slice::<ChatRequest>(&body) {
        Ok(request) if request.stream => streamed(request, working),
        Ok(request) => whole(&request).await,
        Err(error) => failure(
            StatusCode::BAD_REQUEST,
            &format!("the body is no chat request: {error}"),
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

/// Lets the model answer, and notes in the current span what it did.
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

async fn whole(request: &ChatRequest) -> Response<ResponseBody> {
    async {
        let answer = generate(request);
        let tokens = u32::try_from(answer.usage.completion_tokens).unwrap_or(u32::MAX);
        tokio::time::sleep(PER_TOKEN.saturating_mul(tokens)).await;
        let choice = Choice {
            message: Some(answer.message),
            finish_reason: Some(answer.finish_reason.to_owned()),
            ..Choice::default()
        };
        let stream = Stream::new("chat.completion", request);
        json_response(&json!(stream.part(vec![choice], Some(answer.usage))))
    }
    .instrument(generation_span(request))
    .await
}

fn streamed(request: ChatRequest, working: Working) -> Response<ResponseBody> {
    let (events, receiver) = mpsc::channel(8);
    let span = generation_span(&request);
    // Holds the request's span as well, because the request lasts until its stream ends.
    let request_span = Span::current();
    tokio::spawn(async move {
        let written = write_stream(&request, &events).instrument(span).await;
        if written.is_none() {
            warn!(target: "server", parent: &request_span, "the client has gone before the end of the stream");
        }
        drop(request_span);
        // Last, so that whoever waits for all work to be done finds both spans ended.
        drop(working);
    });
    let mut response = Response::new(Either::Right(EventBody(receiver)));
    let events = header::HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, events);
    response
}

/// Sends the answer in chunks of a word; `None` if the client hangs up.
async fn write_stream(request: &ChatRequest, events: &mpsc::Sender<Bytes>) -> Option<()> {
    let send = async |data: &str| events.send(sse::event(data).into()).await.ok();
    let answer = generate(request);
    let stream = Stream::new("chat.completion.chunk", request);
    let chunk = |delta: Message, finish_reason: Option<&str>| {
        let choice = Choice {
            delta: Some(delta),
            finish_reason: finish_reason.map(str::to_owned),
            ..Choice::default()
        };
        json!(stream.part(vec![choice], None)).to_string()
    };
    let mut first = answer.message;
    let text = first.content.take().unwrap_or_default();
    send(&chunk(first, None)).await?;
    for word in text.split_inclusive(' ') {
        tokio::time::sleep(PER_TOKEN).await;
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
        send(&json!(stream.part(Vec::new(), Some(answer.usage))).to_string()).await?;
    }
    send(DONE).await
}

/// What all parts of one answer have in common.
struct Stream<'a> {
    id: String,
    object: &'a str,
    created: u64,
    model: &'a str,
}

impl<'a> Stream<'a> {
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
