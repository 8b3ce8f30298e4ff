//! Agent runs: the list of them, and the records of one.
//!
//! A collector's tables have no rows of runs, so runs are found among the spans that may say
//! something about one. Windows go back in time until a page is full. The total of a list over more
//! spans than [`MAX_EXACT`] is an estimate, because an exact one would read them all for each page.
//! There a run shows what it did from an hour before the window on.

mod parts;
mod records;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use spanscope_model::semconv::{SemanticAttribute as A, names_of};
use spanscope_model::text::first_chars;
use spanscope_model::{
    RunFilter, RunInfo, RunPage, RunStatus, StoreError, Timestamp, TraceId, TraceOverview, TraceRun,
    TraceSummary,
};

use self::parts::{Ancestors, Part, merged, needs_ancestors, of_any_trace, of_trace};
use crate::light::{LightSpan, Wanted};
use crate::reader::{MARGIN, Reader, Window};
use crate::spans::Detail;
use crate::sql::{Sql, joined};
use crate::usage;

/// Up to this number of spans in a store all runs are counted.
const MAX_EXACT: u64 = 500_000;
/// Traces of which spans are read at once.
const BATCH: usize = 200;
/// Traces of one task that are returned, the newest ones.
const MAX_PARTS: usize = 64;

/// A stored run.
struct Found {
    info: RunInfo,
    /// Its traces, the earliest first.
    traces: Vec<TraceId>,
    is_shared: bool,
}

impl Reader {
    pub(crate) fn list_runs(&self, filter: &RunFilter) -> Result<RunPage, StoreError> {
        let wanted = usize::try_from(filter.offset.saturating_add(filter.limit)).unwrap_or(usize::MAX);
        let windows = self.windows(filter.since, filter.until)?;
        let spans: Option<(u64,)> = self.client.row(&Sql::new("SELECT count() FROM otel_traces"))?;
        let is_small = spans.is_some_and(|(spans,)| spans <= MAX_EXACT);
        let windows = match (is_small, windows.split_last()) {
            (true, Some((last, _))) => std::slice::from_ref(last),
            _ => &windows[..],
        };
        let mut page = RunPage::new(0, Vec::new());
        for window in windows {
            let found = self.runs_in(*window, filter, is_small)?;
            page.total = match window.is_last {
                true => found.len() as u64,
                false => self.estimated(*window, filter, found.len())?,
            };
            let is_full = found.len() >= wanted;
            let offset = usize::try_from(filter.offset).unwrap_or(usize::MAX);
            page.runs = found.into_iter().take(wanted).skip(offset).collect();
            if is_full {
                break;
            }
        }
        Ok(page)
    }

    /// The runs that began in a window and that the filter lets through, newest first.
    /// Of a small store their spans and traces outside of it are read, too.
    fn runs_in(
        &self,
        window: Window,
        filter: &RunFilter,
        is_small: bool,
    ) -> Result<Vec<RunInfo>, StoreError> {
        let mut inner = Sql::new("SELECT TraceId FROM otel_traces WHERE TraceId != ''")
            .add(&self.scope_of_spans())
            .push(" AND ")
            .add(&self.about_runs());
        let mut outer = Sql::default();
        if let Some(from) = window.from {
            inner = inner.push(" AND Timestamp >= ").time(Timestamp::from_nanos(from));
            if !is_small {
                let from = from.saturating_sub(MARGIN);
                outer = outer.push(" AND Timestamp >= ").time(Timestamp::from_nanos(from));
            }
        }
        if let Some(until) = filter.until {
            let until = until.as_nanos().saturating_add(MARGIN);
            inner = inner.push(" AND Timestamp < ").time(Timestamp::from_nanos(until));
        }
        let chosen = outer.push(" AND TraceId GLOBAL IN (").add(&inner).push(")");
        let mut by_task: BTreeMap<(String, String), Vec<Part>> = BTreeMap::new();
        let mut parts = self.parts_of(&chosen)?;
        if is_small && (window.from.is_some() || filter.until.is_some()) {
            let others = self.other_parts(&parts)?;
            parts.extend(others);
        }
        for part in parts {
            if !part.is_hidden {
                let key = (part.info.tenant_id.clone(), part.info.task_id.clone());
                by_task.entry(key).or_default().push(part);
            }
        }
        let mut found: Vec<(Timestamp, RunInfo)> = Vec::new();
        for mut parts in by_task.into_values() {
            parts.sort_by_key(|part| part.info.created_at);
            let Some(newest) = parts.last() else { continue };
            let start = newest.info.created_at;
            let last_end = parts.iter().map(|part| part.info.updated_at).max();
            let is_in = window.from.is_none_or(|from| start.as_nanos() >= from)
                && filter.since.is_none_or(|since| start >= since)
                && filter.until.is_none_or(|until| start < until);
            let is_alive = |alive: Timestamp| start >= alive || last_end.is_some_and(|end| end >= alive);
            let Some(info) = merged(&parts) else { continue };
            if is_in && filter.alive_since.is_none_or(is_alive) && is_wanted(&info, filter) {
                found.push((start, info));
            }
        }
        found.sort_by(|(a, one), (b, other)| b.cmp(a).then_with(|| other.trace_id.cmp(&one.trace_id)));
        Ok(found.into_iter().map(|(_, info)| info).collect())
    }

