//! SIGTERM and SIGINT: what was recorded before is written before the program ends.

use std::sync::Arc;

use crate::guard::Running;

/// What happens on SIGTERM and SIGINT (Unix only).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Signals {
    /// Everything is written, within the shutdown timeout, and the program ends as the signal would have ended it.
    #[default]
    FlushAndEnd,
    /// Everything is written, and the program goes on: for servers that end themselves on these signals.
    Flush,
    /// Nothing; the signals keep the meaning that they have.
    Off,
}

#[cfg(unix)]
pub(crate) fn watch(signals: Signals, running: &Arc<Running>) -> std::io::Result<()> {
    use std::time::Duration;

    use signal_hook::consts::{SIGINT, SIGTERM};

    if signals == Signals::Off {
        return Ok(());
    }
    let mut caught = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    let running = Arc::downgrade(running);
    std::thread::Builder::new()
        .name("spanscope-signals".to_owned())
        .spawn(move || {
            let _quiet = spanscope_layers::suppress();
            for signal in &mut caught {
                if let Some(running) = running.upgrade() {
                    match signals {
                        Signals::FlushAndEnd => {
                            running.shutdown();
                        }
                        Signals::Flush | Signals::Off => {
                            let _ = running.flush(Duration::from_secs(5));
                        }
                    }
                }
                if signals == Signals::FlushAndEnd {
                    let _ = signal_hook::low_level::emulate_default_handler(signal);
                }
            }
        })?;
    Ok(())
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the same signature as on Unix")]
pub(crate) fn watch(_: Signals, _: &Arc<Running>) -> std::io::Result<()> {
    Ok(())
}
