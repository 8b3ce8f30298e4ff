//! The record of a span, shared by all our layers.
//!
//! Ids are fixed once: by their first user, or, if another tracing system assigns its own ids to
//! spans (a bridge), in agreement with it. Until then a remote parent may be set.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use spanscope_model::{RawValue, SpanId, Value, wire};
use tracing_core::span::Id;
use tracing_core::{Dispatch, Metadata};

use super::DEFAULT_MAX_VALUE_LEN;
use super::cell::{SpanCell, UsedIds};
use super::clock::{Clock, Ticks};
use super::compact::{COMPACT_FROM, compact};
use super::fields::FieldWriter;
use super::ids::SpanIds;

/// Makes another tracing system start its part of a span; it must call [`SpanRecord::resolve_ids`].
/// Called without locks, on any thread.
pub type IdResolver = fn(&Dispatch, &Id);

/// A parent in another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteParent {
    /// Its ids.
    pub ids: SpanIds,
    /// Whether the caller sampled it.
    pub is_sampled: bool,
}

/// The state of an open span. It lives in the span's extensions.
#[derive(Debug)]
pub struct SpanRecord {
    pub(crate) ids: SpanIds,
    /// The parent as seen by the layer that created the record; other layers apply their own
    /// filter.
    pub(crate) parent: Option<SpanId>,
    pub(crate) parent_is_remote: bool,
    pub(crate) metadata: &'static Metadata<'static>,
    pub(crate) start: Ticks,
    pub(crate) fields: Vec<u8>,
    pub(super) late: LateFields,
    pub(crate) links: Vec<SpanIds>,
    /// The layers, by `Capture::bit`, that saw an error in it: another layer may have seen the
    /// error in a span further inside.
    pub(super) failed_for: u64,
    /// A copy of the ids for threads that don't lock the record, and whether the ids are used:
    /// after that no remote parent can be set.
    pub(super) cell: SpanCell,
    /// The system to ask before they are used.
    pub(super) shared_with: Option<IdResolver>,
    /// The decision of head sampling for its trace: the remote parent's, and once the ids are fixed
    /// the span's. Only exporters use it.
    pub(super) is_sampled: bool,
    /// The decision for the nearest span above it in this process; `None` if there is none.
    pub(super) inherits_sampled: Option<bool>,
    /// Whether a watched key was set without having been declared, see `late_keys`.
    pub(crate) has_watched_key: bool,
    /// Whether it was created while its thread was unwinding: its end in the same unwinding is then
    /// no failure.
    pub(super) made_in_panic: bool,
    pub(super) owner: u32,
    /// The layers, by `Capture::bit`, from which a filter hides it.
    pub(super) hidden_from: u64,
    /// The layers, by `Capture::bit`, to which its start was reported.
    pub(super) reported_to: u64,
    pub(super) busy: Busy,
    /// When it was ended while it was still open; zero before.
    pub(super) ended: AtomicU64,
    /// When the first layer saw it close, so that all layers use one time; zero before.
    pub(super) closed: AtomicU64,
}

/// The state of a span's late fields.
#[derive(Debug)]
pub(super) struct LateFields {
    /// The number of additions.
    changes: u32,
    /// Size from which the fields are compacted.
    compact_at: usize,
    /// Their size after the last compaction.
    dense_len: usize,
    /// Maximum number of bytes that a sink has shown.
    pub(super) shown_len: usize,
    /// The number of dropped fields.
    lost: u64,
}

impl LateFields {
    pub(super) fn new(initial_len: usize) -> Self {
        Self {
            changes: 0,
            compact_at: COMPACT_FROM,
            dense_len: initial_len,
            shown_len: 0,
            lost: 0,
        }
    }
}

/// The time during which at least one thread was inside a span. One layer counts: the first that
/// saw it entered.
#[derive(Debug, Default)]
pub(super) struct Busy {
    pub(super) counted_by: Option<u32>,
    pub(super) inside: u32,
    pub(super) since: Ticks,
    pub(super) nanos: u64,
}

impl Drop for SpanRecord {
    fn drop(&mut self) {
        recycle(std::mem::take(&mut self.fields));
        self.cell.close();
    }
}

