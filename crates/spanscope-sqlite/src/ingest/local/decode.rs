//! Decodes a record's bytes into the columns of a row: field roles, masks, JSON.

use std::fmt::Write as _;

use spanscope_core::capture::{
    CallsiteInfo, Decoder, FieldReader, MaskedTexts, RawValue, ResolvedField, SpanIds,
};
use spanscope_model::wire::cut_length;
use spanscope_model::{SpanKind, SpanStatus, Tenant, non_finite_name};
use spanscope_runs::{RunAttributes, is_run_attribute, run_attributes};

use crate::file::rows::Indexed;
use crate::json::{push_key, push_text};

/// The attribute with the tenant of a run.
const TENANT_KEY: &str = "tenant_id";

/// The decoded data of a span or an event. One value is reused for all records, to reuse its
/// buffers.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    /// The attributes as a JSON object; `{}` if there are none.
    pub(super) attributes: String,
    pub(super) name: Option<String>,
    pub(super) kind: Option<SpanKind>,
    pub(super) status: Option<SpanStatus>,
    pub(super) status_message: Option<String>,
    pub(super) category: Option<String>,
    /// A span's `tenant_id`: the tenant of its trace, if it is the root.
    pub(super) tenant: Option<String>,
    pub(super) message: String,
    pub(super) severity: Option<u8>,
    pub(super) ttl_seconds: Option<i64>,
    pub(super) log_target: Option<String>,
    pub(super) log_module: Option<String>,
    pub(super) log_file: Option<String>,
    /// Whether its callsite's events can be measurements.
    pub(super) measures: bool,
    /// The run attributes of a span.
    pub(super) facts: Option<RunAttributes>,
    /// Index of the key in the list of indexed keys, and the value.
    pub(super) indexed: Vec<(usize, Indexed)>,
}

impl Decoded {
    fn clear(&mut self) {
        self.attributes.clear();
        self.attributes.push('{');
        self.name = None;
        self.kind = None;
        self.status = None;
        self.status_message = None;
        self.category = None;
        self.tenant = None;
        self.message.clear();
        self.severity = None;
        self.ttl_seconds = None;
        self.log_target = None;
        self.log_module = None;
        self.log_file = None;
        self.measures = false;
        self.facts = None;
        self.indexed.clear();
    }

    /// Reads the fields of one record.
    pub(super) fn read(
        &mut self,
        decoder: &mut Decoder,
        callsite: &PreparedCallsite,
        fields: FieldReader<'_>,
        indexed_keys: &[String],
    ) {
        self.clear();
        self.measures = callsite.info.measures;
        let texts = MaskedTexts::new();
        let record = decoder.decode(&callsite.info, fields, &texts);
        let owned = |text: &str| text.to_owned();
        // An event name that the program set is in the callsite's row.
        let event_name = record
            .event_name()
            .filter(|name| *name != callsite.info.event_name);
        self.name = record
            .name
            .and_then(|name| name.as_text())
            .or(event_name)
            .map(owned);
        self.kind = record.kind;
        self.status = record.status;
        self.status_message = record.status_message.and_then(|text| text.as_text()).map(owned);
        self.category = record.category.map(owned);
        let level = callsite.info.severity;
        self.severity = (record.severity != level).then(|| record.severity.number());
        self.ttl_seconds = record.ttl_seconds;
        self.log_target = record.log.target.map(owned);
        self.log_module = record.log.module.map(owned);
        self.log_file = record.log.file.map(owned);
        if let Some(message) = record.message.or(record.exception) {
            // Writing to a String can't fail.
            let _ = write!(self.message, "{message}");
        }
        let attributes = &record.attributes;
        if callsite.info.metadata.is_span()
            && (callsite.may_tell_of_runs
                || attributes
                    .iter()
                    .any(|field| field.declared.is_none() && is_run_attribute(field.name)))
        {
            self.facts = run_attributes(attributes.iter().map(|field| (field.name, field.value)));
        }
        for field in attributes {
            self.field(callsite, field, indexed_keys);
        }
        if let Some((key, message)) = record.missing_exception_message() {
            self.attribute(None, key, message);
        }
        self.attributes.push('}');
        decoder.reuse(record);
    }

