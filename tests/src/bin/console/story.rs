//! A small run of an agent: spans, a message with markup, an error with its cause, a long line.

use std::fmt;

#[derive(Debug)]
struct ToolError(Refused);

#[derive(Debug)]
struct Refused;

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tool `search` failed")
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connection refused by search.example.org")
    }
}

impl std::error::Error for Refused {}

impl std::error::Error for ToolError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

pub(crate) fn log_all() {
    let _run = tracing::info_span!("agent_run", session = "abc-1", steps = 2).entered();
    tracing::info!(
        model = "tiny",
        markup = true,
        "planning [bold red]the answer[/bold red], see [link=https://example.org/plan]the plan[/link]"
    );
    tracing::info_span!("call_tool", tool = "search").in_scope(|| {
        let error = ToolError(Refused);
        tracing::error!(error = &error as &(dyn std::error::Error + 'static), "no result");
    });
    tracing::info!(numbers = ?(0..40).collect::<Vec<u32>>(), "{}", "all of these words ".repeat(20));
}

/// Begins a span that never ends.
pub(crate) fn begin() {
    let span = tracing::info_span!("left open");
    span.in_scope(|| tracing::info!("said in it"));
    std::mem::forget(span);
}
