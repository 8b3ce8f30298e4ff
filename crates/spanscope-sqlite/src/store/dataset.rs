//! Datasets: spans as lines of JSON in a folder, a file a dataset.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use spanscope_model::text::first_chars;
use spanscope_model::{Span, StoreError, Tenant};

use crate::file::open::io_error;

const MAX_ID: usize = 128;
/// The longest name of a folder that every file system takes.
const MAX_FOLDER: usize = 255;
/// The columns that each row has beside its attributes.
const COLUMNS: [&str; 6] = [
    "trace_id",
    "span_id",
    "parent_span_id",
    "name",
    "start_time",
    "end_time",
];

/// The file of a dataset. The id can't leave the folder: it has no separators and does not begin with a dot.
pub(super) fn file(folder: &Path, dataset_id: &str) -> Result<PathBuf, StoreError> {
    let is_plain = dataset_id
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    if dataset_id.is_empty() || dataset_id.len() > MAX_ID || dataset_id.starts_with('.') || !is_plain {
        return Err(StoreError::invalid(format!(
            "{:?} is no dataset id: use 1 to {MAX_ID} of the characters A-Z a-z 0-9 . _ - and no dot at the beginning",
            first_chars(dataset_id, MAX_ID)
        )));
    }
    Ok(folder.join(format!("{dataset_id}.jsonl")))
}

/// The folder of a tenant's datasets, in that of all. Whatever the tenant is called, it is one folder.
pub(super) fn folder_of(tenant: &Tenant) -> Result<PathBuf, StoreError> {
    let mut name = String::new();
    for byte in tenant.as_str().bytes() {
        // Capitals are spelled out too: some file systems don't tell them from small letters.
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-') {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, "%{byte:02x}");
        }
    }
    if name.len() > MAX_FOLDER {
        return Err(StoreError::invalid(format!(
            "the tenant {:?} can have no datasets: its name is too long for a folder",
            tenant.as_str()
        )));
    }
    Ok(Path::new("tenants").join(name))
}

/// Appends a line for each span, all in one write, so that two programs never mix their lines.
pub(super) fn append(file: &Path, spans: &[Span]) -> Result<(), StoreError> {
    let mut lines = String::new();
    for span in spans {
        lines.push_str(&row(span).to_string());
        lines.push('\n');
    }
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).map_err(|error| io_error(folder, "make the folder", error))?;
    }
    if std::fs::symlink_metadata(file).is_ok_and(|found| !found.is_file()) {
        return Err(StoreError::invalid(format!(
            "{} is a link or no file: remove it, or use another dataset id",
            file.display()
        )));
    }
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
        .open(file)
        .and_then(|mut opened| opened.write_all(lines.as_bytes()))
        .map_err(|error| io_error(file, "append to", error))
}

/// One row. An attribute that is called like a column keeps its value under `attributes.` and its name.
fn row(span: &Span) -> Value {
    let mut row = Map::new();
    row.insert("trace_id".to_owned(), json!(span.trace_id));
    row.insert("span_id".to_owned(), json!(span.span_id));
    row.insert("parent_span_id".to_owned(), json!(span.parent_span_id));
    row.insert("name".to_owned(), json!(span.name));
    row.insert("start_time".to_owned(), json!(span.start_time));
    row.insert("end_time".to_owned(), json!(span.end_time));
    for (key, value) in span.attributes.iter() {
        let column = if COLUMNS.contains(&key) {
            format!("attributes.{key}")
        } else {
            key.to_owned()
        };
        row.insert(column, json!(value));
    }
    Value::Object(row)
}
