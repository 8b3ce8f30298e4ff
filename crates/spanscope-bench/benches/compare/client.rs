//! The cost of the client's layer: on the calling thread of a request, and on streams over TCP.

use std::convert::Infallible;
use std::hint::black_box;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use spanscope_bench::subject::serve;
use spanscope_bench::table::{Goal, Table, nanos};
use spanscope_layers::TokenMetricsLayer;
use spanscope_tower::ClientLayer;
use tower::{Layer as _, Service, ServiceExt as _, service_fn};
use tracing::subscriber;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;

use crate::caller::{Taken, in_turn};
use crate::measuring::{Nowhere, SpanSink};
use crate::sizes::Sizes;

/// The concurrent streams.
const STREAMS: usize = 100;
/// The chunks of each response, as long as an event of a model's response.
const CHUNKS: usize = 1_000;
/// The content of the chunks: pieces of an answer, as a model sends them.
const PIECES: [&str; 8] = [
    " a",
    " few",
    " words",
    ",",
    " \\\"which\\\"",
    " differ",
    ".\\n",
    " größer",
];
static EVENTS: LazyLock<Vec<Bytes>> = LazyLock::new(|| {
    let event = |piece: &&str| {
        let event = format!(
            "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1764547200,\
             \"model\":\"gpt-4o-2024-08-06\",\"choices\":[{{\"index\":0,\
             \"delta\":{{\"content\":\"{piece}\"}},\"finish_reason\":null}}]}}\n\n"
        );
        Bytes::from(event)
    };
    PIECES.iter().map(event).collect()
});
/// The request of each call.
const REQUEST: &str = r#"{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#;

type Plain = Client<HttpConnector, Full<Bytes>>;

/// Runs one subject of this section in a child process.
pub(crate) fn child(role: &str, sizes: &Sizes) -> Result<()> {
    let tokens = TokenMetricsLayer::builder().sink(Nowhere).build();
    subscriber::set_global_default(registry().with(SpanSink::new()).with(tokens))?;
    let layer = ClientLayer::new();
    let answers = service_fn(async |_: Request<Empty<Bytes>>| {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"[]"))))
    });
    match role {
        "client-requests-without" => serve(|| requests(answers, sizes), || Ok(Vec::new())),
        "client-requests-with" => serve(|| requests(layer.layer(answers), sizes), || Ok(Vec::new())),
        "client-streams-without" => streaming(|client| client),
        "client-streams-with" => streaming(|client| layer.layer(client)),
        "client-streams-calls" => {
            let layer = ClientLayer::builder().model_calls().build();
            streaming(|client| layer.layer(client))
        }
        other => bail!("unknown subject {other}"),
    }
}

/// Nanoseconds per request to a service in memory.
fn requests<S, B>(service: S, sizes: &Sizes) -> Result<Vec<f64>>
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Infallible> + Clone,
    B: Body<Error = Infallible>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let start = Instant::now();
        for _ in 0..sizes.requests {
            let request = Request::get("http://api.example.com/v1/models").body(Empty::new())?;
            let Ok(response) = service.clone().oneshot(request).await;
            let Ok(body) = response.into_body().collect().await;
            black_box(body.to_bytes());
        }
        Ok(vec![micros(start.elapsed()) * 1_000.0 / count(sizes.requests)])
    })
}

/// Serves rounds of streams with one client, whose connections stay open.
fn streaming<S, B>(watch: impl FnOnce(Plain) -> S) -> Result<()>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Future: Send> + Clone + Send + 'static,
    B: Body<Data: Send, Error: Send + Sync + std::error::Error> + Send + Unpin + 'static,
    S::Error: Send + Sync + std::error::Error,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let addr = runtime.block_on(start_server())?;
    let client = watch(Client::builder(TokioExecutor::new()).build_http());
    serve(|| runtime.block_on(streams(&client, addr)), || Ok(Vec::new()))
}

async fn start_server() -> Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let addr = listener.local_addr()?;
    let answer = || async { axum::body::Body::new(Chunks(CHUNKS)) };
    let router = Router::new().route("/v1/chat/completions", post(answer));
    tokio::spawn(axum::serve(listener, router).into_future());
    Ok(addr)
}

