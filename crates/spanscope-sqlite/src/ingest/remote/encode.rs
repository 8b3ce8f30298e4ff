//! Converts records of the model to rows: masks secrets, truncates values, writes JSON.

use std::hash::{Hash, Hasher};

use serde_json::Value as Json;
use spanscope_model::semconv::SpanCall;
use spanscope_model::text::cut;
use spanscope_model::wire::{READ_FROM, cut_length};
use spanscope_model::{
    Attributes, Link, NewEvent, NewPoint, NewRecords, NewSpan, Severity, Source, SourceRecords, SpanEnd,
    SpanStatus, Temporality, Tenant, TraceId, UNCATEGORIZED, Value,
};

use super::prepared::{Callsite, InEnd, InEvent, InPoint, InSpan, PreparedRecords, Sender, SenderKey};
use crate::file::processes::MAX_SOURCE;
use crate::file::rows::Indexed;
use crate::file::rows::{kind_number, span_key, status_number};
use crate::file::runs::facts_of_attributes;
use crate::file::series::{Amount, labels_text};
use crate::file::text::without_nul;
use crate::json::{push_key, push_key_value, push_text};

/// Maximum length of a name in bytes; longer ones are truncated.
const MAX_NAME: usize = 1024;

/// Converts records to rows.
struct Maker<'m> {
    max_value_len: usize,
    is_indexed: &'m dyn Fn(&str) -> bool,
}

impl PreparedRecords {
    /// Converts records to rows. `is_indexed` decides which attributes are indexed.
    pub(super) fn new(
        tenant: Option<&Tenant>,
        mut records: NewRecords,
        max_value_len: usize,
        is_indexed: &dyn Fn(&str) -> bool,
    ) -> Self {
        records.mask_secrets();
        let count = records.len();
        let maker = Maker {
            max_value_len,
            is_indexed,
        };
        let sources: Vec<Sender> = records
            .sources
            .into_iter()
            .map(|source| maker.sender(source))
            .collect();
        let bytes = sources.iter().map(Sender::bytes).sum();
        Self {
            digest: records.batch.map(|batch| digest(tenant, batch)),
            tenant: tenant.cloned(),
            resolve_aliases: records.resolve_aliases,
            trace_alias: records.trace_alias,
            sources,
            records: count,
            bytes,
        }
    }
}

/// Returns the identity of a batch, which includes the tenant.
fn digest(tenant: Option<&Tenant>, batch: u128) -> [u8; 16] {
    let mut hasher = std::hash::DefaultHasher::new();
    tenant.map(Tenant::as_str).hash(&mut hasher);
    (batch ^ u128::from(hasher.finish())).to_be_bytes()
}

