//! Records the middleware's measurements and spans, and provides clients and bodies.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame};
use hyper_util::rt::TokioIo;
use spanscope_core::capture::{CallsiteInfo, Capture, FieldReader, MaskedTexts, RawValue, SpanIds};
use spanscope_core::metrics::{Measurement, MetricSink};
use spanscope_layers::Categories;
use spanscope_layers::TokenMetricsLayer;
use spanscope_model::{MetricKind, SpanId};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context as LayerContext, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// One measurement.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: String,
    pub(crate) kind: MetricKind,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) span: Option<SpanIds>,
}

/// A closed span.
#[derive(Debug, Clone)]
pub(crate) struct Closed {
    pub(crate) ids: SpanIds,
    pub(crate) is_sampled: bool,
    pub(crate) parent: Option<SpanId>,
    pub(crate) category: String,
    pub(crate) name: String,
    /// All fields, the special ones too.
    pub(crate) fields: BTreeMap<String, String>,
}

/// Records all measurements and closed spans.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    measured: Mutex<Vec<Measured>>,
    closed: Mutex<Vec<Closed>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recorder {
    /// Returns a subscriber that passes everything to a recorder, and the recorder.
    pub(crate) fn subscriber() -> (impl Subscriber + for<'a> LookupSpan<'a> + Send + Sync, Arc<Self>) {
        let recorder = Arc::new(Self::default());
        let sink: Arc<dyn MetricSink> = Arc::<Self>::clone(&recorder);
        let spans = ClosedSpans {
            capture: Capture::new(4096),
            recorder: Arc::clone(&recorder),
        };
        // HTTP libraries have their own spans below that level.
        let subscriber = tracing_subscriber::registry()
            .with(LevelFilter::INFO)
            .with(spans)
            .with(TokenMetricsLayer::builder().sink(sink).build());
        (subscriber, recorder)
    }

    /// Runs the future on a runtime of this thread, and returns the records.
    pub(crate) fn of<T>(future: impl Future<Output = T>) -> Arc<Self> {
        let (subscriber, recorder) = Self::subscriber();
        tracing::subscriber::with_default(subscriber, || block_on(future));
        recorder
    }

    pub(crate) fn all(&self) -> Vec<Measured> {
        lock(&self.measured).clone()
    }

    pub(crate) fn spans(&self) -> Vec<Closed> {
        lock(&self.closed).clone()
    }

    /// The only span that was closed.
    pub(crate) fn only_span(&self) -> Closed {
        let spans = self.spans();
        assert_eq!(spans.len(), 1, "{spans:#?}");
        spans[0].clone()
    }

    /// The measurements of a metric.
    pub(crate) fn named(&self, name: &str) -> Vec<Measured> {
        let mut all = self.all();
        all.retain(|measured| measured.name == name);
        all
    }

    /// The requests that were counted, as `api status`, in their order.
    pub(crate) fn counted(&self) -> Vec<String> {
        let labels = |name| -> Vec<_> {
            let all = self.named(name);
            all.iter()
                .map(|one| format!("{} {}", one.labels["api"], one.labels["status"]))
                .collect()
        };
        let counted = labels("llama_stack_requests_total");
        // Threads may report the three metrics of their requests in any order.
        let (mut ones, mut others) = (counted.clone(), labels("llama_stack_request_duration_seconds"));
        ones.sort_unstable();
        others.sort_unstable();
        assert_eq!(ones, others, "the counter and the histogram agree");
        assert_eq!(counted.len(), self.named("http.server.request.duration").len());
        counted
    }

    /// Status code and error type of the standard histogram, in their order.
    pub(crate) fn standard(&self) -> Vec<(Option<String>, Option<String>)> {
        let label = |one: &Measured, key: &str| one.labels.get(key).cloned();
        self.named("http.server.request.duration")
            .iter()
            .map(|one| (label(one, "http.response.status_code"), label(one, "error.type")))
            .collect()
    }

    /// The last value of each gauge.
    pub(crate) fn gauges(&self) -> BTreeMap<String, f64> {
        let all = self.all();
        let gauges = all.iter().filter(|one| one.kind == MetricKind::Gauge);
        gauges
            .map(|one| (format!("{} {:?}", one.name, one.labels), one.value))
            .collect()
    }

    /// Asserts that nothing is running any more.
    pub(crate) fn assert_idle(&self) {
        let gauges = self.gauges();
        assert!(gauges.values().all(|value| *value == 0.0), "{gauges:#?}");
    }

    /// Waits until this number of requests was counted, which servers do after the client has its
    /// response.
    pub(crate) async fn wait_for(&self, requests: usize) {
        for _ in 0..3000 {
            if self.named("llama_stack_requests_total").len() >= requests {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("{requests} requests should be over: {:?}", self.counted());
    }
}

impl MetricSink for Recorder {
    fn record(&self, measurement: &Measurement<'_>) {
        let labels = measurement.labels.iter();
        let labels = labels.map(|(key, value)| ((*key).to_owned(), text(value)));
        let measured = Measured {
            name: measurement.name.to_owned(),
            value: measurement.value.as_f64(),
            unit: measurement.unit.to_owned(),
            kind: measurement.kind,
            labels: labels.collect(),
            span: measurement.span,
        };
        lock(&self.measured).push(measured);
    }
}

fn text(value: &RawValue<'_>) -> String {
    match value {
        RawValue::Bool(value) => value.to_string(),
        RawValue::I64(value) => value.to_string(),
        RawValue::U64(value) => value.to_string(),
        RawValue::F64(value) => value.to_string(),
        RawValue::Text(value, _) => (*value).to_owned(),
    }
}

struct ClosedSpans {
    capture: Capture,
    recorder: Arc<Recorder>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for ClosedSpans {
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        self.capture.on_register_dispatch(dispatch);
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: LayerContext<'_, S>) {
        self.capture.on_new_span(attributes, id, &context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: LayerContext<'_, S>) {
        self.capture.on_record(id, values, &context);
    }

    fn on_event(&self, _: &Event<'_>, _: LayerContext<'_, S>) {}

    fn on_close(&self, id: Id, context: LayerContext<'_, S>) {
        let take = |record: &spanscope_core::capture::SpanRecord, parent, _, _| {
            let callsite = CallsiteInfo::new(record.metadata(), &Categories::new());
            let fields: BTreeMap<_, _> = callsite
                .resolve(FieldReader::new(record.fields()), &MaskedTexts::new())
                .iter()
                .map(|field| (field.name.to_owned(), text(&field.value)))
                .collect();
            let name = fields.get("otel.name").cloned();
            lock(&self.recorder.closed).push(Closed {
                ids: record.ids(),
                is_sampled: record.is_sampled(),
                parent,
                category: callsite.category,
                name: name.unwrap_or_else(|| record.metadata().name().to_owned()),
                fields,
            });
            true
        };
        self.capture.on_close(&id, &context, take, || {});
    }
}

/// Runs a future on a runtime of this thread, so that all of it sees this thread's subscriber.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// What a body does when it is polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Wait,
    Data,
    Trailers,
    Fail,
    Panic,
}

/// The message of planned panics.
pub(crate) const PLANNED: &str = "a planned panic";

/// A body with a script, which never reports its end before it is polled.
#[derive(Debug, Default)]
pub(crate) struct Script(pub(crate) VecDeque<Step>);

impl Script {
    pub(crate) fn of(steps: &[Step]) -> Self {
        Self(steps.iter().copied().collect())
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match self.0.pop_front() {
            None => Poll::Ready(None),
            Some(Step::Wait) => Poll::Pending,
            Some(Step::Data) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"data"))))),
            Some(Step::Trailers) => Poll::Ready(Some(Ok(Frame::trailers(http::HeaderMap::new())))),
            Some(Step::Fail) => Poll::Ready(Some(Err(std::io::Error::other("a planned error")))),
            Some(Step::Panic) => panic!("{PLANNED}"),
        }
    }
}

