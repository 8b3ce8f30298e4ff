//! Markup in lines: only messages that request it have markup; all others are shown as they are and
//! can't pass for something else.

use spanscope_layers::ConsoleLayer;
use spanscope_layers::console::{ColorChoice, RateLimit};
use spanscope_tests::PATIENCE;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::prelude::*;

use super::with_fmt::{Page, console};

fn shown(work: impl FnOnce()) -> String {
    let page = Page::default();
    let (layer, guard) = console(&page, ColorChoice::Always);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
    guard.flush(PATIENCE).unwrap();
    page.text()
}

#[test]
fn an_error_in_place_of_a_message_has_no_markup_and_no_links() {
    let foreign = std::io::Error::other("[link=https://elsewhere.example][bold]click[/bold][/link]");
    let text = shown(|| {
        tracing::error!(markup = true, "[bold]own[/bold]");
        tracing::error!(error = %foreign);
    });
    assert!(!text.contains("[bold]own"), "{text:?}");
    assert!(text.contains("[bold]click[/bold]"), "{text:?}");
    assert!(!text.contains("\x1b]8;"), "{text:?}");
}

#[test]
fn a_summary_of_held_back_lines_has_the_message_without_its_markup() {
    let page = Page::default();
    let (layer, guard) = ConsoleLayer::builder()
        .writer(page.clone())
        .width(200)
        .color(ColorChoice::Never)
        .rate_limit(RateLimit {
            burst: 1,
            per_second: 1,
        })
        .build()
        .unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        for _ in 0..5 {
            tracing::warn!(markup = true, "[bold]again[/bold] and again");
        }
    });
    drop(guard);
    let text = page.text();
    assert_eq!(text.matches("again and again").count(), 2, "{text}");
    assert!(!text.contains("[bold]"), "{text}");
}

#[test]
fn attributes_of_a_span_whose_start_was_held_back_are_shown_at_its_end() {
    let page = Page::default();
    let (layer, guard) = ConsoleLayer::builder()
        .writer(page.clone())
        .width(200)
        .color(ColorChoice::Never)
        .rate_limit(RateLimit {
            burst: 1,
            per_second: 1,
        })
        .build()
        .unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let work = |number: u64| tracing::info_span!("work", number);
        let _first = work(1).entered();
        // Its start is the second one and held back, its end is the first one.
        drop(work(2));
    });
    drop(guard);
    let text = page.text();
    assert_eq!(
        text.matches("[START] work").count(),
        2,
        "one is the summary: {text}"
    );
    let (_, end) = text.split_once("[END] work (").unwrap();
    assert!(end.lines().next().unwrap().ends_with(" number=2"), "{text}");
}

#[test]
fn a_truncated_message_shows_its_length() {
    let page = Page::default();
    let (layer, guard) = ConsoleLayer::builder()
        .writer(page.clone())
        .width(200)
        .max_value_len(16)
        .build()
        .unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        tracing::info!("0123456789abcdef and more");
    });
    guard.flush(PATIENCE).unwrap();
    let text = page.text();
    assert!(text.contains("0123456789abcdef… (25 bytes)"), "{text}");
}

#[test]
fn fields_named_like_those_of_log_records_do_not_change_the_target_of_an_event() {
    let text = shown(|| {
        tracing::warn!(log.target = "forged_place", log.line = 4242, "where am I?");
    });
    let line = text.lines().find(|line| line.contains("where am I?")).unwrap();
    let (before, _) = line.split_once("where am I?").unwrap();
    assert!(!before.contains("forged_place"), "{line:?}");
    assert!(!before.contains("4242"), "{line:?}");
}

#[test]
fn an_error_that_a_sink_filters_out_does_not_fail_the_span_there() {
    let (all, few) = (Page::default(), Page::default());
    let (all_layer, all_guard) = console(&all, ColorChoice::Never);
    let (few_layer, few_guard) = console(&few, ColorChoice::Never);
    let no_errors = filter_fn(|metadata| metadata.is_span() || *metadata.level() > tracing::Level::ERROR);
    let subscriber = tracing_subscriber::registry()
        .with(all_layer)
        .with(few_layer.with_filter(no_errors));
    tracing::subscriber::with_default(subscriber, || {
        let _span = tracing::info_span!("work").entered();
        tracing::error!("it broke");
    });
    for (guard, page, fails) in [(all_guard, all, true), (few_guard, few, false)] {
        guard.flush(PATIENCE).unwrap();
        let text = page.text();
        let end = text.lines().find(|line| line.contains("[END] work")).unwrap();
        assert_eq!(end.contains("ERROR"), fails, "{end}");
        assert_eq!(text.contains("it broke"), fails, "{text}");
    }
}
