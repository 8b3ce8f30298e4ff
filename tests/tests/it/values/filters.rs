//! Filters of one sink, and records made while a record's values are formatted.

use super::Sinks;

/// Messages and names that a sink has, of those that a filter decides about.
fn shown(all: impl Iterator<Item = String>) -> Vec<String> {
    let mut shown: Vec<String> = all
        .filter(|text| {
            ["hidden", "shown", "nested", "quiet"]
                .iter()
                .any(|word| text.contains(word))
        })
        .collect();
    shown.sort();
    shown.dedup();
    shown
}

fn assert_held(sinks: &Sinks, also: &[&str]) {
    let of_console = shown(sinks.lines.iter().filter_map(|line| {
        let text = line["message"].as_str().or(line["name"].as_str())?;
        Some(text.to_owned())
    }));
    let of_store = shown(
        (sinks.logs.iter().map(|log| log.message.clone()))
            .chain(sinks.spans.iter().map(|span| span.name.clone())),
    );
    assert_eq!(
        of_console
            .iter()
            .filter(|text| text.starts_with("hidden"))
            .collect::<Vec<_>>(),
        Vec::<&String>::new()
    );
    assert_eq!(
        of_console
            .iter()
            .filter(|text| text.starts_with("quiet"))
            .collect::<Vec<_>>(),
        Vec::<&String>::new()
    );
    let held = |text: &&String| text.starts_with("shown") || text.starts_with("nested");
    assert_eq!(
        of_console.iter().filter(held).collect::<Vec<_>>(),
        of_store.iter().filter(held).collect::<Vec<_>>()
    );
    for text in [
        "hidden event",
        "hidden span",
        "hidden event of a span",
        "quiet in event",
    ]
    .iter()
    .chain(also)
    {
        assert!(
            of_store.iter().any(|stored| stored == text),
            "{text}: {of_store:?}"
        );
    }
    for text in [
        "shown event",
        "shown span",
        "shown within",
        "shown event of a span",
        "nested in event",
        "nested in span",
    ]
    .iter()
    .chain(also)
    {
        assert!(
            text.starts_with("hidden") || of_console.iter().any(|shown| shown == text),
            "{text}: {of_console:?}"
        );
    }
}

#[test]
fn a_filter_of_one_sink_applies_while_values_are_formatted() {
    let sinks = Sinks::of("filtered");
    assert_held(
        &sinks,
        &[
            "shown event that asked",
            "shown span that asked",
            "hidden event that asked",
            "hidden text: a text",
            "hidden log record: a log record",
            "shown log record",
            "nested in a text",
        ],
    );
}

#[test]
fn a_spanscope_filter_in_with_filter_applies_to_nested_records() {
    assert_held(&Sinks::of("filtered by hand"), &[]);
}
