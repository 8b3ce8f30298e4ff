//! Stored records in the forms that other programs read. Each form turns one trace at a time into
//! text, so that the memory of an export does not grow with the store.

mod chrome;
mod form;
mod jsonl;
mod otlp_json;

pub(crate) use self::form::Form;
use crate::args::ExportTo;

/// The form of this name.
pub(crate) fn form(to: ExportTo) -> Box<dyn Form> {
    match to {
        ExportTo::Jsonl => Box::new(jsonl::Jsonl),
        ExportTo::OtlpJson => Box::new(otlp_json::OtlpJson),
        ExportTo::Chrome => Box::new(chrome::Chrome::default()),
    }
}
