//! `spanscope logs`: what programs said.

use anyhow::Result;
use spanscope_model::{LogFilter, block_on};

use super::store::StoreFile;
use crate::args::LogsArgs;
use crate::failure::Stop;
use crate::output::Output;
use crate::render::line::EntryLines;
use crate::resolve::{severity, since};

pub(super) fn run(file: &StoreFile, args: &LogsArgs) -> Result<()> {
    let out = Output::new(&args.output);
    let filter = LogFilter {
        min_severity: args.severity.as_deref().map(severity).transpose()?,
        since: args
            .since
            .as_deref()
            .map(|text| since(text, &out.zone))
            .transpose()?,
        grep: args.grep.clone(),
        limit: args.limit,
        ..LogFilter::default()
    };
    let events = block_on(file.open()?.list_logs(filter))?;
    out.list(&events, || {
        let mut lines = EntryLines::new(&out, true);
        let mut text = String::new();
        for event in &events {
            lines.event(event, &mut text);
        }
        text
    })?;
    if events.is_empty() {
        return Err(Stop::nothing("no event matches"));
    }
    Ok(())
}
