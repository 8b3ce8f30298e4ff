//! `spanscope runs`: lists the runs of agents.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use spanscope_model::{RunFilter, RunInfo, RunStatus, TraceStore, block_on};

use super::store::Location;
use crate::args::{Format, RunsArgs};
use crate::failure::Stop;
use crate::output::Output;
use crate::remark::remark;
use crate::render::colour::Paint;
use crate::render::duration::format_ms;
use crate::render::json::{RunJson, millis};
use crate::render::table::{Column, painted, table};
use crate::render::text::{count, fit, grouped, visible, width};
use crate::render::time;
use crate::resolve::range;

/// A prefix of a task id is looked up in this number of newest runs only.
const RECENT: u64 = 5_000;
/// The lengths, in characters, to which task ids are truncated: the shortest at which they all
/// differ. If they differ at none of these lengths, the complete ids are shown.
const SHORT_IDS: [usize; 6] = [8, 12, 16, 20, 24, 32];
/// Spaces between columns.
const GAP: usize = 2;
/// The minimum width of the column of agents.
const AGENT: usize = 10;
/// The minimum width of the column of sessions. Without room for it the column is omitted: a few
/// characters of an id are useless.
const SESSION: usize = 12;

pub(super) fn run(location: &Location, args: &RunsArgs) -> Result<()> {
    let out = Output::new(&args.output);
    let (since, until) = range(args.since.as_deref(), args.until.as_deref(), &out.zone)?;
    let filter = RunFilter::default()
        .agent_id(args.agent.clone())
        .session_id(args.session.clone())
        .user_id(args.user.clone())
        .status(args.status)
        .since(since)
        .until(until)
        .limit(args.limit)
        .offset(args.offset);
    let store = location.open()?;
    let page = block_on(store.list_runs(filter))?;
    let recent = match out.format {
        Format::Table if !page.runs.is_empty() => recent_ids(&*store)?,
        _ => Vec::new(),
    };
    let answer: Vec<RunJson<'_>> = page.runs.iter().map(RunJson::of).collect();
    out.list(&answer, || rows(&out, &recent, &page.runs))?;
    let shown = u64::try_from(page.runs.len()).unwrap_or(u64::MAX);
    let upto = args.offset.saturating_add(shown);
    if shown == 0 {
        return Err(Stop::nothing(match page.total {
            0 => "no run matches".to_owned(),
            total if args.limit == 0 => format!("--limit 0 shows no run: {} in all", count(total, "run")),
            total => format!(
                "--offset {} is past the end: {} in all",
                args.offset,
                count(total, "run")
            ),
        }));
    }
    if upto < page.total {
        let total = count(page.total, "run");
        remark(format_args!(
            "{} of {total}; --offset {upto} for more",
            grouped(shown)
        ));
    }
    Ok(())
}

/// Returns the task ids of the newest runs, each once.
pub(super) fn recent_ids(store: &dyn TraceStore) -> Result<Vec<String>> {
    let page = block_on(store.list_runs(RunFilter::default().limit(RECENT)))?;
    let mut seen = HashSet::new();
    let mut ids: Vec<String> = page.runs.into_iter().map(|run| run.task_id).collect();
    // Two tenants may use the same task id.
    ids.retain(|id| seen.insert(id.clone()));
    Ok(ids)
}

/// Returns the task id of the run that started last.
pub(super) fn newest_id(store: &dyn TraceStore) -> Result<String> {
    let page = block_on(store.list_runs(RunFilter::default().limit(1)))?;
    page.runs
        .into_iter()
        .next()
        .map(|run| run.task_id)
        .ok_or_else(|| Stop::nothing("no run is stored: run an agent that records one, or `spanscope demo`"))
}

