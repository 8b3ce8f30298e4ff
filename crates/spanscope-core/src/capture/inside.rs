//! The spans that a thread is inside, as each layer sees them, so that an event finds its span
//! without a lookup.
//!
//! It mirrors the registry's own stack, which is not accessible: looking up the current span, its
//! record and the record's lock took 100 ns of the 500 of a span with its event. A layer feeds its
//! part through [`Capture::on_enter`](super::Capture::on_enter) and
//! [`Capture::on_exit`](super::Capture::on_exit), on a suppressed thread too.
//!
//! This is a cache, not the authority. An entry names its layer, and thereby the subscriber: two
//! subscribers use the same numbers for different spans. It holds a cell, which knows whether its
//! span is still open. Anything uncertain is looked up as if there were no stack, and the result is
//! kept for the next event, and for the next time that the thread enters the span: a future enters
//! and exits its span at each poll.

use std::cell::RefCell;

use super::cell::{SpanCell, UsedIds};

/// The number of layers of one subscriber that find the most recently created span.
const MAX_OWNERS: usize = 4;
/// How many looked-up spans a thread remembers for each layer: 1 KiB. A span that another one has
/// displaced is looked up again, which costs 100 ns.
const MAX_KNOWN: usize = 32;

thread_local! {
    static LOCAL: RefCell<Local> = const {
        RefCell::new(Local {
            inside: Vec::new(),
            made: None,
            known: [const { None }; MAX_KNOWN],
        })
    };
}

struct Local {
    inside: Vec<Inside>,
    made: Option<Made>,
    /// Indexed by [`place_of`].
    known: [Option<Known>; MAX_KNOWN],
}

/// A span that this thread has entered and not exited.
struct Inside {
    owner: u32,
    /// Whether the layer had entered it before: as in the registry, it does not become the current
    /// span again.
    is_duplicate: bool,
    id: u64,
    /// `None` before it is looked up.
    cell: Option<SpanCell>,
}

/// The most recently created span of this thread, which is usually entered next.
struct Made {
    id: u64,
    /// The layers that show it, by their numbers, which are unique in the process.
    owners: [Option<u32>; MAX_OWNERS],
    cell: SpanCell,
}

/// A span that was looked up.
struct Known {
    owner: u32,
    id: u64,
    /// Whether the layer shows it; events in a span that it does not show belong to another span.
    is_shown: bool,
    cell: SpanCell,
}

/// The cached state of the span that a thread is inside.
#[derive(Debug, Clone, Copy)]
pub(super) enum Current {
    /// Nothing is cached: the thread is inside no span, or inside one that this layer was not
    /// notified of.
    Unknown,
    /// A span that has to be looked up.
    Unfixed,
    /// A span with fixed ids.
    Used(UsedIds),
}

impl Local {
    fn current(&mut self, owner: u32) -> Option<&mut Inside> {
        let mut spans = self.inside.iter_mut().rev();
        spans.find(|span| span.owner == owner && !span.is_duplicate)
    }

    /// Returns a span that this layer has looked up and that is still open.
    fn known(&self, owner: u32, id: u64) -> Option<&Known> {
        let known = self.known[place_of(owner, id)].as_ref()?;
        (known.id == id && known.owner == owner && !known.cell.is_closed()).then_some(known)
    }

    /// Returns the most recently created span, if it has this number and the layer shows it.
    fn made(&self, owner: u32, id: u64) -> Option<SpanCell> {
        let made = self.made.as_ref()?;
        let is_it = made.id == id && made.owners.contains(&Some(owner)) && !made.cell.is_closed();
        is_it.then_some(made.cell)
    }
}

/// The numbers of one thread's spans differ in their low bits, and there are few layers.
fn place_of(owner: u32, id: u64) -> usize {
    let mixed = id.wrapping_add(u64::from(owner) << 3) % MAX_KNOWN as u64;
    usize::try_from(mixed).unwrap_or(0)
}

/// Does nothing if the thread's locals are destroyed or in use.
fn with_local<T>(work: impl FnOnce(&mut Local) -> Option<T>) -> Option<T> {
    LOCAL
        .try_with(|local| work(&mut *local.try_borrow_mut().ok()?))
        .ok()
        .flatten()
}

/// Notes that a layer shows the span that has just been created on this thread.
pub(super) fn made(owner: u32, id: u64, cell: SpanCell) {
    with_local(|local| {
        if let Some(made) = &mut local.made
            && made.id == id
            && made.cell.is(cell)
        {
            *made.owners.iter_mut().find(|owner| owner.is_none())? = Some(owner);
            return Some(());
        }
        let mut owners = [None; MAX_OWNERS];
        owners[0] = Some(owner);
        local.made = Some(Made { id, owners, cell });
        Some(())
    });
}

