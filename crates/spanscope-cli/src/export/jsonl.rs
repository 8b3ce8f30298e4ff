//! Spanscope's own JSON lines.

use anyhow::Result;
use spanscope_model::SourceRecords;

use super::form::Form;
use crate::jsonl;
use crate::output::json_line;

/// The export format of one JSON object per line, which Spanscope can import again.
pub(super) struct Jsonl;

impl Form for Jsonl {
    fn records(&mut self, records: &[SourceRecords]) -> Result<String> {
        let mut text = String::new();
        jsonl::write(records, |line| {
            text.push_str(&json_line(line)?);
            anyhow::Ok(())
        })?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use spanscope_model::{NewSpan, Span};

    use super::*;
    use crate::render::fixtures::span;

    #[test]
    fn a_line_is_the_span_with_its_events() {
        let span = span(1, 0, "a\nb", 0, 5);
        let records = SourceRecords::default().spans(vec![NewSpan::new(span.clone())]);
        let text = Jsonl.records(&[records]).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!(line["name"], "a\nb");
        assert_eq!(line["events"], serde_json::json!([]));
        assert_eq!(line["scope"]["name"], "shop::orders");
        let mut back: Span = serde_json::from_value(line).unwrap();
        back.scope = None;
        assert_eq!(back, span);
    }
}
