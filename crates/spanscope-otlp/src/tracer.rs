//! OpenTelemetry's view of a span: its context and whatever `OpenTelemetrySpanExt` adds; it has no
//! data that a Spanscope record has.
//!
//! `tracing-opentelemetry` creates its spans late: when one is entered, when a child needs it, when
//! its context is requested. At that moment, on whatever thread, it calls [`BridgeTracer`], which
//! fixes the ids: those of the span's record, as a child of the parent that OpenTelemetry knows if
//! that is in another process. From then on both sides agree.
//!
//! The first attribute of the builder, set by [`BridgeTracer::span_builder`], identifies the span.
//! A thread-local would be wrong: a child, another crate, or another thread may start a span.
//!
//! The extensions of a span must not be accessed while the lock of OpenTelemetry's data is held,
//! except for the start, which happens once and before the span can have been entered;
//! `tracing-opentelemetry` takes them in the other order when a span is exited. It would also start
//! an explicit parent while it holds that parent's extensions, so the layer hides explicit parents
//! from it.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::trace::{
    Event, Link, Span, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, TraceFlags,
    TraceState, Tracer,
};
use opentelemetry::{Context, Key, KeyValue, Value};
use opentelemetry_sdk::trace::{SamplingDecision, ShouldSample};
use spanscope_core::capture::{Capture, RemoteParent, SpanIds, SpanRecord, new_ids};
use spanscope_model::{SpanId, TraceId};
use tracing_core::span::Id;

/// The keys of the attributes that identify the span of a builder: the registry's number of it, and
/// its ids in case no dispatcher is known.
const WHICH: &str = "spanscope.span";
const IDS: [&str; 3] = ["spanscope.trace.high", "spanscope.trace.low", "spanscope.id"];

thread_local! {
    /// The span whose OpenTelemetry part a layer creates on this thread right now.
    static CREATING: Cell<Option<Creating>> = const { Cell::new(None) };
    /// The additions of an ending span, while a layer waits for them.
    static ENDED: Cell<Ended> = const { Cell::new(Ended::NotWaiting) };
}

#[derive(Debug, Default)]
enum Ended {
    #[default]
    NotWaiting,
    Waiting,
    Left(Box<Additions>),
}

/// A span whose OpenTelemetry part is being created.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Creating {
    /// The registry's number of it.
    pub(crate) number: u64,
    /// Its ids, if no dispatcher is known by which the record could be found later.
    pub(crate) ids: Option<SpanIds>,
}

/// What `OpenTelemetrySpanExt` or OpenTelemetry's own API added to a span.
#[derive(Debug, Default)]
pub(crate) struct Additions {
    pub(crate) attributes: Vec<KeyValue>,
    pub(crate) events: Vec<Event>,
    pub(crate) links: Vec<Link>,
    pub(crate) status: Option<Status>,
    pub(crate) name: Option<Cow<'static, str>>,
    /// The number of events beyond the limit.
    pub(crate) lost_events: u32,
}

/// Maximum number of attributes, events and links each; more are dropped. OpenTelemetry's own
/// default is 128.
const MAX_ADDITIONS: usize = 1024;

/// Runs the creation of a span's OpenTelemetry part: a builder that is requested meanwhile is this
/// span's.
pub(crate) fn while_creating(creating: Creating, work: impl FnOnce()) {
    CREATING.set(Some(creating));
    work();
    CREATING.set(None);
}

/// Runs the end of a span's OpenTelemetry part, and returns what was added to it.
pub(crate) fn while_ending(work: impl FnOnce()) -> Option<Box<Additions>> {
    // The thread-local has a destructor, so it may be destroyed already if the thread ends.
    let _ = ENDED.try_with(|ended| ended.set(Ended::Waiting));
    work();
    match ENDED.try_with(Cell::take) {
        Ok(Ended::Left(additions)) => Some(additions),
        Ok(Ended::NotWaiting | Ended::Waiting) | Err(_) => None,
    }
}

/// Starts OpenTelemetry's part of spans.
#[derive(Debug)]
pub(crate) struct BridgeTracer {
    pub(crate) capture: Arc<Capture>,
    pub(crate) sampler: Box<dyn ShouldSample>,
}

impl Tracer for BridgeTracer {
    type Span = BridgeSpan;

    fn span_builder<T>(&self, name: T) -> SpanBuilder
    where
        T: Into<Cow<'static, str>>,
    {
        let mut builder = SpanBuilder::from_name(name);
        if let Some(creating) = CREATING.get() {
            builder.attributes = Some(attributes_of(creating));
        }
        builder
    }

