//! Records of the `log` crate, and level checks without a record.

use crate::levels::foreign_record;

pub(crate) fn log_all() {
    log::info!("from [bold]own module[/bold]");
    crate::agents::log_something();
    log::info!(target: "tools::search", "from tools");
    log::debug!(target: "tools::search", "too fine");
    foreign_record("sqlx::query", log::Level::Info, "too fine");
    foreign_record("sqlx::query", log::Level::Warn, "from [bold]sqlx[/bold]");
    for number in 0..20 {
        // As sqlx does before each statement: the result is unused (tokio-rs/tracing#2519).
        let _ = log::log_enabled!(target: "sqlx::query", log::Level::Debug);
        let _ = tracing::enabled!(tracing::Level::TRACE);
        let _span = tracing::info_span!("statement", number).entered();
        let _ = log::log_enabled!(target: "sqlx::query", log::Level::Trace);
        tracing::info!("asked {number}");
    }
}
