//! Stored records in formats that other programs read. Each format converts one trace at a time, so
//! that the memory of an export does not grow with the store.

mod chrome;
mod form;
mod jsonl;
mod otlp_json;

pub(crate) use self::form::Form;
use crate::args::ExportTo;

/// Returns the format.
pub(crate) fn form(to: ExportTo) -> Box<dyn Form> {
    match to {
        ExportTo::Jsonl => Box::new(jsonl::Jsonl),
        ExportTo::OtlpJson => Box::new(otlp_json::OtlpJson),
        ExportTo::Chrome => Box::new(chrome::Chrome::default()),
    }
}
