//! The metrics of a server's requests: their names, labels and units are here only.
//!
//! Without a layer that receives measurements nothing happens.

use http::StatusCode;
use spanscope_core::capture::{Clock, RawValue, SpanIds};
use spanscope_core::metrics::{Measurement, Number};
use spanscope_layers::metrics::{record, record_all};
use spanscope_model::MetricKind;

use crate::request::RequestLabels;

const REQUESTS_TOTAL: &str = "llama_stack_requests_total";
const REQUEST_DURATION: &str = "llama_stack_request_duration_seconds";
const CONCURRENT_REQUESTS: &str = "llama_stack_concurrent_requests";
const HTTP_REQUEST_DURATION: &str = "http.server.request.duration";
const HTTP_ACTIVE_REQUESTS: &str = "http.server.active_requests";

fn record_gauge(name: &str, running: i64, unit: &str, labels: &[(&str, RawValue<'_>)], ids: Option<SpanIds>) {
    let gauge = measurement(name, Number::I64(running), unit, MetricKind::Gauge, labels, ids);
    // The result, whether it was received, does not matter here.
    let _ = record(&gauge);
}

fn text(text: &str) -> RawValue<'_> {
    RawValue::Text(text, None)
}

/// Records the number of requests of an API that are running.
pub(crate) fn concurrent_requests(api: &str, running: i64, ids: Option<SpanIds>) {
    record_gauge(
        CONCURRENT_REQUESTS,
        running,
        "requests",
        &[("api", text(api))],
        ids,
    );
}

/// Records the number of requests with this method and scheme that are running.
pub(crate) fn active_requests(labels: RequestLabels, running: i64, ids: Option<SpanIds>) {
    record_gauge(
        HTTP_ACTIVE_REQUESTS,
        running,
        "{request}",
        &[
            ("http.request.method", text(labels.method())),
            ("url.scheme", text(labels.scheme())),
        ],
        ids,
    );
}

/// A finished request.
#[derive(Debug)]
pub(crate) struct Finished<'a> {
    pub(crate) api: &'a str,
    /// The label `status`, which every request has.
    pub(crate) status: &'a str,
    pub(crate) seconds: f64,
    pub(crate) labels: RequestLabels,
    /// The response's status, if there was one.
    pub(crate) sent: Option<StatusCode>,
    pub(crate) route: Option<&'a str>,
    pub(crate) error_type: Option<&'a str>,
    /// The ids of the request's span.
    pub(crate) ids: Option<SpanIds>,
}

impl Finished<'_> {
    /// Reports one measurement of the counter and one of each histogram, together.
    pub(crate) fn measure(&self) {
        let documented = [("api", text(self.api)), ("status", text(self.status))];
        let sent = self.sent.as_ref().map(StatusCode::as_str);
        let some = [
            ("http.request.method", Some(self.labels.method())),
            ("url.scheme", Some(self.labels.scheme())),
            (
                "network.protocol.version",
                Some(self.labels.version).filter(|version| !version.is_empty()),
            ),
            ("http.response.status_code", sent),
            ("http.route", self.route),
            ("error.type", self.error_type),
        ];
        let standard = Labels::of(some.map(|(name, value)| (name, value.map(text))));
        let seconds = Number::F64(self.seconds);
        let (counter, histogram) = (MetricKind::Counter, MetricKind::Histogram);
        // The result, whether they were received, does not matter here.
        let _ = record_all([
            measurement(
                REQUESTS_TOTAL,
                Number::I64(1),
                "requests",
                counter,
                &documented,
                self.ids,
            ),
            measurement(
                REQUEST_DURATION,
                seconds,
                "seconds",
                histogram,
                &documented,
                self.ids,
            ),
            measurement(
                HTTP_REQUEST_DURATION,
                seconds,
                "s",
                histogram,
                standard.as_slice(),
                self.ids,
            ),
        ]);
    }
}

/// Returns a measurement with the current time, of this span or else of the current one.
pub(crate) fn measurement<'a>(
    name: &'a str,
    value: Number,
    unit: &'a str,
    kind: MetricKind,
    labels: &'a [(&'a str, RawValue<'a>)],
    span: Option<SpanIds>,
) -> Measurement<'a> {
    Measurement {
        name,
        value,
        unit,
        kind,
        labels,
        span,
        time: Clock::global().now(),
        is_event: false,
    }
}

/// The labels that have a value.
pub(crate) struct Labels<'a, const N: usize> {
    all: [(&'a str, RawValue<'a>); N],
    len: usize,
}

impl<'a, const N: usize> Labels<'a, N> {
    pub(crate) fn of(some: [(&'a str, Option<RawValue<'a>>); N]) -> Self {
        let mut labels = Self {
            all: [("", RawValue::Text("", None)); N],
            len: 0,
        };
        for (name, value) in some {
            if let Some(value) = value {
                labels.all[labels.len] = (name, value);
                labels.len += 1;
            }
        }
        labels
    }

    pub(crate) fn as_slice(&self) -> &[(&'a str, RawValue<'a>)] {
        &self.all[..self.len]
    }
}
