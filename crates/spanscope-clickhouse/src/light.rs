//! Spans without what only one question in a hundred needs: for questions that look at whole traces
//! of a long time.

use std::sync::LazyLock;

use serde::Deserialize;
use spanscope_model::semconv::{ATTRIBUTES, SemanticAttribute, names_of};
use spanscope_model::{Span, SpanState, SpanStatus, StoreError, Timestamp};
use spanscope_runs::is_run_attribute;

use crate::reader::Reader;
use crate::sql::Sql;
use crate::tables::{AttributeForm, IS_RECEIVER, NANOS};
use crate::values::RawAttributes;

/// What spans are read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The calls of models in them: all spans, because a call that is reported twice is found by
    /// what is around it.
    Calls,
    /// The runs in them: the spans that say something about a run, and roots.
    Runs,
}

/// Names that say something about a call. Contents, which are long, do not.
static OF_CALLS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let known = ATTRIBUTES.iter().filter(|attribute| !attribute.is_content);
    // What Logfire reports of a stream.
    let others = ["logfire.span_type", "duration"];
    let usage = names_of(&[SemanticAttribute::UsageObject]);
    known
        .map(|attribute| attribute.name)
        .chain(others)
        .chain(usage)
        .collect()
});

/// Names that say something about a run.
static OF_RUNS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let known = ATTRIBUTES.iter().map(|attribute| attribute.name);
    known.filter(|name| is_run_attribute(name)).collect()
});

/// Contents tell by being there; how long they are does not matter.
const LONGEST_VALUE: &str = "4096";

#[derive(Debug, Deserialize)]
struct Row(
    (String, String, String),
    (String, String),
    (i64, i64),
    u8,
    RawAttributes,
    Vec<String>,
    String,
    u8,
);

/// A span of a trace, and the tenant that its resource names.
#[derive(Debug, Clone)]
pub(crate) struct LightSpan {
    pub(crate) span: Span,
    pub(crate) tenant: String,
}

impl Reader {
    fn light(&self, wanted: Wanted, chosen: &Sql) -> Sql {
        let traces = &self.tables.traces;
        let names = match wanted {
            Wanted::Calls => &*OF_CALLS,
            Wanted::Runs => &*OF_RUNS,
        };
        let name = traces.attributes.name;
        let mut sql = Sql::default().column(&format!(
            "SELECT (TraceId, SpanId, ParentSpanId), (SpanName, ServiceName), \
             (toUnixTimestamp64Nano(Timestamp) AS begun, {NANOS}), {}, ",
            traces.failed()
        ));
        sql = match traces.attributes.form {
            AttributeForm::Map => sql
                .column("mapApply((k, v) -> (k, substring(v, 1, ")
                .push(LONGEST_VALUE)
                .push(")), mapFilter((k, v) -> k IN ")
                .texts(names)
                .column(&format!(", {name})), [], ")),
            AttributeForm::Json => sql.column(&format!("{}, ", traces.attributes.select())),
        };
        sql = match self.tenant_key() {
            Some(key) => sql.add(&traces.resource.value(key)),
            None => sql.push("''"),
        };
        sql = sql
            .column(&format!(" AS tenant, {IS_RECEIVER}"))
            .push(" FROM otel_traces WHERE TraceId != ''")
            .add(&self.scope_of_spans())
            .add(chosen);
        if wanted == Wanted::Runs
            && let AttributeForm::Map = traces.attributes.form
        {
            sql = sql.push(" AND ").add(&self.about_runs());
        }
        sql
    }

    /// The condition that a span may say something about a run, or is a root.
    pub(crate) fn about_runs(&self) -> Sql {
        let keys = match self.tables.traces.attributes.form {
            AttributeForm::Map => "mapKeys(SpanAttributes)",
            AttributeForm::Json => self.tables.traces.attributes.keys.unwrap_or("[]"),
        };
        Sql::new("(ParentSpanId = '' OR hasAny(")
            .column(keys)
            .push(", ")
            .texts(&*OF_RUNS)
            .push("))")
    }

    /// Passes each chosen span to `each`, trace by trace and by start, without copies. Two tenants
    /// may use one trace id, which are two traces.
    pub(crate) fn each_light(
        &self,
        wanted: Wanted,
        chosen: &Sql,
        mut each: impl FnMut(LightSpan) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let sql = self
            .light(wanted, chosen)
            .push(" ORDER BY TraceId, tenant, begun, SpanId");
        let mut last = None;
        self.client.for_each(&sql, |row: Row| {
            let key = (row.0.0.clone(), row.6.clone(), row.0.1.clone(), row.7);
            if last.as_ref() == Some(&key) {
                return Ok(());
            }
            last = Some(key);
            light_span(row).map_or(Ok(()), &mut each)
        })
    }

    /// Passes the spans of each trace that are chosen to `each`, by start, without copies.
    pub(crate) fn each_trace(
        &self,
        wanted: Wanted,
        chosen: &Sql,
        mut each: impl FnMut(&[Span]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut trace: Vec<Span> = Vec::new();
        let mut of_trace = None;
        self.each_light(wanted, chosen, |light| {
            let key = Some((light.span.trace_id, light.tenant));
            if of_trace != key && !trace.is_empty() {
                each(&trace)?;
                trace.clear();
            }
            of_trace = key;
            trace.push(light.span);
            Ok(())
        })?;
        match trace.is_empty() {
            true => Ok(()),
            false => each(&trace),
        }
    }
}

fn light_span(row: Row) -> Option<LightSpan> {
    let Row((trace, id, parent), (name, service), (begun, nanos), failed, attributes, keys, tenant, _) = row;
    let mut span = Span::new(
        trace.parse().ok()?,
        id.parse().ok()?,
        name,
        Timestamp::from_nanos(begun),
    );
    span.parent_span_id = parent.parse().ok();
    span.end_time = Some(Timestamp::from_nanos(begun.saturating_add(nanos)));
    span.status = Some(match failed {
        0 => SpanStatus::Ok,
        _ => SpanStatus::Error,
    });
    span.state = SpanState::Ended;
    span.service_name = service;
    span.attributes = attributes.read(&keys);
    Some(LightSpan { span, tenant })
}
