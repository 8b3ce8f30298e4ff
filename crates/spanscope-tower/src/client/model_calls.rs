//! Model calls among the requests of a client: which requests are read, and their spans.

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame};
use http_body_util::Full;
use spanscope_calls::{CallReader, Endpoint, ReadSettings, ResponseHead};
use spanscope_core::SpanExt as _;
use spanscope_core::capture::{Clock, RawValue, SpanIds, Ticks};
use spanscope_core::metrics::{Measurement, Number};
use spanscope_core::queue::log_to_stderr;
use spanscope_layers::metrics::{TIME_PER_OUTPUT_CHUNK, is_inside_model_call, record_all};
use spanscope_model::MetricKind;
use spanscope_model::semconv::{SemanticAttribute as A, mask_text};
use spanscope_model::text::first_chars;
use tracing::Span;

use super::hosts::HostPattern;
use super::request::ClientRequest;

/// The variable by which OpenTelemetry's instrumentations decide whether to keep contents.
const CONTENT_VARIABLE: &str = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT";
/// The category of calls of models.
const CATEGORY: &str = "inference";

type BodyOf = dyn Fn(&dyn Any) -> Option<Bytes> + Send + Sync;

/// Which requests a [`ClientLayer`](crate::ClientLayer) reads as model calls, and what it keeps of
/// them.
///
/// ```
/// use spanscope_tower::{ClientLayer, ModelCalls};
///
/// let calls = ModelCalls::new()
///     .hosts(["api.openai.com", "*.models.internal"])
///     .provider("*.models.internal", "vllm");
/// let layer = ClientLayer::builder().model_calls_with(calls).build();
/// # let _ = layer;
/// ```
#[derive(Clone, Default)]
#[must_use = "it does nothing before `model_calls_with` has it"]
pub struct ModelCalls {
    /// `None`: all.
    hosts: Option<Vec<HostPattern>>,
    providers: Vec<(HostPattern, String)>,
    settings: ReadSettings,
    bodies: Vec<Arc<BodyOf>>,
}

impl fmt::Debug for ModelCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelCalls")
            .field("hosts", &self.hosts)
            .field("providers", &self.providers)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl ModelCalls {
    /// Creates settings for all hosts, without contents.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the only hosts whose requests are read: `api.openai.com`, or `*.models.internal` for
    /// all hosts below a domain. Default: all.
    pub fn hosts<H: AsRef<str>>(mut self, hosts: impl IntoIterator<Item = H>) -> Self {
        let hosts = hosts.into_iter().map(|host| HostPattern::new(host.as_ref()));
        self.hosts = Some(hosts.collect());
        self
    }

    /// Sets the provider of a host, for `gen_ai.provider.name`. Default: known for public hosts;
    /// for other hosts the provider of the API that the request uses.
    pub fn provider(mut self, host: &str, name: impl Into<String>) -> Self {
        self.providers.push((HostPattern::new(host), name.into()));
        self
    }

    /// Sets whether messages, instructions, tools and their arguments are recorded in the span.
    /// Each sink's policy decides what it does with them. Default: no.
    pub fn content(mut self, is_kept: bool) -> Self {
        self.settings = self.settings.content(is_kept);
        self
    }

    /// Reads [`content`](Self::content) from the environment variable
    /// `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`, as OpenTelemetry's instrumentations
    /// do, in any case of letters: `SPAN_ONLY`, `SPAN_AND_EVENT` and `true` keep contents;
    /// `NO_CONTENT`, `EVENT_ONLY`, `REDACTED`, `false` and no value don't. Another value is
    /// reported on stderr, and keeps none.
    pub fn content_from_env(self) -> Self {
        let is_kept = content_in_env().unwrap_or_else(|error| {
            log_to_stderr(format!(
                "spanscope: contents of model calls are not recorded: {error}"
            ));
            false
        });
        self.content(is_kept)
    }

    /// Does the same as [`content_from_env`](Self::content_from_env), but returns an error for an
    /// invalid value.
    ///
    /// # Errors
    /// Fails if the variable has another value than those named there.
    pub fn try_content_from_env(self) -> Result<Self, ContentVariableError> {
        Ok(self.content(content_in_env()?))
    }

    /// Sets the maximum size of the messages of one direction, in bytes. Default:
    /// [`spanscope_calls::DEFAULT_MAX_CONTENT`].
    pub fn max_content(mut self, bytes: usize) -> Self {
        self.settings = self.settings.max_content(bytes);
        self
    }

    /// Adds a function that returns the bytes of another type of request body without sending it.
    /// Bodies of `reqwest` that are not streams, `Full<Bytes>`, `String` and `Bytes` need none. A
    /// body whose bytes are unknown before it is sent becomes a plain HTTP span.
    ///
    /// ```
    /// # use spanscope_tower::ModelCalls;
    /// # struct MyBody(bytes::Bytes);
    /// let calls = ModelCalls::new().body_of(|body: &MyBody| Some(body.0.clone()));
    /// # let _ = calls;
    /// ```
    pub fn body_of<B: 'static>(
        mut self,
        bytes_of: impl Fn(&B) -> Option<Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.bodies.push(Arc::new(move |body: &dyn Any| {
            bytes_of(body.downcast_ref::<B>()?)
        }));
        self
    }

    /// Returns a reader for a request, if it may be a call of a model that no span describes yet.
    fn reader_of(&self, request: &ClientRequest<'_>, body: &dyn Any) -> Option<CallReader> {
        let host = request.host.unwrap_or_default();
        let endpoint = Endpoint::of(request.method.as_str(), host, request.port, request.path)?;
        let is_read = self.hosts.as_ref();
        if !is_read.is_none_or(|hosts| hosts.iter().any(|pattern| pattern.covers(host))) {
            return None;
        }
        if request.headers.contains_key(CONTENT_ENCODING) || is_inside_model_call() {
            return None;
        }
        let named = self.providers.iter().find(|(pattern, _)| pattern.covers(host));
        let endpoint = match named {
            Some((_, provider)) => endpoint.with_provider(provider.as_str()),
            None => endpoint,
        };
        let mut reader = CallReader::new(endpoint, self.settings);
        #[cfg(feature = "reqwest")]
        if let Some(body) = body.downcast_ref::<reqwest::Body>() {
            reader.request_body(body.as_bytes()?);
            return Some(reader);
        }
        reader.request_body(&self.bytes_of(body)?);
        Some(reader)
    }

    fn bytes_of(&self, body: &dyn Any) -> Option<Bytes> {
        if let Some(full) = body.downcast_ref::<Full<Bytes>>() {
            // `Full` gives access to its bytes only by polling, and is ready at once.
            let mut copy = full.clone();
            let context = &mut Context::from_waker(Waker::noop());
            return match Pin::new(&mut copy).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => frame.into_data().ok(),
                _ => None,
            };
        }
        if let Some(text) = body.downcast_ref::<String>() {
            return Some(Bytes::copy_from_slice(text.as_bytes()));
        }
        if let Some(bytes) = body.downcast_ref::<Bytes>() {
            return Some(bytes.clone());
        }
        self.bodies.iter().find_map(|bytes_of| bytes_of(body))
    }
}

