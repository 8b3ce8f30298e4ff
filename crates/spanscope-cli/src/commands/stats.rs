//! `spanscope stats`: size, counts and losses of the store, or durations by span name.

use anyhow::Result;
use spanscope_model::{Account, DropCounts, NameStats, StoreStats, block_on};

use super::store::Location;
use crate::args::{StatsArgs, StatsBy};
use crate::failure::Stop;
use crate::output::Output;
use crate::render::colour::Paint;
use crate::render::duration::format_ms;
use crate::render::pairs::pairs;
use crate::render::table::{Cell, Column, painted, table};
use crate::render::text::{bytes, grouped};
use crate::render::time;
use crate::resolve::range;

pub(super) fn run(location: &Location, args: &StatsArgs) -> Result<()> {
    let out = Output::new(&args.output);
    let (since, until) = range(args.since.as_deref(), args.until.as_deref(), &out.zone)?;
    let store = location.open()?;
    match args.by {
        Some(StatsBy::Name) => {
            let names = block_on(store.name_statistics(since, until))?;
            out.list(&names, || by_name(&out, &names))?;
            if names.is_empty() {
                return Err(Stop::nothing("no span has ended"));
            }
            Ok(())
        }
        None => {
            let stats = block_on(store.statistics())?;
            let place = location.place()?.to_string();
            out.one(&stats, || overview(&out, place, &stats))
        }
    }
}

fn overview(out: &Output, place: String, stats: &StoreStats) -> String {
    let moment = |time: Option<_>| time.map_or_else(|| "-".to_owned(), |time| time::full(time, &out.zone));
    let mut rows = Vec::new();
    match &stats.file {
        Some(file) => rows.extend([
            ("file", place),
            (
                "size",
                format!(
                    "{} ({} free), log {}",
                    bytes(file.bytes),
                    bytes(file.free_bytes),
                    bytes(file.wal_bytes)
                ),
            ),
        ]),
        None => rows.extend([("store", place), ("size", bytes(stats.bytes))]),
    }
    rows.extend([
        ("traces", grouped(stats.traces)),
        ("spans", grouped(stats.spans)),
        ("events", grouped(stats.events)),
        ("points", grouped(stats.points)),
        ("oldest", moment(stats.oldest)),
        ("newest", moment(stats.newest)),
    ]);
    rows.extend(
        stats
            .account
            .as_ref()
            .map(|account| ("records", records(account))),
    );
    let mut text = pairs(out, &rows);
    let dropped = stats.account.as_ref().map(|account| &account.dropped);
    if let Some(dropped) = dropped.filter(|dropped| dropped.total() > 0) {
        text.push_str(&pairs(out, &[("dropped", causes(dropped))]));
    }
    if !stats.services.is_empty() {
        let columns = [
            ("service", Column::Text),
            ("spans", Column::Number),
            ("errors", Column::Number),
        ];
        let rows = stats.services.iter().map(|service| {
            let name = match service.service_name.as_str() {
                "" => painted(Paint::Dim, "(none)"),
                name => name.into(),
            };
            vec![name, grouped(service.spans).into(), errors(service.errors)]
        });
        text.push('\n');
        text.push_str(&table(out, &columns, rows.collect()));
    }
    text
}

fn records(account: &Account) -> String {
    let dropped = account.dropped.total();
    let pending = account
        .offered
        .saturating_sub(account.stored)
        .saturating_sub(dropped)
        .saturating_sub(account.lost);
    let mut text = format!(
        "{} offered = {} stored + {} dropped",
        grouped(account.offered),
        grouped(account.stored),
        grouped(dropped)
    );
    if account.lost > 0 {
        text.push_str(&format!(
            " + {} lost when their process died",
            grouped(account.lost)
        ));
    }
    if pending > 0 {
        text.push_str(&format!(" + {} on their way", grouped(pending)));
    }
    text
}

fn causes(dropped: &DropCounts) -> String {
    let causes = [
        ("queue full", dropped.queue_full),
        ("write failed", dropped.write_failed),
        ("after shutdown", dropped.shutdown),
        ("by the tail rule", dropped.sampled),
    ];
    let causes = causes.into_iter().filter(|(_, records)| *records > 0);
    let causes: Vec<_> = causes
        .map(|(cause, records)| format!("{cause} {}", grouped(records)))
        .collect();
    causes.join(", ")
}

fn by_name(out: &Output, names: &[NameStats]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let columns = [
        ("name", Column::Text),
        ("count", Column::Number),
        ("errors", Column::Number),
        ("p50", Column::Number),
        ("p95", Column::Number),
        ("p99", Column::Number),
        ("total", Column::Number),
    ];
    let rows = names.iter().map(|name| {
        vec![
            name.name.as_str().into(),
            grouped(name.count).into(),
            errors(name.errors),
            format_ms(name.p50_ms).into(),
            format_ms(name.p95_ms).into(),
            format_ms(name.p99_ms).into(),
            format_ms(name.total_ms).into(),
        ]
    });
    table(out, &columns, rows.collect())
}

fn errors(number: u64) -> Cell {
    if number > 0 {
        painted(Paint::Bad, grouped(number))
    } else {
        "0".into()
    }
}
