//! Events in the formats of RAGFlow's agent trace API, truncated to a level.

use std::borrow::Cow;

use serde_json::{Map, Value as Json, json};
use spanscope_model::Timestamp;
use spanscope_model::text::first_chars;

use crate::content::Payload;
use crate::{DetailLevel, EventType, RunEvent, TraceFormat};

/// How much of a payload is shown below the level `debug`.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Maximum number of characters of a text in the inputs, and in the following members.
    inputs: usize,
    outputs: usize,
    thoughts: usize,
    error: usize,
    /// Maximum number of items of a list.
    items: usize,
}

const STREAMING: Limits = Limits {
    inputs: 200,
    outputs: 500,
    thoughts: 300,
    error: 2000,
    items: 10,
};
const COMPACT: Limits = Limits {
    error: 100,
    ..STREAMING
};
const DETAILED: Limits = Limits {
    inputs: 2000,
    outputs: 2000,
    thoughts: 2000,
    error: 2000,
    items: 100,
};

/// Returns an event as JSON: flat (`streaming`), as a line of a timeline (`compact`), or nested
/// (`detailed`). Below the level `debug` texts and lists are truncated; at `minimal` only messages
/// to the user show their payload.
///
/// ```
/// # use spanscope_runs::{DetailLevel, RunEvent, TraceFormat, format_event};
/// # fn shown(event: &RunEvent) {
/// let line = format_event(event, TraceFormat::Compact, DetailLevel::Standard);
/// println!("{} {}", line["icon"], line["component"]);
/// # }
/// ```
#[must_use]
pub fn format_event(event: &RunEvent, format: TraceFormat, level: DetailLevel) -> Json {
    format_cow(Cow::Borrowed(event), format, level)
}

/// Formats an event; complete payloads are moved if the event is owned.
pub(crate) fn format_cow(event: Cow<'_, RunEvent>, format: TraceFormat, level: DetailLevel) -> Json {
    match format {
        TraceFormat::Streaming => streaming(event, level),
        TraceFormat::Compact => compact(&event, level),
        TraceFormat::Detailed => detailed(event, level),
    }
}

fn streaming(event: Cow<'_, RunEvent>, level: DetailLevel) -> Json {
    let mut shown = Map::new();
    shown.insert("event_id".into(), event.event_id.as_str().into());
    shown.insert("event_type".into(), event.event_type.as_str().into());
    shown.insert("timestamp".into(), time_json(event.timestamp));
    shown.insert("component_id".into(), event.component_id.as_str().into());
    shown.insert("component_name".into(), event.component_name.as_str().into());
    shown.insert("component_type".into(), event.component_type.as_str().into());
    let metadata = serde_json::to_value(&event.metadata).unwrap_or_default();
    if let Some(error) = &event.error {
        shown.insert("error".into(), text(error, STREAMING.error, level).into());
    }
    if let Some(elapsed) = event.elapsed_time {
        shown.insert("elapsed_time".into(), rounded(elapsed, 6));
    }
    put_payload(&mut shown, event, &STREAMING, level);
    shown.insert("metadata".into(), metadata);
    Json::Object(shown)
}

/// Returns one line of a timeline.
pub(crate) fn compact(event: &RunEvent, level: DetailLevel) -> Json {
    let mut shown = json!({
        "type": event.event_type.as_str(),
        "icon": event.event_type.icon(),
        "time": clock(event.timestamp, true),
        "component": event.component_name,
    });
    if let Some(elapsed) = event.elapsed_time {
        shown["duration_ms"] = rounded(elapsed * 1e3, 3);
    }
    if let Some(error) = &event.error {
        shown["error"] = text(error, COMPACT.error, level).into();
    }
    shown
}

fn detailed(event: Cow<'_, RunEvent>, level: DetailLevel) -> Json {
    let mut shown = Map::new();
    shown.insert("event_id".into(), event.event_id.as_str().into());
    shown.insert("event_type".into(), event.event_type.as_str().into());
    shown.insert("timestamp".into(), time_json(event.timestamp));
    shown.insert("timestamp_unix".into(), unix(event.timestamp));
    let component = json!({
        "id": event.component_id,
        "name": event.component_name,
        "type": event.component_type,
    });
    shown.insert("component".into(), component);
    if let Some(error) = &event.error {
        let error = json!({
            "message": text(error, DETAILED.error, level),
            "occurred_at": event.timestamp,
        });
        shown.insert("error".into(), error);
    }
    if let Some(elapsed) = event.elapsed_time {
        let timing = json!({
            "elapsed_seconds": rounded(elapsed, 6),
            "elapsed_ms": rounded(elapsed * 1e3, 3),
        });
        shown.insert("timing".into(), timing);
    }
    let metadata = serde_json::to_value(&event.metadata).unwrap_or_default();
    put_payload(&mut shown, event, &DETAILED, level);
    shown.insert("metadata".into(), metadata);
    Json::Object(shown)
}

