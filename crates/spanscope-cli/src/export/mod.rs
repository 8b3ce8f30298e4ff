//! Stored records in formats that other programs read. Each format converts one trace at a time, so
//! that the memory of an export does not grow with the store.

mod chrome;
mod form;
mod jsonl;
mod otlp_json;
#[cfg(feature = "parquet")]
pub(crate) mod parquet;

use std::fs::File;
use std::path::Path;

pub(crate) use self::form::Form;
use crate::args::ExportTo;

/// Returns the format; `None` for Parquet, which is not a text.
pub(crate) fn form(to: ExportTo) -> Option<Box<dyn Form>> {
    Some(match to {
        ExportTo::Jsonl => Box::new(jsonl::Jsonl),
        ExportTo::OtlpJson => Box::new(otlp_json::OtlpJson),
        ExportTo::Chrome => Box::new(chrome::Chrome::default()),
        ExportTo::Parquet => return None,
    })
}

/// Creates an empty file that only its owner may read: exported data may be private. An existing
/// file keeps its mode.
pub(crate) fn create_private(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}
