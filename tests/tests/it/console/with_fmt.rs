//! Spanscope's layers together with `tracing_subscriber::fmt`, which stores formatted fields in the
//! spans' extensions (tokio-rs/tracing#1817): no escape code of one shows up in the other.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use spanscope_layers::console::ColorChoice;
use spanscope_layers::{ConsoleGuard, ConsoleLayer, LogFileLayer};
use spanscope_tests::{PATIENCE, wait_for};
use tracing::Dispatch;
use tracing_subscriber::prelude::*;

/// A writer whose text can be read.
#[derive(Clone, Default)]
pub(super) struct Page(Arc<Mutex<Vec<u8>>>);

impl Page {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn console(page: &Page, color: ColorChoice) -> (ConsoleLayer, ConsoleGuard) {
    let builder = ConsoleLayer::builder().writer(page.clone()).width(200);
    builder.color(color).build().unwrap()
}

/// Fields that are there at the start, added later, and on a span within a span.
fn work() {
    let outer = tracing::info_span!("outer", first = "one", later = tracing::field::Empty).entered();
    outer.record("later", "two");
    let _inner = tracing::info_span!("inner", third = "three").entered();
    tracing::info!(fourth = "four", "spoken");
}

macro_rules! fmt_layer {
    ($page:expr, $ansi:expr) => {{
        let page = $page.clone();
        tracing_subscriber::fmt::layer()
            .with_ansi($ansi)
            .with_writer(move || page.clone())
    }};
}

#[test]
fn neither_layer_shows_the_others_escape_codes_in_any_order() {
    for fmt_ansi in [false, true] {
        for color in [ColorChoice::Never, ColorChoice::Always] {
            for ours_first in [false, true] {
                let (our_page, fmt_page) = (Page::default(), Page::default());
                let folder = tempfile::tempdir().unwrap();
                let (file, file_guard) = LogFileLayer::open(folder.path().join("agent.log")).unwrap();
                let (ours, guard) = console(&our_page, color);
                let dispatch = if ours_first {
                    let subscriber = tracing_subscriber::registry().with(ours).with(file);
                    Dispatch::new(subscriber.with(fmt_layer!(fmt_page, fmt_ansi)))
                } else {
                    let subscriber = tracing_subscriber::registry().with(fmt_layer!(fmt_page, fmt_ansi));
                    Dispatch::new(subscriber.with(ours).with(file))
                };
                tracing::dispatcher::with_default(&dispatch, work);
                guard.flush(PATIENCE).unwrap();
                file_guard.flush(PATIENCE).unwrap();
                let case = format!("fmt with ansi {fmt_ansi}, ours {color:?}, ours first {ours_first}");
                let (ours, theirs) = (our_page.text(), fmt_page.text());
                assert_eq!(theirs.contains('\x1b'), fmt_ansi, "{case}: {theirs:?}");
                assert_eq!(
                    ours.contains('\x1b'),
                    color == ColorChoice::Always,
                    "{case}: {ours:?}"
                );
                let file = std::fs::read_to_string(folder.path().join("agent.log")).unwrap();
                assert!(!file.contains('\x1b'), "{case}: {file:?}");
                for text in [&ours, &theirs, &file] {
                    for word in ["outer", "one", "two", "inner", "three", "spoken", "four"] {
                        assert!(text.contains(word), "{case}: no {word} in {text:?}");
                    }
                    assert!(
                        !text.contains("\\x1b") && !text.contains("\\u{1b}"),
                        "{case}: {text:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn two_consoles_on_one_registry_show_the_same() {
    let (plain, coloured) = (Page::default(), Page::default());
    let (first, first_guard) = console(&plain, ColorChoice::Never);
    let (second, second_guard) = console(&coloured, ColorChoice::Always);
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(first).with(second));
    tracing::dispatcher::with_default(&dispatch, work);
    first_guard.flush(PATIENCE).unwrap();
    second_guard.flush(PATIENCE).unwrap();
    let lines = super::plain_lines(coloured.text().replace('\n', "\r\n").as_bytes(), 300);
    let without_durations = |lines: &mut dyn Iterator<Item = &str>| -> Vec<String> {
        lines
            .map(|line| line.split(" (").next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        without_durations(&mut lines.iter().map(String::as_str)),
        without_durations(&mut plain.text().lines())
    );
}

#[test]
fn a_writer_that_panics_or_fails_affects_no_other() {
    struct Fails(bool);
    impl io::Write for Fails {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            assert!(!self.0, "a writer that panics");
            Err(io::Error::other("a writer that fails"))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for panics in [false, true] {
        let (layer, guard) = ConsoleLayer::builder().writer(Fails(panics)).build().unwrap();
        let dispatch = Dispatch::new(tracing_subscriber::registry().with(layer));
        for _ in 0..2 {
            tracing::dispatcher::with_default(&dispatch, work);
            guard.flush(PATIENCE).unwrap();
        }
        let stats = guard.stats();
        assert_eq!((stats.offered, stats.stored), (10, 0));
        assert_eq!(stats.dropped.write_failed, 10);
    }
}

/// A writer that blocks until the test releases it.
struct Holds(std::sync::mpsc::Receiver<()>);

impl io::Write for Holds {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A closed channel releases it too.
        let _ = self.0.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_console_whose_shutdown_timed_out_accounts_for_every_line() {
    let (release, holds) = std::sync::mpsc::channel();
    let builder = ConsoleLayer::builder().writer(Holds(holds));
    let (layer, guard) = builder
        .shutdown_timeout(Duration::from_millis(10))
        .build()
        .unwrap();
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(layer));
    for _ in 0..10 {
        tracing::dispatcher::with_default(&dispatch, work);
        let _ = guard.flush(Duration::from_millis(10));
    }
    assert!(guard.shutdown().is_err(), "not everything was written");
    tracing::dispatcher::with_default(&dispatch, work);
    drop(release);
    let stats = wait_for("the account to be closed", || {
        let stats = guard.stats();
        (stats.offered == stats.stored + stats.dropped.total()).then_some(stats)
    });
    assert_eq!((stats.offered, stats.dropped.shutdown), (55, 5), "{stats:?}");
}

#[test]
fn a_console_that_ends_amid_many_threads_accounts_for_every_line() {
    for _ in 0..10 {
        let page = Page::default();
        let (layer, guard) = console(&page, ColorChoice::Never);
        let dispatch = Dispatch::new(tracing_subscriber::registry().with(layer));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    tracing::dispatcher::with_default(&dispatch, || (0..100).for_each(|_| work()));
                });
            }
            scope.spawn(|| {
                wait_for("the first line", || (!page.text().is_empty()).then_some(()));
                let _ = guard.shutdown();
            });
        });
        let stats = guard.stats();
        assert_eq!(stats.offered, 4 * 100 * 5);
        assert_eq!(stats.offered, stats.stored + stats.dropped.total(), "{stats:?}");
        let lines = page.text();
        let entries = lines.lines().filter(|line| super::begins_entry(line));
        assert_eq!(entries.count() as u64, stats.stored);
    }
}

#[test]
fn a_handle_drains_earlier_records_and_outlives_its_guard() {
    let page = Page::default();
    let (layer, guard) = console(&page, ColorChoice::Never);
    let handle = guard.handle();
    let soon = || Instant::now() + PATIENCE;
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        tracing::info!("before the drain");
        handle.drain(soon()).unwrap();
        assert!(page.text().contains("before the drain"));
        // Spanscope's thread may be the one that writes, so it never waits for itself.
        let _ours = spanscope_layers::suppress();
        handle.drain(Instant::now()).unwrap();
    });
    drop(guard);
    handle.drain(soon()).unwrap();
    assert_eq!(handle.stats().stored, 1);
}
