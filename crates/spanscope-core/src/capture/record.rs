//! The record of a span, shared by all layers of ours.
//!
//! Ids are settled once: by whoever first needs them, or, where another tracing system gives its own spans ids (a bridge),
//! by both together. Until then a remote parent may be set.

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

/// Has another tracing system start its part of a span, which must end in [`SpanRecord::resolve_ids`]. Called with no lock held,
/// on any thread.
pub type IdResolver = fn(&Dispatch, &Id);

/// A parent in another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteParent {
    /// Its ids.
    pub ids: SpanIds,
    /// Whether the caller has it sampled.
    pub is_sampled: bool,
}

/// What is known of a span while it is open. It lives in the span's extensions.
#[derive(Debug)]
pub struct SpanRecord {
    pub(crate) ids: SpanIds,
    /// As the layer sees it that made the record; other layers look through their own filter.
    pub(crate) parent: Option<SpanId>,
    pub(crate) parent_is_remote: bool,
    pub(crate) metadata: &'static Metadata<'static>,
    pub(crate) start: Ticks,
    pub(crate) fields: Vec<u8>,
    pub(super) late: LateFields,
    pub(crate) links: Vec<SpanIds>,
    /// The layers, by `Capture::bit`, that saw an error in it: another layer may have seen it in a span further inside.
    pub(super) failed_for: u64,
    /// The ids once more, for threads that don't lock the record, and whether they are used, so
    /// that a remote parent comes too late.
    pub(super) cell: SpanCell,
    /// Who has to be asked before they are used.
    pub(super) shared_with: Option<IdResolver>,
    /// What head sampling says of its trace: of the remote parent, once settled of the span. Only exporters act on it.
    pub(super) is_sampled: bool,
    /// What it says of the nearest span above it in this process; `None` where there is none.
    pub(super) inherits_sampled: Option<bool>,
    /// A watched key was set without having been declared, see `late_keys`.
    pub(crate) has_watched_key: bool,
    /// Made while its thread was unwinding: that it also ends so says nothing about it.
    pub(super) made_in_panic: bool,
    pub(super) owner: u32,
    /// The layers, by `Capture::bit`, that a filter keeps it from, and those that were told of its start.
    pub(super) hidden_from: u64,
    pub(super) told_to: u64,
    pub(super) busy: Busy,
    /// When it was ended while it was still open; zero before.
    pub(super) ended: AtomicU64,
    /// When the first layer saw it close, so that all of them have one time; zero before.
    pub(super) closed: AtomicU64,
}

/// What is known of a span's late fields.
#[derive(Debug)]
pub(super) struct LateFields {
    /// How many times some were added.
    changes: u32,
    /// When the fields are longer than this, each is to keep only its last value.
    compact_at: usize,
    /// How long they were after that.
    dense_len: usize,
    /// How many bytes a sink has shown, at most.
    pub(super) shown_len: usize,
    /// Fields that found no room.
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

/// How long at least one thread was inside of a span. One layer counts: the first that saw it entered.
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
    /// Buffers of closed spans, for the next ones: an allocation that is freed on another thread costs most.
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Buffers that have grown beyond this go back to the allocator.
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
    /// The span's ids.
    #[must_use]
    pub fn ids(&self) -> SpanIds {
        self.ids
    }

    /// What its callsite says of it.
    #[must_use]
    pub fn metadata(&self) -> &'static Metadata<'static> {
        self.metadata
    }

    /// When it was made.
    #[must_use]
    pub fn start(&self) -> Ticks {
        self.start
    }

    /// Its parent, as the layer sees it that made the record.
    #[must_use]
    pub fn parent(&self) -> Option<SpanId> {
        self.parent
    }

    /// How long at least one thread was inside of it until `end`, in nanoseconds; `None` where no layer counts.
    #[must_use]
    pub fn busy_nanos(&self, end: Ticks) -> Option<u64> {
        self.busy.counted_by?;
        let open = if self.busy.inside > 0 {
            Clock::global().nanos_between(self.busy.since, end)
        } else {
            0
        };
        // Who enters it again after it was ended works after its end.
        Some((self.busy.nanos + open).min(Clock::global().nanos_between(self.start, end)))
    }

    /// Whether it begins this process's part of its trace.
    #[must_use]
    pub fn is_local_root(&self) -> bool {
        self.parent.is_none() || self.parent_is_remote
    }

    /// Whether a key that a layer watches was set on it without having been declared; see
    /// [`watch_late_keys`](super::watch_late_keys).
    #[must_use]
    pub fn has_watched_key(&self) -> bool {
        self.has_watched_key
    }

