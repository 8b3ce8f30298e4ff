//! OTLP/JSON as OpenTelemetry's protocol defines it: a `TracesData` object a line, as the collector's file receiver
//! reads it. Events whose span is not stored have no place in this form.

use anyhow::Result;
use spanscope_server::otlp_json;

use super::form::{Form, Recorded};
use crate::output::json_line;

/// The form.
pub(super) struct OtlpJson;

impl Form for OtlpJson {
    fn trace(&mut self, trace: &Recorded) -> Result<String> {
        json_line(&otlp_json(&trace.spans, &trace.events))
    }
}
