//! Stand-ins for sinks that the program is built without.
//!
//! They have no values, so what handles running sinks needs no conditions for features: a sink that
//! is not built in is one that is off.

#[cfg(not(feature = "sqlite"))]
use std::path::Path;
use std::time::{Duration, Instant};

#[cfg(not(feature = "sqlite"))]
use spanscope_core::tail::TailStats;
#[cfg(not(feature = "console"))]
use spanscope_model::Severity;
use tracing::Subscriber;
use tracing_subscriber::Layer;

use spanscope_core::queue::{FlushTimeout, LayerStats, ShutdownError};

macro_rules! absent {
    ($layer:ident, $guard:ident) => {
        pub(crate) enum $layer {}

        impl<S: Subscriber> Layer<S> for $layer {}

        #[derive(Debug)]
        pub(crate) enum $guard {}

        impl $guard {
            pub(crate) fn flush(&self, _: Duration) -> Result<(), FlushTimeout> {
                match *self {}
            }

            pub(crate) fn begin_shutdown(&self, _: Instant) {
                match *self {}
            }

            pub(crate) fn shutdown(&self) -> Result<(), ShutdownError> {
                match *self {}
            }

            pub(crate) fn stats(&self) -> LayerStats {
                match *self {}
            }
        }
    };
}

#[cfg(not(feature = "console"))]
absent!(ConsoleLayer, ConsoleGuard);
#[cfg(not(feature = "console"))]
pub(crate) type LogFileLayer = ConsoleLayer;
#[cfg(not(feature = "sqlite"))]
absent!(SqliteLayer, SqliteGuard);

#[cfg(not(feature = "console"))]
impl ConsoleGuard {
    pub(crate) fn report(&self, _: Severity, _: &str) {
        match *self {}
    }
}

#[cfg(not(feature = "sqlite"))]
impl SqliteGuard {
    pub(crate) fn path(&self) -> &Path {
        match *self {}
    }

    pub(crate) fn tail_stats(&self) -> Option<TailStats> {
        match *self {}
    }
}
