//! Calls that two spans of one program describe, each in a separate trace.
//!
//! An SDK that writes spans itself has no parent for them where the library above it does not make
//! its span the current one, and Logfire reports the end of a stream next to the span that opened
//! it. Two spans describe one call if both are of one program and
//!
//! - both carry the id of the response. They are known by more than that, because a model server
//!   for tests may give one id to all its responses: two scopes, and one span within the time of
//!   the other;
//! - or the inner one has no parent, and both report the same usage of the same model, with or
//!   without the cached part of the input: two scopes and times as before;
//! - or neither has a parent, and the one [reports](CallFacts::reports_stream_of) the stream that
//!   the other one opened.
//!
//! The outer one counts, because it is in the trace of the agent that called; and the one that
//! reports usage.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher as _};

use spanscope_model::TraceId;
use spanscope_model::semconv::CallFacts;

use super::prepared::SenderKey;
use super::state::Call;

/// This many descriptions of calls are remembered, the last ones.
const MAX_DESCRIBED: usize = 4_096;
/// And of those that look alike this many.
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

/// What the calls in other traces mean for one that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No other span describes it.
    IsNew,
    /// One that was counted describes it.
    Repeats,
    /// It describes what this span was counted for, and counts in its place.
    Replaces { trace_id: TraceId, key: i64 },
}

/// A span that was counted.
#[derive(Debug, Clone, Copy)]
struct Described {
    /// Of several the one that came first has the smallest one.
    number: u64,
    trace_id: TraceId,
    key: i64,
    origin: Origin,
    start: i64,
    end: i64,
    is_root: bool,
    /// The span that describes the same call and does not count. There are no three of one call.
    other: Option<(TraceId, i64)>,
    facts: CallFacts,
    /// A hash of the response's id.
    response: Option<u64>,
}

/// By what two descriptions are found to be alike.
type Likeness = (i64, u64);

/// The calls that were counted last.
#[derive(Debug, Default)]
pub(super) struct Responses {
    alike: HashMap<Likeness, Vec<Described>>,
    /// In the order in which they came, with their numbers.
    order: VecDeque<(Likeness, u64)>,
    number: u64,
}

impl Responses {
    /// Whether a span in another trace describes this call. The one that counts is remembered.
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

/// What other descriptions of the call have in common with it, as hashes. Only calls that may have
/// another one are remembered.
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

    /// Whether this one, which was counted, goes on to count where another one describes the same
    /// call. `None` where that describes another call.
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
