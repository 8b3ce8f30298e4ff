//! Limits of an exported span or log record.

/// Limits of exported records; data beyond them is left out and counted in the `dropped_*_count`
/// fields of OTLP. The defaults are OpenTelemetry's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Attributes of a span (`OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT`, else
    /// `OTEL_ATTRIBUTE_COUNT_LIMIT`): 128.
    pub span_attributes: usize,
    /// Events of a span (`OTEL_SPAN_EVENT_COUNT_LIMIT`): 128.
    pub span_events: usize,
    /// Links of a span (`OTEL_SPAN_LINK_COUNT_LIMIT`): 128, which is also the maximum that is kept.
    pub span_links: usize,
    /// Attributes of an event of a span (`OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT`): 128.
    pub event_attributes: usize,
    /// Attributes of a log record (`OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT`, else
    /// `OTEL_ATTRIBUTE_COUNT_LIMIT`): 128.
    pub log_attributes: usize,
    /// Characters of a string value of a span or its event
    /// (`OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT`, else `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT`):
    /// unlimited here; capture truncates at 16 KiB for every sink.
    pub span_value_chars: Option<usize>,
    /// Characters of a log record's string value (`OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT`,
    /// else `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT`): unlimited here.
    pub log_value_chars: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            span_attributes: 128,
            span_events: 128,
            span_links: 128,
            event_attributes: 128,
            log_attributes: 128,
            span_value_chars: None,
            log_value_chars: None,
        }
    }
}
