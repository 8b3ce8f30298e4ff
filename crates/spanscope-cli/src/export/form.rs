//! The interface of an export format. No format knows another.

use anyhow::Result;
use spanscope_model::SourceRecords;

/// An export format.
pub(crate) trait Form {
    /// Returns the text before the first records.
    fn head(&self) -> &'static str {
        ""
    }

    /// Formats records that belong together: a trace, or a page of events and measurements outside
    /// traces. Returns an empty text if the format can't represent them.
    fn records(&mut self, records: &[SourceRecords]) -> Result<String>;

    /// Returns the text after the last records.
    fn foot(&self) -> &'static str {
        ""
    }
}
