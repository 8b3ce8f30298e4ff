//! `spanscope cleanup`: deletes old traces and measurements.

use anyhow::Result;
use serde_json::json;
use spanscope_sqlite::SqliteStore;

use super::store::Location;
use crate::args::CleanupArgs;
use crate::output::Output;
use crate::render::text::count;
use crate::resolve::age;

pub(super) fn run(location: &Location, args: &CleanupArgs) -> Result<()> {
    let out = Output::new(&args.output);
    let deleted = SqliteStore::cleanup(location.path()?, age(&args.older_than)?, args.dry_run)?;
    let answer = json!({
        "traces": deleted.traces,
        "spans": deleted.spans,
        "events": deleted.events,
        "points": deleted.points,
        "dry_run": args.dry_run,
    });
    out.one(&answer, || {
        format!(
            "{} {}, {}, {} and {}\n",
            if args.dry_run { "would delete" } else { "deleted" },
            count(deleted.traces, "trace"),
            count(deleted.spans, "span"),
            count(deleted.events, "event"),
            count(deleted.points, "measurement"),
        )
    })
}
