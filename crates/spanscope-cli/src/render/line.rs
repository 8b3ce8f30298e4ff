//! Events and ends of spans in the console's format: stored records, converted to entries of its
//! renderer.
//!
//! Any program can write to a store, so stored data must not restyle the output. Markup is
//! never interpreted: it is removed from messages with the field `markup = true`, and other
//! messages are shown literally. The renderer does the escaping and wrapping.

use std::time::Duration;

use spanscope_core::capture::RawValue;
use spanscope_layers::console::render::{Color, Entry, EntryKind, Outcome, RenderOptions, Renderer, markup};
use spanscope_model::semconv::{EXCEPTION_EVENT, SemanticAttribute};
use spanscope_model::{Attributes, LogEvent, Severity, Span, SpanState, SpanStatus, Value};

use crate::output::Output;

use markup::MARKUP_FIELD;

const EXCEPTION_MESSAGE: &str = SemanticAttribute::ExceptionMessage.name();

/// Writes records as entries, in the given order.
pub(crate) struct EntryLines {
    renderer: Renderer,
}

impl EntryLines {
    /// Uses the width, the colours and the time zone of `out`. `with_date` adds the date to each
    /// time.
    pub(crate) fn new(out: &Output, with_date: bool) -> Self {
        let color = if out.colour { Color::Ansi16 } else { Color::None };
        let options = RenderOptions::new()
            .width(out.width)
            .color(color)
            .zone(out.zone.clone())
            .date(with_date);
        Self {
            renderer: Renderer::new(options),
        }
    }

    /// Appends an event.
    pub(crate) fn event(&mut self, event: &LogEvent, text: &mut String) {
        let is_markup = event.attributes.get(MARKUP_FIELD) == Some(&Value::Bool(true));
        let message = if is_markup {
            markup::strip(&event.message)
        } else {
            event.message.clone()
        };
        let label = match (event.name.as_str(), message.as_str()) {
            ("" | EXCEPTION_EVENT, message) if !message.is_empty() => message.to_owned(),
            // An event without a message is shown by its name.
            (name, message) if message.is_empty() || message == name => name.to_owned(),
            (name, message) => format!("{name}: {message}"),
        };
        let json = json_texts(&event.attributes);
        let mut fields = fields(&event.attributes, &json);
        if is_markup {
            fields.retain(|(key, _)| *key != MARKUP_FIELD);
        }
        if event.name == EXCEPTION_EVENT {
            leave_out_message_fields(&mut fields, &event.message);
        }
        let entry = Entry {
            severity: event.severity,
            time: event.timestamp,
            target: &event.target,
            line: None,
            link: None,
            service: &event.service_name,
            category: &event.category,
            kind: EntryKind::Event {
                message: &label,
                markup: false,
                keeps_lines: false,
            },
            fields: &fields,
            trace_id: event.trace_id,
            span_id: event.span_id,
            parent_span_id: None,
            names_trace: true,
            span_name: "",
            depth: 0,
            spans: &[],
        };
        self.renderer.render(&entry, text);
    }

    /// Appends the end of a span. The end of an abandoned one is unknown, so its start is shown.
    pub(crate) fn span_end(&mut self, span: &Span, text: &mut String) {
        let json = json_texts(&span.attributes);
        let entry = Entry {
            severity: severity_of(span),
            time: span.end_time.unwrap_or(span.start_time),
            target: span.target.as_deref().unwrap_or_default(),
            line: None,
            link: None,
            service: &span.service_name,
            category: span.category.as_deref().unwrap_or_default(),
            kind: EntryKind::SpanEnd {
                name: &span.name,
                total: duration_of(span),
                busy: None,
                outcome: match (span.state, span.status) {
                    (SpanState::Abandoned, _) => Outcome::Abandoned,
                    (_, Some(SpanStatus::Error)) => Outcome::Failed(span.status_message.as_deref()),
                    _ => Outcome::Ok,
                },
                slow: false,
            },
            fields: &fields(&span.attributes, &json),
            trace_id: Some(span.trace_id),
            span_id: Some(span.span_id),
            parent_span_id: span.parent_span_id,
            names_trace: true,
            span_name: "",
            depth: 0,
            spans: &[],
        };
        self.renderer.render(&entry, text);
    }
}

/// Returns the severity of a span's end: the span's level, and at least error if it failed.
pub(crate) fn severity_of(span: &Span) -> Severity {
    let own = span.level.unwrap_or(Severity::Info);
    match span.status {
        Some(SpanStatus::Error) => own.max(Severity::Error),
        _ => own,
    }
}

fn duration_of(span: &Span) -> Duration {
    let nanos = span
        .end_time
        .map_or(0, |end| end.as_nanos().saturating_sub(span.start_time.as_nanos()));
    // Zero if the clock was set back.
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

/// Returns the JSON of values that are lists or objects, in the order of their attributes.
fn json_texts(attributes: &Attributes) -> Vec<String> {
    let texts = attributes.iter().filter_map(|(_, value)| match value {
        Value::Json(value) => Some(value.to_string()),
        _ => None,
    });
    texts.collect()
}

fn fields<'a>(attributes: &'a Attributes, json: &'a [String]) -> Vec<(&'a str, RawValue<'a>)> {
    let mut json = json.iter();
    let fields = attributes.iter().map(|(key, value)| {
        let value = RawValue::try_from(value)
            .unwrap_or_else(|_| RawValue::from(json.next().map_or("", String::as_str)));
        (key, value)
    });
    fields.collect()
}

