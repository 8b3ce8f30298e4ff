//! The state behind a filter: the levels in force, and how to ask them in a few nanoseconds.
//!
//! A question goes through three steps, each for what the one before can't answer: the level against the lowest and
//! the highest level in force (one atomic load); a small table of this thread's last answers; the levels themselves,
//! under a lock that only this module's code ever runs under.
//!
//! Rejected: a table shared by all threads, whose cache lines they would fight for; and keeping answers by callsite
//! and target, because a `log` record borrows the callsite of all records of its level, and its target's address may
//! hold another text the next time.

use std::cell::Cell;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use spanscope_model::UNCATEGORIZED;
use tracing_core::span::Attributes;
use tracing_core::subscriber::NoSubscriber;
use tracing_core::{Dispatch, Event, Field, LevelFilter, Metadata, callsite, dispatcher};

use super::categories::{Categories, Origin};
use super::levels::Levels;
use super::threshold::{Threshold, verbosity};
use spanscope_core::capture::{decide_by_value, text_of};
use spanscope_core::sync::{lock, read, write};

/// What can be said of a callsite before its values are there.
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
    /// What every question reads first: see [`Summary`].
    summary: AtomicU64,
    levels: RwLock<Arc<Levels>>,
    /// Held while levels are changed, so that two changes don't undo each other.
    changing: Mutex<()>,
    /// Addresses of metadata that `tracing` handed over as `'static`. Nothing else can ever be at such an address, so an
    /// answer may be kept by it.
    known_callsites: RwLock<HashSet<usize>>,
}

/// The version of the levels, and the verbosity up to which nothing is held back, and beyond which nothing passes.
///
/// Versions are numbered over all filters, so one says which filter's and which of its levels an answer was given by.
#[derive(Debug, Clone, Copy)]
struct Summary(u64);

static VERSIONS: AtomicU64 = AtomicU64::new(1);

/// How often levels have been changed, in all filters; counted when the new ones are in force.
static CHANGES: AtomicU64 = AtomicU64::new(0);

