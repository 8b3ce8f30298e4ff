//! The way of request metrics to whatever takes measurements: names, labels and units are here and nowhere else.
//!
//! Where no layer takes measurements nothing happens.

use http::StatusCode;
use spanscope_core::capture::{Clock, RawValue};
use spanscope_core::metrics::{Measurement, Number};
use spanscope_layers::metrics::{record_all, record_value};
use spanscope_model::MetricKind;

use crate::request::RequestLabels;

const REQUESTS_TOTAL: &str = "llama_stack_requests_total";
const REQUEST_DURATION: &str = "llama_stack_request_duration_seconds";
const CONCURRENT_REQUESTS: &str = "llama_stack_concurrent_requests";
const HTTP_REQUEST_DURATION: &str = "http.server.request.duration";
const HTTP_ACTIVE_REQUESTS: &str = "http.server.active_requests";

fn give(name: &str, running: i64, unit: &str, labels: &[(&str, &str)]) {
    // It says whether anyone took it, which makes no difference here.
    let _ = record_value(name, Number::I64(running), unit, MetricKind::Gauge, labels);
}

/// So many requests of an API are running.
pub(crate) fn concurrent_requests(api: &str, running: i64) {
    give(CONCURRENT_REQUESTS, running, "requests", &[("api", api)]);
}

/// So many requests with this method and scheme are running.
pub(crate) fn active_requests(traits: RequestLabels, running: i64) {
    give(
        HTTP_ACTIVE_REQUESTS,
        running,
        "{request}",
        &[
            ("http.request.method", traits.method()),
            ("url.scheme", traits.scheme()),
        ],
    );
}

/// A request that is over.
#[derive(Debug)]
pub(crate) struct Finished<'a> {
    pub(crate) api: &'a str,
    /// The label `status`, which every request has.
    pub(crate) status: &'a str,
    pub(crate) seconds: f64,
    pub(crate) traits: RequestLabels,
    /// What was sent, if anything was.
    pub(crate) sent: Option<StatusCode>,
    pub(crate) route: Option<&'a str>,
    pub(crate) error_type: Option<&'a str>,
}

impl Finished<'_> {
    /// One of the counter and one of each histogram, handed on together.
    pub(crate) fn measure(&self) {
        let text = |text| RawValue::Text(text, None);
        let documented = [("api", text(self.api)), ("status", text(self.status))];
        let sent = self.sent.as_ref().map(StatusCode::as_str);
        let some = [
            ("http.request.method", Some(self.traits.method())),
            ("url.scheme", Some(self.traits.scheme())),
            (
                "network.protocol.version",
                Some(self.traits.version).filter(|version| !version.is_empty()),
            ),
            ("http.response.status_code", sent),
            ("http.route", self.route),
            ("error.type", self.error_type),
        ];
        let mut standard = [("", text("")); 6];
        let mut len = 0;
        for (name, value) in some {
            if let Some(value) = value {
                standard[len] = (name, text(value));
                len += 1;
            }
        }
        let seconds = Number::F64(self.seconds);
        let time = Clock::global().now();
        let of = |name, value, unit, kind, labels| Measurement {
            name,
            value,
            unit,
            kind,
            labels,
            span: None,
            time,
            is_event: false,
        };
        let (counter, histogram) = (MetricKind::Counter, MetricKind::Histogram);
        // It says whether anyone took them, which makes no difference here.
        let _ = record_all(&[
            of(REQUESTS_TOTAL, Number::I64(1), "requests", counter, &documented),
            of(REQUEST_DURATION, seconds, "seconds", histogram, &documented),
            of(HTTP_REQUEST_DURATION, seconds, "s", histogram, &standard[..len]),
        ]);
    }
}