/// Returns whether the most recently created span of this thread is this one of `maker`'s
/// subscriber, and `maker` shows it. A closed span may have had the same number.
pub(super) fn was_made_by(maker: u32, id: u64) -> bool {
    with_local(|local| local.made(maker, id)).is_some()
}

/// Notes that a layer does not show the span that has just been created.
pub(super) fn hidden(owner: u32, id: u64) {
    with_local(|local| {
        let made = local.made.as_mut().filter(|made| made.id == id)?;
        let its = made.owners.iter_mut().find(|known| **known == Some(owner))?;
        *its = None;
        Some(())
    });
}

/// Notes that this thread enters a span.
pub(super) fn enter(owner: u32, id: u64) {
    with_local(|local| {
        let cell = local.made(owner, id).or_else(|| {
            let known = local.known(owner, id).filter(|known| known.is_shown)?;
            Some(known.cell)
        });
        let mut spans = local.inside.iter();
        let is_duplicate = spans.any(|span| span.id == id && span.owner == owner);
        local.inside.push(Inside {
            owner,
            is_duplicate,
            id,
            cell,
        });
        Some(())
    });
}

/// Notes that this thread exits a span: removes its latest entry, at any depth. Returns the span's
/// cell, if it is known.
pub(super) fn exit(owner: u32, id: u64) -> Option<SpanCell> {
    with_local(|local| {
        let mut spans = local.inside.iter();
        let place = spans.rposition(|span| span.id == id && span.owner == owner);
        let span = place.map(|place| local.inside.remove(place));
        span.and_then(|span| span.cell)
            .or_else(|| local.known(owner, id).map(|known| known.cell))
    })
}

/// Returns the cell of a span that this thread has created most recently or looked up.
pub(super) fn recall(owner: u32, id: u64) -> Option<SpanCell> {
    with_local(|local| {
        local
            .made(owner, id)
            .or_else(|| local.known(owner, id).map(|known| known.cell))
    })
}

/// Keeps the cell of a span that a layer has looked up, for the next time.
pub(super) fn remember(owner: u32, id: u64, is_shown: bool, cell: SpanCell) {
    with_local(|local| {
        local.known[place_of(owner, id)] = Some(Known {
            owner,
            id,
            is_shown,
            cell,
        });
        Some(())
    });
}

/// Returns the span that this thread is inside. Its ids are fixed from now on, if that is possible
/// without accessing the span.
pub(super) fn current(owner: u32) -> Current {
    let current = with_local(|local| {
        let span = local.current(owner)?;
        let used = span.cell.and_then(SpanCell::try_use);
        Some(used.map_or(Current::Unfixed, Current::Used))
    });
    current.unwrap_or(Current::Unknown)
}

/// Returns the ids of this span, if this thread is inside it and they can be fixed without
/// accessing it.
pub(super) fn use_if_current(owner: u32, id: u64) -> Option<UsedIds> {
    with_local(|local| {
        let span = local.current(owner).filter(|span| span.id == id)?;
        span.cell?.try_use()
    })
}

/// Keeps the cell of this span, if this thread is inside it.
pub(super) fn keep(owner: u32, id: u64, cell: SpanCell) {
    with_local(|local| {
        let span = local.current(owner).filter(|span| span.id == id)?;
        span.cell = Some(cell);
        Some(())
    });
}

/// Compares with the registry's current span. If another one is cached here, the layer missed an
/// enter or an exit, because a per-layer filter passes on nothing about a closed span. Entries that
/// differ are removed.
pub(super) fn drop_stale_entries(owner: u32, id: Option<u64>) {
    with_local(|local| {
        loop {
            let mut spans = local.inside.iter();
            let place = spans.rposition(|span| span.owner == owner && !span.is_duplicate)?;
            if id == Some(local.inside.get(place)?.id) {
                return Some(());
            }
            local.inside.remove(place);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::new_ids;

    #[test]
    fn the_newest_span_is_found_by_layer_and_number_until_it_closes() {
        let cell = SpanCell::take(new_ids(), true);
        made(1, 7, cell);
        assert!(was_made_by(1, 7));
        assert!(!was_made_by(1, 8) && !was_made_by(2, 7));
        made(2, 7, cell);
        assert!(was_made_by(1, 7) && was_made_by(2, 7));
        hidden(2, 7);
        assert!(!was_made_by(2, 7));
        cell.close();
        assert!(!was_made_by(1, 7));
    }
}
