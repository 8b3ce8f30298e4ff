//! OTLP/JSON as OpenTelemetry's protocol defines it: one request per line, with spans, log records
//! or metrics, as the collector's file exporter writes and its file receiver reads them.

use anyhow::Result;
use spanscope_model::SourceRecords;
use spanscope_server::otlp_json;

use super::form::Form;
use crate::output::json_line;

/// The format.
pub(super) struct OtlpJson;

impl Form for OtlpJson {
    fn records(&mut self, records: &[SourceRecords]) -> Result<String> {
        otlp_json(records).iter().map(json_line).collect()
    }
}
