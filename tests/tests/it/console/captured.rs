//! Log lines of tests: `cargo test` shows only those of failed tests. This program is run again as
//! such a test harness.

use std::process::Command;
use std::sync::Once;

use spanscope::ConsoleLayer;
use spanscope::testing::TestStore;
use tracing_subscriber::prelude::*;

/// Set for the inner run; without it the tests `inner_*` do nothing.
const WITHIN: &str = "SPANSCOPE_TESTS_CAPTURED";

fn is_within() -> bool {
    std::env::var_os(WITHIN).is_some()
}

/// The subscriber of all tests of the process.
fn shared() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let (layer, guard) = ConsoleLayer::builder().test_writer().build().unwrap();
        std::mem::forget(guard);
        tracing_subscriber::registry().with(layer).init();
    });
}

/// Many lines, so that parallel tests overlap.
fn log_lines(test: &str) {
    for number in 0..200 {
        let _span = tracing::info_span!("work", number).entered();
        tracing::info!("line {number} of {test}");
    }
}

#[test]
fn inner_shared_passes() {
    if is_within() {
        shared();
        log_lines("shared that passes");
    }
}

#[test]
fn inner_shared_fails() {
    if is_within() {
        shared();
        log_lines("shared that fails");
        let thread = std::thread::spawn(|| tracing::warn!("from a thread of the shared one"));
        thread.join().unwrap();
        panic!("as asked");
    }
}

#[test]
fn inner_own_passes() {
    if is_within() {
        let store = TestStore::printing();
        store.record(|| log_lines("own that passes"));
        store.spans().named("work").exactly(200);
    }
}

#[test]
fn inner_own_fails() {
    if is_within() {
        let store = TestStore::printing();
        store.record(|| log_lines("own that fails"));
        store.spans().named("play").one();
    }
}

#[test]
fn cargo_test_shows_the_lines_of_failed_tests_only() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["console::captured::inner_", "--test-threads=4"])
        .env(WITHIN, "1")
        .env_remove("RUST_TEST_NOCAPTURE")
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(shown.contains("2 passed; 2 failed"), "{shown}\n{errors}");
    assert_eq!(errors.matches("line ").count(), 0, "{errors}");
    for (test, lines) in [
        ("shared that passes", 0),
        ("own that passes", 0),
        ("shared that fails", 200),
        ("own that fails", 200),
    ] {
        assert_eq!(
            shown.matches(&format!("of {test}\n")).count(),
            lines,
            "{test}: {shown}"
        );
    }
    assert!(shown.contains("from a thread of the shared one"), "{shown}");
    // Each below the name of its test.
    for part in shown.split("---- ").skip(1) {
        let (name, lines) = part.split_once(" stdout ----").unwrap();
        let kind = if name.contains("shared") { "shared" } else { "own" };
        let mut shown_lines = lines.lines().filter(|line| line.contains(": line "));
        assert!(
            shown_lines.all(|line| line.contains(&format!("of {kind} that fails"))),
            "{part}"
        );
    }
}