impl Maker<'_> {
    fn sender(&self, records: SourceRecords) -> Sender {
        let Source {
            service_name,
            resource,
            scope,
            counts_tokens,
            logs_events: _, // the creator of the records has already omitted the copies
            ..
        } = records.source;
        let mut scope_text = String::from("{\"name\":");
        push_text(&mut scope_text, cut(&scope.name, MAX_NAME));
        if !scope.version.is_empty() {
            scope_text.push_str(",\"version\":");
            push_text(&mut scope_text, cut(&scope.version, MAX_NAME));
        }
        if !scope.attributes.is_empty() {
            scope_text.push_str(",\"attributes\":");
            scope_text.push_str(&self.bounded_object(&scope.attributes));
        }
        scope_text.push('}');
        Sender {
            key: SenderKey {
                service_name: plain(&service_name),
                resource: self.bounded_object(&resource),
                scope: scope_text,
            },
            spans: records
                .spans
                .into_iter()
                .map(|span| self.span(span, !counts_tokens))
                .collect(),
            ends: records.ends.into_iter().map(end).collect(),
            events: records
                .events
                .into_iter()
                .map(|event| self.event(event, None))
                .collect(),
            points: records.points.into_iter().filter_map(point).collect(),
        }
    }

    fn span(&self, new: NewSpan, with_tokens: bool) -> InSpan {
        let NewSpan {
            span,
            events,
            expires,
            ..
        } = new;
        let key = span_key(span.span_id);
        let start = span.start_time.as_nanos();
        let duration = span
            .end_time
            .map(|end| end.as_nanos().saturating_sub(start).max(0));
        let failed = span.status == Some(SpanStatus::Error);
        let indexed = span
            .attributes
            .iter()
            .filter(|(key, _)| (self.is_indexed)(key))
            .filter_map(|(key, value)| Some((key.to_owned(), indexed_value(value)?)))
            .collect();
        let call = match with_tokens && duration.is_some() {
            true => SpanCall::of(span.attributes.raw()),
            false => None,
        };
        let facts = facts_of_attributes(&span.attributes);
        InSpan {
            is_rootless: span.parent_span_id.is_none() && span.attributes.get(READ_FROM).is_some(),
            facts,
            trace_id: span.trace_id,
            key,
            parent: span.parent_span_id.map(span_key),
            callsite: Callsite {
                name: plain(&span.name),
                target: plain(span.target.as_deref().unwrap_or_default()),
                level: span.level.unwrap_or(Severity::Info).number(),
                category: plain(span.category.as_deref().unwrap_or(UNCATEGORIZED)),
            },
            start,
            duration,
            status: (duration.is_some() || failed).then_some(i64::from(failed)),
            kind: kind_number(span.kind),
            attributes: self.object(&span.attributes),
            extra: self.extra(
                span.status_message.as_deref(),
                &span.links,
                span.trace_state.as_deref(),
            ),
            indexed,
            call,
            events: events
                .into_iter()
                .map(|event| self.event(event, Some((span.trace_id, key))))
                .collect(),
            expires: expires.map(|time| time.as_nanos()),
        }
    }

    fn event(&self, new: NewEvent, of: Option<(TraceId, i64)>) -> InEvent {
        let NewEvent { event, expires, .. } = new;
        let (trace_id, span) = match of {
            Some((trace_id, key)) => (Some(trace_id), Some(key)),
            None => (event.trace_id, event.span_id.map(span_key)),
        };
        InEvent {
            trace_id,
            span,
            callsite: Callsite {
                name: plain(&event.name),
                target: plain(&event.target),
                level: event.severity.number(),
                category: plain(match event.category.as_str() {
                    "" => UNCATEGORIZED,
                    category => category,
                }),
            },
            time: event.timestamp.as_nanos(),
            message: cut(&event.message, self.max_value_len).to_owned(),
            attributes: self.object(&event.attributes),
            expires: expires.map(|time| time.as_nanos()),
        }
    }

    /// Attributes as a JSON object.
    fn object(&self, attributes: &Attributes) -> String {
        let mut out = String::with_capacity(2 + attributes.len() * 48);
        self.push_object(&mut out, attributes, usize::MAX);
        out
    }

    /// Returns a JSON object of the attributes, without those that would make it too long.
    fn bounded_object(&self, attributes: &Attributes) -> String {
        let mut out = String::new();
        self.push_object(&mut out, attributes, MAX_SOURCE);
        out
    }

    fn push_object(&self, out: &mut String, attributes: &Attributes, max: usize) {
        out.push('{');
        let begin = out.len();
        for (key, value) in attributes.iter() {
            let before = out.len();
            if before > begin {
                out.push(',');
            }
            push_key(out, key);
            self.push_value(out, key, value);
            if out.len() - begin > max {
                out.truncate(before);
                break;
            }
        }
        out.push('}');
    }

    fn push_value(&self, out: &mut String, key: &str, value: &Value) {
        let length = match value {
            Value::Str(text) if text.len() > self.max_value_len => {
                push_text(out, cut(text, self.max_value_len));
                text.len()
            }
            Value::Str(text) => return push_text(out, text),
            Value::Json(json) => {
                let before = out.len();
                push_json(out, json);
                let length = out.len() - before;
                if length <= self.max_value_len {
                    return;
                }
                // A truncated list is not a valid list: it becomes text.
                let text = out.split_off(before);
                push_text(out, cut(&text, self.max_value_len));
                length
            }
            number => {
                // Serializing a number or a bool can't fail.
                return out.push_str(&serde_json::to_string(number).unwrap_or_default());
            }
        };
        out.push(',');
        push_key(out, &cut_length(key));
        out.push_str(itoa::Buffer::new().format(length));
    }

    fn extra(&self, message: Option<&str>, links: &[Link], trace_state: Option<&str>) -> Option<String> {
        let mut out = String::new();
        let begin = |out: &mut String, key| {
            out.push(if out.is_empty() { '{' } else { ',' });
            push_key(out, key);
        };
        if let Some(message) = message {
            begin(&mut out, "status_message");
            push_text(&mut out, cut(message, self.max_value_len));
        }
        if !links.is_empty() {
            begin(&mut out, "links");
            for (place, link) in links.iter().enumerate() {
                out.push(if place == 0 { '[' } else { ',' });
                push_key_value(&mut out, '{', "trace_id", &link.trace_id.to_string());
                push_key_value(&mut out, ',', "span_id", &link.span_id.to_string());
                out.push_str(",\"attributes\":");
                self.push_object(&mut out, &link.attributes, usize::MAX);
                out.push('}');
            }
            out.push(']');
        }
        if let Some(state) = trace_state {
            begin(&mut out, "trace_state");
            push_text(&mut out, cut(state, MAX_NAME));
        }
        if out.is_empty() {
            return None;
        }
        out.push('}');
        Some(out)
    }
}

