//! Spans and their events.

use std::borrow::Cow;

use opentelemetry::trace::{Event, Link, SpanContext, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, Key, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use spanscope_core::capture::{
    CallsiteInfo, DecodedRecord, Decoder, FieldReader, MaskedTexts, RawValue, SpanIds, WallClock,
};
use spanscope_core::queue::{EventEntry, SpanEntry};
use spanscope_model::semconv::secret_kind;
use spanscope_model::text::cut;
use spanscope_model::wire::{self, cut_length};
use spanscope_model::{Severity, SpanKind, SpanStatus, category_of, non_finite_name};

use super::{otel_value, system_time};
use crate::settings::{ContentPolicy, Limits};

/// The limits of exported records, and the content policy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) content: ContentPolicy,
    pub(crate) limits: Limits,
    /// Whether the format is JSON, in which NaN and infinities are strings.
    pub(crate) is_json: bool,
    /// The maximum length of a string that capture keeps, in bytes.
    pub(crate) max_value_len: usize,
}

/// A span that ended, with the events that happened in it.
#[derive(Debug)]
pub(crate) struct EndedSpan<'a> {
    pub(crate) info: &'a CallsiteInfo,
    pub(crate) entry: &'a SpanEntry,
    pub(crate) fields: FieldReader<'a>,
    /// By time.
    pub(crate) events: Vec<Event>,
    /// The number of events that were dropped.
    pub(crate) lost_events: u32,
}

/// Returns the exported span.
pub(crate) fn span_data(
    decoder: &mut Decoder,
    span: EndedSpan<'_>,
    scope: InstrumentationScope,
    clock: &WallClock,
    shape: &Shape,
) -> SpanData {
    let EndedSpan {
        info,
        entry,
        fields,
        mut events,
        lost_events,
    } = span;
    let texts = MaskedTexts::new();
    let record = decoder.decode(info, fields, &texts);
    let limits = &shape.limits;
    let mut attributes = Attributes::new(shape, limits.span_value_chars, limits.span_attributes);
    attributes.add_all(&record);
    // OTLP has no field for it.
    if record.severity != Severity::Info {
        attributes.add(wire::LEVEL, RawValue::from(record.severity.as_str()));
    }
    attributes.add_category(info, &record);
    let start = clock.wall(entry.start);
    let too_many = events.len().saturating_sub(limits.span_events);
    events.truncate(limits.span_events);
    let mut span_events = SpanEvents::default();
    span_events.events = events;
    span_events.dropped_count = lost_events.saturating_add(u32::try_from(too_many).unwrap_or(u32::MAX));
    let mut links = SpanLinks::default();
    links.links = entry
        .links()
        .iter()
        .take(limits.span_links)
        .map(|link| Link::new(context_of(*link, false), Vec::new(), 0))
        .collect();
    links.dropped_count =
        u32::try_from(entry.links().len().saturating_sub(limits.span_links)).unwrap_or(u32::MAX);
    let (attributes, dropped_attributes_count) = attributes.finish();
    let data = SpanData {
        span_context: context_of(entry.ids, false),
        parent_span_id: entry.parent.map_or(opentelemetry::SpanId::INVALID, |parent| {
            opentelemetry::SpanId::from_bytes(parent.to_bytes())
        }),
        parent_span_is_remote: entry.parent.is_some() && entry.is_local_root,
        span_kind: match record.kind.unwrap_or(SpanKind::Internal) {
            SpanKind::Internal => opentelemetry::trace::SpanKind::Internal,
            SpanKind::Server => opentelemetry::trace::SpanKind::Server,
            SpanKind::Client => opentelemetry::trace::SpanKind::Client,
            SpanKind::Producer => opentelemetry::trace::SpanKind::Producer,
            SpanKind::Consumer => opentelemetry::trace::SpanKind::Consumer,
        },
        name: match record.name {
            Some(name) => Cow::Owned(name.to_string()),
            None => Cow::Borrowed(info.metadata.name()),
        },
        start_time: system_time(start),
        // By the monotonic clock, so that no span ends before it starts.
        end_time: system_time(start)
            + std::time::Duration::from_nanos(clock.nanos_between(entry.start, entry.end)),
        attributes,
        dropped_attributes_count,
        events: span_events,
        links,
        status: match record.outcome(entry.failed) {
            SpanStatus::Ok => Status::Ok,
            SpanStatus::Error => Status::error(
                record
                    .status_message
                    .map(|text| text.to_string())
                    .unwrap_or_default(),
            ),
        },
        instrumentation_scope: scope,
    };
    decoder.reuse(record);
    data
}

