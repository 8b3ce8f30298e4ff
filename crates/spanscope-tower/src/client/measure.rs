//! The metrics of a client: names, labels and units, and recording them.

use http::StatusCode;
use spanscope_core::capture::{RawValue, SpanIds};
use spanscope_core::metrics::{Measurement, Number};
use spanscope_layers::metrics::{record, record_all};
use spanscope_model::MetricKind;

use super::hosts::Host;
use crate::measure::{Labels, measurement};
use crate::request::RequestLabels;

const HTTP_REQUEST_DURATION: &str = "http.client.request.duration";
const HTTP_ACTIVE_REQUESTS: &str = "http.client.active_requests";

fn port_of(host: &Host) -> Option<RawValue<'_>> {
    host.port.map(|port| RawValue::I64(port.into()))
}

/// Records the number of running requests to a server, with this method and scheme, and the
/// duration of the request whose end changed the number, if there is one.
pub(crate) fn active_requests(
    host: &Host,
    labels: RequestLabels,
    running: i64,
    ids: Option<SpanIds>,
    finished: Option<&Finished<'_>>,
) {
    let of_host = Labels::of([
        ("http.request.method", Some(labels.method().into())),
        ("server.address", host.address.as_deref().map(Into::into)),
        ("server.port", port_of(host)),
        ("url.scheme", Some(labels.scheme().into())),
    ]);
    let gauge = measurement(
        HTTP_ACTIVE_REQUESTS,
        Number::I64(running),
        "{request}",
        MetricKind::Gauge,
        of_host.as_slice(),
        ids,
    );
    // Whether a layer received them makes no difference here.
    let _ = match finished {
        Some(finished) => {
            let labels = finished.labels();
            record_all([gauge, finished.duration(labels.as_slice())])
        }
        None => record(&gauge),
    };
}

/// A finished request.
#[derive(Debug)]
pub(crate) struct Finished<'a> {
    pub(crate) host: &'a Host,
    pub(crate) request: RequestLabels,
    /// The response's version; empty if there was none.
    pub(crate) version: &'static str,
    pub(crate) seconds: f64,
    pub(crate) status: Option<StatusCode>,
    pub(crate) error_type: Option<&'a str>,
    /// The ids of the request's span.
    pub(crate) ids: Option<SpanIds>,
}

impl Finished<'_> {
    pub(crate) fn measure(&self) {
        let _ = record(&self.duration(self.labels().as_slice()));
    }

    fn labels(&self) -> Labels<'_, 7> {
        Labels::of([
            ("http.request.method", Some(self.request.method().into())),
            ("server.address", self.host.address.as_deref().map(Into::into)),
            ("server.port", port_of(self.host)),
            ("url.scheme", Some(self.request.scheme().into())),
            (
                "network.protocol.version",
                (!self.version.is_empty()).then(|| self.version.into()),
            ),
            (
                "http.response.status_code",
                self.status.as_ref().map(|status| status.as_str().into()),
            ),
            ("error.type", self.error_type.map(Into::into)),
        ])
    }

    fn duration<'m>(&self, labels: &'m [(&'m str, RawValue<'m>)]) -> Measurement<'m> {
        measurement(
            HTTP_REQUEST_DURATION,
            Number::F64(self.seconds),
            "s",
            MetricKind::Histogram,
            labels,
            self.ids,
        )
    }
}
