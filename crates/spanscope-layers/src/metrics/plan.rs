//! The data about a callsite that is computed once: which of its fields matter here, and whether
//! its events are measurements.
//!
//! An ending span and an event read this in two or three nanoseconds, through a small table of the
//! thread. A plan lives as long as its callsite, that is forever: `tracing` uses `'static` metadata
//! only, so nothing else can ever have its address.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{OnceLock, RwLock};

use spanscope_core::capture::{CallsiteInfo, Key};
use spanscope_core::sync::{read, write};
use spanscope_model::RawValue;
use spanscope_model::semconv::{self, ATTRIBUTES, AttributeValues, SemanticAttribute};
use tracing_core::Metadata;

use crate::filter::Categories;

/// The plan of one callsite.
#[derive(Debug)]
pub(super) struct Plan {
    /// For each field its row in the table of attributes.
    rows: Box<[u8]>,
    /// Whether a span of this callsite may carry usage, or an operation that is measured.
    pub(super) triggers: bool,
    /// Whether a span of this callsite can name its operation.
    pub(super) names_operation: bool,
    /// Set if an event of this callsite may be a measurement.
    pub(super) measures: Option<CallsiteInfo>,
}

/// Marks a field that is not measured.
const NO_ROW: u8 = u8::MAX;

/// Returns the row of a measured name, or [`NO_ROW`].
fn measured_row(name: &str) -> u8 {
    semconv::row_index(name)
        .filter(|row| AttributeValues::keeps(*row))
        .and_then(|row| u8::try_from(row).ok())
        .unwrap_or(NO_ROW)
}

/// Returns whether a span with such an attribute is read when it ends: it reports usage, or names
/// its operation.
fn is_trigger(meaning: SemanticAttribute) -> bool {
    meaning.is_usage() || names_operation(meaning)
}

/// Returns whether it names what a span does: its operation, or its method of the Model Context
/// Protocol.
fn names_operation(meaning: SemanticAttribute) -> bool {
    meaning.is_operation() || meaning == SemanticAttribute::McpMethod
}

/// Returns whether a span with an attribute of this name is read when it ends.
pub(super) fn is_usage_key(name: &str) -> bool {
    semconv::find(name).is_some_and(|attribute| is_trigger(attribute.meaning))
}

impl Plan {
    fn new(metadata: &'static Metadata<'static>) -> Self {
        let fields = metadata.fields();
        let known = fields.iter().filter_map(|field| semconv::find(field.name()));
        let meanings: Vec<_> = known.map(|attribute| attribute.meaning).collect();
        let info = metadata
            .is_event()
            .then(|| CallsiteInfo::new(metadata, &Categories::new()))
            .filter(|info| info.measures);
        Self {
            rows: fields.iter().map(|field| measured_row(field.name())).collect(),
            triggers: metadata.is_span() && meanings.iter().copied().any(is_trigger),
            names_operation: meanings.iter().copied().any(names_operation),
            measures: info,
        }
    }

    /// Returns the row of a measured field.
    #[inline]
    pub(super) fn row(&self, key: Key<'_>) -> Option<u8> {
        let row = match key {
            Key::Declared(index) => self.rows.get(index).copied().unwrap_or(NO_ROW),
            Key::Undeclared(name) => measured_row(name),
        };
        (row != NO_ROW).then_some(row)
    }

    /// Returns the row of a field that names an operation.
    pub(super) fn operation_row(&self, key: Key<'_>) -> Option<u8> {
        let is_operation = |row: &u8| names_operation(ATTRIBUTES[usize::from(*row)].meaning);
        self.row(key).filter(is_operation)
    }
}

/// Returns the values of fields with these rows.
#[inline]
pub(super) fn values_of<'a>(fields: impl Iterator<Item = (u8, RawValue<'a>)>) -> AttributeValues<'a> {
    let mut values = AttributeValues::default();
    for (row, value) in fields {
        values.offer(usize::from(row), value);
    }
    values
}

/// The number of cached plans per thread, 16 bytes each. Two callsites with the same index displace
/// each other.
const PLACES: usize = 256;

type Place = Cell<(usize, Option<&'static Plan>)>;

thread_local! {
    static PLANS: [Place; PLACES] = const { [const { Cell::new((0, None)) }; PLACES] };
}

/// Returns the plan of a callsite.
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
