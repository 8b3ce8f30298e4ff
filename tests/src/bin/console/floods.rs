//! Many lines.

/// A callsite in a loop, and another one between.
pub(crate) fn flood() {
    for number in 0..150_000_u32 {
        tracing::info!(number, "the same again");
        if number % 15_000 == 0 {
            tracing::info!("calm {number}");
        }
    }
}

/// More than a pipe and a small queue hold.
pub(crate) fn lines() {
    for number in 0..20_000_u32 {
        tracing::info!(number, "line");
    }
}

/// A few lines, each of another callsite.
pub(crate) fn dozen() {
    let process = std::process::id();
    for number in 0..12 {
        tracing::info!("process {process} line {number} {}", "x".repeat(200));
    }
}

/// Logs lines until the log file exists.
pub(crate) fn until_logged(file: &str, guard: &spanscope::Guard) {
    spanscope_tests::wait_for("the log file", || {
        tracing::info!("still here");
        guard.flush(spanscope_tests::PATIENCE).unwrap();
        // So that the rate limit does not apply.
        std::thread::sleep(std::time::Duration::from_millis(50));
        std::fs::metadata(file).ok()
    });
}