impl Summary {
    fn of(levels: &Levels, categories: &Categories) -> Self {
        let reachable = || levels.reachable(categories);
        let lowest = reachable().map(Threshold::passes_always).min().unwrap_or(0);
        let highest = reachable().map(Threshold::passes_at_most).max().unwrap_or(0);
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

/// So many answers a thread keeps, 16 bytes each. Two callsites that fall onto one place take turns in it.
const PLACES: usize = 256;

/// A [`Decision`] as the table keeps it.
const NEVER: usize = 0;
const ALWAYS: usize = 1;
const BY_VALUE: usize = 2;
/// No answer is as great. Addresses of metadata are multiples of this, so an answer fits into one.
const ANSWERS_END: usize = 4;
const _: () = assert!(align_of::<Metadata<'static>>().is_multiple_of(ANSWERS_END));

thread_local! {
    /// By address of the metadata: that address with the answer in its lowest two bits, and the version.
    static ANSWERS: [Cell<(usize, u64)>; PLACES] = const { [const { Cell::new((0, 0)) }; PLACES] };
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

    /// Puts changed levels in force, and has `tracing` ask about every callsite again.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Levels) -> T) -> T {
        let answer = {
            let _changing = lock(&self.changing);
            let mut levels = Levels::clone(&self.levels());
            let answer = change(&mut levels);
            let summary = Summary::of(&levels, &self.categories);
            let levels = Arc::new(levels);
            let mut place = write(&self.levels);
            // An answer kept under the new version must not come from the old levels, so these go first.
            *place = levels;
            self.summary.store(summary.0, Ordering::Release);
            CHANGES.fetch_add(1, Ordering::SeqCst);
            answer
        };
        rebuild_interest();
        answer
    }

    #[inline]
    fn summary(&self) -> Summary {
        Summary(self.summary.load(Ordering::Acquire))
    }

    pub(super) fn max_level(&self) -> LevelFilter {
        match self.summary().highest() {
            0 => LevelFilter::OFF,
            1 => LevelFilter::ERROR,
            2 => LevelFilter::WARN,
            3 => LevelFilter::INFO,
            4 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        }
    }

    /// Like [`decide`](Self::decide), of a callsite that will be asked about again.
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
        match self.answer(metadata) {
            NEVER => Decision::Never,
            ALWAYS => Decision::Always,
            _ => Decision::ByValue,
        }
    }

    /// Whether anything from this callsite can pass, depending on its values or not.
    #[inline]
    pub(super) fn can_pass(&self, metadata: &Metadata<'_>) -> bool {
        self.answer(metadata) != NEVER
    }

    /// A decision as the table keeps it: a question about a callsite only compares a number then.
    #[inline]
    fn answer(&self, metadata: &Metadata<'_>) -> usize {
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
        let (kept, version) = ANSWERS.try_with(|answers| answers[place].get()).unwrap_or((0, 0));
        // Of the same address, only the answer is left.
        let answer = kept ^ address;
        if answer < ANSWERS_END && version == summary.version() {
            return answer;
        }
        self.answer_anew(metadata, summary.version())
    }

    #[cold]
    fn answer_anew(&self, metadata: &Metadata<'_>, version: u64) -> usize {
        let answer = match self.look_up(metadata) {
            Decision::Never => NEVER,
            Decision::Always => ALWAYS,
            Decision::ByValue => {
                decide_by_value();
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
            let _ = ANSWERS.try_with(|answers| answers[place].set((address | answer, version)));
        }
        answer
    }

    fn look_up(&self, metadata: &Metadata<'_>) -> Decision {
        let levels = read(&self.levels);
        let target = metadata.target();
        let origin = self.categories.of(metadata);
        let mut own = levels.threshold(&self.categories, &origin, target);
        if !origin.is_app && is_unplaced_record(metadata) {
            let as_own = self.categories.of_own_target(target);
            own = own.min(levels.threshold(&self.categories, &as_own, target));
        }
        // Only an ERROR event that can say so is let through by a threshold of `Critical`.
        let can_be_critical = metadata.is_event() && metadata.fields().field("severity").is_some();
        let passes_at_most = |threshold: Threshold| match can_be_critical {
            true => threshold.passes_at_most(),
            false => threshold.passes_always(),
        };
        // Of the levels that may hold, depending on a `category` field, the strictest and the most lenient.
        let (mut least, mut most) = (own.passes_always(), passes_at_most(own));
        if category_field(metadata).is_some() && levels.directive_for(target).is_none() {
            let unknown = levels.threshold(&self.categories, &unknown_category(&origin), target);
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

    /// Whether an event passes, now that its values are there.
    #[inline]
    pub(super) fn lets_event(&self, event: &Event<'_>) -> bool {
        match self.decide(event.metadata()) {
            Decision::Never => false,
            Decision::Always => true,
            Decision::ByValue => {
                let metadata = event.metadata();
                let value_of = |field: Field| text_of(&field, |visitor| event.record(visitor));
                let category = category_field(metadata).and_then(value_of);
                match self.threshold_with(metadata, category.as_deref()) {
                    Threshold::Critical => {
                        let severity = last_field(metadata, "severity").and_then(value_of);
                        severity.is_some_and(|severity| severity.eq_ignore_ascii_case("critical"))
                    }
                    threshold => verbosity(*metadata.level()) <= threshold.passes_always(),
                }
            }
        }
    }

    /// Whether a record of the `log` crate passes, by the place that it names in its fields.
    pub(super) fn lets_log_record(&self, event: &Event<'_>) -> bool {
        let metadata = event.metadata();
        let text = |name: &str| {
            let field = metadata.fields().field(name)?;
            text_of(&field, |visitor| event.record(visitor))
        };
        let (target, module, file) = (text("log.target"), text("log.module_path"), text("log.file"));
        let target = target.as_deref().unwrap_or(metadata.target());
        let origin = self
            .categories
            .of_place(target, module.as_deref(), file.as_deref());
        let levels = read(&self.levels);
        let threshold = levels.threshold(&self.categories, &origin, target);
        verbosity(*metadata.level()) <= threshold.passes_always()
    }

    /// Whether a span passes, now that its values are there.
    #[inline]
    pub(super) fn lets_span(&self, attributes: &Attributes<'_>) -> bool {
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

    /// The level that holds under the category of a field; the target's category where the field is empty.
    fn threshold_with(&self, metadata: &Metadata<'_>, category: Option<&str>) -> Threshold {
        let by_target = self.categories.of(metadata);
        let category = category.map(str::trim).filter(|category| !category.is_empty());
        let path = category.map(|category| self.categories.path_of(category));
        let origin = match &path {
            None => by_target,
            Some(None) => unknown_category(&by_target),
            Some(Some(path)) => Origin {
                category: path,
                path,
                is_app: by_target.is_app,
            },
        };
        let levels = read(&self.levels);
        levels.threshold(&self.categories, &origin, metadata.target())
    }
}

/// Whether this is how `tracing-log` asks about a record whose module and file it does not say yet. Whatever the answer is,
/// it asks again with them, so the answer must let through what may turn out to be the application's own.
fn is_unplaced_record(metadata: &Metadata<'_>) -> bool {
    metadata.name() == "log record" && metadata.file().is_none() && metadata.module_path().is_none()
}

/// A name that nobody registered must not raise what a third-party crate shows.
fn unknown_category(origin: &Origin<'_>) -> Origin<'static> {
    Origin {
        category: UNCATEGORIZED,
        path: UNCATEGORIZED,
        is_app: origin.is_app,
    }
}

fn category_field(metadata: &Metadata<'_>) -> Option<Field> {
    last_field(metadata, "category")
}

/// Of two fields of one name the last one counts, as for the sinks.
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

/// Has `tracing` ask about every callsite, and for the highest level, again.
///
/// Two threads that do this at once can overwrite each other's outcome with an older one, so whoever saw another change
/// come in between does it once more; only changes of levels, never events, can prolong that.
fn rebuild_interest() {
    loop {
        let before = CHANGES.load(Ordering::SeqCst);
        // As long as it knows of one subscriber only, `tracing` asks the one of the calling thread. Where that has none
        // (the subscriber is another thread's own, or this is called while an event is being handled) it would ask
        // nobody, and switch off everything everywhere. A second subscriber, even one that is gone again, makes it ask
        // all that there are.
        if dispatcher::get_default(|current| current.is::<NoSubscriber>()) {
            drop(Dispatch::new(NoSubscriber::new()));
        }
        callsite::rebuild_interest_cache();
        if CHANGES.load(Ordering::SeqCst) == before {
            return;
        }
    }
}
