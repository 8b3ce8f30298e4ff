//! The W3C formats: their names in a carrier, and the limits on hostile ones.

use spanscope_model::TraceParent;

use super::baggage::Baggage;
use super::carrier::{Carrier, MAX_READ};
use super::{Context, trace_state};

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
const BAGGAGE: &str = "baggage";

pub(super) const NAMES: [&str; 3] = [TRACEPARENT, TRACESTATE, BAGGAGE];

pub(super) fn read(carrier: &dyn Carrier) -> Context {
    let parent = parent_in(carrier);
    // Without a parent it has no meaning.
    let trace_state = parent
        .and_then(|_| joined(carrier, TRACESTATE))
        .filter(|joined| joined.is_whole)
        .and_then(|joined| trace_state::parse(&joined.text))
        .unwrap_or_default();
    let baggage = joined(carrier, BAGGAGE).map(|joined| Baggage::parse(&joined.text));
    Context {
        parent,
        trace_state,
        baggage: baggage.unwrap_or_default(),
    }
}

pub(super) fn write(context: &Context, carrier: &mut dyn Carrier) {
    if let Some(parent) = context.parent {
        carrier.set(TRACEPARENT, &parent.to_string());
        // It belongs to the trace: one left by another trace would be wrong.
        if context.trace_state.is_empty() {
            carrier.remove(TRACESTATE);
        } else {
            carrier.set(TRACESTATE, &context.trace_state);
        }
    }
    if !context.baggage.is_empty() {
        carrier.set(BAGGAGE, &context.baggage.to_string());
    }
}

/// Returns the `traceparent`, if it occurs once.
fn parent_in(carrier: &dyn Carrier) -> Option<TraceParent> {
    let mut count = 0_u8;
    let mut parent = None;
    carrier.read(TRACEPARENT, &mut |value| {
        count = count.saturating_add(1);
        if count == 1 && value.len() <= MAX_READ {
            parent = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        }
    });
    parent.filter(|_| count == 1)
}

struct Joined {
    text: String,
    is_whole: bool,
}

/// Returns the values of a list header, joined as in HTTP. A value that is not UTF-8 is skipped. Of
/// a value that exceeds the limit, only the whole members before the limit are kept.
fn joined(carrier: &dyn Carrier, name: &str) -> Option<Joined> {
    let mut all: Option<Joined> = None;
    carrier.read(name, &mut |value| {
        let joined = all.get_or_insert_with(|| Joined {
            text: String::new(),
            is_whole: true,
        });
        if !joined.is_whole {
            return;
        }
        // A character that the limit cuts belongs to a member that is left out.
        let room = MAX_READ.saturating_sub(joined.text.len() + 1);
        let is_cut = value.len() > room;
        let kept = &value[..value.len().min(room)];
        let kept = match kept.iter().rposition(|&byte| byte == b',') {
            _ if !is_cut => kept,
            Some(end) => &kept[..end],
            None => &[],
        };
        joined.is_whole = !is_cut;
        let Ok(kept) = std::str::from_utf8(kept) else {
            return;
        };
        if !joined.text.is_empty() && !kept.is_empty() {
            joined.text.push(',');
        }
        joined.text.push_str(kept);
    });
    all
}