/// Adds attributes to a JSON object.
pub(super) fn merged(json: &str, more: &Attributes, max_value_len: usize) -> String {
    let mut all: Attributes = serde_json::from_str(json).unwrap_or_default();
    for (key, value) in more.iter() {
        all.set(key, value.clone());
    }
    let maker = Maker {
        max_value_len,
        is_indexed: &|_| false,
    };
    maker.object(&all)
}

fn end(end: SpanEnd) -> InEnd {
    InEnd {
        trace_id: end.trace_id,
        key: span_key(end.span_id),
        time: end.end_time.as_nanos(),
        status: status_number(end.status),
        attributes: end.attributes,
        expires: end.expires.map(|time| time.as_nanos()),
    }
}

/// Returns `None` if the value is not a finite number, which the creator of the record should have
/// refused.
fn point(point: NewPoint) -> Option<InPoint> {
    let value = match (&point.value, point.value.as_i64(), point.value.as_f64()) {
        (_, Some(number), _) => Amount::Integer(number),
        (_, None, Some(number)) if number.is_finite() => Amount::Real(number),
        _ => return None,
    };
    let mut labels = point.labels;
    labels.retain(|(_, value)| !value.is_empty());
    // Of a repeated label the last value counts.
    labels.reverse();
    labels.sort_by(|(a, _), (b, _)| a.cmp(b));
    labels.dedup_by(|(a, _), (b, _)| a == b);
    for (_, value) in &mut labels {
        if value.len() > MAX_NAME {
            value.truncate(cut(value, MAX_NAME).len());
        }
    }
    Some(InPoint {
        metric: without_nul(cut(&point.metric, MAX_NAME)).into_owned(),
        unit: without_nul(cut(&point.unit, MAX_NAME)).into_owned(),
        kind: point.kind,
        labels: labels_text(labels.iter().map(|(key, value)| (key.as_str(), value.as_str()))),
        time: point.timestamp.as_nanos(),
        value,
        since: match point.temporality {
            Temporality::Delta => None,
            Temporality::Cumulative { start } => Some(start.as_nanos()),
        },
        trace: point.trace_id.map(TraceId::to_bytes),
        span: point.span_id.map(span_key),
        detail: point.detail.map(|detail| {
            let mut out = String::new();
            push_json(&mut out, &detail);
            out
        }),
        expires: point.expires.map(|time| time.as_nanos()),
    })
}

/// Returns a name in the file's form: truncated, and without NUL, which would end it in SQL.
fn plain(text: &str) -> String {
    without_nul(cut(text, MAX_NAME)).into_owned()
}

fn indexed_value(value: &Value) -> Option<Indexed> {
    match value {
        Value::Str(text) => Some(Indexed::Text(without_nul(text).into_owned())),
        Value::F64(number) => number.is_finite().then_some(Indexed::Float(*number)),
        value => value.as_i64().map(Indexed::Integer),
    }
}

/// Appends JSON text that SQLite's own functions can read too.
fn push_json(out: &mut String, json: &Json) {
    match json {
        Json::String(text) => push_text(out, text),
        Json::Array(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                push_json(out, item);
            }
            out.push(']');
        }
        Json::Object(fields) => {
            out.push('{');
            for (place, (key, value)) in fields.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                push_key(out, key);
                push_json(out, value);
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}