    /// The parts of the same tasks in other traces.
    fn other_parts(&self, parts: &[Part]) -> Result<Vec<Part>, StoreError> {
        let named = || parts.iter().filter(|part| part.is_named);
        let tasks: BTreeSet<&str> = named().map(|part| part.info.task_id.as_str()).collect();
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let attributes = &self.tables.traces.attributes;
        let names: Vec<Sql> = names_of(&[A::TaskId])
            .map(|name| attributes.value(name).push(" IN ").texts(&tasks))
            .collect();
        let sql = Sql::new("SELECT DISTINCT TraceId FROM otel_traces WHERE TraceId != '' AND ")
            .add(&joined(&names, " OR "))
            .add(&self.scope_of_spans());
        let known: BTreeSet<TraceId> = parts.iter().map(|part| part.info.trace_id).collect();
        let traces: Vec<(String,)> = self.client.rows(&sql)?;
        let ids = traces.iter().filter_map(|(id,)| id.parse::<TraceId>().ok());
        let ids: Vec<TraceId> = ids.filter(|id| !known.contains(id)).collect();
        let mut others = Vec::new();
        for ids in ids.chunks(BATCH) {
            let found = self.parts_of(&self.of_traces(ids)?)?.into_iter();
            others.extend(found.filter(|part| tasks.contains(part.info.task_id.as_str())));
        }
        Ok(others)
    }