    fn build_with_context(&self, mut builder: SpanBuilder, parent_context: &Context) -> BridgeSpan {
        let attributes = builder.attributes.take().unwrap_or_default();
        let mut attributes = attributes.into_iter().peekable();
        let mut take = |key: &str| match attributes.next_if(|next| next.key.as_str() == key)?.value {
            Value::I64(number) => Some(number.to_be_bytes()),
            _ => None,
        };
        let number = take(WHICH).map_or(0, u64::from_be_bytes);
        let carried = IDS.map(&mut take);
        let id = (number != 0).then(|| Id::from_u64(number));
        let parent = parent_context.span().span_context().clone();
        let name = builder.name.clone();
        let started = id.and_then(|id| {
            self.capture
                .with_record(&id, |record| self.resolve(record, parent_context, &parent, &name))
        });
        let context = started.unwrap_or_else(|| {
            let ids = ids_in(carried);
            self.without_record(ids, parent_context, &parent, &name)
        });
        let mut additions = Additions {
            attributes: attributes.take(MAX_ADDITIONS).collect(),
            events: builder.events.unwrap_or_default(),
            links: builder.links.unwrap_or_default(),
            status: None,
            name: None,
            lost_events: 0,
        };
        let too_many = additions.events.len().saturating_sub(MAX_ADDITIONS);
        additions.lost_events = u32::try_from(too_many).unwrap_or(u32::MAX);
        additions.events.truncate(MAX_ADDITIONS);
        additions.links.truncate(MAX_ADDITIONS);
        let is_empty =
            additions.attributes.is_empty() && additions.events.is_empty() && additions.links.is_empty();
        BridgeSpan {
            context,
            additions: (!is_empty).then(|| Box::new(additions)),
            has_ended: false,
        }
    }
}

impl BridgeTracer {
    /// Resolves the ids of a span that has a record, and returns OpenTelemetry's context of it.
    fn resolve(
        &self,
        record: &mut SpanRecord,
        parent_context: &Context,
        parent: &SpanContext,
        name: &str,
    ) -> SpanContext {
        // A parent that the record can't know: in another process, or in another trace whose
        // context was attached. Any other parent is a span that Spanscope captured, and the record
        // has the nearest ancestor that this sink receives.
        let is_foreign =
            parent.is_remote() || ids_of(parent).is_some_and(|ids| ids.trace_id != record.ids().trace_id);
        let own_remote = record.remote_parent();
        let adopted = ids_of(parent).filter(|_| is_foreign && own_remote.is_none());
        let trace_id = adopted.map_or(record.ids().trace_id, |parent| parent.trace_id);
        // A parent set through our own trait must reach the sampler too. If both have the same
        // parent, OpenTelemetry's context has its `tracestate` too.
        let own_remote = own_remote.filter(|remote| ids_of(parent) != Some(remote.ids));
        let sampled_under = match (own_remote, record.inherits_sampled()) {
            (Some(remote), _) => Cow::Owned(parent_context.with_remote_span_context(context_of(remote))),
            // OpenTelemetry knows no parent, because a filter hides it from this layer; the trace's
            // decision was made.
            (None, Some(is_sampled)) if !parent.is_valid() => {
                let above = span_context(record.ids(), is_sampled, false, TraceState::NONE);
                Cow::Owned(parent_context.with_remote_span_context(above))
            }
            (None, _) => Cow::Borrowed(parent_context),
        };
        let (is_sampled, state) = self.sample(&sampled_under, trace_id, name);
        let ids = record.resolve_ids(adopted, is_sampled);
        span_context(ids, is_sampled, false, state)
    }

    /// Returns the context of a span whose record can't be found, or that has none: with the ids of
    /// the builder, or new ones.
    fn without_record(
        &self,
        ids: Option<SpanIds>,
        parent_context: &Context,
        parent: &SpanContext,
        name: &str,
    ) -> SpanContext {
        let is_known = ids.is_some();
        let mut ids = ids.unwrap_or_else(new_ids);
        if (!is_known || parent.is_remote())
            && let Some(parent) = ids_of(parent)
        {
            ids.trace_id = parent.trace_id;
        }
        let (is_sampled, state) = self.sample(parent_context, ids.trace_id, name);
        span_context(ids, is_sampled, false, state)
    }

    fn sample(&self, parent_context: &Context, trace_id: TraceId, name: &str) -> (bool, TraceState) {
        let result = self.sampler.should_sample(
            Some(parent_context),
            opentelemetry::TraceId::from_bytes(trace_id.to_bytes()),
            name,
            &SpanKind::Internal,
            &[],
            &[],
        );
        let is_sampled = result.decision == SamplingDecision::RecordAndSample;
        (is_sampled, result.trace_state)
    }
}

pub(crate) fn span_context(
    ids: SpanIds,
    is_sampled: bool,
    is_remote: bool,
    state: TraceState,
) -> SpanContext {
    SpanContext::new(
        opentelemetry::TraceId::from_bytes(ids.trace_id.to_bytes()),
        opentelemetry::SpanId::from_bytes(ids.span_id.to_bytes()),
        if is_sampled {
            TraceFlags::SAMPLED
        } else {
            TraceFlags::NOT_SAMPLED
        },
        is_remote,
        state,
    )
}

