//! How a filter that has to see a span's values keeps the span from sinks.
//!
//! `tracing` asks filters before a span's values exist, so a filter that decides by a value (`category = "..."`) lets
//! the span be made and says here that it is not to be shown. The sinks' [`Capture`](super::Capture) asks in its
//! `on_new_span`, which the same call of the same thread makes right after the filter's; a note for another span is
//! ignored. Nothing is kept: what is hidden from whom is in the span's record from then on.

use std::cell::Cell;

use tracing_core::span::Id;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Note {
    Nothing,
    /// From a filter of the whole subscriber: hidden from every sink that comes after it.
    FromAll(u64),
    /// From a per-layer filter: hidden from the layer that it filters, which is the next one called.
    FromNext(u64),
}

thread_local! {
    static NOTE: Cell<Note> = const { Cell::new(Note::Nothing) };
}

/// Hides the span that is being made from every sink whose layer is called after this one.
pub(crate) fn hide_from_all(id: &Id) {
    let _ = NOTE.try_with(|note| note.set(Note::FromAll(id.into_u64())));
}

/// Hides the span that is being made from the next sink that is called.
pub(crate) fn hide_from_next(id: &Id) {
    let _ = NOTE.try_with(|note| note.set(Note::FromNext(id.into_u64())));
}

/// Takes back what an earlier span of the same number was given: the registry uses numbers again.
pub(crate) fn show(id: &Id) {
    let _ = NOTE.try_with(|note| {
        if matches!(note.get(), Note::FromAll(noted) | Note::FromNext(noted) if noted == id.into_u64()) {
            note.set(Note::Nothing);
        }
    });
}

/// Whether this span is hidden from the sink that asks.
pub(super) fn is_hidden(id: &Id) -> bool {
    NOTE.try_with(|note| match note.get() {
        Note::Nothing => false,
        Note::FromAll(noted) => noted == id.into_u64(),
        Note::FromNext(noted) => {
            let hidden = noted == id.into_u64();
            if hidden {
                note.set(Note::Nothing);
            }
            hidden
        }
    })
    .unwrap_or(false)
}