/// Keeps the planned panics out of the tests' output.
pub(crate) fn hush_planned_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let shown = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let payload = info.payload();
            let text = payload.downcast_ref::<&str>().copied();
            let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
            if text != Some(PLANNED) {
                shown(info);
            }
        }));
    });
}

/// The body of a request without one.
pub(crate) type NoBody = Full<Bytes>;

/// A connection of a client that speaks HTTP/1.
pub(crate) async fn connect(addr: SocketAddr) -> hyper::client::conn::http1::SendRequest<NoBody> {
    let stream = tokio::net::TcpStream::connect(addr).await.unwrap();
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

/// A request as a client sends it.
pub(crate) fn request(method: &str, path: &str) -> http::Request<NoBody> {
    http::Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .body(NoBody::default())
        .unwrap()
}

/// Returns status and text of a response, over a separate connection.
pub(crate) async fn get(addr: SocketAddr, path: &str) -> (u16, String) {
    let response = connect(addr)
        .await
        .send_request(request("GET", path))
        .await
        .unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// Returns a body with one frame that then stays pending.
pub(crate) fn endless() -> Script {
    let mut steps = VecDeque::from([Step::Data]);
    steps.extend(std::iter::repeat_n(Step::Wait, 1000));
    Script(steps)
}

/// Returns a response with that status and a text.
pub(crate) fn answer(status: u16, text: &str) -> Result<http::Response<NoBody>, Infallible> {
    let body = Full::new(Bytes::copy_from_slice(text.as_bytes()));
    Ok(http::Response::builder().status(status).body(body).unwrap())
}
