//! Finds calls that two spans of one program describe, each in a separate trace.
//!
//! An SDK's own spans have no parent if the library above it does not make its span the current
//! one, and Logfire reports the end of a stream next to the span that opened it. Two spans describe
//! one call if both are of one program and
//!
//! - both have the same response id and different scopes, and one is within the time of the other.
//!   The id alone is not enough, because a model server for tests may give one id to all responses;
//! - or the inner one has no parent, both report the same usage of the same model, with or without
//!   the cached part of the input, and scopes and times are as in the first case;
//! - or neither has a parent, and one [reports](CallFacts::reports_stream_of) the stream that the
//!   other one opened.
//!
//! The outer span counts, because it is in the trace of the agent that called; of a stream, the
//! span that reports usage counts.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher as _};

use spanscope_model::TraceId;
use spanscope_model::semconv::CallFacts;

use super::prepared::SenderKey;
use super::state::Call;

/// Maximum number of descriptions of calls that are remembered: the last ones.
const MAX_DESCRIBED: usize = 4_096;
/// Maximum number of remembered descriptions with the same likeness.
const MAX_ALIKE: usize = 16;

/// The sender of a span: hashes of the program, and of the scope in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    program: u64,
    scope: u64,
}

impl Origin {
    pub(super) fn of(sender: &SenderKey) -> Self {
        Self {
            program: hash_of((&sender.service_name, &sender.resource)),
            scope: hash_of(&sender.scope),
        }
    }
}

/// Whether a received call counts, given the calls in other traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No other span describes it.
    IsNew,
    /// A counted span already describes it.
    Repeats,
    /// It describes the same call as this counted span, and counts in its place.
    Replaces { trace_id: TraceId, key: i64 },
}

/// A span that was counted.
#[derive(Debug, Clone, Copy)]
struct Described {
    /// The order in which it was received.
    number: u64,
    trace_id: TraceId,
    key: i64,
    origin: Origin,
    start: i64,
    end: i64,
    is_root: bool,
    /// The span that describes the same call and does not count. At most two describe one call.
    other: Option<(TraceId, i64)>,
    facts: CallFacts,
    /// A hash of the response's id.
    response: Option<u64>,
}

/// A key under which descriptions of the same call are found: the tenant, and a hash.
type Likeness = (i64, u64);

/// The calls that were counted last.
#[derive(Debug, Default)]
pub(super) struct Responses {
    alike: HashMap<Likeness, Vec<Described>>,
    /// Likenesses and numbers in the order in which calls were received.
    order: VecDeque<(Likeness, u64)>,
    number: u64,
}

impl Responses {
    /// Decides whether a call counts, and remembers the span that does.
    pub(super) fn judge(&mut self, call: &Call) -> Verdict {
        self.number += 1;
        let this = Described {
            number: self.number,
            trace_id: call.trace_id,
            key: call.key,
            origin: call.origin,
            start: call.time.saturating_sub(call.duration),
            end: call.time,
            is_root: call.is_root,
            other: None,
            facts: call.call.facts,
            response: call.call.response_id.as_ref().map(hash_of),
        };
        for likeness in likenesses(call) {
            let known = self.alike.get_mut(&(call.tenant, likeness)).into_iter().flatten();
            for known in known.filter(|known| known.trace_id != this.trace_id) {
                if known.other.is_some_and(|other| other != this.span()) {
                    continue;
                }
                let Some(known_counts) = known.counts_before(&this) else {
                    continue;
                };
                if known_counts {
                    known.other = Some(this.span());
                    return Verdict::Repeats;
                }
                let replaced = Verdict::Replaces {
                    trace_id: known.trace_id,
                    key: known.key,
                };
                *known = Described {
                    number: known.number,
                    other: Some(known.span()),
                    ..this
                };
                return replaced;
            }
        }
        for likeness in likenesses(call) {
            self.remember((call.tenant, likeness), this);
        }
        Verdict::IsNew
    }

    fn remember(&mut self, likeness: Likeness, mut described: Described) {
        let alike = self.alike.entry(likeness).or_default();
        // The same span, sent again.
        if let Some(place) = alike.iter().position(|known| known.span() == described.span()) {
            described.other = alike.remove(place).other;
        }
        if alike.len() == MAX_ALIKE {
            alike.remove(0);
        }
        alike.push(described);
        self.order.push_back((likeness, described.number));
        if self.order.len() > MAX_DESCRIBED
            && let Some((likeness, number)) = self.order.pop_front()
            && let Some(alike) = self.alike.get_mut(&likeness)
        {
            alike.retain(|known| known.number > number);
            if alike.is_empty() {
                self.alike.remove(&likeness);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.alike.clear();
        self.order.clear();
    }
}

/// Returns hashes of the properties that another description of the call would share: none if there
/// can be no other, so that the call is not remembered.
fn likenesses(call: &Call) -> impl Iterator<Item = u64> + use<> {
    let (of, program) = (&call.call.facts, call.origin.program);
    let identity = of.identity;
    let is_stream = call.is_root && !call.failed && (of.opens_stream() || of.stream_length.is_some());
    let output = of.usage.output.filter(|output| *output > 0);
    [
        call.call.response_id.as_ref().map(|id| hash_of(("response", id))),
        output.map(|output| hash_of(("usage", program, identity, output))),
        is_stream.then(|| hash_of(("stream", program, identity))),
    ]
    .into_iter()
    .flatten()
}

impl Described {
    fn span(&self) -> (TraceId, i64) {
        (self.trace_id, self.key)
    }

    /// Returns whether this counted span still counts if `other` describes the same call; `None` if
    /// `other` describes another call.
    fn counts_before(&self, other: &Self) -> Option<bool> {
        if self.origin.program != other.origin.program {
            return None;
        }
        if self.is_root && other.is_root {
            if self.facts.reports_stream_of(self.end, &other.facts, other.end) {
                return Some(true);
            }
            if other.facts.reports_stream_of(other.end, &self.facts, self.end) {
                return Some(false);
            }
        }
        if self.origin.scope == other.origin.scope {
            return None;
        }
        if self.is_around(other) {
            return self.is_same_call(other).then_some(true);
        }
        (other.is_around(self) && other.is_same_call(self)).then_some(false)
    }

    fn is_around(&self, inner: &Self) -> bool {
        self.start <= inner.start && inner.end <= self.end
    }

    fn is_same_call(&self, inner: &Self) -> bool {
        if let (Some(id), Some(of_inner)) = (self.response, inner.response) {
            return id == of_inner;
        }
        let (of, of_inner) = (&self.facts, &inner.facts);
        let (usage, inner_usage) = (&of.usage, &of_inner.usage);
        let (Some(input), Some(inner_input)) = (usage.input, inner_usage.input) else {
            return false;
        };
        let cached = [inner_usage.cache_read, inner_usage.cache_write];
        let cached: u64 = cached.into_iter().flatten().sum();
        inner.is_root
            && of.identity == of_inner.identity
            && usage.output == inner_usage.output
            && (input == inner_input || input == inner_input.saturating_sub(cached))
    }
}

fn hash_of(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
