//! How a filter that has to see a span's values keeps the span from sinks.
//!
//! `tracing` asks filters before a span's values exist, so a filter that decides by a value (`category = "..."`) lets
//! the span be made and says here that it is not to be shown: a filter of the whole subscriber in the span's extensions,
//! a filter of one layer in a note for the next sink, which the same call of the same thread asks right after it. The
//! sinks' [`Capture`](super::Capture) asks in its `on_new_span`; from then on the span's record says from whom it is
//! hidden.
//!
//! A filter of one layer can't reach more than that one layer: where it stands above another crate's layer, or above
//! several sinks of ours at once, a hidden span is hidden from the first sink of ours that is called, or from none.

use std::cell::Cell;

use tracing_core::span::{Attributes, Id};

/// In the extensions of a span that a filter of the whole subscriber hides.
#[derive(Debug)]
pub(crate) struct HiddenFromAll;

/// A span's number, and its callsite's address: subscribers beside each other on one thread use the same numbers.
type Noted = (u64, usize);

const NONE: Noted = (0, 0);

thread_local! {
    /// The span that a per-layer filter hides, from the layer that it filters, which is the next one called.
    static FROM_NEXT: Cell<Noted> = const { Cell::new(NONE) };
}

/// Says whether the span that is being made is hidden from the next sink that is called. To be said of each span from the
/// first that is hidden on, because the registry gives a span's number to another one.
pub(crate) fn hide_from_next(attributes: &Attributes<'_>, id: &Id, hidden: bool) {
    let span = noted_as(attributes, id);
    let _ = FROM_NEXT.try_with(|noted| {
        if hidden {
            noted.set(span);
        } else if noted.get() == span {
            noted.set(NONE);
        }
    });
}

fn noted_as(attributes: &Attributes<'_>, id: &Id) -> Noted {
    (id.into_u64(), std::ptr::from_ref(attributes.metadata()).addr())
}

/// Whether this span is hidden from the sink that asks, by that sink's own filter.
pub(super) fn is_hidden_from_next(attributes: &Attributes<'_>, id: &Id) -> bool {
    let noted = FROM_NEXT.try_with(Cell::get).unwrap_or(NONE);
    if noted == NONE || noted != noted_as(attributes, id) {
        return false;
    }
    let _ = FROM_NEXT.try_with(|noted| noted.set(NONE));
    true
}