fn rows(out: &Output, recent: &[String], runs: &[RunInfo]) -> String {
    if runs.is_empty() {
        return String::new();
    }
    let ids = short_ids(recent, runs);
    let columns = [
        ("when", Column::Fixed),
        ("run", Column::Fixed),
        ("agent", Column::Text),
        ("status", Column::Fixed),
        ("duration", Column::Number),
        ("spans", Column::Number),
        ("errors", Column::Number),
        ("session", Column::Text),
    ];
    let rows: Vec<Vec<String>> = runs
        .iter()
        .zip(ids)
        .map(|(run, id)| {
            vec![
                time::seconds(run.created_at, &out.zone),
                id,
                agent(run),
                run.status.as_str().to_owned(),
                duration(run),
                grouped(run.span_count),
                grouped(run.error_count),
                run.session_id.clone(),
            ]
        })
        .collect();
    // Ids, agents and sessions are truncated here, to the width that the other columns and the gaps
    // leave.
    let widest = |at: usize| {
        let cells = rows.iter().map(|row| width(&fit(&row[at], out.width)));
        cells.chain([width(columns[at].0)]).max().unwrap_or(0)
    };
    let fixed: usize = [0, 3, 4, 5, 6].into_iter().map(|at| widest(at) + GAP).sum();
    let (id, agent, session) = (widest(1), widest(2), widest(7));
    let left = out.width.saturating_sub(fixed + GAP);
    let is_narrow = left < SHORT_IDS[0] + AGENT;
    let id = id.min(left.saturating_sub(agent.min(AGENT)));
    let left = left.saturating_sub(id);
    let has_session = runs.iter().any(|run| !run.session_id.is_empty());
    let shows_session = has_session && left >= agent.min(AGENT) + GAP + session.min(SESSION);
    let (id, agent, session) = match shows_session {
        // The table then shows each row as a block.
        _ if is_narrow => (out.width, out.width, out.width),
        true => {
            let agent = agent.min(left.saturating_sub(GAP + session).max(AGENT));
            (id, agent, left.saturating_sub(agent + GAP))
        }
        false => (id, agent.min(left), 0),
    };
    let shows_session = shows_session || is_narrow;
    let columns = &columns[..columns.len() - usize::from(!shows_session)];
    let rows = rows.into_iter().zip(runs).map(|(row, run)| {
        let cells = row.into_iter().take(columns.len()).enumerate();
        let cells = cells.map(|(at, text)| match at {
            1 => painted(Paint::Accent, end_of(&text, id)),
            2 => fit(&text, agent).into(),
            3 => painted(status_paint(run.status), text),
            4 if text == "-" => painted(Paint::Dim, text),
            6 if run.error_count > 0 => painted(Paint::Bad, text),
            7 => fit(&text, session).into(),
            _ => text.into(),
        });
        cells.collect()
    });
    table(out, columns, rows.collect())
}

/// Returns the task ids, truncated as far as each remains unambiguous.
fn short_ids(recent: &[String], runs: &[RunInfo]) -> Vec<String> {
    let cut = |id: &str, characters: usize| id.chars().take(characters).collect::<String>();
    let all = recent.iter().chain(runs.iter().map(|run| &run.task_id));
    let all: HashSet<&str> = all.map(String::as_str).collect();
    let distinguishes = |characters: &usize| {
        let mut times: HashMap<String, u32> = HashMap::new();
        for id in &all {
            *times.entry(cut(id, *characters)).or_default() += 1;
        }
        runs.iter()
            .all(|run| times.get(&cut(&run.task_id, *characters)) == Some(&1))
    };
    let characters = SHORT_IDS.into_iter().find(distinguishes).unwrap_or(usize::MAX);
    runs.iter().map(|run| cut(&run.task_id, characters)).collect()
}

/// Cuts off the beginning of an id that is too wide, because long ids often share their beginning.
fn end_of(id: &str, columns: usize) -> String {
    let id = visible(id);
    if width(&id) <= columns {
        return id.into_owned();
    }
    let fits = |(at, _): &(usize, char)| width(&id[*at..]) < columns;
    let kept = id.char_indices().rev().take_while(fits);
    let begin = kept.last().map_or(id.len(), |(at, _)| at);
    format!("…{}", &id[begin..])
}

/// Returns the agent's id or name. If the run has neither, returns the name of its root span in
/// parentheses.
fn agent(run: &RunInfo) -> String {
    match run.agent_id.as_str() {
        "" => format!("({})", run.name),
        agent => agent.to_owned(),
    }
}

fn duration(run: &RunInfo) -> String {
    run.completed_at
        .map_or_else(|| "-".to_owned(), |end| format_ms(millis(run.created_at, end)))
}

pub(super) fn status_paint(status: RunStatus) -> Paint {
    match status {
        RunStatus::Completed => Paint::Good,
        RunStatus::Failed => Paint::Bad,
        RunStatus::Running | RunStatus::Abandoned => Paint::Warn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_id_keeps_the_end_that_distinguishes_it() {
        assert_eq!(end_of("task-18ea3d51", 16), "task-18ea3d51");
        assert_eq!(end_of("conversation-2026-05999", 12), "…-2026-05999");
        assert_eq!(end_of("conversation-\u{202e}日本語", 6), "…本語");
    }
}
