//! `spanscope span ID`: shows one span with its attributes, events and links.

use anyhow::Result;
use serde::Serialize;
use spanscope_model::{LogEvent, LogFilter, Span, SpanState, block_on};

use super::ids::resolve_span;
use super::store::Location;
use crate::args::SpanArgs;
use crate::output::Output;
use crate::render::colour::Paint;
use crate::render::duration::format_ms;
use crate::render::json::SpanJson;
use crate::render::pairs::{indented, pairs};
use crate::render::text::{count, visible, wrap};
use crate::render::time;

/// Maximum number of events in the table; JSON has all.
const MAX_EVENTS: usize = 200;

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    span: SpanJson<'a>,
    events: &'a [LogEvent],
}

pub(super) fn run(location: &Location, args: &SpanArgs) -> Result<()> {
    let out = Output::new(&args.output);
    let store = location.open()?;
    let (trace_id, span_id) = resolve_span(location, &*store, &args.id)?;
    let span = block_on(store.get_span(trace_id, span_id))?;
    let events = block_on(
        store.list_logs(
            LogFilter::default()
                .trace_id(trace_id)
                .span_id(span_id)
                .limit(u64::MAX),
        ),
    )?;
    let answer = Answer {
        span: SpanJson::of(&span),
        events: &events,
    };
    out.one(&answer, || text(&out, &span, &events))
}

fn text(out: &Output, span: &Span, events: &[LogEvent]) -> String {
    let mut text = String::new();
    for line in wrap(&visible(&span.name), out.width) {
        text.push_str(&Paint::Title.on(out.colour, &line));
        text.push('\n');
    }
    text.push_str(&pairs(out, &own_fields(out, span)));

    let title = |name: &str| format!("\n{}\n", Paint::Title.on(out.colour, name));
    if !span.attributes.is_empty() {
        text.push_str(&title("attributes"));
        let lines: Vec<_> = span
            .attributes
            .iter()
            .map(|(key, value)| (key, value.to_string()))
            .collect();
        text.push_str(&indented(out, &lines, 2));
    }
    let resource = span.resource.as_ref().filter(|resource| !resource.is_empty());
    if let Some(resource) = resource {
        text.push_str(&title("resource"));
        let lines: Vec<_> = resource
            .iter()
            .map(|(key, value)| (key, value.to_string()))
            .collect();
        text.push_str(&indented(out, &lines, 2));
    }
    if !events.is_empty() {
        text.push_str(&title("events"));
        for event in events.iter().take(out.at_most(MAX_EVENTS)) {
            text.push_str(&one_event(out, event));
        }
        if let Some(more) = events
            .len()
            .checked_sub(out.at_most(MAX_EVENTS))
            .filter(|more| *more > 0)
        {
            let more = count(u64::try_from(more).unwrap_or(u64::MAX), "more event");
            text.push_str(&format!("  … {more}, --json shows all\n"));
        }
    }
    if !span.links.is_empty() {
        text.push_str(&title("links"));
        for link in &span.links {
            text.push_str(&format!("  trace {} span {}\n", link.trace_id, link.span_id));
            let lines: Vec<_> = link
                .attributes
                .iter()
                .map(|(key, value)| (key, value.to_string()))
                .collect();
            text.push_str(&indented(out, &lines, 4));
        }
    }
    text
}

fn own_fields(out: &Output, span: &Span) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("span", span.span_id.to_string()),
        ("trace", span.trace_id.to_string()),
    ];
    if let Some(parent) = span.parent_span_id {
        fields.push(("parent", parent.to_string()));
    }
    fields.push(("start", time::full(span.start_time, &out.zone)));
    if let Some(end) = span.end_time {
        fields.push(("end", time::full(end, &out.zone)));
    }
    match (span.state, span.duration_ms()) {
        (SpanState::Ended, Some(ms)) => fields.push(("duration", format_ms(ms))),
        (state, _) => fields.push(("state", state.to_string())),
    }
    if let Some(status) = span.status {
        let status = match &span.status_message {
            Some(message) => format!("{status}: {message}"),
            None => status.to_string(),
        };
        fields.push(("status", status));
    }
    fields.push(("kind", span.kind.to_string()));
    let mut optional = |name, value: Option<String>| {
        fields.extend(value.filter(|value| !value.is_empty()).map(|value| (name, value)));
    };
    optional("service", Some(span.service_name.clone()));
    optional("target", span.target.clone());
    optional("level", span.level.map(|level| level.to_string()));
    optional("category", span.category.clone());
    fields
}

fn one_event(out: &Output, event: &LogEvent) -> String {
    let mut lines = Vec::new();
    let head = format!("{} {}", time::clock(event.timestamp, &out.zone), event.severity);
    let message = match (event.name.as_str(), event.message.as_str()) {
        ("", message) => message.to_owned(),
        (name, message) if message.is_empty() || message == name => name.to_owned(),
        (name, message) => format!("{name}: {message}"),
    };
    lines.push((head.as_str(), message));
    let fields: Vec<_> = event
        .attributes
        .iter()
        .map(|(key, value)| (key, value.to_string()))
        .collect();
    format!("{}{}", indented(out, &lines, 2), indented(out, &fields, 6))
}
