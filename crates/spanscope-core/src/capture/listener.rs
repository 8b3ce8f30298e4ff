//! The callbacks that create and update the records of spans.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};

use spanscope_model::{SpanId, TraceId};
use tracing_core::dispatcher::{self, WeakDispatch};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Dispatch, Event, Level, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{Extensions, LookupSpan, SpanData, SpanRef};

use super::cell::{NO_LAYER, SpanCell, UsedIds};
use super::clock::{Clock, Ticks};
use super::fields::FieldWriter;
use super::ids::{self, SpanIds};
use super::inside::{self, Current};
use super::log_bridge::add_key_values;
use super::record::{Busy, LateFields, MAX_SPARE_LEN, SpanRecord, spare_buffer};
use super::retired::{any_retired, is_retired, retire};
use super::{hidden, is_log_record, is_suppressed, is_value_filtering_enabled};
use crate::sync::lock;

thread_local! {
    /// The buffer in which fields are formatted before any lock is taken. It is taken out while in
    /// use, so that a `Debug` which logs finds an empty one instead of a borrowed one.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The start of a span, as reported to a sink.
#[derive(Debug)]
#[non_exhaustive]
pub struct SpanStarted<'a> {
    /// The record.
    pub record: &'a SpanRecord,
    /// Its parent, as the layer sees it.
    pub parent: Option<SpanId>,
    /// The time of the report.
    pub reported_at: Ticks,
}

/// The capturing half of a layer.
#[derive(Debug)]
pub struct Capture {
    owner: u32,
    max_value_len: usize,
    clock: &'static Clock,
    dispatch: OnceLock<WeakDispatch>,
    /// Whether it has created a record: if another layer creates all of them, late values need no
    /// lookup.
    creates_records: AtomicBool,
    /// Whether it has found a record that another layer created.
    finds_records: AtomicBool,
    /// The layer that created the record which this layer found last.
    maker: AtomicU32,
    /// Open spans that were not shown yet: see [`Capture::visit_spans`].
    left_out: Mutex<Vec<Id>>,
}

/// Maximum number of spans, never entered, that are looked at again.
const MAX_LEFT_OUT: usize = 10_000;

impl Capture {
    /// Creates the capturing half of one layer. Values longer than `max_value_len` bytes are
    /// truncated.
    #[must_use]
    pub fn new(max_value_len: usize) -> Self {
        static OWNERS: AtomicU32 = AtomicU32::new(0);
        Self {
            owner: OWNERS.fetch_add(1, Ordering::Relaxed),
            max_value_len: max_value_len.max(16),
            clock: Clock::global(),
            dispatch: OnceLock::new(),
            creates_records: AtomicBool::new(false),
            finds_records: AtomicBool::new(false),
            maker: AtomicU32::new(NO_LAYER),
            left_out: Mutex::default(),
        }
    }

    /// Returns this layer's bit in a record's sets. Two layers share a bit only if their numbers
    /// differ by a multiple of 64.
    fn bit(&self) -> u64 {
        1 << (self.owner % u64::BITS)
    }

