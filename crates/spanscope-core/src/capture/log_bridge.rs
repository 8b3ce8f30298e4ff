//! Conversion of the `log` crate's records to events, with their key-values as attributes.
//!
//! `tracing-log` creates the event, because other layers recognize its five callsites. An event
//! can't have fields that its callsite has not declared, so the key-values are passed in a
//! thread-local for as long as the event is dispatched;
//! [`Capture::on_event`](super::Capture::on_event) takes them from there. A callsite for each set
//! of keys was rejected, because callsites are never freed, and other layers would no longer
//! recognize the event as a log record.
//!
//! With its feature `log-always`, `tracing` also emits a log record for each event and span. Such a
//! record has the location of a `tracing` callsite; it is recognized by that and left out. A macro
//! of the program may log by both crates from one location, so a trial determines whether the
//! feature is on before the first record is left out.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{OnceLock, RwLock};

use log::kv::{self, Key, Value, VisitSource, VisitValue};
use log::{Log, Metadata as LogMetadata, Record, SetLoggerError};
use spanscope_model::RawValue;
use tracing_core::{Dispatch, LevelFilter, Metadata, dispatcher};
use tracing_log::AsTrace as _;

use super::fields::{FieldReader, FieldWriter};
use crate::sync::{read, write};

/// Longer values are truncated here, before the layers truncate them to their own limit.
const MAX_VALUE_LEN: usize = 1 << 20;

/// Keys with another meaning on a record: its message, and its source location.
const RESERVED_KEYS: [&str; 5] = ["message", "log.target", "log.module_path", "log.file", "log.line"];

thread_local! {
    /// The key-values of the record that is being dispatched.
    static KEY_VALUES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

static TRIAL_WAS_LOGGED: AtomicBool = AtomicBool::new(false);

/// File, module and line of `tracing`'s callsites.
static CALLSITES: RwLock<Option<HashSet<Place<'static>>>> = RwLock::new(None);

type Place<'a> = (&'a str, &'a str, u32);

/// Notes a callsite of `tracing`: a log record from its location is `tracing`'s own. Call this from
/// a layer's or a filter's `register_callsite`.
pub fn note_callsite(metadata: &'static Metadata<'static>) {
    if let (Some(file), Some(line)) = (metadata.file(), metadata.line()) {
        let place = (file, metadata.module_path().unwrap_or_default(), line);
        write(&CALLSITES).get_or_insert_default().insert(place);
    }
}

fn was_emitted_by_tracing(record: &Record<'_>) -> bool {
    let (Some(file), Some(line)) = (record.file(), record.line()) else {
        return false;
    };
    let place: Place<'_> = (file, record.module_path().unwrap_or_default(), line);
    let is_callsite = {
        let callsites = read(&CALLSITES);
        let callsites: &Option<HashSet<Place<'_>>> = &callsites;
        callsites
            .as_ref()
            .is_some_and(|callsites| callsites.contains(&place))
    };
    is_callsite && tracing_logs_always()
}

/// The target of the trial event that determines whether `tracing` logs.
const TRIAL: &str = "spanscope::log_bridge::trial";

/// Returns whether `tracing` emits a log record for an event while there is a subscriber.
fn tracing_logs_always() -> bool {
    static LOGS: OnceLock<bool> = OnceLock::new();
    *LOGS.get_or_init(|| {
        // No layer sees the event; if `tracing` would log it, it calls `enabled` below.
        dispatcher::with_default(&Dispatch::none(), || {
            tracing::error!(target: TRIAL, "is this logged?");
        });
        TRIAL_WAS_LOGGED.load(Ordering::Relaxed)
    })
}

/// A logger that converts records of the `log` crate to events of `tracing`, as
/// `tracing_log::LogTracer` does, and keeps their key-values: every layer of Spanscope sees them as
/// attributes with their types.
///
/// `spanscope::init()` installs it. A program that composes its subscriber by hand calls
/// [`init`](Self::init) in place of `LogTracer::init`; other layers see no difference.
///
/// A key-value whose key a record already uses (`message`, and the `log.*` keys of its location) is
/// stored under `kv.` and the key. With `tracing`'s feature `log-always`, events of `tracing` are
/// captured once; a log record from the same line counts as a copy.
///
/// ```
/// use spanscope_core::LogBridge;
///
/// LogBridge::init()?;
/// log::info!(attempt = 2, model = "tiny"; "no answer yet");
/// # Ok::<(), log::SetLoggerError>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct LogBridge(());

impl LogBridge {
    /// Installs it as the program's logger.
    ///
    /// # Errors
    /// Fails if the program has set another logger before, which keeps its records.
    pub fn init() -> Result<(), SetLoggerError> {
        static LOGGER: LogBridge = LogBridge(());
        log::set_logger(&LOGGER)?;
        log::set_max_level(log::LevelFilter::max());
        Ok(())
    }
}

impl Log for LogBridge {
    fn enabled(&self, metadata: &LogMetadata<'_>) -> bool {
        if metadata.target() == TRIAL {
            // `tracing` calls this before it creates a record.
            TRIAL_WAS_LOGGED.store(true, Ordering::Relaxed);
            return false;
        }
        metadata.level().as_trace() <= LevelFilter::current()
            && dispatcher::get_default(|dispatch| dispatch.enabled(&metadata.as_trace()))
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) || was_emitted_by_tracing(record) {
            return;
        }
        // Also set for a record without key-values: it may be created while those of another one
        // are set.
        let _set = SetKeyValues::new(key_values(record.key_values()));
        // It never fails.
        let _ = tracing_log::format_trace(record);
    }

    fn flush(&self) {}
}