fn put_payload(shown: &mut Map<String, Json>, event: Cow<'_, RunEvent>, limits: &Limits, level: DetailLevel) {
    if level == DetailLevel::Minimal && event.event_type != EventType::MessageGenerated {
        return;
    }
    if level == DetailLevel::Debug {
        let event = event.into_owned();
        put(shown, "inputs", event.inputs.map(Json::Object));
        put(shown, "outputs", event.outputs.map(Json::Object));
        put(shown, "thoughts", event.thoughts.map(Json::String));
        return;
    }
    let object = |payload: &Option<Payload>, max| {
        payload
            .as_ref()
            .map(|payload| cut_object(payload, max, limits.items))
    };
    put(shown, "inputs", object(&event.inputs, limits.inputs));
    put(shown, "outputs", object(&event.outputs, limits.outputs));
    let thoughts = event.thoughts.as_ref();
    put(
        shown,
        "thoughts",
        thoughts.map(|thoughts| cut_text(thoughts, limits.thoughts).into()),
    );
}

fn put(shown: &mut Map<String, Json>, key: &str, value: Option<Json>) {
    if let Some(value) = value {
        shown.insert(key.to_owned(), value);
    }
}

/// Returns a text, truncated below the level `debug`.
fn text(text: &str, max_chars: usize, level: DetailLevel) -> String {
    match level {
        DetailLevel::Debug => text.to_owned(),
        _ => cut_text(text, max_chars),
    }
}

/// Returns the first `max_chars` characters, and `...` if there are more.
pub(crate) fn cut_text(text: &str, max_chars: usize) -> String {
    let first = first_chars(text, max_chars);
    let dots = if first.len() < text.len() { "..." } else { "" };
    format!("{first}{dots}")
}

/// Returns the value with its texts and lists truncated.
pub(crate) fn cut_json(value: &Json, max_chars: usize, max_items: usize) -> Json {
    match value {
        Json::String(text) => cut_text(text, max_chars).into(),
        Json::Array(items) => {
            let more = items.len().saturating_sub(max_items);
            let shown = items.iter().take(max_items);
            let mut shown: Vec<Json> = shown.map(|item| cut_json(item, max_chars, max_items)).collect();
            if more > 0 {
                shown.push(format!("... ({more} more)").into());
            }
            shown.into()
        }
        Json::Object(object) => cut_object(object, max_chars, max_items),
        other => other.clone(),
    }
}

fn cut_object(object: &Payload, max_chars: usize, max_items: usize) -> Json {
    /// Objects with fewer members are never truncated: most have few, and one with very many is
    /// used as a list.
    const MIN_KEYS: usize = 50;
    let max_keys = max_items.max(MIN_KEYS);
    let more = object.len().saturating_sub(max_keys);
    let mut shown: Map<String, Json> = object
        .iter()
        .take(max_keys)
        .map(|(key, value)| (cut_text(key, max_chars), cut_json(value, max_chars, max_items)))
        .collect();
    if more > 0 {
        shown.insert("...".to_owned(), format!("({more} more)").into());
    }
    Json::Object(shown)
}

/// Returns a number with at most this number of decimals.
pub(crate) fn rounded(number: f64, decimals: i32) -> Json {
    let scale = 10_f64.powi(decimals);
    ((number * scale).round() / scale).into()
}

fn time_json(time: Timestamp) -> Json {
    time.to_string().into()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a float of seconds is what the service shows"
)]
fn unix(time: Timestamp) -> Json {
    rounded(time.as_nanos() as f64 / 1e9, 6)
}

/// Returns the time of day in UTC: `HH:MM:SS`, optionally with milliseconds.
pub(crate) fn clock(time: Timestamp, with_millis: bool) -> String {
    const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;
    let millis = time.as_nanos().div_euclid(1_000_000).rem_euclid(DAY_MILLIS);
    let (seconds, millis) = (millis / 1000, millis % 1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match with_millis {
        true => format!("{hours:02}:{minutes:02}:{seconds:02}.{millis:03}"),
        false => format!("{hours:02}:{minutes:02}:{seconds:02}"),
    }
}
