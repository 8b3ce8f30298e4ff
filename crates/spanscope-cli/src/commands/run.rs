//! `spanscope run ID`: what an agent did for one request.

use std::thread::sleep;
use std::time::Instant;

use anyhow::Result;
use serde_json::{Map, Value};
use spanscope_model::{
    Cursor, IdMatch, RunInfo, RunRange, RunStatus, StoreError, Timestamp, TraceStore, block_on, block_on_for,
};
use spanscope_runs::{DetailLevel, FollowStep, Follower, Run, RunEvent, TraceFormat as Shape, format_event};

use super::ids::{LAST, resolve_id};
use super::runs::{newest_id, recent_ids, status_paint};
use super::store::Location;
use crate::args::{Format, RunArgs};
use crate::failure::Stop;
use crate::output::{Output, json_line};
use crate::remark::remark;
use crate::render::analysis::{analysis, summary};
use crate::render::colour::Paint;
use crate::render::duration::format_ms;
use crate::render::json::millis;
use crate::render::text::{fit, wrap};
use crate::render::time;
use crate::render::timeline::Timeline;

/// Maximum number of candidates that are named for an ambiguous id.
const MAX_NAMED: usize = 5;

pub(super) fn run(location: &Location, args: &RunArgs) -> Result<()> {
    let out = Output::new(&args.output);
    let store = location.open()?;
    let id = resolve(&*store, args.id.trim())?;
    let mut parts = Parts::asked_for(args).unwrap_or(Parts::ALL);
    if args.follow {
        follow(&out, &*store, &id, args)?;
        // The events are already shown.
        match out.format {
            Format::Jsonl => return Ok(()),
            Format::Table => {
                parts = Parts::asked_for(args).unwrap_or(Parts::SUMMARY);
                parts.timeline = false;
                if !(parts.summary || parts.analysis) {
                    return Ok(());
                }
                out.print("\n")?;
            }
            Format::Json => {}
        }
    }
    let records = block_on(store.run_records(id, RunRange::ALL))?;
    let run = Run::of(&records);
    match out.format {
        Format::Table => {
            let head = if args.follow {
                String::new()
            } else {
                head(&out, &run)
            };
            out.print(&shown(&out, &run, args, parts, head))?;
            if run.status() == RunStatus::Running && !args.follow {
                remark("the run is not over; --follow shows further events");
            }
            Ok(())
        }
        Format::Jsonl if parts.timeline => {
            let events = run.events(args.level);
            out.print(&event_lines(&events, args.level)?)
        }
        Format::Json | Format::Jsonl => out.one(&document(&run, args.level, parts)?, String::new),
    }
}

/// The parts of a run to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parts {
    timeline: bool,
    summary: bool,
    analysis: bool,
}

impl Parts {
    const ALL: Self = Self {
        timeline: true,
        summary: true,
        analysis: true,
    };
    const SUMMARY: Self = Self {
        timeline: false,
        summary: true,
        analysis: false,
    };

    /// Returns `None` without any flag.
    fn asked_for(args: &RunArgs) -> Option<Self> {
        let asked = Self {
            timeline: args.timeline,
            summary: args.summary,
            analysis: args.analysis,
        };
        (asked.timeline || asked.summary || asked.analysis).then_some(asked)
    }
}

