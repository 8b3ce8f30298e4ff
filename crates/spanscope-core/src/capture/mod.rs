//! From `tracing` to records: the first step of all our layers.
//!
//! [`Capture`] is the half of a layer that receives `tracing`'s callbacks. The first of our layers
//! that sees a span puts its [`SpanRecord`] into the span's extensions and applies later fields to
//! it; the others find it there, so all sinks show the same ids and fields. Events are not shared:
//! each layer reads them through the same visitor.
//!
//! Visibility is per layer: under `.with_filter` the parent of a span is the nearest ancestor that
//! *this* layer sees. The trace id is the same for all layers.
//!
//! Invariants: a callback on a thread marked by [`suppress`] does nothing; fields are formatted
//! before any lock is taken; only one span's extensions are locked at a time; nothing here panics
//! or allocates without a bound.

mod callsite;
mod callsite_cache;
mod category;
mod cell;
mod clock;
mod compact;
mod decode;
mod fields;
mod hidden;
mod ids;
mod inside;
mod late_keys;
mod listener;
mod log_bridge;
mod masked_texts;
mod record;
mod resolve;
mod retired;
mod span_ext;
mod suppress;

pub use callsite::{CallsiteInfo, FieldInfo, FieldRole, can_measure, is_log_record, severity_of};
pub use callsite_cache::CallsiteCache;
pub use category::{CallsiteCategory, CategoryLookup};
pub use clock::{Clock, Ticks, WallClock};
pub use decode::{DecodedRecord, Decoder, LogPlace, span_outcome};
pub(crate) use decode::{measured, status_of};
pub(crate) use fields::FieldWriter;
pub use fields::{FieldReader, Key, PANICKED, text_of};
pub use hidden::{HiddenFromAll, enable_value_filtering, hide_from_next_sink, is_value_filtering_enabled};
pub(crate) use ids::restart_ids_after_fork;
pub use ids::{SpanIds, new_ids};
pub use late_keys::{late_keys_were_set, watch_late_keys};
pub use listener::{Capture, SpanStarted, ids_of};
pub use log_bridge::{LogBridge, note_callsite};
pub use masked_texts::MaskedTexts;
pub use record::{IdResolver, RemoteParent, SpanRecord};
pub use resolve::ResolvedField;
pub use span_ext::{SetParentError, SpanExt};
pub use spanscope_model::RawValue;
pub use spanscope_model::text::cut;
pub use suppress::{Suppressed, is_suppressed, suppress};

/// Maximum length of a value in bytes; longer ones are truncated on a character boundary, and their
/// original length is kept.
pub const DEFAULT_MAX_VALUE_LEN: usize = 16 * 1024;
