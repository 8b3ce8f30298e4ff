//! The two text formats that a scrape can request, and the one difference between their samples.

use std::fmt;

use prometheus_client::encoding::{
    EncodeCounterValue, EncodeExemplarValue, EncodeGaugeValue, EncodeLabelSet, MetricEncoder,
};
use prometheus_client::metrics::exemplar::Exemplar;

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' text format 0.0.4.
    Classic,
}

impl Format {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Writes a counter's sample after a description by `exposition`.
pub(super) fn write_counter<V: EncodeCounterValue + EncodeGaugeValue>(
    encoder: &mut MetricEncoder<'_>,
    format: Format,
    value: &V,
    exemplar: Option<&Exemplar<impl EncodeLabelSet, impl EncodeExemplarValue>>,
) -> fmt::Result {
    match format {
        Format::OpenMetrics => encoder.encode_counter(value, exemplar),
        Format::Classic => encoder.encode_gauge(value),
    }
}