    /// Its fields as bytes, for a [`FieldReader`](super::FieldReader).
    #[must_use]
    pub fn fields(&self) -> &[u8] {
        &self.fields
    }

    /// The spans that it follows from or was linked to.
    #[must_use]
    pub fn links(&self) -> &[SpanIds] {
        &self.links
    }

    /// Says who else gives this span ids, and is to be asked before anybody uses them. Once they are used it is too late.
    pub fn share_ids_with(&mut self, other: IdResolver) {
        if self.cell.share() {
            self.shared_with = Some(other);
        }
    }

    /// Ends the span at `time`, which is what every sink then has as its end, however long handles
    /// of it are kept. Of several calls the first one counts. Until the span closes, it is shown as
    /// running. See [`SpanExt::end_now`](super::SpanExt::end_now).
    pub fn end_at(&self, time: Ticks) {
        let _ = self
            .ended
            .compare_exchange(0, time.raw(), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// When the first layer saw it close, if one has: when the last handle of it and its last child
    /// were gone. Never earlier than its end.
    #[must_use]
    pub fn closed(&self) -> Option<Ticks> {
        read_ticks(&self.closed)
    }

    /// Closes the record at `now`, unless it is closed, and returns when the span ended: when it was
    /// [ended](Self::end_at), else when it was last left, else, where nobody has entered it, when it
    /// closed.
    ///
    /// To be called by a layer's `on_close` alone, with a reading that it takes there.
    pub fn close(&self, now: impl FnOnce() -> Ticks) -> Ticks {
        // No exchange: the layers are called one after another, by the thread that closes the span.
        let closed = self.closed().unwrap_or_else(|| {
            let now = now();
            self.closed.store(now.raw(), Ordering::Relaxed);
            now
        });
        let ended = read_ticks(&self.ended).or_else(|| self.cell.left());
        // A handle may name a time that is still to come.
        ended.map_or(closed, |ended| ended.clamp(self.start.min(closed), closed))
    }

    /// Who has to be asked before the ids are used, with no lock held.
    #[must_use]
    pub fn to_be_asked(&self) -> Option<IdResolver> {
        self.shared_with.filter(|_| !self.cell.is_used())
    }

    /// Settles the ids: those of the record, below `parent` where the other system knows a parent that the record can't
    /// know. Once they are settled, this changes nothing but what is said of sampling.
    pub fn resolve_ids(&mut self, parent: Option<SpanIds>, is_sampled: bool) -> SpanIds {
        if let Some(parent) = parent {
            self.set_remote_parent(parent);
        }
        self.set_sampled(is_sampled);
        self.use_ids().ids
    }

    /// The ids, which from now on are fixed.
    pub(super) fn use_ids(&self) -> UsedIds {
        self.cell.set_used();
        UsedIds {
            ids: self.ids,
            is_sampled: self.is_sampled,
        }
    }

    /// Puts the span below one of another process; `false` if its ids are fixed.
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

    /// The parent in another process, if it has one.
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

    /// What head sampling says of the nearest span above it in this process, whoever sees that; `None` for a root.
    #[must_use]
    pub fn inherits_sampled(&self) -> Option<bool> {
        self.inherits_sampled
    }

    /// What head sampling says of the span; without it every span is sampled.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.is_sampled
    }

    /// Sets an attribute under any key; a later value for the same key wins. Texts are cut at 16 KiB.
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

    /// Adds late fields; of a field that is there already the last value counts. The memory for them
    /// is bounded, see [`compact`].
    pub(crate) fn add_fields(&mut self, fields: &[u8]) {
        self.late.changes = self.late.changes.wrapping_add(1);
        self.fields.extend_from_slice(fields);
        if self.fields.len() > self.late.compact_at {
            self.compact_fields();
        }
    }

    /// Counts the additions of late fields, for a sink that looks again and again.
    #[must_use]
    pub fn field_changes(&self) -> u32 {
        self.late.changes
    }

    /// Whether the fields are many bytes of which a part may be values that are no longer the last.
    pub(super) fn is_loose(&self) -> bool {
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
            // One that was there before is the one behind.
            compact(self.metadata, &mut fields, self.late.shown_len);
            self.fields = fields;
        }
        self.late.dense_len = self.fields.len();
        self.late.compact_at = COMPACT_FROM.max(2 * self.fields.len());
    }

    /// Links to another span. A link stands once; there are at most 128.
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