/// Sets key-values for the event until it is dropped.
struct SetKeyValues {
    before: Vec<u8>,
}

impl SetKeyValues {
    fn new(key_values: Vec<u8>) -> Self {
        let before = KEY_VALUES.try_with(|place| place.replace(key_values));
        Self {
            before: before.unwrap_or_default(),
        }
    }
}

impl Drop for SetKeyValues {
    fn drop(&mut self) {
        let before = std::mem::take(&mut self.before);
        let _ = KEY_VALUES.try_with(|place| place.replace(before));
    }
}

/// Adds the key-values of the log record that is being dispatched.
pub(super) fn add_key_values(writer: &mut FieldWriter<'_>) {
    // No user code runs meanwhile.
    let _ = KEY_VALUES.try_with(|place| writer.own_fields(FieldReader::new(&place.borrow())));
}

fn key_values(source: &dyn kv::Source) -> Vec<u8> {
    let mut found = Found::default();
    // The source may be user code; key-values from before its panic are kept.
    if catch_unwind(AssertUnwindSafe(|| source.visit(&mut found))).is_err() {
        found.bytes.truncate(found.whole);
    }
    found.bytes
}

#[derive(Default)]
struct Found {
    bytes: Vec<u8>,
    /// The bytes of whole pairs.
    whole: usize,
}

impl<'kvs> VisitSource<'kvs> for Found {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        let key = key.as_str();
        let own;
        let key = if RESERVED_KEYS.contains(&key) {
            own = format!("kv.{key}");
            &own
        } else {
            key
        };
        let writer = FieldWriter {
            bytes: &mut self.bytes,
            max_len: MAX_VALUE_LEN,
            only: None,
        };
        let visited = value.visit(Pair { key, writer });
        self.whole = self.bytes.len();
        visited
    }
}

struct Pair<'a> {
    key: &'a str,
    writer: FieldWriter<'a>,
}

impl Pair<'_> {
    fn text(&mut self, text: fmt::Arguments<'_>) -> Result<(), kv::Error> {
        self.writer.own_text(self.key, text);
        Ok(())
    }

    fn raw(&mut self, value: RawValue<'_>) -> Result<(), kv::Error> {
        self.writer.own_raw(self.key, &value);
        Ok(())
    }
}

impl<'v> VisitValue<'v> for Pair<'_> {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), kv::Error> {
        self.text(format_args!("{value}"))
    }

    /// Ignored, as `tracing` does for `None`.
    fn visit_null(&mut self) -> Result<(), kv::Error> {
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.raw(RawValue::U64(value))
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.raw(RawValue::I64(value))
    }

    /// A number if it fits, as for fields of `tracing`.
    fn visit_u128(&mut self, value: u128) -> Result<(), kv::Error> {
        match u64::try_from(value) {
            Ok(value) => self.visit_u64(value),
            Err(_) => self.text(format_args!("{value}")),
        }
    }

    fn visit_i128(&mut self, value: i128) -> Result<(), kv::Error> {
        match (i64::try_from(value), u64::try_from(value)) {
            (Ok(value), _) => self.visit_i64(value),
            (_, Ok(value)) => self.visit_u64(value),
            _ => self.text(format_args!("{value}")),
        }
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        self.raw(RawValue::F64(value))
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.raw(RawValue::Bool(value))
    }

    fn visit_str(&mut self, value: &str) -> Result<(), kv::Error> {
        self.text(format_args!("{value}"))
    }

    fn visit_error(&mut self, error: &(dyn std::error::Error + 'static)) -> Result<(), kv::Error> {
        self.writer.own_error(self.key, error);
        Ok(())
    }

    fn visit_borrowed_error(
        &mut self,
        error: &'v (dyn std::error::Error + 'static),
    ) -> Result<(), kv::Error> {
        self.visit_error(error)
    }
}
