//! The state of a filter: the current levels, and their evaluation in a few nanoseconds.
//!
//! An evaluation has three steps, each for what the one before can't decide: the level against the
//! lowest and the highest current level (one atomic load); a small table of this thread's last
//! results; the levels themselves, under a lock that only this module's code uses.
//!
//! Rejected: a table shared by all threads, which would contend for its cache lines; and caching
//! results by callsite and target, because a `log` record borrows the callsite of all records of
//! its level, and its target's address may hold another text the next time.

use std::cell::Cell;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use spanscope_model::UNCATEGORIZED;
use tracing_core::span::Attributes;
use tracing_core::subscriber::NoSubscriber;
use tracing_core::{Dispatch, Event, Field, LevelFilter as TracingFilter, Metadata, callsite, dispatcher};

use super::categories::{Categories, CategoryMatch};
use super::level_filter::{LevelFilter, verbosity};
use super::levels::Levels;
use spanscope_core::capture::{enable_value_filtering, text_of};
use spanscope_core::sync::{lock, read, write};

/// The decision about a callsite before its values are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    Never,
    Always,
    /// Its `category` or `severity` field decides.
    ByValue,
}

/// The levels of one filter.
#[derive(Debug)]
pub(super) struct Switch {
    categories: Categories,
    /// Read first by every evaluation: see [`Summary`].
    summary: AtomicU64,
    levels: RwLock<Arc<Levels>>,
    /// Held while levels are changed, so that two changes don't undo each other.
    changing: Mutex<()>,
    /// Addresses of metadata that `tracing` passed as `'static`. Nothing else can ever have such an
    /// address, so it can be a cache key.
    known_callsites: RwLock<HashSet<usize>>,
}

/// The version of the levels, and the verbosity up to which everything passes, and beyond which
/// nothing passes.
///
/// Versions are unique over all filters, so a version identifies the filter and its levels.
#[derive(Debug, Clone, Copy)]
struct Summary(u64);

static VERSIONS: AtomicU64 = AtomicU64::new(1);

/// The number of changes of levels, in all filters; counted when the new ones are in effect.
static CHANGES: AtomicU64 = AtomicU64::new(0);

impl Summary {
    fn of(levels: &Levels, categories: &Categories) -> Self {
        let reachable = || levels.reachable(categories);
        let lowest = reachable().map(LevelFilter::passes_always).min().unwrap_or(0);
        let highest = reachable().map(LevelFilter::passes_at_most).max().unwrap_or(0);
        let version = VERSIONS.fetch_add(1, Ordering::Relaxed);
        Self((version << 8) | (u64::from(highest) << 4) | u64::from(lowest))
    }

    fn lowest(self) -> u8 {
        (self.0 & 0xf) as u8
    }

    fn highest(self) -> u8 {
        ((self.0 >> 4) & 0xf) as u8
    }

    fn version(self) -> u64 {
        self.0 >> 8
    }
}

/// The number of cached results per thread, 16 bytes each. Two callsites with the same index
/// displace each other.
const PLACES: usize = 256;

