//! A run's statistics and analysis.

use spanscope_model::text::excerpt;
use spanscope_runs::{Analysis, BottleneckReason, DetailLevel, RunError, Summary};

use super::bar::Axis;
use super::colour::Paint;
use super::duration::format_ms;
use super::pairs::pairs;
use super::table::{Column, painted, table};
use super::text::{count, fit, grouped, width, wrap};
use super::time;
use crate::output::Output;

/// Maximum number of components and errors; JSON has all of them.
const MAX_ROWS: usize = 12;
/// Maximum length of an error in characters.
const MAX_ERROR: usize = 300;
/// The width of the critical path's bar in columns.
const BAR: usize = 13;
/// The width of a component's numbers and all gaps.
const NUMBERS: usize = 48;
/// The maximum width of types, and the minimum width of components.
const MAX_TYPE: usize = 14;
const MIN_COMPONENT: usize = 8;

/// Formats the statistics.
pub(crate) fn summary(out: &Output, summary: &Summary, level: DetailLevel) -> String {
    let mut retrievals = grouped(summary.total_retrievals);
    if summary.total_chunks_retrieved > 0 {
        let found = count(summary.total_chunks_retrieved, "chunk");
        retrievals.push_str(&format!(", {found} found"));
    }
    let mut tokens = grouped(summary.total_tokens);
    if summary.prompt_tokens > 0 || summary.completion_tokens > 0 {
        tokens = format!(
            "{} in, {} out, {tokens} together",
            grouped(summary.prompt_tokens),
            grouped(summary.completion_tokens)
        );
    }
    let mut errors = grouped(summary.errors_count);
    if summary.errors_count > 0 {
        // A failed step may report its error twice: where it was logged, and at its end.
        errors = format!("in {}", count(summary.errors_count, "event"));
    }
    let lines = [
        (
            "events",
            format!("{} at the level {level}", grouped(summary.total_events)),
        ),
        ("model calls", grouped(summary.total_llm_calls)),
        ("retrievals", retrievals),
        ("tool calls", grouped(summary.total_tool_calls)),
        ("tokens", tokens),
        ("nodes", grouped(summary.nodes_executed)),
        ("errors", errors),
    ];
    format!("{}{}", title(out, "Summary"), pairs(out, &lines))
}

/// Formats where the run spent its time, its errors, and recommendations.
pub(crate) fn analysis(out: &Output, analysis: &Analysis) -> String {
    let mut text = title(out, "Analysis");
    text.push_str(&components(out, analysis));
    if !analysis.bottlenecks.is_empty() {
        text.push_str(&heading(out, "bottlenecks"));
        for bottleneck in &analysis.bottlenecks {
            let share = format!("{} of the critical path", percent(bottleneck.critical_path_share));
            let average = format!(
                "{} on average in {}",
                format_ms(bottleneck.avg_execution_time * 1e3),
                count(bottleneck.executions, "execution"),
            );
            let why = match bottleneck.reason {
                BottleneckReason::Average => format!("{average}, {share}"),
                BottleneckReason::CriticalPath => format!("{share}, {average}"),
                BottleneckReason::Both => format!("{share}, and slow: {average}"),
            };
            let line = format!("{}: {why}", bottleneck.component);
            text.push_str(&item(out, &line, Paint::Plain));
        }
    }
    if !analysis.errors.is_empty() {
        text.push_str(&heading(out, "errors"));
        for error in analysis.errors.iter().take(out.at_most(MAX_ROWS)) {
            text.push_str(&item(out, &failure(out, error), Paint::Bad));
        }
        text.push_str(&left_out(out, analysis.errors.len(), "error"));
    }
    if !analysis.recommendations.is_empty() {
        text.push_str(&heading(out, "recommendations"));
        for advice in &analysis.recommendations {
            text.push_str(&item(out, advice, Paint::Plain));
        }
    }
    text
}

