//! The ends of a program other than the guard's drop: exit, signals, abort.
//!
//! A process has one set of sinks that `init()` or the builder installed, because it has one global
//! subscriber. The hooks find it here. Each runs within a time limit, and costs nothing before.
//! Panics are in `panics.rs`.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use spanscope_core::queue::{in_forked_children, late_records_were_reported, log_to_stderr};
use spanscope_layers::suppress;

use crate::guard::Running;
use crate::{Signals, panics, signals};

/// How long dropping the guard waits for the last records of all sinks together.
pub const DEFAULT_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long `std::process::exit`, a return from `main` with a leaked guard, and `abort` wait for
/// the last records of all sinks together.
pub const DEFAULT_EXIT_TIMEOUT: Duration = Duration::from_secs(1);

/// The builder's settings for the ends of the program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EndSettings {
    pub(crate) shutdown_timeout: Duration,
    pub(crate) exit_timeout: Duration,
    pub(crate) record_panics: bool,
    pub(crate) signals: Signals,
}

impl Default for EndSettings {
    fn default() -> Self {
        Self {
            shutdown_timeout: DEFAULT_SHUTDOWN_TIMEOUT,
            exit_timeout: DEFAULT_EXIT_TIMEOUT,
            record_panics: true,
            signals: Signals::default(),
        }
    }
}

struct Program {
    running: Arc<Running>,
    settings: EndSettings,
}

static PROGRAM: OnceLock<Program> = OnceLock::new();

/// Installs the hooks. Returns what could not be installed, as messages.
pub(crate) fn watch(settings: EndSettings, running: &Arc<Running>) -> Vec<String> {
    let program = Program {
        running: Arc::clone(running),
        settings,
    };
    // Only one subscriber becomes the global one, so this is the first call.
    let _ = PROGRAM.set(program);
    let mut problems = Vec::new();
    if let Err(error) = spanscope_process::at_exit(at_exit) {
        problems.push(format!(
            "`std::process::exit` will lose the last records, because no exit hook can be installed: {error}"
        ));
    }
    if let Err(error) = signals::watch(settings, running) {
        problems.push(format!(
            "signals and `abort` will lose the last records, because they can't be watched: {error}"
        ));
    }
    in_forked_children(watch_signals_again);
    if settings.record_panics {
        panics::install(running);
    }
    problems
}

/// Runs when the program ends by `std::process::exit` or by a return from `main`.
fn at_exit() {
    let Some(program) = PROGRAM.get() else { return };
    let _quiet = suppress();
    if !program.settings.exit_timeout.is_zero() {
        program.running.end(program.settings.exit_timeout);
    }
    report_late_records(program.running.late_records());
}

/// Runs in the child of a fork, where the signal thread is missing. Before it records something,
/// signals end it as they would without us.
fn watch_signals_again() {
    if let Some(program) = PROGRAM.get()
        && let Err(error) = signals::watch(program.settings, &program.running)
    {
        log_to_stderr(format!(
            "spanscope: signals will lose the last records of the forked process {}: {error}",
            std::process::id()
        ));
    }
}

/// Reports how many records arrived after the end, if there were any.
fn report_late_records(count: u64) {
    let (records, were) = match count {
        0 => return,
        1 => ("1 record".to_owned(), "was"),
        count => (format!("{count} records"), "were"),
    };
    let fix = if late_records_were_reported() {
        ""
    } else {
        "; keep the guard until the program ends"
    };
    log_to_stderr(format!(
        "spanscope: {records} arrived after the end of the telemetry and {were} lost{fix}"
    ));
}