/// A [`Decision`] in the form of the table.
const NEVER: usize = 0;
const ALWAYS: usize = 1;
const BY_VALUE: usize = 2;
/// Greater than every result. Addresses of metadata are multiples of this, so a result fits into
/// one.
const RESULTS_END: usize = 4;
const _: () = assert!(align_of::<Metadata<'static>>().is_multiple_of(RESULTS_END));

thread_local! {
    /// By address of the metadata: that address with the result in its lowest two bits, and the
    /// version.
    static RESULTS: [Cell<(usize, u64)>; PLACES] = const { [const { Cell::new((0, 0)) }; PLACES] };
}

impl Switch {
    pub(super) fn new(categories: Categories, levels: Levels) -> Self {
        Self {
            summary: AtomicU64::new(Summary::of(&levels, &categories).0),
            categories,
            levels: RwLock::new(Arc::new(levels)),
            changing: Mutex::new(()),
            known_callsites: RwLock::new(HashSet::new()),
        }
    }

    pub(super) fn categories(&self) -> &Categories {
        &self.categories
    }

    pub(super) fn levels(&self) -> Arc<Levels> {
        let levels = read(&self.levels);
        Arc::clone(&levels)
    }

    /// Applies changed levels, and makes `tracing` evaluate every callsite again.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Levels) -> T) -> T {
        let result = {
            let _changing = lock(&self.changing);
            let mut levels = Levels::clone(&self.levels());
            let result = change(&mut levels);
            let summary = Summary::of(&levels, &self.categories);
            let levels = Arc::new(levels);
            let mut place = write(&self.levels);
            // A result cached under the new version must not come from the old levels, so these are
            // replaced first.
            *place = levels;
            self.summary.store(summary.0, Ordering::Release);
            CHANGES.fetch_add(1, Ordering::SeqCst);
            result
        };
        rebuild_interest();
        result
    }

    #[inline]
    fn summary(&self) -> Summary {
        Summary(self.summary.load(Ordering::Acquire))
    }

    pub(super) fn max_level(&self) -> TracingFilter {
        match self.summary().highest() {
            0 => TracingFilter::OFF,
            1 => TracingFilter::ERROR,
            2 => TracingFilter::WARN,
            3 => TracingFilter::INFO,
            4 => TracingFilter::DEBUG,
            _ => TracingFilter::TRACE,
        }
    }

    /// Like [`decide`](Self::decide), for a callsite that will be evaluated again.
    pub(super) fn register(&self, metadata: &'static Metadata<'static>) -> Decision {
        let address = std::ptr::from_ref(metadata).addr();
        let is_known = {
            let known = read(&self.known_callsites);
            known.contains(&address)
        };
        if !is_known {
            let mut known = write(&self.known_callsites);
            known.insert(address);
        }
        self.decide(metadata)
    }

    #[inline]
    pub(super) fn decide(&self, metadata: &Metadata<'_>) -> Decision {
        match self.result(metadata) {
            NEVER => Decision::Never,
            ALWAYS => Decision::Always,
            _ => Decision::ByValue,
        }
    }

    /// Returns whether anything from this callsite can pass, depending on its values or not.
    #[inline]
    pub(super) fn can_pass(&self, metadata: &Metadata<'_>) -> bool {
        self.result(metadata) != NEVER
    }

    /// Returns a decision in the form of the table, so that an evaluation only compares a number.
    #[inline]
    fn result(&self, metadata: &Metadata<'_>) -> usize {
        let summary = self.summary();
        let verbosity = verbosity(*metadata.level());
        if verbosity > summary.highest() {
            return NEVER;
        }
        if verbosity <= summary.lowest() {
            return ALWAYS;
        }
        let address = std::ptr::from_ref(metadata).addr();
        let place = place_of(address, summary.version());
        let (kept, version) = RESULTS.try_with(|results| results[place].get()).unwrap_or((0, 0));
        // For the same address, only the result remains.
        let result = kept ^ address;
        if result < RESULTS_END && version == summary.version() {
            return result;
        }
        self.decide_uncached(metadata, summary.version())
    }

    #[cold]
    fn decide_uncached(&self, metadata: &Metadata<'_>, version: u64) -> usize {
        let result = match self.look_up(metadata) {
            Decision::Never => NEVER,
            Decision::Always => ALWAYS,
            Decision::ByValue => {
                enable_value_filtering();
                BY_VALUE
            }
        };
        let address = std::ptr::from_ref(metadata).addr();
        let is_known = {
            let known = read(&self.known_callsites);
            known.contains(&address)
        };
        if is_known {
            let place = place_of(address, version);
            let _ = RESULTS.try_with(|results| results[place].set((address | result, version)));
        }
        result
    }

    fn look_up(&self, metadata: &Metadata<'_>) -> Decision {
        let levels = read(&self.levels);
        let target = metadata.target();
        let matched = self.categories.of(metadata);
        let mut own = levels.threshold(&self.categories, &matched, target);
        if !matched.is_app && is_unplaced_record(metadata) {
            let as_own = self.categories.of_own_target(target);
            own = own.min(levels.threshold(&self.categories, &as_own, target));
        }
        // A level filter of `Critical` only passes ERROR events with that severity.
        let can_be_critical = metadata.is_event() && metadata.fields().field("severity").is_some();
        let passes_at_most = |threshold: LevelFilter| match can_be_critical {
            true => threshold.passes_at_most(),
            false => threshold.passes_always(),
        };
        // Of the levels that may apply, depending on a `category` field, the strictest and the most
        // permissive.
        let (mut least, mut most) = (own.passes_always(), passes_at_most(own));
        if category_field(metadata).is_some() && levels.directive_for(target).is_none() {
            let unknown = levels.threshold(&self.categories, &unknown_category(&matched), target);
            for threshold in levels.reachable_by_category(&self.categories).chain([unknown]) {
                least = least.min(threshold.passes_always());
                most = most.max(passes_at_most(threshold));
            }
        }
        let level = verbosity(*metadata.level());
        if level <= least {
            Decision::Always
        } else if level <= most {
            Decision::ByValue
        } else {
            Decision::Never
        }
    }

    /// Returns whether an event passes, with its values.
    #[inline]
    pub(super) fn passes_event(&self, event: &Event<'_>) -> bool {
        match self.decide(event.metadata()) {
            Decision::Never => false,
            Decision::Always => true,
            Decision::ByValue => {
                let metadata = event.metadata();
                let value_of = |field: Field| text_of(&field, |visitor| event.record(visitor));
                let category = category_field(metadata).and_then(value_of);
                match self.threshold_with(metadata, category.as_deref()) {
                    LevelFilter::Critical => {
                        let severity = last_field(metadata, "severity").and_then(value_of);
                        severity.is_some_and(|severity| severity.eq_ignore_ascii_case("critical"))
                    }
                    threshold => verbosity(*metadata.level()) <= threshold.passes_always(),
                }
            }
        }
    }

    /// Returns whether a record of the `log` crate passes, by the source location in its fields.
    pub(super) fn passes_log_record(&self, event: &Event<'_>) -> bool {
        let metadata = event.metadata();
        let text = |name: &str| {
            let field = metadata.fields().field(name)?;
            text_of(&field, |visitor| event.record(visitor))
        };
        let (target, module, file) = (text("log.target"), text("log.module_path"), text("log.file"));
        let target = target.as_deref().unwrap_or(metadata.target());
        let matched = self
            .categories
            .of_place(target, module.as_deref(), file.as_deref());
        let levels = read(&self.levels);
        let threshold = levels.threshold(&self.categories, &matched, target);
        verbosity(*metadata.level()) <= threshold.passes_always()
    }

    /// Returns whether a span passes, with its values.
    #[inline]
    pub(super) fn passes_span(&self, attributes: &Attributes<'_>) -> bool {
        let metadata = attributes.metadata();
        match self.decide(metadata) {
            Decision::Never => false,
            Decision::Always => true,
            Decision::ByValue => {
                let value_of = |field: Field| text_of(&field, |visitor| attributes.record(visitor));
                let category = category_field(metadata).and_then(value_of);
                let threshold = self.threshold_with(metadata, category.as_deref());
                verbosity(*metadata.level()) <= threshold.passes_always()
            }
        }
    }

    /// Returns the level for the category of a field; the target's category if the field is empty.
    fn threshold_with(&self, metadata: &Metadata<'_>, category: Option<&str>) -> LevelFilter {
        let by_target = self.categories.of(metadata);
        let category = category.map(str::trim).filter(|category| !category.is_empty());
        let path = category.map(|category| self.categories.path_of(category));
        let matched = match &path {
            None => by_target,
            Some(None) => unknown_category(&by_target),
            Some(Some(path)) => CategoryMatch {
                category: path,
                path,
                is_app: by_target.is_app,
            },
        };
        let levels = read(&self.levels);
        levels.threshold(&self.categories, &matched, metadata.target())
    }
}

