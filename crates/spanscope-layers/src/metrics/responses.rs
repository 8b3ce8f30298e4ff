//! Which responses of models were counted: two spans that report the same response are one call.
//!
//! A library and the client below it, or two instrumentations, may each have a span for a call. If
//! neither is above the other, only the response's id shows that they are one. Memory is bounded:
//! of each trace and id a hash is kept, and the oldest of more than 4,096 is removed, after which a
//! repetition would count again.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Mutex;

use spanscope_core::sync::lock;
use spanscope_model::TraceId;

/// Maximum number of remembered responses.
const MAX_RESPONSES: usize = 4096;

/// The last responses that were counted.
#[derive(Debug, Default)]
pub(super) struct Responses(Mutex<Recent>);

#[derive(Debug, Default)]
struct Recent {
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Responses {
    /// Returns whether no span of the trace reported this response before.
    pub(super) fn is_first(&self, trace: TraceId, id: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        (trace.to_bytes(), id).hash(&mut hasher);
        let response = hasher.finish();
        let mut recent = lock(&self.0);
        if !recent.known.insert(response) {
            return false;
        }
        recent.order.push_back(response);
        if recent.order.len() > MAX_RESPONSES
            && let Some(oldest) = recent.order.pop_front()
        {
            recent.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_remembered_in_its_trace_until_many_others_follow() {
        let trace = |number: u8| TraceId::from_bytes([number; 16]).unwrap();
        let responses = Responses::default();
        assert!(responses.is_first(trace(1), "a"));
        assert!(!responses.is_first(trace(1), "a"));
        assert!(responses.is_first(trace(2), "a") && responses.is_first(trace(1), "b"));
        for number in 0..MAX_RESPONSES {
            responses.is_first(trace(3), &number.to_string());
        }
        assert_eq!(lock(&responses.0).known.len(), MAX_RESPONSES);
        assert!(responses.is_first(trace(1), "a"));
    }
}