    /// The number of runs of the whole time, if there are as many of them as in the window.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "an estimate"
    )]
    fn estimated(&self, window: Window, filter: &RunFilter, found: usize) -> Result<u64, StoreError> {
        let Some((oldest, newest)) = self.extent()? else {
            return Ok(0);
        };
        let upper = filter.until.map_or(newest, |until| until.as_nanos().min(newest));
        let lower = filter.since.map_or(oldest, |since| since.as_nanos().max(oldest));
        let of_window = upper.saturating_sub(window.from.unwrap_or(lower)).max(1) as f64;
        let whole = upper.saturating_sub(lower) as f64;
        Ok(((found as f64 * whole / of_window) as u64).max(found as u64 + 1))
    }

    /// The runs of the traces whose spans are chosen. Two tenants may use one trace id, which are
    /// two traces for a caller that sees both.
    fn parts_of(&self, chosen: &Sql) -> Result<Vec<Part>, StoreError> {
        let now = Timestamp::now();
        let sums: HashMap<(TraceId, String), TraceSummary> = self
            .sums_of(chosen)?
            .into_iter()
            .map(|(tenant, summary)| ((summary.trace.trace_id, tenant), summary))
            .collect();
        let key_of = |light: &LightSpan| {
            let tenant = match self.tenant {
                Some(_) => String::new(),
                None => light.tenant.clone(),
            };
            (light.span.trace_id, tenant)
        };
        let mut parts = Vec::new();
        let mut incomplete: Vec<(&TraceSummary, Vec<LightSpan>)> = Vec::new();
        let mut trace: Vec<LightSpan> = Vec::new();
        let mut finish = |trace: &mut Vec<LightSpan>| {
            if let Some(summary) = trace.first().and_then(|first| sums.get(&key_of(first))) {
                match needs_ancestors(trace) {
                    true => incomplete.push((summary, trace.clone())),
                    false => parts.extend(of_trace(trace, &Ancestors::new(), summary, now)),
                }
            }
            trace.clear();
        };
        self.each_light(Wanted::Runs, chosen, |light| {
            if trace.last().is_some_and(|last| key_of(last) != key_of(&light)) {
                finish(&mut trace);
            }
            trace.push(light);
            Ok(())
        })?;
        finish(&mut trace);
        for batch in incomplete.chunks(BATCH) {
            let ids: BTreeSet<TraceId> = batch.iter().map(|(summary, _)| summary.trace.trace_id).collect();
            let ancestors = self.ancestors_in(&Vec::from_iter(ids))?;
            for (summary, spans) in batch {
                let ancestors = ancestors
                    .get(&summary.trace.trace_id)
                    .cloned()
                    .unwrap_or_default();
                parts.extend(of_trace(spans, &ancestors, summary, now));
            }
        }
        Ok(parts)
    }

    /// The spans of these traces that say nothing about a run, as far as one is below another.
    fn ancestors_in(&self, ids: &[TraceId]) -> Result<HashMap<TraceId, Ancestors>, StoreError> {
        let sql = Sql::new("SELECT TraceId, SpanId, ParentSpanId FROM otel_traces WHERE NOT ")
            .add(&self.about_runs())
            .add(&self.of_traces(ids)?)
            .add(&self.scope_of_spans());
        let mut found: HashMap<TraceId, Ancestors> = HashMap::new();
        self.client
            .for_each(&sql, |(trace, span, parent): (String, String, String)| {
                if let (Ok(trace), Ok(span), Ok(parent)) = (trace.parse(), span.parse(), parent.parse()) {
                    found.entry(trace).or_default().insert(span, parent);
                }
                Ok(())
            })?;
        Ok(found)
    }

    /// ` AND ...` over the spans of these traces.
    fn of_traces(&self, ids: &[TraceId]) -> Result<Sql, StoreError> {
        Ok(Sql::new(" AND TraceId IN ")
            .texts(ids.iter().map(TraceId::to_string))
            .add(&self.in_time_of(ids)?))
    }

    /// Finds a run by its task id, or by the id of its trace.
    fn find_run(&self, task_id: &str) -> Result<Found, StoreError> {
        let no_run = || {
            StoreError::not_found(format!(
                "no run {:?} is stored here: give the task id of a run, or the id of a trace",
                first_chars(task_id, 80)
            ))
        };
        let attributes = &self.tables.traces.attributes;
        let names: Vec<Sql> = names_of(&[A::TaskId])
            .map(|name| attributes.is(name, task_id))
            .collect();
        let sql = Sql::new("SELECT TraceId, min(Timestamp) AS begun FROM otel_traces WHERE TraceId != ''")
            .add(&self.scope_of_spans())
            .push(" AND ")
            .add(&joined(&names, " OR "))
            .push(" GROUP BY TraceId ORDER BY begun DESC LIMIT ")
            .count(MAX_PARTS as u64);
        let traces: Vec<(String, String)> = self.client.rows(&sql)?;
        let ids: Vec<TraceId> = traces.iter().filter_map(|(id, _)| id.parse().ok()).collect();
        let mut parts = match ids.is_empty() {
            true => Vec::new(),
            false => self.parts_of(&self.of_traces(&ids)?)?,
        };
        parts.retain(|part| part.is_named && part.info.task_id == task_id);
        parts.sort_by_key(|part| part.info.created_at);
        // Two tenants may use the same task id: a caller that sees both gets the newer one.
        if let Some(tenant) = parts.last().map(|part| part.info.tenant_id.clone()) {
            parts.retain(|part| part.info.tenant_id == tenant);
        }
        if parts.is_empty() {
            let id: TraceId = task_id.to_ascii_lowercase().parse().map_err(|_| no_run())?;
            parts = self.parts_of(&self.of_traces(&[id])?)?;
            match parts.iter().filter(|part| part.is_named).count() {
                // The trace is that run.
                1 => parts.retain(|part| part.is_named),
                // All of them together are called by the trace.
                _ => parts.truncate(1),
            }
            match parts.first_mut() {
                Some(part) => {
                    if part.is_named && part.is_shared {
                        part.info.task_id = id.to_string();
                    }
                    part.is_shared = false;
                }
                None => {
                    let summary = self.summary_of(id).map_err(|error| match error.is_not_found() {
                        true => no_run(),
                        false => error,
                    })?;
                    parts.push(of_any_trace(&summary, self.tenant_in(id)?.as_str()));
                }
            }
        }
        Ok(Found {
            is_shared: parts.iter().any(|part| part.is_shared),
            traces: parts.iter().map(|part| part.info.trace_id).collect(),
            info: merged(&parts).ok_or_else(no_run)?,
        })
    }

    /// The tenant that the resource of a trace names.
    fn tenant_in(&self, id: TraceId) -> Result<String, StoreError> {
        let Some(key) = self.tenant_key() else {
            return Ok(String::new());
        };
        let sql = Sql::new("SELECT ")
            .add(&self.tables.traces.resource.value(key))
            .push(" FROM otel_traces WHERE 1")
            .add(&self.of_traces(&[id])?)
            .add(&self.scope_of_spans())
            .push(" LIMIT 1");
        let found: Option<(String,)> = self.client.row(&sql)?;
        Ok(found.map(|(tenant,)| tenant).unwrap_or_default())
    }

    /// What a list of traces shows of each, in the order of `ids`.
    pub(crate) fn overviews(&self, ids: &[TraceId]) -> Result<Vec<TraceOverview>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut spans: HashMap<TraceId, Vec<spanscope_model::Span>> = HashMap::new();
        for stored in self.spans_of(ids, Detail::default())? {
            spans
                .entry(stored.span.trace_id)
                .or_default()
                .push(stored.into_listed());
        }
        let mut runs: HashMap<TraceId, TraceRun> = HashMap::new();
        let mut parts = self.parts_of(&self.of_traces(ids)?)?;
        // Where several runs share a trace, the one that began first is shown.
        parts.retain(|part| !part.is_hidden);
        parts.sort_by_key(|part| std::cmp::Reverse(part.info.created_at));
        for part in parts {
            let info = part.info;
            let run = TraceRun::default()
                .task_id(info.task_id)
                .agent_id(info.agent_id)
                .session_id(info.session_id)
                .user_id(info.user_id);
            runs.insert(info.trace_id, run);
        }
        let mut overview = |id: &TraceId| {
            let spans = spans.get(id)?;
            let failed = spans
                .iter()
                .find(|span| span.status == Some(spanscope_model::SpanStatus::Error));
            Some(
                TraceOverview::new(*id)
                    .usage(usage::of_trace(spans))
                    .error(failed.map(|span| {
                        spanscope_model::TraceError::new(span.span_id, span.name.clone())
                            .message(spanscope_runs::error_of(span).unwrap_or_default())
                    }))
                    .run(runs.remove(id)),
            )
        };
        Ok(ids.iter().filter_map(&mut overview).collect())
    }
}

fn is_wanted(info: &RunInfo, filter: &RunFilter) -> bool {
    let is = |wanted: &Option<String>, text: &str| wanted.as_deref().is_none_or(|wanted| wanted == text);
    is(&filter.agent_id, &info.agent_id)
        && is(&filter.session_id, &info.session_id)
        && is(&filter.user_id, &info.user_id)
        && filter
            .status
            .is_none_or(|status: RunStatus| status == info.status)
}