/// Chunks in a second, and microseconds to the first chunk and to the last one: median and 99th of
/// 100 streams.
async fn streams<S, B>(client: &S, addr: SocketAddr) -> Result<Vec<f64>>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Future: Send> + Clone + Send + 'static,
    B: Body<Data: Send, Error: Send + Sync + std::error::Error> + Send + Unpin + 'static,
    S::Error: Send + Sync + std::error::Error,
{
    let start = Instant::now();
    let mut reading = tokio::task::JoinSet::new();
    for _ in 0..STREAMS {
        let client = client.clone();
        let request = Request::post(format!("http://{addr}/v1/chat/completions"));
        let request = request.body(Full::new(Bytes::from_static(REQUEST.as_bytes())))?;
        reading.spawn(async move {
            let start = Instant::now();
            let mut body = client
                .oneshot(request)
                .await
                .map_err(anyhow::Error::new)?
                .into_body();
            let mut first = None;
            while let Some(frame) = body.frame().await {
                black_box(frame.map_err(anyhow::Error::new)?);
                first.get_or_insert_with(|| start.elapsed());
            }
            Ok::<_, anyhow::Error>((first.unwrap_or_default(), start.elapsed()))
        });
    }
    let (mut firsts, mut lasts) = (Vec::new(), Vec::new());
    while let Some(read) = reading.join_next().await {
        let (first, last) = read.context("a stream was not read")??;
        firsts.push(micros(first));
        lasts.push(micros(last));
    }
    let seconds = start.elapsed().as_secs_f64();
    ensure!(firsts.len() == STREAMS, "a stream is missing");
    firsts.sort_by(f64::total_cmp);
    lasts.sort_by(f64::total_cmp);
    let chunks = count((STREAMS * CHUNKS) as u64);
    Ok(vec![
        chunks / seconds,
        firsts[50],
        firsts[99],
        lasts[50],
        lasts[99],
    ])
}

/// A body with this number of chunks.
struct Chunks(usize);

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.0 == 0 {
            return Poll::Ready(None);
        }
        self.0 -= 1;
        Poll::Ready(Some(Ok(Frame::data(EVENTS[self.0 % EVENTS.len()].clone()))))
    }
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

#[expect(clippy::cast_precision_loss, reason = "counts of loops are small")]
fn count(number: u64) -> f64 {
    number as f64
}

/// Measures all subjects of this section in turn and adds their rows to the table.
pub(crate) fn report(table: &mut Table, folder: &Path, sizes: &Sizes) -> Result<()> {
    let taken = in_turn(
        &["client-requests-without", "client-requests-with"],
        folder,
        sizes,
    )?;
    let [without, with] = taken.as_slice() else {
        bail!("a subject is missing");
    };
    let (before, after) = (without.sample(0).median(), with.sample(0).median());
    table.judged(
        "a client's request with `ClientLayer`: its span, `traceparent` and three measurements",
        nanos(after),
        format!("{} more than without ({})", nanos(after - before), nanos(before)),
        after - before,
        Goal::AtMost(2_000.0),
        "<= 2 µs",
    );
    let subjects = [
        "client-streams-without",
        "client-streams-with",
        "client-streams-calls",
    ];
    let taken = in_turn(&subjects, folder, sizes)?;
    let [without, with, calls] = taken.as_slice() else {
        bail!("a subject is missing");
    };
    streams_row(table, "`ClientLayer`", without, with);
    streams_row(table, "its `model_calls`", without, calls);
    Ok(())
}

/// The rows of streams that are read through a layer.
fn streams_row(table: &mut Table, layer: &str, without: &Taken, with: &Taken) {
    let ratio = |place: usize| with.sample(place).ratio_to(&without.sample(place));
    table.judged(
        &format!("100 streams of 1,000 chunks over TCP with {layer}"),
        format!("{:.0} chunks/s", with.sample(0).median()),
        format!("{:.3} of those without", ratio(0)),
        ratio(0),
        Goal::AtLeast(0.95),
        ">= 0.95",
    );
    let times = [
        "first chunk, median",
        "first chunk, last of 100",
        "last chunk, median",
        "last chunk, last of 100",
    ];
    for (place, what) in times.into_iter().enumerate() {
        let place = place + 1;
        table.plain(
            &format!("such a stream with {layer}: {what}"),
            nanos(with.sample(place).median() * 1_000.0),
            format!("{:.3} of that without", ratio(place)),
        );
    }
}
