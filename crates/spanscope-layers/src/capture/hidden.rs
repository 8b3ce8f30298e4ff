//! How a filter that has to see a span's values keeps the span from sinks.
//!
//! `tracing` asks filters before a span's values exist, so a filter that decides by a value (`category = "..."`) lets
//! the span be made and says here that it is not to be shown. The sinks' [`Capture`](super::Capture) asks in its
//! `on_new_span`, which the same call of the same thread makes right after the filter's; a note for another span is
//! ignored. Nothing is kept: what is hidden from whom is in the span's record from then on.

use std::cell::Cell;

use tracing_core::span::{Attributes, Id};

/// A span's number, and its callsite's address: subscribers beside each other on one thread use the same numbers.
type Noted = (u64, usize);

const NONE: Noted = (0, 0);

thread_local! {
    /// The span that a filter of the whole subscriber hides, from every sink that is called after it.
    static FROM_ALL: Cell<Noted> = const { Cell::new(NONE) };
    /// The span that a per-layer filter hides, from the layer that it filters, which is the next one called.
    static FROM_NEXT: Cell<Noted> = const { Cell::new(NONE) };
}

/// Says whether the span that is being made is hidden from every sink whose layer is called after this one. To be said
/// of each span from the first that is hidden on, because the registry gives a span's number to another one.
pub(crate) fn hide_from_all(attributes: &Attributes<'_>, id: &Id, hidden: bool) {
    let _ = FROM_ALL.try_with(|noted| note(noted, noted_as(attributes, id), hidden));
}

/// Says whether it is hidden from the next sink that is called.
pub(crate) fn hide_from_next(attributes: &Attributes<'_>, id: &Id, hidden: bool) {
    let _ = FROM_NEXT.try_with(|noted| note(noted, noted_as(attributes, id), hidden));
}

fn noted_as(attributes: &Attributes<'_>, id: &Id) -> Noted {
    (id.into_u64(), std::ptr::from_ref(attributes.metadata()).addr())
}

fn note(noted: &Cell<Noted>, span: Noted, hidden: bool) {
    if hidden {
        noted.set(span);
    } else if noted.get() == span {
        noted.set(NONE);
    }
}

/// Whether this span is hidden from the sink that asks.
pub(super) fn is_hidden(attributes: &Attributes<'_>, id: &Id) -> bool {
    let from_all = FROM_ALL.try_with(Cell::get).unwrap_or(NONE);
    let from_next = FROM_NEXT.try_with(Cell::get).unwrap_or(NONE);
    if from_all == NONE && from_next == NONE {
        return false;
    }
    let span = noted_as(attributes, id);
    if from_next == span {
        let _ = FROM_NEXT.try_with(|noted| noted.set(NONE));
    }
    from_all == span || from_next == span
}
