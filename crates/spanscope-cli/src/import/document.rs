//! One JSON document: its format, and its records.

use std::fmt;
use std::ops::Range;

use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use spanscope_model::SourceRecords;
use spanscope_server::read_otlp_json;

use crate::jsonl;

const ACCEPTED: &str = "import reads OTLP in JSON (`resourceSpans`, `resourceLogs`, `resourceMetrics`) and the output of `spanscope export --to jsonl`";

/// The contents of a document.
#[derive(Default)]
pub(super) struct Document {
    pub(super) sources: Vec<SourceRecords>,
    /// The number of records that were left out.
    pub(super) rejected: u64,
    /// The message about them; may be empty.
    pub(super) message: String,
}

/// Whether the text ends within its document.
pub(super) fn is_unfinished(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(without_byte_order_mark(text)).is_err_and(|error| error.is_eof())
}

/// Returns the ranges of consecutive documents, up to the first unreadable one.
pub(super) fn split(text: &[u8]) -> Vec<Range<usize>> {
    let mark = text.len() - without_byte_order_mark(text).len();
    let mut documents = serde_json::Deserializer::from_slice(&text[mark..]).into_iter::<IgnoredAny>();
    let mut found = Vec::new();
    loop {
        let start = documents.byte_offset();
        match documents.next() {
            Some(Ok(_)) => found.push(mark + start..mark + documents.byte_offset()),
            Some(Err(_)) | None => return found,
        }
    }
}

/// Removes the byte order mark with which some Windows programs begin a text.
fn without_byte_order_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// Reads a document.
///
/// # Errors
/// Returns the error, and what is accepted instead.
pub(super) fn read(text: &[u8]) -> Result<Document, String> {
    let text = without_byte_order_mark(text).trim_ascii();
    match text.first() {
        Some(b'[') => read_list(text),
        _ => read_object(text),
    }
}

fn read_list(text: &[u8]) -> Result<Document, String> {
    // Each item is serialized again and read like a single document, which is cheap compared to
    // storing it.
    let items: Vec<serde_json::Value> = serde_json::from_slice(text).map_err(broken)?;
    let mut document = Document::default();
    for (place, item) in items.iter().enumerate() {
        let item = serde_json::to_vec(item).map_err(broken)?;
        let read = read_object(&item);
        match read {
            Ok(read) => {
                document.sources.extend(read.sources);
                document.rejected += read.rejected;
                if document.message.is_empty() {
                    document.message = read.message;
                }
            }
            // All items have the format of the first.
            Err(why) if place == 0 => return Err(why),
            Err(why) => {
                document.rejected += 1;
                if document.message.is_empty() {
                    document.message = format!("item {}: {why}", place + 1);
                }
            }
        }
    }
    Ok(document)
}

fn read_object(text: &[u8]) -> Result<Document, String> {
    let keys = match serde_json::from_slice::<Keys>(text) {
        Ok(keys) => keys.0,
        // The OTLP reader repairs texts that are not UTF-8 or are cut within a character.
        Err(error) => match read_otlp(text) {
            Ok(document) => return Ok(document),
            Err(_) => return Err(broken(error)),
        },
    };
    let has = |key: &str| keys.iter().any(|have| have == key);
    let containers = ["resourceSpans", "resourceLogs", "resourceMetrics"];
    let older = ["resource_spans", "resource_logs", "resource_metrics"];
    if containers.into_iter().chain(older).any(has) {
        return read_otlp(text);
    }
    // Java's logging exporter writes the items of such a list without the list.
    for (inner, container) in [
        (["scopeSpans", "scope_spans"], "resourceSpans"),
        (["scopeLogs", "scope_logs"], "resourceLogs"),
        (["scopeMetrics", "scope_metrics"], "resourceMetrics"),
    ] {
        if inner.into_iter().any(has) {
            return read_otlp(&[b"{\"", container.as_bytes(), b"\":[", text, b"]}"].concat());
        }
    }
    if let Some(records) = jsonl::read(text, has)? {
        return Ok(Document {
            sources: vec![records],
            ..Document::default()
        });
    }
    let other = if has("traceEvents") || (has("ph") && has("pid")) {
        "Chrome's trace format, which lacks half of a span's data: export with `--to jsonl` or `--to otlp-json` \
         instead"
    } else if has("traceID") || (has("data") && has("total")) {
        "Jaeger's JSON: write a file with an OpenTelemetry collector's file exporter instead"
    } else if has("traceId") && has("id") && has("timestamp") {
        "Zipkin's JSON: write a file with an OpenTelemetry collector's file exporter instead"
    } else if has("SpanContext") || (has("context") && has("parent_id")) {
        "the output of an OpenTelemetry SDK's console exporter: write OTLP in JSON instead, or send it to `spanscope serve`"
    } else if has("root_span_id") && has("trace_id") {
        "a list of traces, without their spans: write it with `spanscope export --to jsonl`"
    } else {
        return Err(format!("this is not a known record: {ACCEPTED}"));
    };
    Err(format!("this is {other}"))
}

fn read_otlp(text: &[u8]) -> Result<Document, String> {
    let read = read_otlp_json(text)?;
    Ok(Document {
        sources: read.records.sources,
        rejected: read.rejected,
        message: read.message,
    })
}

fn broken(error: serde_json::Error) -> String {
    format!("this is not JSON: {error}: {ACCEPTED}")
}

/// The keys of an object.
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KeysVisitor)
    }
}

struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = Keys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
        let mut keys = Vec::new();
        while let Some(key) = map.next_key()? {
            map.next_value::<IgnoredAny>()?;
            keys.push(key);
        }
        Ok(Keys(keys))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Keys, A::Error> {
        Err(A::Error::custom("a list within a list is not a record"))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn documents_are_separated_independently_of_line_ends() {
        let text = b"\xef\xbb\xbf{\n \"a\": 1\n}\n\n{\"b\": 2} {\"c\":";
        assert!(is_unfinished(b"{\n"));
        assert!(!is_unfinished(b"{}\n") && !is_unfinished(b"}"));
        let found: Vec<&[u8]> = split(text).into_iter().map(|range| &text[range]).collect();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], b"{\n \"a\": 1\n}");
        assert!(found[1].ends_with(b"{\"b\": 2}"));
    }

    #[test]
    fn an_error_names_the_unsupported_format() {
        for (text, named) in [
            (
                &br#"[{"name":"a","ph":"M","pid":1}]"#[..],
                "Chrome's trace format",
            ),
            (br#"{"traceEvents":[]}"#, "--to otlp-json"),
            (br#"{"data":[],"total":0,"errors":null}"#, "Jaeger's JSON"),
            (br#"[{"traceId":"1","id":"2","timestamp":3}]"#, "Zipkin's JSON"),
            (
                br#"{"Name":"a","SpanContext":{"TraceID":"1"}}"#,
                "console exporter",
            ),
            (
                br#"{"name":"a","context":{"trace_id":"0x1"},"parent_id":null}"#,
                "console exporter",
            ),
            (br#"{"hello":"world"}"#, "resourceSpans"),
            (b"hello", "is not JSON"),
            (br#"{"resourceSpans": 5}"#, "resourceSpans"),
        ] {
            let why = read(text).err().unwrap();
            assert!(why.contains(named), "{why}");
        }
    }
}
