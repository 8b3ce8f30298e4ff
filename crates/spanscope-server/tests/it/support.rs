//! Measurements in one line, a strict parser of the text, and a server.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use spanscope_core::capture::{Clock, RawValue, SpanIds};
use spanscope_core::metrics::{Measurement, MetricSink, Number};
use spanscope_model::{MetricKind, SpanId, TraceId};
use spanscope_server::PrometheusSink;

pub(crate) const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0";

/// A metric to measure.
#[derive(Clone, Copy)]
pub(crate) struct Metric<'a>(pub(crate) MetricKind, pub(crate) &'a str, pub(crate) &'a str);

pub(crate) const TOKENS: Metric<'_> = Metric(MetricKind::Counter, "total_tokens", "tokens");
pub(crate) const REQUESTS: Metric<'_> = Metric(MetricKind::Counter, "llama_stack_requests_total", "");
pub(crate) const DURATION: Metric<'_> = Metric(
    MetricKind::Histogram,
    "llama_stack_request_duration_seconds",
    "seconds",
);
pub(crate) const CONCURRENT: Metric<'_> = Metric(MetricKind::Gauge, "llama_stack_concurrent_requests", "");

impl Metric<'_> {
    pub(crate) fn record(self, sink: &PrometheusSink, labels: &[(&str, &str)], value: Number) {
        self.record_in(sink, labels, value, None);
    }

    pub(crate) fn record_in(
        self,
        sink: &PrometheusSink,
        labels: &[(&str, &str)],
        value: Number,
        span: Option<SpanIds>,
    ) {
        let labels: Vec<_> = labels
            .iter()
            .map(|(key, value)| (*key, RawValue::Text(value, None)))
            .collect();
        sink.record(&Measurement {
            name: self.1,
            value,
            unit: self.2,
            kind: self.0,
            labels: &labels,
            span,
            time: Clock::global().now(),
            is_event: false,
        });
    }
}

pub(crate) fn span(number: u8) -> Option<SpanIds> {
    Some(SpanIds {
        trace_id: TraceId::from_bytes([number; 16])?,
        span_id: SpanId::from_bytes([number; 8])?,
    })
}

/// Returns the samples in a text of either format, by name and labels. Panics at anything invalid
/// or repeated.
pub(crate) fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut types = BTreeMap::new();
    if text.is_empty() {
        return samples; // nothing was measured yet
    }
    for line in text.strip_suffix('\n').unwrap().split('\n') {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.split(' ');
            match (words.next().unwrap(), words.next()) {
                ("TYPE", Some(name)) => assert_eq!(types.insert(name, words.next().unwrap()), None, "{line}"),
                ("HELP" | "UNIT", Some(_)) | ("EOF", None) => {}
                _ => panic!("what is this: {line}"),
            }
            continue;
        }
        let end = end_of_labels(line);
        let (series, rest) = line.split_at(end);
        let mut words = rest
            .strip_prefix(' ')
            .unwrap_or_else(|| panic!("{line}"))
            .split(' ');
        let value = words.next().unwrap().parse().unwrap_or_else(|_| panic!("{line}"));
        assert!(matches!(words.next(), None | Some("#")), "{line}");
        assert_eq!(samples.insert(series.to_owned(), value), None, "twice: {line}");
    }
    samples
}

fn end_of_labels(line: &str) -> usize {
    let name = line
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .unwrap_or_else(|| panic!("{line}"));
    if !line[name..].starts_with('{') {
        return name;
    }
    let (mut quoted, mut escaped) = (false, false);
    for (at, character) in line.char_indices().skip(name) {
        assert!(character == '\t' || !character.is_control(), "{line:?}");
        match character {
            _ if escaped => {
                assert!("\\\"n".contains(character), "{line}");
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '}' if !quoted => return at + 1,
            _ => {}
        }
    }
    panic!("no end of labels: {line}")
}

/// Returns the values of the series whose names begin with `begin`.
pub(crate) fn values(samples: &BTreeMap<String, f64>, begin: &str) -> Vec<f64> {
    let of = samples.iter().filter(|(series, _)| series.starts_with(begin));
    of.map(|(_, value)| *value).collect()
}

/// Returns the samples of a scrape without an `Accept` header.
pub(crate) fn scraped(sink: &PrometheusSink) -> BTreeMap<String, f64> {
    samples(&sink.encode("").1)
}

/// A server on a separate thread until it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    pub(crate) fn start(app: axum::Router) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            address,
            _runtime: runtime,
        }
    }
}
