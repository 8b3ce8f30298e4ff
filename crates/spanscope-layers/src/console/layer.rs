//! The layers that capture on the calling threads, and the guards of the writer threads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use spanscope_model::Severity;
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Dispatch, Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::builder::{ConsoleLayerBuilder, LogFileLayerBuilder};
use super::writer::{Notices, Work};
use spanscope_core::capture::{Capture, SpanRecord, SpanStarted, is_suppressed};
use spanscope_core::queue::{FlushTimeout, LayerStats, Queue, ShutdownError, WorkerHandle};

/// How long a record of a synchronous console may take in the child of a fork, where the thread
/// writes.
const FLUSH_IN_CHILD: Duration = Duration::from_secs(1);

/// The common part of both layers: handling of `tracing`'s callbacks.
#[derive(Debug)]
pub(super) struct LayerCore {
    pub(super) capture: Capture,
    pub(super) queue: Queue,
    /// If not, spans are only read for their ids.
    pub(super) shows_spans: bool,
    /// Whether the layer captures and shows nothing.
    pub(super) is_off: bool,
    /// Set if the caller writes.
    pub(super) synchronous: Option<Synchronous>,
}

/// The writer that the callers of a synchronous console share.
#[derive(Debug)]
pub(super) struct Synchronous {
    pub(super) work: Work,
    pub(super) control: Arc<WorkerHandle>,
}

/// A layer that shows spans and events on stderr, in the style of Python's rich.
///
/// The calling thread encodes fields and pushes them to a queue; a thread renders and writes. The
/// caller never waits: while stderr is blocked, lines are dropped, counted in
/// [`ConsoleGuard::stats`], and reported as soon as it accepts output again. With
/// [`ConsoleLayerBuilder::synchronous`] the calling thread writes instead.
///
/// ```
/// use spanscope_layers::ConsoleLayer;
/// use tracing_subscriber::prelude::*;
///
/// let (layer, guard) = ConsoleLayer::builder().width(100).build()?;
/// let subscriber = tracing_subscriber::registry().with(layer);
/// tracing::subscriber::with_default(subscriber, || {
///     tracing::info!(markup = true, steps = 3, "[bold]planning[/bold] the answer");
/// });
/// guard.flush(std::time::Duration::from_secs(1))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ConsoleLayer {
    pub(super) core: LayerCore,
}

impl ConsoleLayer {
    /// Returns a builder; call [`build`](ConsoleLayerBuilder::build) at the end. The package of the
    /// calling line counts as the application: its multi-line messages keep their lines.
    #[track_caller]
    pub fn builder() -> ConsoleLayerBuilder {
        ConsoleLayerBuilder::new()
    }
}

/// A layer that appends spans and events to a file, as [`ConsoleLayer`] shows them but without
/// colour, with the date, and never wrapped.
///
/// Several processes may append to one file: only whole lines are written. A file that is renamed
/// or deleted by log rotation is reopened. If it can't be opened or written, that is reported on
/// stderr once, the program continues, and the lines count as lost until it works again.
///
/// ```
/// use spanscope_layers::LogFileLayer;
/// use tracing_subscriber::prelude::*;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("logs/agent.log");
/// let (layer, guard) = LogFileLayer::open(&path)?;
/// let subscriber = tracing_subscriber::registry().with(layer);
/// tracing::subscriber::with_default(subscriber, || {
///     tracing::info!(markup = true, "[bold]kept[/bold]")
/// });
/// guard.flush(std::time::Duration::from_secs(1))?;
/// assert!(std::fs::read_to_string(&path)?.trim_end().ends_with(": kept"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct LogFileLayer {
    pub(super) core: LayerCore,
}

impl LogFileLayer {
    /// Opens a file with the default settings; see [`LogFileLayerBuilder::open`].
    ///
    /// # Errors
    /// Fails if the thread can't be started.
    #[track_caller]
    pub fn open(path: impl Into<std::path::PathBuf>) -> std::io::Result<(Self, ConsoleGuard)> {
        Self::builder().open(path)
    }

