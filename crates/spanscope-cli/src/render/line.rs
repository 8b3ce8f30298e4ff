//! Events and ends of spans as lines of a log, as the console shows them.

use spanscope_model::{Attributes, LogEvent, Severity, Span, SpanState, SpanStatus};

use super::colour::Paint;
use super::duration::format_ms;
use super::text::{fit, pad, visible};
use super::time;
use crate::output::Output;

/// A message is cut after so many columns, a value after fewer.
const MAX_MESSAGE: usize = 1000;
const MAX_VALUE: usize = 200;

/// Time, level, service, target, message, fields.
pub(crate) fn event(out: &Output, event: &LogEvent, with_date: bool) -> String {
    let moment = if with_date {
        time::short(event.timestamp, &out.zone)
    } else {
        time::clock(event.timestamp, &out.zone)
    };
    let said = match (event.name.as_str(), event.message.as_str()) {
        ("", message) => fit(message, MAX_MESSAGE),
        (name, "") => fit(name, MAX_MESSAGE),
        (name, message) => fit(&format!("{name}: {message}"), MAX_MESSAGE),
    };
    let head = head(out, &moment, event.severity, &event.service_name, &event.target);
    format!("{head}{said}{}\n", fields(out, &event.attributes))
}

/// The same for a span that is over: `[END] name (12.3ms)`.
pub(crate) fn span_end(out: &Output, span: &Span) -> String {
    let moment = time::clock(span.end_time.unwrap_or(span.start_time), &out.zone);
    let target = span.target.as_deref().unwrap_or_default();
    let head = head(out, &moment, severity_of(span), &span.service_name, target);
    let duration = span
        .duration_ms()
        .map_or_else(String::new, |ms| format!(" ({})", format_ms(ms)));
    let failed = if span.status == Some(SpanStatus::Error) {
        let why = span
            .status_message
            .as_deref()
            .map_or_else(String::new, |why| format!(" {}", fit(why, MAX_VALUE)));
        Paint::Bad.on(out.colour, &format!(" [ERROR]{why}"))
    } else {
        String::new()
    };
    let name = fit(&span.name, MAX_VALUE);
    let what = if span.state == SpanState::Abandoned {
        "[ABANDONED]"
    } else {
        "[END]"
    };
    format!(
        "{head}{what} {name}{duration}{failed}{}\n",
        fields(out, &span.attributes)
    )
}

/// How serious a span's end is: its own level, or error if it failed.
pub(crate) fn severity_of(span: &Span) -> Severity {
    let own = span.level.unwrap_or(Severity::Info);
    match span.status {
        Some(SpanStatus::Error) => own.max(Severity::Error),
        _ => own,
    }
}

fn head(out: &Output, moment: &str, severity: Severity, service: &str, target: &str) -> String {
    let paint = match severity {
        Severity::Verbose | Severity::Debug => Paint::Dim,
        Severity::Info => Paint::Good,
        Severity::Warn => Paint::Warn,
        Severity::Error | Severity::Critical => Paint::Bad,
    };
    let mut head = format!(
        "{} {} ",
        Paint::Dim.on(out.colour, moment),
        paint.on(out.colour, &pad(&severity.as_str().to_ascii_uppercase(), 8))
    );
    if !service.is_empty() {
        head.push_str(&Paint::Dim.on(out.colour, &format!("{} ", fit(service, 60))));
    }
    if !target.is_empty() {
        head.push_str(&Paint::Dim.on(out.colour, &format!("{}: ", fit(target, 60))));
    }
    head
}

fn fields(out: &Output, attributes: &Attributes) -> String {
    let mut text = String::new();
    // Keys that begin so are for programs, not for people.
    for (key, value) in attributes.iter().filter(|(key, _)| !key.starts_with("__")) {
        let key = Paint::Dim.on(out.colour, &format!("{}=", visible(key)));
        text.push_str(&format!(" {key}{}", fit(&value.to_string(), MAX_VALUE)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Format;
    use crate::render::fixtures::span;

    #[test]
    fn the_end_of_a_span_is_one_line_whatever_it_holds() {
        let out = Output {
            format: Format::Table,
            colour: false,
            width: 80,
            zone: jiff::tz::TimeZone::UTC,
        };
        let mut span = span(1, 0, "call\ntool", 0, 12);
        span.status = Some(SpanStatus::Error);
        span.attributes.set("q", "a\x1b[0mb");
        assert_eq!(
            span_end(&out, &span),
            "22:13:20.012 ERROR    shop shop::orders: [END] call\\ntool (12.0ms) [ERROR] q=a\\x1b[0mb\n"
        );
    }
}