/// Returns an event in the form of a span's event. A named event keeps its name and has its message
/// among its attributes; any other has its message as its name.
pub(crate) fn span_event(
    decoder: &mut Decoder,
    info: &CallsiteInfo,
    entry: &EventEntry,
    fields: FieldReader<'_>,
    clock: &WallClock,
    shape: &Shape,
) -> (Event, bool) {
    let texts = MaskedTexts::new();
    let record = decoder.decode(info, fields, &texts);
    let limits = &shape.limits;
    let mut attributes = Attributes::new(shape, limits.span_value_chars, limits.event_attributes);
    attributes.add_all(&record);
    attributes.add_ours(wire::SEVERITY, record.severity.as_str(), &record);
    let target = record.log.target.unwrap_or(info.metadata.target());
    if !target.is_empty() {
        attributes.add_ours(wire::TARGET, target, &record);
    }
    // A category that follows from the target is not repeated.
    let category = record.category.unwrap_or(&info.category);
    let has_other = record.attributes.iter().any(|field| field.name == wire::CATEGORY);
    if has_other || category != category_of(target) {
        attributes.add_ours(wire::CATEGORY, category, &record);
    }
    let message = record.message.or(record.exception).map(|text| text.to_string());
    let name = match record.event_name() {
        Some(name) => {
            if let Some(message) = &message {
                attributes.add_ours(wire::MESSAGE, message, &record);
            }
            name.to_owned()
        }
        None => message.unwrap_or_default(),
    };
    let is_exception = record.exception.is_some();
    decoder.reuse(record);
    let (attributes, dropped) = attributes.finish();
    let time = system_time(clock.wall(entry.time));
    (Event::new(name, time, attributes, dropped), is_exception)
}

/// Applies the limits to an event that was added through OpenTelemetry's own API.
pub(crate) fn late_event(event: Event, shape: &Shape) -> Event {
    let limits = &shape.limits;
    let mut attributes = Attributes::new(shape, limits.span_value_chars, limits.event_attributes);
    for attribute in event.attributes {
        let key = attribute.key.as_str();
        let text;
        let value = match &attribute.value {
            Value::Bool(value) => RawValue::Bool(*value),
            Value::I64(number) => RawValue::I64(*number),
            Value::F64(number) => RawValue::F64(*number),
            Value::String(value) => {
                // Truncated to the same length as by capture.
                let kept = cut(value.as_str(), shape.max_value_len);
                let is_cut = kept.len() < value.as_str().len();
                RawValue::Text(kept, is_cut.then_some(value.as_str().len() as u64))
            }
            other => {
                text = other.to_string();
                RawValue::Text(&text, None)
            }
        };
        let texts = MaskedTexts::new();
        attributes.add(key, texts.mask(secret_kind(key), value));
    }
    let (attributes, dropped) = attributes.finish();
    let dropped = dropped.saturating_add(event.dropped_attributes_count);
    Event::new(event.name, event.timestamp, attributes, dropped)
}

fn context_of(ids: SpanIds, is_remote: bool) -> SpanContext {
    SpanContext::new(
        opentelemetry::TraceId::from_bytes(ids.trace_id.to_bytes()),
        opentelemetry::SpanId::from_bytes(ids.span_id.to_bytes()),
        TraceFlags::SAMPLED,
        is_remote,
        TraceState::NONE,
    )
}

/// Collects attributes up to a limit.
pub(super) struct Attributes {
    content: ContentPolicy,
    is_json: bool,
    max_chars: Option<usize>,
    max: usize,
    list: Vec<KeyValue>,
    dropped: u32,
}

impl Attributes {
    pub(super) fn new(shape: &Shape, max_chars: Option<usize>, max: usize) -> Self {
        Self {
            content: shape.content,
            is_json: shape.is_json,
            max_chars,
            max,
            list: Vec::new(),
            dropped: 0,
        }
    }

    pub(super) fn add_all(&mut self, record: &DecodedRecord<'_>) {
        self.list.reserve((record.attributes.len() + 3).min(self.max));
        for field in &record.attributes {
            self.add(field.name, field.value);
        }
        if let Some((key, message)) = record.missing_exception_message() {
            self.add(key, message);
        }
    }

    /// Adds the category.
    pub(super) fn add_category(&mut self, info: &CallsiteInfo, record: &DecodedRecord<'_>) {
        let category = record.category.unwrap_or(&info.category);
        self.add_ours(wire::CATEGORY, category, record);
    }

    /// Adds an attribute that is not among the record's, under another key if the record has this
    /// one.
    fn add_ours(&mut self, key: &str, value: &str, record: &DecodedRecord<'_>) {
        let value = RawValue::from(value);
        if record.attributes.iter().any(|field| field.name == key) {
            self.add(&wire::fallback_key(key), value);
        } else {
            self.add(key, value);
        }
    }

    pub(super) fn add(&mut self, key: &str, value: RawValue<'_>) {
        let Some(shown) = otel_value(key, value, self.content, self.max_chars) else {
            return; // the length of a hidden value is hidden too
        };
        self.push(key, shown);
        // As in every sink: the original length of a truncated value is a separate attribute.
        if let RawValue::Text(_, Some(original)) = value {
            let original = i64::try_from(original).unwrap_or(i64::MAX);
            self.push(&cut_length(key), original.into());
        }
    }

    fn push(&mut self, key: &str, value: Value) {
        let value = match value {
            Value::F64(number) if self.is_json => {
                non_finite_name(number).map_or(Value::F64(number), Value::from)
            }
            value => value,
        };
        if self.list.len() < self.max {
            self.list.push(KeyValue::new(Key::from(key.to_owned()), value));
        } else {
            self.dropped += 1;
        }
    }

    pub(super) fn finish(self) -> (Vec<KeyValue>, u32) {
        (self.list, self.dropped)
    }
}