/// Returns the id by which the store knows the run. `id` is `last`, a task id or a prefix of one,
/// or the id of one of its traces or spans or a prefix of it.
fn resolve(store: &dyn TraceStore, id: &str) -> Result<String> {
    if id.is_empty() {
        return Err(Stop::usage(
            "an empty id names no run; `spanscope runs` lists them",
        ));
    }
    if id.eq_ignore_ascii_case(LAST) {
        return newest_id(store);
    }
    // Only checks that it exists.
    let no_records = RunRange::ALL.upto(Cursor::default()).limit(1);
    let unknown = match block_on(store.run_records(id.to_owned(), no_records)) {
        Ok(_) => return Ok(id.to_owned()),
        Err(error) if error.is_not_found() => error,
        Err(error) => return Err(error.into()),
    };
    let mut candidates = recent_ids(store)?;
    candidates.retain(|candidate| candidate.starts_with(id));
    match candidates.as_slice() {
        [] => {}
        [one] => return Ok(one.clone()),
        several => return Err(ambiguous(id, several)),
    }
    match resolve_id(store, id) {
        Ok(IdMatch::Trace(trace) | IdMatch::Span(trace, _)) => Ok(trace.to_string()),
        // An id that can't be a prefix of a trace's id is reported as an unknown task.
        Err(error) => match could_be_trace(id) && !is_not_found(&error) {
            true => Err(error),
            false => Err(unknown.into()),
        },
    }
}

fn ambiguous(id: &str, candidates: &[String]) -> anyhow::Error {
    let mut named: Vec<String> = candidates
        .iter()
        .take(MAX_NAMED)
        .map(|candidate| fit(candidate, 80))
        .collect();
    if candidates.len() > MAX_NAMED {
        named.push(format!("{} more", candidates.len() - MAX_NAMED));
    }
    Stop::usage(format!(
        "{id:?} is the beginning of several runs: {}; give more of it",
        named.join(", ")
    ))
}