#[expect(clippy::cast_possible_truncation, reason = "a share of at most 1")]
fn components(out: &Output, analysis: &Analysis) -> String {
    if analysis.components.is_empty() {
        return String::new();
    }
    let columns = [
        ("component", Column::Text),
        ("type", Column::Text),
        ("times", Column::Number),
        ("errors", Column::Number),
        ("own time", Column::Number),
        ("critical path", Column::Fixed),
        ("", Column::Number),
    ];
    let types = analysis
        .components
        .iter()
        .map(|component| width(&fit(&component.component_type, out.at_most(MAX_TYPE))));
    let types = types.max().unwrap_or(0).max(width(columns[1].0));
    // With less room, the table shows each row as a block.
    let room = out.width.saturating_sub(NUMBERS + types);
    let room = if room < MIN_COMPONENT { out.width } else { room };
    // In millionths: an axis has whole numbers.
    let axis = Axis::new(0, 1_000_000);
    let rows = analysis
        .components
        .iter()
        .take(out.at_most(MAX_ROWS))
        .map(|component| {
            let share = component.critical_path_share;
            let bar = match share {
                share if share > 0.0 => axis.bar(0, (share * 1e6) as i64, BAR),
                _ => String::new(),
            };
            let errors = grouped(component.errors);
            vec![
                fit(&component.component, room).into(),
                fit(&component.component_type, out.at_most(MAX_TYPE)).into(),
                grouped(component.executions).into(),
                match component.errors {
                    0 => errors.into(),
                    _ => painted(Paint::Bad, errors),
                },
                format_ms(component.self_time * 1e3).into(),
                painted(Paint::Accent, bar.trim_end()),
                percent(share).into(),
            ]
        });
    let mut text = table(out, &columns, rows.collect());
    text.push_str(&left_out(out, analysis.components.len(), "component"));
    text
}

fn title(out: &Output, text: &str) -> String {
    format!("{}\n", Paint::Title.on(out.colour, text))
}

fn heading(out: &Output, text: &str) -> String {
    format!("\n{}\n", Paint::Dim.on(out.colour, text))
}

fn item(out: &Output, text: &str, paint: Paint) -> String {
    let lines = wrap(text, out.width.saturating_sub(2)).into_iter().enumerate();
    let lines = lines.map(|(at, line)| {
        let sign = if at == 0 { "- " } else { "  " };
        format!("{sign}{}\n", paint.on(out.colour, &line))
    });
    lines.collect()
}

fn left_out(out: &Output, all: usize, noun: &str) -> String {
    match u64::try_from(all.saturating_sub(out.at_most(MAX_ROWS))) {
        Ok(more @ 1..) => {
            let text = format!("… {}; --json shows all", count(more, &format!("more {noun}")));
            format!("{}\n", Paint::Dim.on(out.colour, &fit(&text, out.width)))
        }
        _ => String::new(),
    }
}

fn failure(out: &Output, error: &RunError) -> String {
    format!(
        "{} {}: {}",
        time::clock(error.timestamp, &out.zone),
        error.component,
        excerpt(&error.error, out.at_most(MAX_ERROR))
    )
}

fn percent(share: f64) -> String {
    match share * 100.0 {
        percent if percent > 0.0 && percent < 0.5 => "<1%".to_owned(),
        percent => format!("{percent:.0}%"),
    }
}

#[cfg(test)]
mod tests {
    use spanscope_model::{Cursor, RunInfo, RunRecords, RunSpan, RunStatus, SpanStatus};
    use spanscope_runs::Run;

    use super::*;
    use crate::args::Format;
    use crate::render::fixtures::span;
    use crate::render::text::width;

    #[test]
    fn an_analysis_names_what_takes_the_time_and_fits_the_terminal() {
        let mut spans = vec![
            span(1, 0, "answer", 0, 10_000),
            span(2, 1, &"search ".repeat(20), 0, 8_000),
            span(3, 1, "x\x1b[2J\u{202e}", 8_000, 10),
        ];
        spans[2].status = Some(SpanStatus::Error);
        spans[2].status_message = Some("refused \x1b[31m ".repeat(60));
        let info = RunInfo::new(
            "task",
            spans[0].trace_id,
            "answer",
            spans[0].start_time,
            RunStatus::Completed,
        )
        .tenant_id("default")
        .updated_at(spans[0].start_time)
        .span_count(3)
        .error_count(1);
        let records = RunRecords::new(info)
            .traces(vec![spans[0].trace_id])
            .spans(
                (1..)
                    .zip(spans)
                    .map(|(order, span)| RunSpan::new(order, span))
                    .collect(),
            )
            .upto(Cursor::default());
        let run = Run::of(&records);
        for columns in [40, 80, 200] {
            let out = Output {
                format: Format::Table,
                colour: false,
                width: columns,
                zone: jiff::tz::TimeZone::UTC,
            };
            let text = analysis(&out, &run.analysis())
                + &summary(&out, &run.summary(DetailLevel::Debug), DetailLevel::Debug);
            assert!(
                text.lines().all(|line| width(line) <= columns),
                "{columns}: {text}"
            );
            assert!(!text.contains('\x1b') && !text.contains('\u{202e}'), "{text}");
            for word in [
                "search",
                "80%",
                "bottlenecks",
                "recommendations",
                "refused",
                "in 1 event",
            ] {
                assert!(text.contains(word), "{word}: {text}");
            }
        }
    }
}