fn context_of(remote: RemoteParent) -> SpanContext {
    span_context(remote.ids, remote.is_sampled, true, TraceState::NONE)
}

/// Returns the ids in a context; `None` if one of them is all zero.
pub(crate) fn ids_of(context: &SpanContext) -> Option<SpanIds> {
    Some(SpanIds {
        trace_id: TraceId::from_bytes(context.trace_id().to_bytes())?,
        span_id: SpanId::from_bytes(context.span_id().to_bytes())?,
    })
}

/// OpenTelemetry's part of a span.
#[derive(Debug)]
pub(crate) struct BridgeSpan {
    context: SpanContext,
    /// Almost always `None`.
    additions: Option<Box<Additions>>,
    has_ended: bool,
}

impl BridgeSpan {
    fn add(&mut self, add: impl FnOnce(&mut Additions)) {
        if !self.has_ended {
            add(self.additions.get_or_insert_default());
        }
    }
}

impl Span for BridgeSpan {
    fn add_event_with_timestamp<T>(&mut self, name: T, timestamp: SystemTime, attributes: Vec<KeyValue>)
    where
        T: Into<Cow<'static, str>>,
    {
        self.add(|additions| {
            if additions.events.len() < MAX_ADDITIONS {
                additions.events.push(Event::new(name, timestamp, attributes, 0));
            } else {
                additions.lost_events = additions.lost_events.saturating_add(1);
            }
        });
    }

    fn span_context(&self) -> &SpanContext {
        &self.context
    }

    /// Returns true even if the span is not sampled: the other sinks show its additions.
    fn is_recording(&self) -> bool {
        !self.has_ended
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        self.add(|additions| {
            let attributes = &mut additions.attributes;
            match attributes.iter().position(|known| known.key == attribute.key) {
                Some(place) => attributes[place] = attribute,
                None if attributes.len() < MAX_ADDITIONS => attributes.push(attribute),
                None => {}
            }
        });
    }

    fn set_status(&mut self, status: Status) {
        // `tracing-opentelemetry` sets `Unset` on every span that it starts.
        if status != Status::Unset {
            self.add(|additions| {
                // As in OpenTelemetry: `ok` is final.
                if additions.status != Some(Status::Ok) {
                    additions.status = Some(status);
                }
            });
        }
    }

    fn update_name<T>(&mut self, new_name: T)
    where
        T: Into<Cow<'static, str>>,
    {
        self.add(|additions| additions.name = Some(new_name.into()));
    }

    fn add_link(&mut self, span_context: SpanContext, attributes: Vec<KeyValue>) {
        self.add(|additions| {
            if additions.links.len() < MAX_ADDITIONS {
                additions.links.push(Link::new(span_context, attributes, 0));
            }
        });
    }

    /// Ends the span. Its record has the time.
    fn end_with_timestamp(&mut self, _: SystemTime) {
        self.has_ended = true;
        match ENDED.try_with(Cell::take) {
            Ok(Ended::Waiting) => {
                let left = self.additions.take().map_or(Ended::Waiting, Ended::Left);
                let _ = ENDED.try_with(|ended| ended.set(left));
            }
            // It was ended explicitly before `tracing` ended it: its additions are kept until then.
            Ok(before) => drop(ENDED.try_with(|ended| ended.set(before))),
            Err(_) => {}
        }
    }
}

/// Returns the ids of the linked span.
pub(crate) fn link_ids(link: &Link) -> Option<SpanIds> {
    ids_of(&link.span_context)
}

fn attributes_of(creating: Creating) -> Vec<KeyValue> {
    let pair = |key: &'static str, bytes: [u8; 8]| {
        KeyValue::new(Key::from_static_str(key), i64::from_be_bytes(bytes))
    };
    let which = pair(WHICH, creating.number.to_be_bytes());
    let Some(ids) = creating.ids else {
        return vec![which];
    };
    let trace = u128::from_be_bytes(ids.trace_id.to_bytes());
    let half = |shift: u32| {
        let half = (trace >> shift) & u128::from(u64::MAX);
        u64::try_from(half).unwrap_or(u64::MAX).to_be_bytes()
    };
    let [high, low, span] = IDS;
    vec![
        which,
        pair(high, half(64)),
        pair(low, half(0)),
        pair(span, ids.span_id.to_bytes()),
    ]
}

fn ids_in([high, low, span]: [Option<[u8; 8]>; 3]) -> Option<SpanIds> {
    let mut trace = [0; 16];
    trace[..8].copy_from_slice(&high?);
    trace[8..].copy_from_slice(&low?);
    Some(SpanIds {
        trace_id: TraceId::from_bytes(trace)?,
        span_id: SpanId::from_bytes(span?)?,
    })
}