/// Returns whether this is `tracing-log`'s first call for a record, without its module and file. It
/// calls again with them, so the result must pass what may turn out to be the application's own.
fn is_unplaced_record(metadata: &Metadata<'_>) -> bool {
    metadata.name() == "log record" && metadata.file().is_none() && metadata.module_path().is_none()
}

/// An unregistered name must not raise the level of a third-party crate.
fn unknown_category(matched: &CategoryMatch<'_>) -> CategoryMatch<'static> {
    CategoryMatch {
        category: UNCATEGORIZED,
        path: UNCATEGORIZED,
        is_app: matched.is_app,
    }
}

fn category_field(metadata: &Metadata<'_>) -> Option<Field> {
    last_field(metadata, "category")
}

/// Of two fields with the same name the last one counts, as for the sinks.
fn last_field(metadata: &Metadata<'_>, name: &str) -> Option<Field> {
    metadata
        .fields()
        .iter()
        .filter(|field| field.name() == name)
        .last()
}

#[inline]
fn place_of(address: usize, version: u64) -> usize {
    // Fibonacci hashing: the top bits of the product depend on every bit below.
    let mixed = (address as u64 ^ version).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 56) as usize % PLACES
}

/// Makes `tracing` evaluate every callsite, and the maximum level, again.
///
/// Two threads that do this at once can overwrite each other's result with an older one, so a
/// thread that sees another change meanwhile repeats it; only changes of levels, never events, can
/// prolong that.
fn rebuild_interest() {
    loop {
        let before = CHANGES.load(Ordering::SeqCst);
        // While it knows of one subscriber only, `tracing` consults the one of the calling thread.
        // If that thread has none (the subscriber is another thread's, or this is called while an
        // event is being handled) it would consult none, and switch off everything. A second
        // subscriber, even one that is gone, makes it consult all.
        if dispatcher::get_default(|current| current.is::<NoSubscriber>()) {
            drop(Dispatch::new(NoSubscriber::new()));
        }
        callsite::rebuild_interest_cache();
        if CHANGES.load(Ordering::SeqCst) == before {
            return;
        }
    }
}
