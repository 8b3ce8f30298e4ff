//! `spanscope import FILE`: takes in what another program recorded.

use anyhow::Result;
use serde_json::json;
use spanscope_sqlite::SqliteStore;

use super::store::StoreFile;
use crate::args::ImportArgs;
use crate::output::Output;
use crate::progress;
use crate::render::text::count;

pub(super) fn run(file: &StoreFile, args: &ImportArgs) -> Result<()> {
    let out = Output::new(&args.output);
    let target = file.path()?;
    let bar = progress::bar("records");
    let imported = SqliteStore::import(&target, &args.file, |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let imported = imported?;
    let answer = json!({
        "traces": imported.traces,
        "spans": imported.spans,
        "events": imported.events,
        "points": imported.points,
        "skipped": imported.skipped,
    });
    out.one(&answer, || {
        format!(
            "imported {}, {}, {} and {}; {} passed over\n",
            count(imported.traces, "trace"),
            count(imported.spans, "span"),
            count(imported.events, "event"),
            count(imported.points, "measurement"),
            count(imported.skipped, "record"),
        )
    })
}