    /// Returns a builder; call [`open`](LogFileLayerBuilder::open) at the end.
    #[track_caller]
    pub fn builder() -> LogFileLayerBuilder {
        LogFileLayerBuilder::new()
    }
}

macro_rules! forward_to_core {
    ($layer:ty) => {
        impl<S> Layer<S> for $layer
        where
            S: Subscriber + for<'a> LookupSpan<'a>,
        {
            fn on_register_dispatch(&self, dispatch: &Dispatch) {
                self.core.capture.on_register_dispatch(dispatch);
            }

            fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
                if self.core.is_off {
                    return;
                }
                self.core.capture.on_new_span(attributes, id, &context);
            }

            fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
                if self.core.is_off {
                    return;
                }
                self.core.capture.on_record(id, values, &context);
            }

            fn on_follows_from(&self, id: &Id, follows: &Id, context: Context<'_, S>) {
                if self.core.is_off {
                    return;
                }
                self.core.capture.on_follows_from(id, follows, &context);
            }

            fn on_enter(&self, id: &Id, context: Context<'_, S>) {
                if self.core.is_off {
                    return;
                }
                self.core.on_enter(id, &context);
            }

            fn on_exit(&self, id: &Id, context: Context<'_, S>) {
                if self.core.is_off {
                    return;
                }
                self.core.on_exit(id, &context);
            }

            fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
                if self.core.is_off {
                    return;
                }
                self.core.on_event(event, &context);
            }

            fn on_close(&self, id: Id, context: Context<'_, S>) {
                if self.core.is_off {
                    return;
                }
                self.core.on_close(&id, &context);
            }
        }
    };
}

forward_to_core!(ConsoleLayer);
forward_to_core!(LogFileLayer);

impl LayerCore {
    fn on_enter<S>(&self, id: &Id, context: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if self.shows_spans {
            self.capture
                .count_enter(id, context, |start| self.push_start(&start));
        }
        self.capture.on_enter(id);
    }

    fn on_exit<S>(&self, id: &Id, context: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if self.shows_spans {
            self.capture.count_exit(id, context);
        }
        self.capture.on_exit(id, context);
    }

    fn on_event<S>(&self, event: &Event<'_>, context: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if self.shows_spans {
            self.capture
                .before_event(event, context, |start| self.push_start(&start));
        }
        self.capture.on_event(event, context, |ids, time, fields| {
            self.push(|| self.queue.push_event(ids, event.metadata(), time, fields));
        });
        // It may be the last line of the program.
        if *event.metadata().level() == Level::ERROR && self.synchronous.is_none() {
            self.queue.wake();
        }
    }

    fn on_close<S>(&self, id: &Id, context: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if !self.shows_spans {
            return;
        }
        self.capture
            .before_close(id, context, |start| self.push_start(&start));
        let push = |record: &SpanRecord, parent, failed, end| {
            self.push(|| self.queue.try_push_span(id, record, parent, failed, end))
        };
        self.capture
            .on_close(id, context, push, || self.queue.wait_for_room());
    }

    fn push_start(&self, start: &SpanStarted<'_>) {
        self.push(|| self.queue.push_start(start));
    }

    /// Pushes a record; a synchronous console has written it when this returns.
    fn push<T>(&self, push: impl FnOnce() -> T) -> T {
        match &self.synchronous {
            None => push(),
            // A suppressed thread may be inside the writer; after the end there is none.
            Some(_) if is_suppressed() || self.queue.is_closed() => push(),
            // The lock may be held by a thread that this process does not have.
            Some(synchronous) if self.queue.is_inherited() => {
                let pushed = push();
                let _ = synchronous.control.flush(&self.queue, FLUSH_IN_CHILD);
                pushed
            }
            Some(synchronous) => synchronous.work.push(push),
        }
    }
}

/// A handle to a running console or log file that does not own it, for exit and panic hooks. It
/// keeps nothing running and may outlive the guard.
#[derive(Debug, Clone)]
pub struct ConsoleHandle {
    pub(super) queue: Queue,
    pub(super) control: Arc<WorkerHandle>,
    pub(super) notices: Arc<Notices>,
}

