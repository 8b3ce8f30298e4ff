//! Values with a misbehaving `Debug`.

use std::fmt;

struct Panics;

impl fmt::Debug for Panics {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("a Debug that panics");
    }
}

/// Logs, in a span that it creates, a value that logs in turn.
struct Logs(u32);

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > 0 {
            let _span = tracing::info_span!("within Debug", inner = ?Logs(self.0 - 1)).entered();
            tracing::info!(inner = ?Logs(self.0 - 1), "within {}", self.0);
        }
        write!(f, "logged-{}", self.0)
    }
}

pub(crate) fn log_all() {
    let _outer = tracing::info_span!("outer", value = ?Logs(2)).entered();
    tracing::info!(value = ?Logs(2), "around");
    std::panic::set_hook(Box::new(|_| {}));
    let caught = std::panic::catch_unwind(|| {
        tracing::info!(before = 1, value = ?Panics, after = 2, "with a value that panics");
    });
    log_whether("event", caught.is_ok());
    let caught = std::panic::catch_unwind(|| {
        let _span =
            tracing::info_span!("span with a value that panics", before = 1, value = ?Panics).entered();
        tracing::info!(value = ?Logs(0), "in it");
    });
    log_whether("span", caught.is_ok());
    let _ = std::panic::take_hook();
    tracing::info!("afterwards");
}

fn log_whether(what: &str, went_on: bool) {
    tracing::info!("the {what} {}", if went_on { "went on" } else { "unwound" });
}
