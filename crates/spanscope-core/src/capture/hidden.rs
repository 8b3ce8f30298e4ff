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
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_core::span::{Attributes, Id};

/// There was a callsite, under any filter, whose values decide; never taken back. One flag for all
/// filters, because finding a filter costs more than the look.
static BY_VALUE: AtomicBool = AtomicBool::new(false);

/// Whether any callsite has to be asked for its values. Programs without `category` fields pay one
/// load for that.
#[inline]
#[must_use]
pub fn decides_by_value() -> bool {
    BY_VALUE.load(Ordering::Relaxed)
}

/// Has captures ask, from now on, whether a filter hides a span by its values.
pub fn decide_by_value() {
    BY_VALUE.store(true, Ordering::Relaxed);
}

/// In the extensions of a span that a filter of the whole subscriber hides.
#[derive(Debug)]
pub struct HiddenFromAll;

/// A span's number, and its callsite's address: subscribers beside each other on one thread use the same numbers.
type Noted = (u64, usize);

const NONE: Noted = (0, 0);

thread_local! {
    /// The span that a per-layer filter hides, from the layer that it filters, which is the next one called.
    static FROM_NEXT: Cell<Noted> = const { Cell::new(NONE) };
}

/// Says whether the span that is being made is hidden from the next sink that is called. To be said of each span from the
/// first that is hidden on, because the registry gives a span's number to another one.
pub fn hide_from_next(attributes: &Attributes<'_>, id: &Id, hidden: bool) {
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