impl ConsoleHandle {
    /// Waits until everything recorded before the call is written.
    ///
    /// # Errors
    /// Fails if it takes longer than the timeout because the terminal or the pipe is blocked.
    /// Nothing is lost: the records stay queued.
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushTimeout> {
        self.control.flush(&self.queue, timeout)
    }

    /// Waits until everything recorded before the call is written, as [`flush`](Self::flush) does,
    /// but may be called from any thread and any number of times: on one of Spanscope's own threads
    /// it returns at once, because that thread may be the writer.
    ///
    /// # Errors
    /// Fails if the deadline passes first. The records stay queued.
    pub fn drain(&self, deadline: Instant) -> Result<(), FlushTimeout> {
        if is_suppressed() {
            return Ok(());
        }
        self.flush(deadline.saturating_duration_since(Instant::now()))
    }

    /// Returns the current statistics: starts of spans, ends of spans, and events are one record
    /// each.
    #[must_use]
    pub fn stats(&self) -> LayerStats {
        self.control.stats(&self.queue)
    }

    /// Adds a line that is not an event, such as a problem with the telemetry's configuration. No
    /// filter applies to it, and no other sink sees it.
    pub fn report(&self, severity: Severity, text: impl Into<String>) {
        self.notices.add(severity, text.into());
        self.queue.wake();
    }
}

/// Keeps a console's or a log file's thread running. Dropping it writes the queued lines, within
/// the shutdown timeout; later lines are counted as dropped.
#[derive(Debug)]
#[must_use = "dropping the guard ends the writing"]
pub struct ConsoleGuard {
    pub(super) handle: ConsoleHandle,
    pub(super) shutdown_timeout: Duration,
}

impl ConsoleGuard {
    /// Returns a handle for code that must not own the guard, such as an exit hook.
    #[must_use]
    pub fn handle(&self) -> ConsoleHandle {
        self.handle.clone()
    }

    /// Waits until everything recorded before the call is written.
    ///
    /// # Errors
    /// Fails if it takes longer than the timeout because the terminal or the pipe is blocked.
    /// Nothing is lost: the records stay queued.
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushTimeout> {
        self.handle.flush(timeout)
    }

    /// Returns the current statistics: starts of spans, ends of spans, and events are one record
    /// each.
    #[must_use]
    pub fn stats(&self) -> LayerStats {
        self.handle.stats()
    }

    /// Adds a line that is not an event, see [`ConsoleHandle::report`].
    pub fn report(&self, severity: Severity, text: impl Into<String>) {
        self.handle.report(severity, text);
    }

    /// Requests the end before the deadline, and returns at once, so that several sinks end at the
    /// same time. [`shutdown`](Self::shutdown) waits for it.
    pub fn begin_shutdown(&self, deadline: Instant) {
        self.handle.control.begin_shutdown(&self.handle.queue, deadline);
    }

    /// Writes the queued lines and ends the thread now instead of when the guard is dropped. A
    /// second call does not wait again.
    ///
    /// # Errors
    /// Some lines were not written in time.
    pub fn shutdown(&self) -> Result<(), ShutdownError> {
        self.handle
            .control
            .shutdown(&self.handle.queue, self.shutdown_timeout)
    }
}

impl Drop for ConsoleGuard {
    fn drop(&mut self) {
        let _ = self.shutdown(); // the stats and a report on stderr count unwritten records
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn an_error_wakes_the_writer_and_other_events_do_not() {
        let wakes = Arc::new(AtomicUsize::new(0));
        let (layer, guard) = ConsoleLayer::builder().writer(io::sink()).build().unwrap();
        let counter = Arc::clone(&wakes);
        layer.core.queue.on_wake(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("gathered");
            tracing::warn!("gathered");
            assert_eq!(wakes.load(Ordering::Relaxed), 0);
            tracing::error!("the last line, maybe");
            assert_eq!(wakes.load(Ordering::Relaxed), 1);
        });
        guard.shutdown().unwrap();
    }
}
