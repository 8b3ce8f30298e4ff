//! The state while records are stored: [`State`] from transaction to transaction, the rest within
//! one.

use std::collections::HashMap;

use spanscope_model::TraceId;
use spanscope_model::semconv::SpanCall;

use super::prepared::{Place, SenderKey};
use super::responses::{Origin, Responses};

/// The state from transaction to transaction.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) tenants: HashMap<String, i64>,
    pub(super) senders: HashMap<(i64, SenderKey), i64>,
    pub(super) places: HashMap<Place, i64>,
    /// Rows of `_attr_key`.
    pub(super) keys: HashMap<String, i64>,
    /// How many streams of totals each sender has.
    pub(super) streams: HashMap<i64, usize>,
    /// The senders of each tenant.
    pub(super) senders_of: HashMap<i64, Senders>,
    /// The size of all tenants' senders, in bytes.
    pub(super) all_senders: Option<usize>,
    /// The calls of models that were counted last.
    pub(super) responses: Responses,
    /// The places that the file has, once they were counted.
    pub(super) places_there: Option<PlacesThere>,
}

/// The places that a file has.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlacesThere {
    pub(super) count: usize,
    /// Of their names.
    pub(super) bytes: usize,
}

/// The senders of a tenant.
#[derive(Debug)]
pub(super) struct Senders {
    pub(super) count: usize,
    /// The size of their rows, and of their streams.
    pub(super) bytes: usize,
}

impl State {
    /// Drops what may not exist any more, or never did.
    pub(super) fn clear(&mut self) {
        self.tenants.clear();
        self.senders.clear();
        self.places.clear();
        self.streams.clear();
        self.senders_of.clear();
        self.all_senders = None;
        self.places_there = None;
        self.responses.clear();
    }
}

/// The changes of a sender's row.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) records: u64,
    pub(super) expires: Option<i64>,
    pub(super) has_open_spans: bool,
}

/// The stored state of a span.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) row: i64,
    pub(super) kind: i64,
    /// It was sent, and not written by a program that has this file open.
    pub(super) is_remote: bool,
    pub(super) state: KnownState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KnownState {
    Whole,
    /// With its current status: a sender may know that it fails before it ends.
    Running(Option<i64>),
    EndOnly,
}

/// A span that describes a call of a model or reports usage.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) trace_id: TraceId,
    pub(super) key: i64,
    pub(super) process: i64,
    pub(super) tenant: i64,
    pub(super) origin: Origin,
    pub(super) time: i64,
    pub(super) duration: i64,
    pub(super) failed: bool,
    /// Whether it has no parent.
    pub(super) is_root: bool,
    pub(super) call: SpanCall,
    pub(super) expires: Option<i64>,
}

/// The calls of one transaction.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pub(super) by_trace: HashMap<(i64, TraceId), Vec<Call>>,
}

impl Calls {
    pub(super) fn push(&mut self, call: Call) {
        let trace = (call.tenant, call.trace_id);
        self.by_trace.entry(trace).or_default().push(call);
    }

    /// A span was added to a stored trace: it may connect two that were counted.
    pub(super) fn may_join(&mut self, tenant: i64, trace_id: TraceId) {
        self.by_trace.entry((tenant, trace_id)).or_default();
    }
}
