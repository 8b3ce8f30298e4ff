//! Formats a whole run as RAGFlow's agent trace API does.
//!
//! `json!` copies its values, so large ones are inserted separately.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};
use spanscope_model::text::visible;

use crate::format::{clock, compact, cut_text, format_cow, rounded};
use crate::step::seconds;
use crate::{DetailLevel, Run, RunEvent, TraceFormat, calls};

impl Run<'_> {
    /// Returns the whole run as JSON, in one of the formats of RAGFlow's agent trace API.
    #[must_use]
    pub fn session(&self, format: TraceFormat, level: DetailLevel) -> Json {
        of(self, format, level)
    }
}

fn of(run: &Run<'_>, format: TraceFormat, level: DetailLevel) -> Json {
    let mut session = match format {
        TraceFormat::Streaming => streaming(run, level),
        TraceFormat::Compact => compact_session(run, level),
        TraceFormat::Detailed => detailed(run, level),
    };
    if let Some(error) = run.error() {
        let error = match level {
            DetailLevel::Debug => error.to_owned(),
            _ => cut_text(error, 2000),
        };
        session.insert("error".into(), error.into());
    }
    Json::Object(session)
}

fn streaming(run: &Run<'_>, level: DetailLevel) -> Map<String, Json> {
    let info = run.info();
    let mut session = object(json!({
        "task_id": info.task_id,
        "session_id": info.session_id,
        "agent_id": info.agent_id,
        "user_id": info.user_id,
        "tenant_id": info.tenant_id,
        "trace_id": info.trace_id,
        "status": run.status(),
        "started_at": run.started_at(),
        "completed_at": run.completed_at(),
        "total_elapsed_time": total_seconds(run),
        "summary": run.summary(level),
    }));
    session.insert("events".into(), events(run, TraceFormat::Streaming, level));
    session
}

fn compact_session(run: &Run<'_>, level: DetailLevel) -> Map<String, Json> {
    let summary = run.summary(level);
    let shown: Vec<&RunEvent> = run
        .outline()
        .iter()
        .filter(|event| level.shows(event.event_type))
        .collect();
    let timeline: Vec<Json> = shown.iter().map(|event| compact(event, level)).collect();
    let text_timeline: Vec<String> = shown.iter().map(|event| line(event)).collect();
    object(json!({
        "task_id": run.info().task_id,
        "session_id": run.info().session_id,
        "status": run.status(),
        "duration_s": total_seconds(run),
        "nodes": summary.nodes_executed,
        "llm_calls": summary.total_llm_calls,
        "retrievals": summary.total_retrievals,
        "tool_calls": summary.total_tool_calls,
        "tokens": summary.total_tokens,
        "errors": summary.errors_count,
        "timeline": timeline,
        "text_timeline": text_timeline,
    }))
}

fn detailed(run: &Run<'_>, level: DetailLevel) -> Map<String, Json> {
    let info = run.info();
    let steps = run.steps();
    let services: BTreeSet<&str> = steps.iter().map(|(_, span)| span.service_name.as_str()).collect();
    let services: Vec<&str> = services
        .into_iter()
        .filter(|service| !service.is_empty())
        .collect();
    let mut session = object(json!({
        "task_id": info.task_id,
        "session_id": info.session_id,
        "metadata": {
            "agent_id": info.agent_id,
            "session_id": info.session_id,
            "user_id": info.user_id,
            "tenant_id": info.tenant_id,
            "trace_level": info.trace_level,
            "created_at": info.created_at,
            "traces": run.records().traces,
            "services": services,
        },
        "status": run.status(),
        "timing": {
            "started_at": run.started_at(),
            "completed_at": run.completed_at(),
            "total_elapsed_seconds": total_seconds(run),
        },
        "summary": run.summary(level),
    }));
    session.insert("events".into(), events(run, TraceFormat::Detailed, level));
    if level >= DetailLevel::Detailed {
        session.insert("llm_calls".into(), calls::llm_calls(run, level));
    }
    if level >= DetailLevel::Standard {
        session.insert("retrievals".into(), calls::retrievals(run, level));
        session.insert("tool_calls".into(), calls::tool_calls(run, level));
    }
    session
}

fn events(run: &Run<'_>, format: TraceFormat, level: DetailLevel) -> Json {
    let events = run.events(level).into_iter();
    events
        .map(|event| format_cow(Cow::Owned(event), format, level))
        .collect()
}

/// Returns an event as a line of text. Names are escaped, because programs may use any characters.
fn line(event: &RunEvent) -> String {
    const MAX_ERROR: usize = 100;
    let name = visible(&event.component_name);
    let mut line = format!(
        "{} {} {} [{}]",
        clock(event.timestamp, false),
        event.event_type.icon(),
        event.event_type,
        cut_text(&name, MAX_ERROR),
    );
    if let Some(elapsed) = event.elapsed_time {
        line.push_str(&format!(" ({:.0}ms)", elapsed * 1e3));
    }
    if let Some(error) = &event.error {
        line.push_str(" ERROR: ");
        line.push_str(&visible(&cut_text(error, MAX_ERROR)));
    }
    line
}

fn total_seconds(run: &Run<'_>) -> Json {
    rounded(seconds(run.nanos()), 3)
}

fn object(value: Json) -> Map<String, Json> {
    match value {
        Json::Object(object) => object,
        _ => Map::new(),
    }
}