fn could_be_trace(id: &str) -> bool {
    id.len() >= 4 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_not_found(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<StoreError>()
        .is_some_and(StoreError::is_not_found)
}

/// Formats the selected parts of the run for people.
fn shown(out: &Output, run: &Run<'_>, args: &RunArgs, parts: Parts, head: String) -> String {
    let level = args.level;
    let mut blocks = vec![head];
    if parts.timeline {
        // A step's depth depends on its ancestors, whether they are shown or not.
        blocks.push(Timeline::whole(
            out,
            level,
            args.plain,
            &run.events(DetailLevel::Debug),
        ));
    }
    if parts.summary {
        blocks.push(summary(out, &run.summary(level), level));
    }
    if parts.analysis {
        blocks.push(analysis(out, &run.analysis()));
    }
    blocks.retain(|block| !block.is_empty());
    blocks.join("\n")
}

/// Formats the run's id and its outcome.
fn head(out: &Output, run: &Run<'_>) -> String {
    let end = run.completed_at().unwrap_or_else(Timestamp::now);
    let length = millis(run.started_at(), end);
    head_of(
        out,
        run.info(),
        run.status(),
        run.started_at(),
        Some(format_ms(length)),
    )
}

fn head_of(
    out: &Output,
    info: &RunInfo,
    status: RunStatus,
    began: Timestamp,
    length: Option<String>,
) -> String {
    let mut text = String::new();
    for line in wrap(&format!("run {}", info.task_id), out.width) {
        text.push_str(&Paint::Title.on(out.colour, &line));
        text.push('\n');
    }
    let who = match info.agent_id.as_str() {
        "" => &info.name,
        agent => agent,
    };
    let mut details = Vec::new();
    details.extend((!who.is_empty()).then(|| who.to_owned()));
    details.extend(length);
    details.push(time::full(began, &out.zone));
    let room = out.width.saturating_sub(status.as_str().len() + 2);
    let details = Paint::Dim.on(out.colour, &fit(&details.join(", "), room));
    let status = status_paint(status).on(out.colour, status.as_str());
    text.push_str(&format!("{status}, {details}\n"));

    let mut owners = Vec::new();
    for (what, who) in [("session", &info.session_id), ("user", &info.user_id)] {
        owners.extend((!who.is_empty()).then(|| format!("{what} {who}")));
    }
    if !owners.is_empty() {
        for line in wrap(&owners.join(", "), out.width) {
            text.push_str(&format!("{}\n", Paint::Dim.on(out.colour, &line)));
        }
    }
    text
}

/// Formats the selected parts of the run as JSON.
fn document(run: &Run<'_>, level: DetailLevel, parts: Parts) -> Result<Map<String, Value>> {
    let mut document = match run.session(Shape::Detailed, level) {
        Value::Object(document) => document,
        _ => Map::new(),
    };
    let duration = run.completed_at().map(|end| millis(run.started_at(), end));
    document.insert("duration_ms".to_owned(), duration.into());
    for key in ["events", "llm_calls", "retrievals", "tool_calls"] {
        let steps = document.get_mut(key).and_then(Value::as_array_mut);
        steps.into_iter().flatten().for_each(add_duration);
    }
    if !parts.timeline {
        for key in ["events", "llm_calls", "retrievals", "tool_calls"] {
            document.remove(key);
        }
    }
    if !parts.summary {
        document.remove("summary");
    }
    if parts.analysis {
        document.insert("analysis".to_owned(), serde_json::to_value(run.analysis())?);
    }
    Ok(document)
}

fn event_lines(events: &[RunEvent], level: DetailLevel) -> Result<String> {
    let shown = events.iter().filter(|event| level.shows(event.event_type));
    let lines = shown.map(|event| {
        let mut shown = format_event(event, Shape::Streaming, level);
        add_duration(&mut shown);
        json_line(&shown)
    });
    lines.collect()
}

/// Adds `duration_ms`, which the JSON of all commands has, to a step with a duration.
fn add_duration(step: &mut Value) {
    let seconds = step.get("elapsed_time").and_then(Value::as_f64);
    // Seconds have six decimals; rounding removes the errors of the multiplication.
    let ms = seconds.map(|seconds| Value::from((seconds * 1e6).round() / 1e3));
    let ms = ms.or_else(|| step.pointer("/timing/elapsed_ms").cloned());
    let ms = ms.or_else(|| step.get("latency_ms").cloned());
    if let (Some(ms), Some(step)) = (ms, step.as_object_mut()) {
        step.insert("duration_ms".to_owned(), ms);
    }
}

/// Shows events until the run is over.
fn follow(out: &Output, store: &dyn TraceStore, id: &str, args: &RunArgs) -> Result<()> {
    let level = args.level;
    let mut timeline = Timeline::live(out, level, args.plain);
    let mut show = |events: &[RunEvent]| -> Result<()> {
        let text = match out.format {
            Format::Table => timeline.next(events),
            Format::Jsonl => event_lines(events, level)?,
            // JSON is a single document, which is printed when the run is over.
            Format::Json => return Ok(()),
        };
        if text.is_empty() { Ok(()) } else { out.print(&text) }
    };
    let began = Instant::now();
    let mut follower = Follower::default();
    let mut is_first = true;
    let mut seen = 0;
    loop {
        let records = match block_on(store.run_records(id.to_owned(), follower.range(None))) {
            Ok(records) => records,
            Err(error) => {
                let Some(pause) = follower.retry_after(&error) else {
                    return Err(error.into());
                };
                sleep(pause);
                continue;
            }
        };
        let events = follower.read(&records, began.elapsed());
        if is_first && out.format == Format::Table {
            let info = &records.info;
            let status = follower.status(&records);
            out.print(&format!(
                "{}\n",
                head_of(out, info, status, info.created_at, None)
            ))?;
        }
        is_first = false;
        show(&events)?;
        match follower.step(&records, Timestamp::now(), began.elapsed()) {
            FollowStep::ReadMore => {}
            FollowStep::Wait(wait) => {
                if let Some(change) = block_on_for(store.wait_for_change(seen), wait) {
                    seen = change?;
                }
            }
            FollowStep::Finished(status) => {
                let head = follower.output_span_to_read(&records);
                let head = head.and_then(|(trace, span)| block_on(store.get_span(trace, span)).ok());
                return show(&[follower.finish(records, status, head)]);
            }
        }
    }
}
