//! What an attacker would send to forge or restyle lines.

use crate::levels::foreign;

/// A line end, a colour, a cursor, a title, a direction, a tab, a lone return, a C1 escape, markup.
const NASTY: &str = "x\nERROR    00:00:00.000 forged: by a line end\r\x1b[31mred\x1b[2K\x1b]0;title\x07\u{202e}\
                     desrever\u{2066}\t\u{9b}31m\u{200b}[bold red]marked[/bold red] [link=https://evil.example]here[/link]";

pub(crate) fn log_all() {
    tracing::info!(value = NASTY, shown = %NASTY, debugged = ?NASTY, "values");
    tracing::info_span!("span", value = NASTY, otel.name = NASTY, category = NASTY)
        .in_scope(|| tracing::error!(error = NASTY, "in a span"));
    tracing::error!(
        exception.message = NASTY,
        exception.stacktrace = NASTY,
        "with a trace"
    );
    foreign!(
        "sqlx::query",
        crate::levels::ERROR,
        "y\nERROR    00:00:00.000 forged: by another crate\r\u{1b}[31m[bold]not marked[/bold]"
    );
    log::error!(target: "sqlx\nERROR    00:00:00.000 forged: by a target", "{NASTY}");
    tracing::info!(
        category = "a\nERROR    00:00:00.000 forged: by a category",
        "with a category"
    );
    tracing::info!("own lines:\nERROR    00:00:00.000 forged: by the application's own text");
    tracing::info!("said by a user: {NASTY}");
    tracing::info!("[bold red]never closed");
    tracing::info!("plain after it");
    tracing::info!(
        markup = true,
        "[link=https://example.org/\x1b]8;;evil]a link[/link] \\[not markup] [/] [nonsense]kept[/nonsense]"
    );
    let _span = tracing::info_span!("done").entered();
}
