//! The way of request metrics to whatever takes measurements: names, labels and units are here and nowhere else.
//!
//! Everything goes through [`give`]. Where no layer takes measurements it does nothing.

use http::StatusCode;
use spanscope_layers::metrics::{Number, record_value};
use spanscope_model::MetricKind;

use crate::request::Traits;

const REQUESTS_TOTAL: &str = "llama_stack_requests_total";
const REQUEST_DURATION: &str = "llama_stack_request_duration_seconds";
const CONCURRENT_REQUESTS: &str = "llama_stack_concurrent_requests";
const HTTP_REQUEST_DURATION: &str = "http.server.request.duration";
const HTTP_ACTIVE_REQUESTS: &str = "http.server.active_requests";

fn give(name: &str, value: Number, unit: &str, kind: MetricKind, labels: &[(&str, &str)]) {
    // It says whether anyone took it, which makes no difference here.
    let _ = record_value(name, value, unit, kind, labels);
}

/// So many requests of an API are running.
pub(crate) fn concurrent_requests(api: &str, running: i64) {
    give(
        CONCURRENT_REQUESTS,
        Number::I64(running),
        "requests",
        MetricKind::Gauge,
        &[("api", api)],
    );
}

/// So many requests with this method and scheme are running.
pub(crate) fn active_requests(traits: Traits, running: i64) {
    give(
        HTTP_ACTIVE_REQUESTS,
        Number::I64(running),
        "{request}",
        MetricKind::Gauge,
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
    pub(crate) traits: Traits,
    /// What was sent, if anything was.
    pub(crate) sent: Option<StatusCode>,
    pub(crate) route: Option<&'a str>,
    pub(crate) error_type: Option<&'a str>,
}

impl Finished<'_> {
    /// One of the counter and one of each histogram.
    pub(crate) fn measure(&self) {
        let labels = [("api", self.api), ("status", self.status)];
        give(
            REQUESTS_TOTAL,
            Number::I64(1),
            "requests",
            MetricKind::Counter,
            &labels,
        );
        let seconds = Number::F64(self.seconds);
        give(
            REQUEST_DURATION,
            seconds,
            "seconds",
            MetricKind::Histogram,
            &labels,
        );
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
        let mut labels = [("", ""); 6];
        let mut len = 0;
        for (name, value) in some {
            if let Some(value) = value {
                labels[len] = (name, value);
                len += 1;
            }
        }
        give(
            HTTP_REQUEST_DURATION,
            seconds,
            "s",
            MetricKind::Histogram,
            &labels[..len],
        );
    }
}