thread_local! {
    /// Buffers of closed spans for reuse: freeing an allocation on another thread is the most
    /// expensive part.
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Larger buffers are returned to the allocator.
pub(super) const MAX_SPARE_LEN: usize = 4096;

fn recycle(mut buffer: Vec<u8>) {
    if buffer.capacity() == 0 || buffer.capacity() > MAX_SPARE_LEN {
        return;
    }
    buffer.clear();
    let _ = SPARE.try_with(|spare| {
        if let Ok(mut spare) = spare.try_borrow_mut()
            && spare.len() < 64
        {
            spare.push(buffer);
        }
    });
}

pub(super) fn spare_buffer() -> Vec<u8> {
    SPARE
        .try_with(|spare| spare.try_borrow_mut().ok().and_then(|mut spare| spare.pop()))
        .ok()
        .flatten()
        .unwrap_or_else(|| Vec::with_capacity(256))
}

impl SpanRecord {
    /// Returns the span's ids.
    #[must_use]
    pub fn ids(&self) -> SpanIds {
        self.ids
    }

    /// Returns its callsite's metadata.
    #[must_use]
    pub fn metadata(&self) -> &'static Metadata<'static> {
        self.metadata
    }

    /// Returns when it was created.
    #[must_use]
    pub fn start(&self) -> Ticks {
        self.start
    }

    /// Returns its parent, as seen by the layer that created the record.
    #[must_use]
    pub fn parent(&self) -> Option<SpanId> {
        self.parent
    }

    /// Returns for how many nanoseconds until `end` at least one thread was inside it; `None` if no
    /// layer counts.
    #[must_use]
    pub fn busy_nanos(&self, end: Ticks) -> Option<u64> {
        self.busy.counted_by?;
        let open = if self.busy.inside > 0 {
            Clock::global().nanos_between(self.busy.since, end)
        } else {
            0
        };
        // Work after an explicit end does not count.
        Some((self.busy.nanos + open).min(Clock::global().nanos_between(self.start, end)))
    }

    /// Returns whether it is the root of this process's part of its trace.
    #[must_use]
    pub fn is_local_root(&self) -> bool {
        self.parent.is_none() || self.parent_is_remote
    }

    /// Returns whether a watched key was set on it without having been declared; see
    /// [`watch_late_keys`](super::watch_late_keys).
    #[must_use]
    pub fn has_watched_key(&self) -> bool {
        self.has_watched_key
    }

    /// Returns its fields as bytes, for a [`FieldReader`](super::FieldReader).
    #[must_use]
    pub fn fields(&self) -> &[u8] {
        &self.fields
    }

    /// Returns the spans that it follows from or links to.
    #[must_use]
    pub fn links(&self) -> &[SpanIds] {
        &self.links
    }

    /// Sets the other system that assigns ids to this span, which is asked before the first use.
    /// Has no effect after it.
    pub fn set_id_resolver(&mut self, other: IdResolver) {
        if self.cell.share() {
            self.shared_with = Some(other);
        }
    }

    /// Ends the span at `time`, which is then its end in every sink, however long handles of it are
    /// kept. The first of several calls counts. Until the span closes, it is shown as running. See
    /// [`SpanExt::end_now`](super::SpanExt::end_now).
    pub fn end_at(&self, time: Ticks) {
        let _ = self
            .ended
            .compare_exchange(0, time.raw(), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Returns when the first layer saw it close, if one has: when its last handle and its last
    /// child were dropped. Never earlier than its end.
    #[must_use]
    pub fn closed(&self) -> Option<Ticks> {
        read_ticks(&self.closed)
    }

    /// Closes the record at `now`, unless it is closed, and returns when the span ended: when it
    /// was [ended](Self::end_at), else when it was last exited, else, if it was never entered, when
    /// it closed.
    ///
    /// Only for a layer's `on_close`, with a reading taken there.
    pub fn close(&self, now: impl FnOnce() -> Ticks) -> Ticks {
        // No exchange: the layers are called one after another, on the thread that closes the span.
        let closed = self.closed().unwrap_or_else(|| {
            let now = now();
            self.closed.store(now.raw(), Ordering::Relaxed);
            now
        });
        let ended = read_ticks(&self.ended).or_else(|| self.cell.left());
        // A handle may set a time in the future.
        ended.map_or(closed, |ended| ended.clamp(self.start.min(closed), closed))
    }

    /// Returns the system to ask, without locks, before the ids are used.
    #[must_use]
    pub fn pending_resolver(&self) -> Option<IdResolver> {
        self.shared_with.filter(|_| !self.cell.is_used())
    }

    /// Fixes the record's ids. `parent` is a parent that only the other system knows; the span
    /// becomes its child. Once the ids are fixed, this only changes the sampling decision.
    pub fn resolve_ids(&mut self, parent: Option<SpanIds>, is_sampled: bool) -> SpanIds {
        if let Some(parent) = parent {
            self.set_remote_parent(parent);
        }
        self.set_sampled(is_sampled);
        self.fix_ids().ids
    }

    /// Returns the ids, which are fixed from now on.
    pub(super) fn fix_ids(&self) -> UsedIds {
        self.cell.set_used();
        UsedIds {
            ids: self.ids,
            is_sampled: self.is_sampled,
        }
    }

    /// Makes the span a child of one in another process; returns `false` if its ids are fixed.
    pub(super) fn set_remote_parent(&mut self, parent: SpanIds) -> bool {
        let is_free = self.cell.replace_trace(parent.trace_id);
        if is_free {
            self.ids.trace_id = parent.trace_id;
            self.parent = Some(parent.span_id);
            self.parent_is_remote = true;
        }
        is_free
    }

    pub(super) fn set_sampled(&mut self, is_sampled: bool) {
        self.is_sampled = is_sampled;
        self.cell.set_sampled(is_sampled);
    }

    /// Returns the parent in another process, if it has one.
    #[must_use]
    pub fn remote_parent(&self) -> Option<RemoteParent> {
        let span_id = self.parent.filter(|_| self.parent_is_remote)?;
        Some(RemoteParent {
            ids: SpanIds {
                trace_id: self.ids.trace_id,
                span_id,
            },
            is_sampled: self.is_sampled,
        })
    }

    /// Returns the sampling decision of the nearest span above it in this process, whichever layer
    /// sees that; `None` for a root.
    #[must_use]
    pub fn inherits_sampled(&self) -> Option<bool> {
        self.inherits_sampled
    }

    /// Returns the sampling decision for the span; without head sampling every span is sampled.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.is_sampled
    }

    /// Sets an attribute under any key; a later value for the same key replaces it. Strings are
    /// truncated to 16 KiB.
    pub fn set_attribute(&mut self, key: &str, value: &Value) {
        let mut fields = Vec::new();
        FieldWriter {
            bytes: &mut fields,
            max_len: DEFAULT_MAX_VALUE_LEN,
            only: None,
        }
        .own(key, value);
        self.add_fields(&fields);
    }

    /// Adds late fields; the last value of a field counts. Their memory is bounded, see
    /// [`compact`].
    pub(crate) fn add_fields(&mut self, fields: &[u8]) {
        self.late.changes = self.late.changes.wrapping_add(1);
        self.fields.extend_from_slice(fields);
        if self.fields.len() > self.late.compact_at {
            self.compact_fields();
        }
    }

    /// Returns the number of additions of late fields, for a sink that polls.
    #[must_use]
    pub fn field_changes(&self) -> u32 {
        self.late.changes
    }

    /// Returns whether the fields are large and may contain outdated values.
    pub(super) fn needs_compaction(&self) -> bool {
        self.fields.len() > COMPACT_FROM && self.fields.len() != self.late.dense_len
    }

    pub(super) fn compact_fields(&mut self) {
        let lost = compact(self.metadata, &mut self.fields, self.late.shown_len);
        if lost > 0 {
            self.late.lost += lost;
            let mut fields = std::mem::take(&mut self.fields);
            FieldWriter {
                bytes: &mut fields,
                max_len: DEFAULT_MAX_VALUE_LEN,
                only: None,
            }
            .own_raw(wire::DROPPED_FIELDS, &RawValue::U64(self.late.lost));
            // This removes the previous count, if there is one.
            compact(self.metadata, &mut fields, self.late.shown_len);
            self.fields = fields;
        }
        self.late.dense_len = self.fields.len();
        self.late.compact_at = COMPACT_FROM.max(2 * self.fields.len());
    }

    /// Adds a link to another span. Duplicates are ignored; the maximum is 128.
    pub fn add_link(&mut self, link: SpanIds) {
        if self.links.len() < 128 && !self.links.contains(&link) {
            self.links.push(link);
        }
    }
}

fn read_ticks(place: &AtomicU64) -> Option<Ticks> {
    let ticks = place.load(Ordering::Relaxed);
    (ticks != 0).then(|| Ticks::from_raw(ticks))
}
