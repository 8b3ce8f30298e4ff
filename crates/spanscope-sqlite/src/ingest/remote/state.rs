//! The state of the intake: [`State`] is kept from transaction to transaction, the rest within one.

use std::collections::HashMap;

use spanscope_model::TraceId;
use spanscope_model::semconv::SpanCall;

use super::prepared::{Callsite, SenderKey};
use super::responses::{Origin, Responses};

/// Cached rows and counts, kept from transaction to transaction.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) tenants: HashMap<String, i64>,
    pub(super) senders: HashMap<(i64, SenderKey), i64>,
    pub(super) callsites: HashMap<Callsite, i64>,
    /// Rows of `_attr_key`.
    pub(super) keys: HashMap<String, i64>,
    /// The number of streams of totals of each sender.
    pub(super) streams: HashMap<i64, usize>,
    /// The senders of each tenant.
    pub(super) senders_of: HashMap<i64, Senders>,
    /// The size of all tenants' senders, in bytes.
    pub(super) all_senders: Option<usize>,
    /// The calls of models that were counted last.
    pub(super) responses: Responses,
    /// The callsites in the file, once they are counted.
    pub(super) callsites_in_file: Option<CallsitesInFile>,
}

/// The callsites in a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallsitesInFile {
    pub(super) count: usize,
    /// The size of their names and targets.
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
    /// Drops cached rows, which may have been deleted or rolled back.
    pub(super) fn clear(&mut self) {
        self.tenants.clear();
        self.senders.clear();
        self.callsites.clear();
        self.streams.clear();
        self.senders_of.clear();
        self.all_senders = None;
        self.callsites_in_file = None;
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
    /// Whether it was sent, and not written by a program that has this file open.
    pub(super) is_remote: bool,
    pub(super) state: KnownState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KnownState {
    Whole,
    /// With its current status: a sender may report a failure before the end.
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

    /// Notes that a span was added to a stored trace: it may connect two counted calls.
    pub(super) fn may_join(&mut self, tenant: i64, trace_id: TraceId) {
        self.by_trace.entry((tenant, trace_id)).or_default();
    }
}
