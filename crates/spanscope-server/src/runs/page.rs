//! [`Page`]: the events between two cursors, and their text as sent, rendered once for all readers.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Bytes;
use serde_json::Value as Json;
use serde_json::json;
use spanscope_model::Cursor;
use spanscope_runs::{DetailLevel, RunEvent, TraceFormat, format_event};
use tokio::sync::OnceCell;

use super::position::{StreamPosition, Within};

/// The number of formats times the number of levels.
const SHAPES: usize = 12;
/// Maximum number of events that are formatted on an async thread; more would delay its other
/// requests.
const FEW_EVENTS: usize = 64;

/// Events in the order in which they are sent.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) base: Cursor,
    pub(super) upto: Cursor,
    pub(super) events: Vec<RunEvent>,
    /// Their approximate size.
    pub(super) bytes: usize,
    texts: [OnceCell<Bytes>; SHAPES],
}

impl Page {
    pub(super) fn new(base: Cursor, upto: Cursor, events: Vec<RunEvent>) -> Self {
        // An event is kept as it is, and as text in the formats that some client reads.
        let bytes = size_of::<Self>() + events.iter().map(|event| 2 * size_of_event(event)).sum::<usize>();
        Self {
            base,
            upto,
            events,
            bytes,
            texts: [const { OnceCell::const_new() }; SHAPES],
        }
    }

    /// Returns the whole page as server-sent events.
    pub(super) async fn text(self: &Arc<Self>, format: TraceFormat, level: DetailLevel) -> Bytes {
        let shape = (format as usize * 4 + level as usize).min(SHAPES - 1);
        let text = self.texts[shape].get_or_init(|| async {
            if self.events.len() <= FEW_EVENTS {
                return self.text_after(None, format, level);
            }
            let page = Arc::clone(self);
            let written = tokio::task::spawn_blocking(move || page.text_after(None, format, level)).await;
            written.unwrap_or_default() // it fails only if the runtime ends
        });
        text.await.clone()
    }

    /// Returns whether the page has an event with this id.
    pub(super) fn has(&self, event_id: &str) -> bool {
        self.events.iter().any(|event| event.event_id == event_id)
    }

    /// Returns the events after the one with this id; all of them without one.
    pub(super) fn text_after(&self, sent: Option<&str>, format: TraceFormat, level: DetailLevel) -> Bytes {
        let sent = sent.and_then(|sent| self.events.iter().position(|event| event.event_id == sent));
        let mut text = String::new();
        for event in self.events.iter().skip(sent.map_or(0, |sent| sent + 1)) {
            if !level.shows(event.event_type) {
                continue;
            }
            let position = StreamPosition {
                base: self.base,
                upto: self.upto,
                within: Within::Event(event.event_id.clone()),
            };
            push(&mut text, &position, event, format, level);
        }
        text.into()
    }
}

/// Returns the text of the event that ends a run.
pub(super) fn end_text(cursor: Cursor, event: &RunEvent, format: TraceFormat, level: DetailLevel) -> String {
    let mut text = String::new();
    push(
        &mut text,
        &StreamPosition::at_end(cursor, Within::End),
        event,
        format,
        level,
    );
    text
}

/// Returns the final message of a stream.
pub(super) fn done_text(cursor: Cursor) -> String {
    format!(
        "id: {}\ndata: [DONE]\n\n",
        StreamPosition::at_end(cursor, Within::Done)
    )
}

fn push(
    text: &mut String,
    position: &StreamPosition,
    event: &RunEvent,
    format: TraceFormat,
    level: DetailLevel,
) {
    // JSON contains no line breaks, so it is one line of data.
    let data = json!({"event": format.sse_name(), "data": format_event(event, format, level)});
    let _ = write!(text, "id: {position}\ndata: {data}\n\n");
}

/// Returns the approximate memory of an event.
fn size_of_event(event: &RunEvent) -> usize {
    const BARE: usize = 500;
    let payload = |payload: &Option<serde_json::Map<String, Json>>| {
        let fields = payload.iter().flatten();
        fields
            .map(|(key, value)| key.len() + size_of_json(value))
            .sum::<usize>()
    };
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    BARE + payload(&event.inputs) + payload(&event.outputs) + text(&event.error) + text(&event.thoughts)
}

fn size_of_json(value: &Json) -> usize {
    const BARE: usize = 32;
    BARE + match value {
        Json::String(text) => text.len(),
        Json::Array(items) => items.iter().map(size_of_json).sum(),
        Json::Object(fields) => fields
            .iter()
            .map(|(key, value)| key.len() + size_of_json(value))
            .sum(),
        _ => 0,
    }
}
