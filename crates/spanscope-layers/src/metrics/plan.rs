//! What can be known of a callsite once: which of its fields mean something here, and whether it measures.
//!
//! A span's end and an event ask this in two or three nanoseconds, through a small table of the thread. A plan lives as
//! long as its callsite, which is for ever: `tracing` hands out `'static` metadata only, so nothing else can ever be at
//! its address.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{OnceLock, RwLock};

use tracing_core::Metadata;

use super::aliases::{NO_ROW, is_kind, is_trigger, row_of};
use crate::filter::Categories;
use spanscope_core::capture::{CallsiteInfo, Key};
use spanscope_core::sync::{read, write};

/// What is known of one callsite.
#[derive(Debug)]
pub(super) struct Plan {
    /// For each field its row in the table of aliases.
    rows: Box<[u8]>,
    /// A span of this callsite may carry usage, or do what is measured.
    pub(super) triggers: bool,
    /// A span of this callsite can say what it does.
    pub(super) tells_kind: bool,
    /// An event of this callsite may be a measurement.
    pub(super) measures: Option<CallsiteInfo>,
}

impl Plan {
    fn new(metadata: &'static Metadata<'static>) -> Self {
        let rows: Box<[u8]> = metadata
            .fields()
            .iter()
            .map(|field| row_of(field.name()))
            .collect();
        let info = metadata
            .is_event()
            .then(|| CallsiteInfo::new(metadata, &Categories::new()))
            .filter(|info| info.measures);
        Self {
            triggers: metadata.is_span() && rows.iter().copied().any(is_trigger),
            tells_kind: rows.iter().copied().any(is_kind),
            measures: info,
            rows,
        }
    }

    /// The row of a field.
    #[inline]
    pub(super) fn row(&self, key: Key<'_>) -> u8 {
        match key {
            Key::Declared(index) => self.rows.get(index).copied().unwrap_or(NO_ROW),
            Key::Own(name) => row_of(name),
        }
    }
}

/// So many plans a thread finds at once, 16 bytes each; two callsites that fall onto one place take turns in it.
const PLACES: usize = 256;

type Place = Cell<(usize, Option<&'static Plan>)>;

thread_local! {
    static PLANS: [Place; PLACES] = const { [const { Cell::new((0, None)) }; PLACES] };
}

/// The plan of a callsite.
#[inline]
pub(super) fn plan_of(metadata: &'static Metadata<'static>) -> &'static Plan {
    let address = std::ptr::from_ref(metadata).addr();
    // Fibonacci hashing: the top bits of the product depend on every bit below.
    let place = ((address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize % PLACES;
    if let Ok((known, Some(plan))) = PLANS.try_with(|plans| plans[place].get())
        && known == address
    {
        return plan;
    }
    let plan = plan_of_all(metadata, address);
    let _ = PLANS.try_with(|plans| plans[place].set((address, Some(plan))));
    plan
}

#[cold]
fn plan_of_all(metadata: &'static Metadata<'static>, address: usize) -> &'static Plan {
    static ALL: OnceLock<RwLock<HashMap<usize, &'static Plan>>> = OnceLock::new();
    let all = ALL.get_or_init(RwLock::default);
    let known = read(all).get(&address).copied();
    known.unwrap_or_else(|| {
        let mut all = write(all);
        all.entry(address)
            .or_insert_with(|| Box::leak(Box::new(Plan::new(metadata))))
    })
}