/// The values of [`CONTENT_VARIABLE`], and whether spans have contents then.
const CONTENT_VALUES: [(&str, bool); 8] = [
    ("", false),
    ("NO_CONTENT", false),
    ("SPAN_ONLY", true),
    ("EVENT_ONLY", false),
    ("SPAN_AND_EVENT", true),
    ("REDACTED", false),
    ("true", true),
    ("false", false),
];

fn content_in_env() -> Result<bool, ContentVariableError> {
    let value = std::env::var_os(CONTENT_VARIABLE).unwrap_or_default();
    is_content_kept(&value.to_string_lossy())
}

fn is_content_kept(value: &str) -> Result<bool, ContentVariableError> {
    let known = CONTENT_VALUES
        .iter()
        .find(|(word, _)| value.trim().eq_ignore_ascii_case(word));
    known
        .map(|(_, is_kept)| *is_kept)
        .ok_or_else(|| ContentVariableError {
            input: first_chars(value, 60).to_owned(),
        })
}

/// `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` has an invalid value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentVariableError {
    /// The first 60 characters of the value.
    input: String,
}

impl fmt::Display for ContentVariableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = CONTENT_VALUES.map(|(word, _)| word);
        write!(
            f,
            "{CONTENT_VARIABLE} is {:?}: use one of {}",
            self.input,
            words[1..].join(", ")
        )
    }
}

impl std::error::Error for ContentVariableError {}

/// The number of chunks whose times are recorded together. A stream has thousands, and finding the
/// layer that receives measurements takes longer than recording one.
const MAX_PENDING: usize = 64;

/// A chunk that arrives this long after the first pending one causes all pending ones to be
/// recorded.
const MAX_PENDING_AGE: Duration = Duration::from_secs(1);

/// A call of a model in progress.
pub(crate) struct CallInProgress {
    reader: CallReader,
    chunk_times: ChunkTimes,
}

impl fmt::Debug for CallInProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallInProgress")
            .field("reader", &self.reader)
            .finish_non_exhaustive()
    }
}

/// The times of chunks that are not recorded yet.
#[derive(Default)]
struct ChunkTimes {
    /// The chunk before those that are pending.
    before: Option<Ticks>,
    pending: Vec<Ticks>,
    /// The time from the start of the request to the first pending chunk.
    since: Duration,
    labels: Option<ChunkLabels>,
}

/// The span and the labels of the measurements of chunks.
struct ChunkLabels {
    span: Option<SpanIds>,
    operation: &'static str,
    provider: String,
    /// Empty if the request calls no model; then nothing is measured.
    model: String,
}

impl CallInProgress {
    /// Begins to read a request, before its span is the current one.
    pub(crate) fn of(calls: &ModelCalls, request: &ClientRequest<'_>, body: &dyn Any) -> Option<Box<Self>> {
        let reader = calls.reader_of(request, body)?;
        Some(Box::new(Self {
            reader,
            chunk_times: ChunkTimes::default(),
        }))
    }