    /// Adds an attribute, and notes whether it is the tenant or an indexed value.
    fn field(&mut self, callsite: &PreparedCallsite, field: &ResolvedField<'_>, indexed_keys: &[String]) {
        let &ResolvedField {
            declared,
            name,
            value,
            ..
        } = field;
        let prepared = declared.and_then(|index| callsite.fields.get(index));
        self.attribute(prepared.map(|field| field.json_key.as_str()), name, value);
        let is_tenant = match prepared {
            Some(field) => field.is_tenant,
            None => name == TENANT_KEY,
        };
        if is_tenant && let Some(text) = value.as_text() {
            self.tenant = text
                .parse::<Tenant>()
                .ok()
                .map(|tenant| tenant.as_str().to_owned());
        }
        let index = match prepared {
            Some(field) => field.indexed,
            None => indexed_keys.iter().position(|key| key == name),
        };
        if let Some(index) = index {
            let value = match value {
                RawValue::Text(text, _) => Some(Indexed::Text(text.to_owned())),
                RawValue::I64(number) => Some(Indexed::Integer(number)),
                RawValue::U64(number) => i64::try_from(number).ok().map(Indexed::Integer),
                RawValue::F64(number) if number.is_finite() => Some(Indexed::Float(number)),
                RawValue::F64(_) | RawValue::Bool(_) => None,
            };
            self.indexed.extend(value.map(|value| (index, value)));
        }
    }

    fn attribute(&mut self, json_key: Option<&str>, name: &str, value: RawValue<'_>) {
        if self.attributes.len() > 1 {
            self.attributes.push(',');
        }
        match json_key {
            Some(json_key) => self.attributes.push_str(json_key),
            None => push_key(&mut self.attributes, name),
        }
        push_json(&mut self.attributes, &value);
        if let RawValue::Text(_, Some(original_len)) = value {
            self.attributes.push(',');
            push_key(&mut self.attributes, &cut_length(name));
            let _ = write!(self.attributes, "{original_len}");
        }
    }
}

fn push_json(out: &mut String, value: &RawValue<'_>) {
    match value {
        RawValue::Text(text, _) => push_text(out, text),
        RawValue::F64(number) => match serde_json::Number::from_f64(*number) {
            Some(number) => {
                let _ = write!(out, "{number}");
            }
            None => push_text(out, non_finite_name(*number).unwrap_or_default()),
        },
        RawValue::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        // Most values besides strings are integers; formatting them through `fmt` takes twice as
        // long.
        RawValue::I64(number) => out.push_str(itoa::Buffer::new().format(*number)),
        RawValue::U64(number) => out.push_str(itoa::Buffer::new().format(*number)),
    }
}

/// Returns the links and the status message in the form of the `extra` column; `None` if there is
/// neither.
pub(super) fn extra(status_message: Option<&str>, links: &[SpanIds]) -> Option<String> {
    if status_message.is_none() && links.is_empty() {
        return None;
    }
    let mut out = String::from("{");
    if let Some(message) = status_message {
        push_key(&mut out, "status_message");
        push_text(&mut out, message);
    }
    if !links.is_empty() {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str("\"links\":[");
        for (place, link) in links.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            let _ = write!(
                out,
                r#"{comma}{{"trace_id":"{}","span_id":"{}","attributes":{{}}}}"#,
                link.trace_id, link.span_id
            );
        }
        out.push(']');
    }
    out.push('}');
    Some(out)
}

/// A callsite with the data that the writer computes once.
#[derive(Debug)]
pub(super) struct PreparedCallsite {
    pub(super) info: CallsiteInfo,
    pub(super) fields: Vec<PreparedField>,
    /// Whether it declares a field that may be a run attribute.
    may_tell_of_runs: bool,
    /// `_callsite.id`, once it is known in the open file.
    pub(super) row: Option<i64>,
}

#[derive(Debug)]
pub(super) struct PreparedField {
    /// The escaped key with its colon.
    pub(super) json_key: String,
    pub(super) indexed: Option<usize>,
    is_tenant: bool,
}

impl PreparedCallsite {
    pub(super) fn new(info: CallsiteInfo, indexed_keys: &[String]) -> Self {
        let fields = info.fields.iter().map(|field| {
            let mut json_key = String::new();
            push_key(&mut json_key, field.name);
            let indexed = info
                .metadata
                .is_span()
                .then(|| indexed_keys.iter().position(|key| key == field.name));
            PreparedField {
                json_key,
                indexed: indexed.flatten(),
                is_tenant: info.metadata.is_span() && field.name == TENANT_KEY,
            }
        });
        Self {
            fields: fields.collect(),
            may_tell_of_runs: info.fields.iter().any(|field| is_run_attribute(field.name)),
            info,
            row: None,
        }
    }

    /// Returns the name in the callsite's row: a span's own, an event's only if the program set it.
    pub(super) fn name(&self) -> &'static str {
        if self.info.metadata.is_span() {
            self.info.metadata.name()
        } else {
            self.info.event_name
        }
    }
}