/// Removes the fields that repeat the event's message: `error`, if it was recorded as a string, and
/// `exception.message`, which the store adds and the console would show in a box. An error with a
/// type or causes keeps the box.
fn leave_out_message_fields(fields: &mut Vec<(&str, RawValue<'_>)>, message: &str) {
    let has_details = fields
        .iter()
        .any(|(key, _)| key.starts_with("exception.") && *key != EXCEPTION_MESSAGE);
    fields.retain(|(key, value)| {
        let is_shown = match *key {
            "error" => true,
            EXCEPTION_MESSAGE => !has_details,
            _ => false,
        };
        !is_shown || value.as_text() != Some(message)
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Format;
    use crate::render::fixtures::{id, span};
    use spanscope_model::Timestamp;

    fn output(colour: bool) -> Output {
        Output {
            format: Format::Table,
            colour,
            width: 80,
            zone: jiff::tz::TimeZone::UTC,
        }
    }

    fn shown_event(event: &LogEvent, with_date: bool) -> String {
        let mut text = String::new();
        EntryLines::new(&output(false), with_date).event(event, &mut text);
        text
    }

    fn shown_end(span: &Span) -> String {
        let mut text = String::new();
        EntryLines::new(&output(false), false).span_end(span, &mut text);
        text
    }

    fn event(message: &str) -> LogEvent {
        LogEvent::new(
            Timestamp::from_nanos(1_700_000_000_123_000_000),
            Severity::Warn,
            message,
        )
        .id("1")
        .span_id(id(1))
        .target("shop::orders")
        .category("tools")
        .service_name("shop")
    }

    #[test]
    fn an_event_has_its_service_its_category_and_typed_fields() {
        let mut event = event("the bank is slow");
        event.attributes.set("retry", 1);
        event.attributes.set("tags", serde_json::json!(["a", 2]));
        event.attributes.set("__internal", true);
        assert_eq!(
            shown_event(&event, true),
            "WARN     2023-11-14 22:13:20.123 shop shop::orders tools: the bank is slow\n         \
             retry=1 tags=\"[\\\"a\\\",2]\"\n"
        );
        event.name = "slow".to_owned();
        event.trace_id = Some(span(1, 0, "", 0, 0).trace_id);
        let named = shown_event(&event, false);
        assert!(
            named.starts_with(
                "WARN     22:13:20.123 070707070707 shop shop::orders tools: slow: the bank is\n"
            ),
            "{named}"
        );
    }

    #[test]
    fn the_end_of_a_span_is_followed_by_its_attributes_and_control_characters_are_escaped() {
        let mut span = span(1, 0, "call\ntool", 0, 12);
        span.status = Some(SpanStatus::Error);
        span.status_message = Some("refused".to_owned());
        span.attributes.set("q", "a\x1b[0mb");
        assert_eq!(
            shown_end(&span),
            "ERROR    22:13:20.012 070707070707 shop shop::orders: [END] call\\ntool (12.00ms)\n         \
             [ERROR] refused q=\"a\\x1b[0mb\"\n"
        );
    }

    #[test]
    fn an_abandoned_span_is_marked_and_shown_with_its_start() {
        let mut span = span(1, 0, "call", 5, 12);
        span.state = SpanState::Abandoned;
        span.end_time = None;
        let text = shown_end(&span);
        assert!(
            text.contains(" 22:13:20.005 ") && text.contains("[ABANDONED] call"),
            "{text}"
        );
    }

    #[test]
    fn markup_is_removed_from_messages_with_the_markup_field_and_never_interpreted() {
        let mut event =
            event("[bold red]3[/bold red] of \\[dim], [0], [link=https://e.org]x[/link]\n[/] end");
        let plain = shown_event(&event, false);
        assert!(
            plain.contains("tools: [bold red]3[/bold red] of \\[dim]"),
            "{plain}"
        );
        event.attributes.set("markup", true);
        let plain = shown_event(&event, false);
        assert!(!plain.contains("markup="), "{plain}");
        assert!(plain.contains("tools: 3 of [dim], [0], x\\n[/] end"), "{plain}");
        let mut coloured = String::new();
        EntryLines::new(&output(true), false).event(&event, &mut coloured);
        // Red would come from the markup; the number has the highlighter's colour.
        assert!(
            coloured.contains("\x1b[") && !coloured.contains("31m") && !coloured.contains("https"),
            "{coloured:?}"
        );
    }

    #[test]
    fn an_error_with_causes_has_a_box_and_an_error_with_a_message_alone_has_none() {
        let mut event = event("the bank is closed");
        event.name = EXCEPTION_EVENT.to_owned();
        event.attributes.set("error", "the bank is closed");
        event.attributes.set("exception.message", "the bank is closed");
        assert_eq!(
            shown_event(&event, false),
            "WARN     22:13:20.123 shop shop::orders tools: the bank is closed\n"
        );
        event.attributes.set("exception.type", "BankError");
        event.attributes.set("exception.chain", "connection refused");
        let boxed = shown_event(&event, false);
        assert!(
            boxed.contains("BankError") && boxed.contains("1: connection refused"),
            "{boxed}"
        );
    }
}