    /// Returns the clock of the records' ticks.
    #[must_use]
    pub fn clock(&self) -> &'static Clock {
        self.clock
    }

    /// Call this from `Layer::on_register_dispatch`.
    pub fn on_register_dispatch(&self, dispatch: &Dispatch) {
        let _ = self.dispatch.set(dispatch.downgrade());
    }

    /// Looks at spans that were opened since the last call, and at those that were left out then;
    /// see [`visit_spans`](Self::visit_spans).
    pub fn visit_opened_spans<'a>(
        &self,
        spans: impl Iterator<Item = &'a Id>,
        see: impl FnMut(&Id, Option<&SpanRecord>),
    ) {
        let before = std::mem::take(&mut *self.left_out());
        let mut left_out = Vec::new();
        self.look(before.into_iter().chain(spans.cloned()), see, |id| {
            left_out.push(id.clone());
        });
        // Spans that are created and never entered are remembered up to a bound.
        left_out.truncate(MAX_LEFT_OUT);
        *self.left_out() = left_out;
    }

    /// Returns whether [`visit_opened_spans`](Self::visit_opened_spans) has left spans out.
    #[must_use]
    pub fn has_skipped_spans(&self) -> bool {
        !self.left_out().is_empty()
    }

    fn left_out(&self) -> MutexGuard<'_, Vec<Id>> {
        lock(&self.left_out)
    }

    /// Looks at these spans from any thread: passes each id and its record to `see`, or `None` if
    /// the span is closed or has no record. Does nothing if the subscriber is gone or not built on
    /// [`Registry`].
    ///
    /// This fixes the ids of the records. A span whose ids another tracing system shares, and that
    /// was never entered or used, is left out: asking that system here could coincide with the
    /// span's end on another thread.
    pub fn visit_spans<'a>(
        &self,
        spans: impl Iterator<Item = &'a Id>,
        see: impl FnMut(&Id, Option<&SpanRecord>),
    ) {
        self.look(spans.cloned(), see, |_| ());
    }

    fn look(
        &self,
        spans: impl Iterator<Item = Id>,
        mut see: impl FnMut(&Id, Option<&SpanRecord>),
        mut leave_out: impl FnMut(&Id),
    ) {
        let Some(dispatch) = self.dispatch.get().and_then(WeakDispatch::upgrade) else {
            return;
        };
        // If the last owner of a span drops it during the look, this thread clears it, which closes
        // its parent through the current dispatcher: without one here the parent would never close.
        dispatcher::with_default(&dispatch, || {
            let Some(registry) = dispatch.downcast_ref::<Registry>() else {
                return;
            };
            for id in spans {
                let Some(data) = registry.span_data(&id) else {
                    see(&id, None);
                    continue;
                };
                let extensions = data.extensions();
                let record = extensions.get::<SpanRecord>();
                if record.is_some_and(|record| record.pending_resolver().is_some()) {
                    leave_out(&id);
                    continue;
                }
                record.map(SpanRecord::fix_ids);
                see(&id, record);
            }
        });
    }

    /// Call this from `Layer::on_new_span`. Returns whether this layer shows the span: it has a
    /// record now, and no filter that decides by the span's values hides it from this layer.
    pub fn on_new_span<S>(&self, attributes: &Attributes<'_>, id: &Id, context: &Context<'_, S>) -> bool
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if is_suppressed() {
            return false;
        }
        let Some(span) = context.span(id) else {
            return false;
        };
        let hidden = is_value_filtering_enabled()
            && (hidden::is_hidden_from_next(attributes, id)
                || span.extensions().get::<hidden::HiddenFromAll>().is_some());
        // A layer that has always been the first one creates the record without a lookup.
        let may_be_second =
            !self.creates_records.load(Ordering::Relaxed) || self.finds_records.load(Ordering::Relaxed);
        if may_be_second && self.join(&span, hidden) {
            if !self.finds_records.load(Ordering::Relaxed) {
                self.finds_records.store(true, Ordering::Relaxed);
            }
            return !hidden;
        }
        if self.dispatch.get().is_none() {
            self.find_dispatch();
        }
        let record = self.make_record(attributes, id, context, &span, hidden);
        let number = id.into_u64();
        {
            let mut extensions = span.extensions_mut();
            if let Some(first) = extensions.get_mut::<SpanRecord>() {
                // Another layer was first this time, so the fields were encoded twice. From now on
                // this layer looks for a record before it encodes.
                self.finds_records.store(true, Ordering::Relaxed);
                if hidden {
                    first.hidden_from |= self.bit();
                } else {
                    inside::made(self.owner, number, first.cell);
                }
                return !hidden;
            }
            if !hidden {
                inside::made(self.owner, number, record.cell);
            }
            extensions.replace(record);
        }
        if !self.creates_records.load(Ordering::Relaxed) {
            self.creates_records.store(true, Ordering::Relaxed);
        }
        !hidden
    }

    /// Returns whether another layer has just created this span's record on this thread: the layer
    /// whose record this one found last. `false` means unknown, and is always returned while a
    /// filter decides by values.
    ///
    /// For a layer that reads records only when spans end, and doesn't use
    /// [`on_enter`](Self::on_enter): it can then skip the new span, which saves the lookup, 40 ns.
    #[must_use]
    pub fn is_recorded(&self, id: &Id) -> bool {
        !is_value_filtering_enabled()
            && inside::was_made_by(self.maker.load(Ordering::Relaxed), id.into_u64())
    }

    /// Uses a record that another layer has created; returns `false` if there is none.
    fn join<S>(&self, span: &SpanRef<'_, S>, hidden: bool) -> bool
    where
        S: for<'a> LookupSpan<'a>,
    {
        let number = span.id().into_u64();
        if hidden {
            let mut extensions = span.extensions_mut();
            let record = extensions.get_mut::<SpanRecord>();
            return record.map(|record| record.hidden_from |= self.bit()).is_some();
        }
        let extensions = span.extensions();
        let record = extensions.get::<SpanRecord>();
        if let Some(record) = record
            && self.maker.load(Ordering::Relaxed) != record.owner
        {
            self.maker.store(record.owner, Ordering::Relaxed);
        }
        if let Some(record) = record {
            inside::made(self.owner, number, record.cell);
        }
        record.is_some()
    }

    fn make_record<S>(
        &self,
        attributes: &Attributes<'_>,
        id: &Id,
        context: &Context<'_, S>,
        span: &SpanRef<'_, S>,
        hidden: bool,
    ) -> SpanRecord
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let start = self.clock.now();
        let mut fields = spare_buffer();
        attributes.record(&mut FieldWriter {
            bytes: &mut fields,
            max_len: self.max_value_len,
            only: None,
        });
        let parent = span.parent();
        let at_hand = parent
            .as_ref()
            .and_then(|parent| inside::use_if_current(self.owner, parent.id().into_u64()));
        let parent = match at_hand {
            Some(used) => Some(used),
            None => self.visible_ids(parent).map(|(used, _)| used),
        };
        // Without a visible parent the span may still have a hidden ancestor, whose trace it joins.
        // A thread that is inside no span has none.
        let has_no_ancestor =
            || attributes.is_root() || (attributes.is_contextual() && context.current_span().id().is_none());
        let above = match parent {
            Some(used) => Some((used.ids.trace_id, Some(used.is_sampled))),
            None if has_no_ancestor() => None,
            None => self.hidden_ancestor(id),
        };
        let (trace_id, inherits_sampled) = above.unwrap_or_else(|| (ids::trace_id(), None));
        let ids = SpanIds {
            trace_id,
            span_id: ids::span_id(),
        };
        let is_sampled = inherits_sampled.unwrap_or(true);
        SpanRecord {
            ids,
            parent: parent.map(|parent| parent.ids.span_id),
            parent_is_remote: false,
            metadata: attributes.metadata(),
            start,
            late: LateFields::new(fields.len()),
            fields,
            links: Vec::new(),
            failed_for: 0,
            cell: SpanCell::take(ids, is_sampled),
            shared_with: None,
            is_sampled,
            inherits_sampled,
            has_watched_key: false,
            made_in_panic: std::thread::panicking(),
            owner: self.owner,
            hidden_from: if hidden { self.bit() } else { 0 },
            reported_to: 0,
            busy: Busy::default(),
            ended: AtomicU64::new(0),
            closed: AtomicU64::new(0),
        }
    }

    /// Hides a span from this layer; its children then become children of the nearest ancestor that
    /// the layer shows. Call this from `Layer::on_new_span`, after
    /// [`on_new_span`](Self::on_new_span).
    pub fn hide<S>(&self, span: &SpanRef<'_, S>)
    where
        S: for<'a> LookupSpan<'a>,
    {
        if let Some(record) = span.extensions_mut().get_mut::<SpanRecord>() {
            record.hidden_from |= self.bit();
        }
        inside::hidden(self.owner, span.id().into_u64());
    }

    /// Call this from `Layer::on_enter`, on a suppressed thread too, together with
    /// [`on_exit`](Self::on_exit): events in the span then need no lookup. A layer that calls
    /// neither works too, only slower.
    pub fn on_enter(&self, id: &Id) {
        inside::enter(self.owner, id.into_u64());
    }

    /// Call this from `Layer::on_exit` in a layer that calls [`on_enter`](Self::on_enter). Records
    /// when the span was exited, which is its end if it isn't entered again. If no layer calls
    /// this, spans end when they close.
    pub fn on_exit<S>(&self, id: &Id, context: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let cell = inside::exit(self.owner, id.into_u64());
        self.leave(cell, id, context);
    }

    /// Call this from `Layer::on_exit` in place of [`on_exit`](Self::on_exit), in a layer that
    /// doesn't call [`on_enter`](Self::on_enter), for the spans whose ends matter to it.
    pub fn note_exit<S>(&self, id: &Id, context: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let cell = inside::recall(self.owner, id.into_u64());
        self.leave(cell, id, context);
    }

    fn leave<S>(&self, cell: Option<SpanCell>, id: &Id, context: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let cell = cell.or_else(|| {
            let (cell, is_shown) = look(&context.span(id)?.extensions(), |record| {
                (record.cell, !self.is_hidden(record))
            })?;
            inside::remember(self.owner, id.into_u64(), is_shown, cell);
            Some(cell)
        });
        if let Some(cell) = cell {
            cell.leave(self.owner, self.clock);
        }
    }

    /// Call this from `Layer::on_enter`, before [`on_enter`](Self::on_enter), in a layer that shows
    /// starts of spans or their busy time. A start is reported when the span is first entered, when
    /// an event or a span occurs in it, or when it ends: until then a remote parent may still be
    /// set. The starts of its ancestors are reported first.
    pub fn count_enter<S>(&self, id: &Id, context: &Context<'_, S>, report: impl FnMut(SpanStarted<'_>))
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let Some(span) = context.span(id) else { return };
        let now = self.clock.now();
        let is_reported = {
            let mut extensions = span.extensions_mut();
            let Some(record) = extensions.get_mut::<SpanRecord>() else {
                return;
            };
            let counted_by = record.busy.counted_by.get_or_insert(self.owner);
            if *counted_by != self.owner && is_retired(*counted_by) {
                *counted_by = self.owner;
                record.busy.inside = 0;
            }
            if record.busy.counted_by == Some(self.owner) {
                record.busy.inside += 1;
                if record.busy.inside == 1 {
                    record.busy.since = now;
                }
            }
            (record.reported_to | record.hidden_from) & self.bit() != 0
        };
        if !is_reported && !is_suppressed() {
            self.report_starts(span, report);
        }
    }

    /// Call this from `Layer::on_exit` in a layer that calls [`count_enter`](Self::count_enter).
    pub fn count_exit<S>(&self, id: &Id, context: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let Some(span) = context.span(id) else { return };
        let now = self.clock.now();
        if let Some(record) = span.extensions_mut().get_mut::<SpanRecord>()
            && record.busy.counted_by == Some(self.owner)
            && record.busy.inside > 0
        {
            record.busy.inside -= 1;
            if record.busy.inside == 0 {
                record.busy.nanos += self.clock.nanos_between(record.busy.since, now);
            }
        }
    }

    /// Reports the starts of a span and its ancestors that were not yet reported to this layer, the
    /// outermost first.
    fn report_starts<S>(&self, span: SpanRef<'_, S>, mut report: impl FnMut(SpanStarted<'_>))
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        // Another sink may have seen it close already; a start is not later than that.
        let closed = look(&span.extensions(), SpanRecord::closed).flatten();
        let mut unreported = Vec::new();
        let mut next = Some(span);
        while let Some(span) = next {
            let (is_reported, hidden) = match span.extensions().get::<SpanRecord>() {
                Some(record) => (
                    record.reported_to & self.bit() != 0,
                    record.hidden_from & self.bit() != 0,
                ),
                None => (false, true),
            };
            if is_reported {
                break;
            }
            next = span.parent();
            if !hidden {
                unreported.push(span);
            }
        }
        for span in unreported.iter().rev() {
            // Fixes the ids, the parent's first.
            let parent = self.visible_ids(span.parent()).map(|(used, _)| used.ids.span_id);
            self.fix_ids(span);
            let mut extensions = span.extensions_mut();
            let Some(record) = extensions.get_mut::<SpanRecord>() else {
                continue;
            };
            if record.reported_to & self.bit() != 0 {
                continue; // another thread was faster
            }
            record.reported_to |= self.bit();
            record.late.shown_len = record.late.shown_len.max(record.fields.len());
            let parent = if record.parent_is_remote {
                record.parent
            } else {
                parent
            };
            report(SpanStarted {
                record,
                parent,
                reported_at: closed.unwrap_or_else(|| self.clock.now()),
            });
        }
    }

    /// `Option` and `Vec` of layers do not forward `on_register_dispatch`; the current dispatcher
    /// is used then.
    #[cold]
    fn find_dispatch(&self) {
        dispatcher::get_default(|dispatch| {
            if dispatch.downcast_ref::<Registry>().is_some() {
                self.on_register_dispatch(dispatch);
            }
        });
    }

    /// Returns the trace of the nearest ancestor with a record, whether or not this layer sees it,
    /// and whether it is sampled. Only needed for roots.
    fn hidden_ancestor(&self, id: &Id) -> Option<(TraceId, Option<bool>)> {
        let dispatch = self.dispatch.get()?.upgrade()?;
        let registry = dispatch.downcast_ref::<Registry>()?;
        let mut next = registry.span_data(id)?.parent().cloned();
        while let Some(id) = next {
            let data = registry.span_data(&id)?;
            if let Some(ids) = ids_of(&data, &dispatch, &id) {
                let is_sampled = look(&data.extensions(), SpanRecord::is_sampled);
                return Some((ids.trace_id, is_sampled));
            }
            next = data.parent().cloned();
        }
        None
    }

    /// Call this from `Layer::on_record`.
    pub fn on_record<S>(&self, id: &Id, values: &Record<'_>, context: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if is_suppressed() || !(self.creates_records.load(Ordering::Relaxed) || any_retired()) {
            return;
        }
        let Some(span) = context.span(id) else { return };
        if !self.keeps_record(&span) {
            return;
        }
        self.with_scratch(|scratch| {
            values.record(&mut FieldWriter {
                bytes: scratch,
                max_len: self.max_value_len,
                only: None,
            });
            if let Some(record) = span.extensions_mut().get_mut::<SpanRecord>() {
                record.add_fields(scratch);
            }
        });
    }

    /// Call this from `Layer::on_follows_from`.
    pub fn on_follows_from<S>(&self, id: &Id, follows: &Id, context: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if is_suppressed() {
            return;
        }
        let (Some(span), Some(followed)) = (context.span(id), context.span(follows)) else {
            return;
        };
        let Some(link) = self.fix_ids(&followed) else {
            return;
        };
        if self.keeps_record(&span)
            && let Some(record) = span.extensions_mut().get_mut::<SpanRecord>()
        {
            record.add_link(link);
        }
    }

    /// Returns whether this layer applies late fields: it has created the record, or the layer that
    /// created it is gone.
    fn keeps_record<S>(&self, span: &SpanRef<'_, S>) -> bool
    where
        S: for<'a> LookupSpan<'a>,
    {
        let owner = look(&span.extensions(), |record| record.owner);
        match owner {
            Some(owner) if owner == self.owner => true,
            Some(owner) if is_retired(owner) => {
                if let Some(record) = span.extensions_mut().get_mut::<SpanRecord>() {
                    record.owner = self.owner;
                }
                // From now on it may see a span first or second.
                self.finds_records.store(true, Ordering::Relaxed);
                self.creates_records.store(true, Ordering::Relaxed);
                true
            }
            _ => false,
        }
    }

    /// Call this when the layer is dropped while its capture is kept elsewhere: the layer that
    /// replaces it, in a `reload::Layer`, then takes over the records of the open spans.
    pub fn retire(&self) {
        retire(self.owner);
    }

    /// Call this from `Layer::on_event`. Formats the event, then passes on its span, its time and
    /// its fields; the buffer is only lent.
    pub fn on_event<S>(
        &self,
        event: &Event<'_>,
        context: &Context<'_, S>,
        take: impl FnOnce(Option<SpanIds>, Ticks, &[u8]),
    ) where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if is_suppressed() {
            return;
        }
        let time = self.clock.now();
        self.with_scratch(|scratch| {
            let mut writer = FieldWriter {
                bytes: scratch,
                max_len: self.max_value_len,
                only: None,
            };
            event.record(&mut writer);
            if is_log_record(event.metadata()) {
                add_key_values(&mut writer);
            }
            let failed = *event.metadata().level() == Level::ERROR;
            // A failure is noted in the span's record, so the span has to be looked up.
            let current = if event.is_contextual() && !failed {
                inside::current(self.owner)
            } else {
                Current::Unknown
            };
            if let Current::Used(used) = current {
                return take(Some(used.ids), time, scratch);
            }
            let span = context.event_span(event);
            if matches!(current, Current::Unfixed) {
                inside::drop_stale_entries(self.owner, span.as_ref().map(|span| span.id().into_u64()));
            }
            let seen = self.visible_ids(span);
            if failed
                && let Some((_, span)) = &seen
                && let Some(record) = span.extensions_mut().get_mut::<SpanRecord>()
            {
                record.failed_for |= self.bit();
            }
            take(seen.map(|(used, _)| used.ids), time, scratch);
        });
    }

    /// Call this from `Layer::on_event` in place of [`on_event`](Self::on_event) for an ERROR event
    /// that the layer does not read: it marks the span of the event as failed.
    pub fn on_failure<S>(&self, event: &Event<'_>, context: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if !is_suppressed()
            && let Some((_, span)) = self.visible_ids(context.event_span(event))
            && let Some(record) = span.extensions_mut().get_mut::<SpanRecord>()
        {
            record.failed_for |= self.bit();
        }
    }

    /// Returns whether a filter that decides by a span's values hides the span from this layer.
    pub fn is_hidden(&self, record: &SpanRecord) -> bool {
        record.hidden_from & self.bit() != 0
    }

    /// Returns whether a span failed, as this layer sees it, if it ends now; `panicking` is whether
    /// its thread unwinds.
    pub fn has_failed(&self, record: &SpanRecord, panicking: bool) -> bool {
        record.failed_for & self.bit() != 0 || (panicking && !record.made_in_panic)
    }

    /// Returns whether this layer has created a record: it was the first to see a span.
    pub fn creates_records(&self) -> bool {
        self.creates_records.load(Ordering::Relaxed)
    }

    /// Returns this layer's number, which is unique in the process.
    pub fn owner(&self) -> u32 {
        self.owner
    }

    /// Call this before [`on_event`](Self::on_event) in a layer that shows starts of spans.
    pub fn before_event<S>(
        &self,
        event: &Event<'_>,
        context: &Context<'_, S>,
        report: impl FnMut(SpanStarted<'_>),
    ) where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if let Some(span) = context.event_span(event) {
            self.before(span, report);
        }
    }

    /// Call this before [`on_close`](Self::on_close) in a layer that shows starts of spans.
    pub fn before_close<S>(&self, id: &Id, context: &Context<'_, S>, report: impl FnMut(SpanStarted<'_>))
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if let Some(span) = context.span(id) {
            self.before(span, report);
        }
    }

    fn before<S>(&self, span: SpanRef<'_, S>, report: impl FnMut(SpanStarted<'_>))
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let is_reported = span
            .extensions()
            .get::<SpanRecord>()
            .is_none_or(|record| record.reported_to & self.bit() != 0);
        if !is_reported && !is_suppressed() {
            self.report_starts(span, report);
        }
    }

    /// Call this from `Layer::on_close`. Passes on the record with the parent that this layer sees,
    /// whether it failed, and the span's end, which is usually before now: see
    /// [`SpanRecord::close`].
    ///
    /// While `take` returns `false`, `wait` is called without locks, and then `take` again. A span
    /// with a record is passed on from a suppressed thread too: a sink's thread may be the one that
    /// closes a parent last.
    pub fn on_close<S>(
        &self,
        id: &Id,
        context: &Context<'_, S>,
        take: impl Fn(&SpanRecord, Option<SpanId>, bool, Ticks) -> bool,
        wait: impl Fn(),
    ) where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let Some(span) = context.span(id) else { return };
        let panicking = std::thread::panicking();
        let mut seen_parent = None;
        loop {
            let extensions = span.extensions();
            let Some(record) = extensions.get::<SpanRecord>() else {
                return;
            };
            if record.hidden_from & self.bit() != 0 {
                return;
            }
            if record.pending_resolver().is_some() {
                drop(extensions);
                self.fix_ids(&span);
                continue;
            }
            if record.needs_compaction() {
                drop(extensions);
                if let Some(record) = span.extensions_mut().get_mut::<SpanRecord>() {
                    record.compact_fields();
                }
                continue;
            }
            let end = record.close(|| self.clock.now());
            let failed = self.has_failed(record, panicking);
            let parent = if record.owner == self.owner || record.parent_is_remote {
                record.parent
            } else if let Some(parent) = seen_parent {
                parent
            } else {
                // Another layer created the record; this layer may see another parent. One span's
                // lock at a time.
                drop(extensions);
                let parent = self.visible_ids(span.parent());
                seen_parent = Some(parent.map(|(used, _)| used.ids.span_id));
                continue;
            };
            if take(record, parent, failed, end) {
                return;
            }
            drop(extensions);
            wait();
        }
    }

    /// Returns the nearest span, from this one upwards, that this layer shows, and its ids, which
    /// are fixed from now on.
    fn visible_ids<'r, S>(&self, span: Option<SpanRef<'r, S>>) -> Option<(UsedIds, SpanRef<'r, S>)>
    where
        S: for<'a> LookupSpan<'a>,
    {
        let mut span = span?;
        loop {
            let extensions = span.extensions();
            let record = extensions.get::<SpanRecord>()?;
            if record.hidden_from & self.bit() != 0 {
                drop(extensions);
                span = span.parent()?;
            } else if record.pending_resolver().is_some() {
                drop(extensions);
                let used = self.fix_used_ids(&span)?;
                return Some((used, span));
            } else {
                let used = record.fix_ids();
                inside::keep(self.owner, span.id().into_u64(), record.cell);
                drop(extensions);
                return Some((used, span));
            }
        }
    }

    /// Returns the ids of a span that has a record, whether or not this layer shows it; they are
    /// fixed from now on. Call this without locks, before a layer reads the record of a span that
    /// it was not notified of.
    pub fn fix_ids<S>(&self, span: &SpanRef<'_, S>) -> Option<SpanIds>
    where
        S: for<'a> LookupSpan<'a>,
    {
        self.fix_used_ids(span).map(|used| used.ids)
    }

    fn fix_used_ids<S>(&self, span: &SpanRef<'_, S>) -> Option<UsedIds>
    where
        S: for<'a> LookupSpan<'a>,
    {
        // Bound first: the condition of an `if let` holds its lock in the body.
        let ask = look(&span.extensions(), SpanRecord::pending_resolver)?;
        if let Some(ask) = ask {
            if self.dispatch.get().is_none() {
                self.find_dispatch();
            }
            if let Some(dispatch) = self.dispatch.get().and_then(WeakDispatch::upgrade) {
                ask(&dispatch, &span.id());
            }
        }
        look(&span.extensions(), SpanRecord::fix_ids)
    }

    /// Returns the dispatcher of this layer's subscriber, if `tracing` has reported it. A layer
    /// within an `Option`, for example, is not notified; the result is then the current dispatcher,
    /// if it is available.
    #[must_use]
    pub fn dispatch(&self) -> Option<Dispatch> {
        if self.dispatch.get().is_none() {
            self.find_dispatch();
        }
        self.dispatch.get()?.upgrade()
    }

    /// Calls `work` with the record of a span of this layer's subscriber, whether or not the layer
    /// sees the span; returns `None` if there is none. The span's extensions are locked during the
    /// call.
    pub fn with_record<T>(&self, id: &Id, work: impl FnOnce(&mut SpanRecord) -> T) -> Option<T> {
        let dispatch = self.dispatch()?;
        let data = dispatch.downcast_ref::<Registry>()?.span_data(id)?;
        data.extensions_mut().get_mut::<SpanRecord>().map(work)
    }

    fn with_scratch(&self, work: impl FnOnce(&mut Vec<u8>)) {
        let mut scratch = SCRATCH.try_with(Cell::take).unwrap_or_default();
        scratch.clear();
        work(&mut scratch);
        if scratch.capacity() <= 16 * MAX_SPARE_LEN {
            let _ = SCRATCH.try_with(|place| place.set(scratch));
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.retire();
    }
}

fn look<T>(extensions: &Extensions<'_>, work: impl FnOnce(&SpanRecord) -> T) -> Option<T> {
    extensions.get::<SpanRecord>().map(work)
}

/// Returns the ids of a span that has a record, which are fixed from now on; for callers without a
/// layer's context.
pub fn ids_of<'a>(data: &impl SpanData<'a>, dispatch: &Dispatch, id: &Id) -> Option<SpanIds> {
    let ask = look(&data.extensions(), SpanRecord::pending_resolver)?;
    if let Some(ask) = ask {
        ask(dispatch, id);
    }
    look(&data.extensions(), SpanRecord::fix_ids).map(|used| used.ids)
}