    pub(crate) fn head(&mut self, status: StatusCode, headers: &HeaderMap) {
        let header = |name| {
            let value = headers.get(name);
            value.and_then(|value| value.to_str().ok()).unwrap_or_default()
        };
        self.reader.response_head(
            ResponseHead::new(status.as_u16())
                .content_type(header(CONTENT_TYPE))
                .content_encoding(header(CONTENT_ENCODING)),
        );
    }

    /// Reads a frame of the response to a request that began at `started`. Returns whether the
    /// frame could be read.
    pub(crate) fn frame<D: Buf>(&mut self, frame: &Frame<D>, started: Ticks, span: &Span) -> bool {
        let Some(data) = frame.data_ref() else {
            return true;
        };
        // A frame that is not contiguous can't be read without consuming it.
        if data.chunk().len() < data.remaining() {
            return false;
        }
        let now = Clock::global().now();
        let at = Duration::from_nanos(Clock::global().nanos_between(started, now));
        let progress = self.reader.response_body(data.chunk(), at);
        for _ in 0..progress.chunks {
            let times = &mut self.chunk_times;
            if times.before.is_none() {
                times.before = Some(now);
                continue;
            }
            if times.pending.is_empty() {
                times.since = at;
            }
            times.pending.push(now);
            let age = at.saturating_sub(times.since);
            if times.pending.len() >= MAX_PENDING || age >= MAX_PENDING_AGE {
                self.record_chunks(span);
            }
        }
        true
    }

    /// Records the times that are pending.
    fn record_chunks(&mut self, span: &Span) {
        let times = &mut self.chunk_times;
        let (Some(mut before), Some(last)) = (times.before, times.pending.last().copied()) else {
            return;
        };
        let labels = times.labels.get_or_insert_with(|| {
            // The request is parsed only here, so that parsing delays neither the request nor the
            // first chunk.
            let (operation, provider) = (self.reader.operation(), self.reader.provider().to_owned());
            let model = self.reader.finish_request().map(|request| request.model.clone());
            ChunkLabels {
                span: span
                    .ids()
                    .map(|(trace_id, span_id)| SpanIds { trace_id, span_id }),
                operation,
                provider,
                model: model.unwrap_or_default(),
            }
        });
        if !labels.model.is_empty() {
            let of_call = [
                (A::Operation.name(), text(labels.operation)),
                (A::Provider.name(), text(&labels.provider)),
                (A::RequestModel.name(), text(&labels.model)),
            ];
            let clock = Clock::global();
            let measurement = |time: &Ticks| {
                let nanos = clock.nanos_between(std::mem::replace(&mut before, *time), *time);
                Measurement {
                    name: TIME_PER_OUTPUT_CHUNK,
                    value: Number::F64(Duration::from_nanos(nanos).as_secs_f64()),
                    unit: "s",
                    kind: MetricKind::Histogram,
                    labels: &of_call,
                    span: labels.span,
                    time: *time,
                    is_event: false,
                }
            };
            // Whether a layer received them makes no difference here.
            let _ = record_all(times.pending.iter().map(measurement));
        }
        times.before = Some(last);
        times.pending.clear();
    }

    /// Ends the request: its span becomes that of the call, if it was one.
    pub(crate) fn finish(mut self, is_complete: bool, span: &Span) {
        self.record_chunks(span);
        let call = if is_complete {
            self.reader.finish()
        } else {
            self.reader.finish_incomplete()
        };
        let Some(call) = call else {
            return;
        };
        span.record("otel.name", call.span_name().as_str());
        span.record_attribute(A::Category.name(), CATEGORY);
        for (name, value) in call.attributes() {
            span.record_attribute(name, value);
        }
        if let Some(error) = &call.error {
            span.record("otel.status_code", "error");
            if !error.message.is_empty() {
                // Providers quote an invalid API key in their message.
                span.record("otel.status_description", &*mask_text(&error.message));
            }
        }
    }
}

fn text(text: &str) -> RawValue<'_> {
    RawValue::Text(text, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_for_contents_accepts_the_values_of_opentelemetry() {
        for (value, is_kept) in [
            ("", false),
            (" ", false),
            ("no_content", false),
            ("SPAN_ONLY", true),
            (" span_and_event ", true),
            ("event_only", false),
            ("True", true),
            ("FALSE", false),
            ("redacted", false),
        ] {
            assert_eq!(is_content_kept(value), Ok(is_kept), "{value:?}");
        }
        for value in ["yes", "1", "SPAN", "SPAN_ONLY,EVENT_ONLY"] {
            let error = is_content_kept(value).err().map(|error| error.to_string());
            let expected = format!(
                "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT is {value:?}: use one of NO_CONTENT, \
                 SPAN_ONLY, EVENT_ONLY, SPAN_AND_EVENT, REDACTED, true, false"
            );
            assert_eq!(error.as_deref(), Some(expected.as_str()));
        }
    }
}
