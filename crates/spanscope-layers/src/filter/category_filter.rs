//! The filter as `tracing-subscriber` sees it, in both of its roles, and the handle that changes it.

use std::sync::Arc;

use tracing_core::span::{Attributes, Id};
use tracing_core::subscriber::Interest;
use tracing_core::{Event, LevelFilter, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::categories::Categories;
use super::levels::Levels;
use super::switch::{Decision, Switch};
use super::threshold::Threshold;
use super::warning::{LevelWarning, UnknownCategory};
use spanscope_core::capture::{
    HiddenFromAll, decide_by_value, decides_by_value, hide_from_next, is_log_record, note_callsite,
};

/// Lets spans and events through by the level of their category.
///
/// Added as a layer, it decides for the whole subscriber; add it before the sinks. Given to `.with_filter`, it decides
/// for one layer. A clone is the same filter: it follows the same [`handle`](Self::handle).
///
/// ```
/// use spanscope_layers::{Categories, CategoryFilter, Levels, Threshold};
/// use tracing_subscriber::prelude::*;
///
/// let mut levels = Levels::new();
/// levels.set_root(Threshold::Error);
/// let filter = CategoryFilter::new(Categories::of_caller().app_crate("my-app"), levels);
/// let handle = filter.handle();
/// let _guard = tracing_subscriber::registry().with(filter).set_default();
///
/// assert!(!tracing::enabled!(target: "agents", tracing::Level::DEBUG));
/// handle.set("agents", Threshold::Debug)?;
/// assert!(tracing::enabled!(target: "agents", tracing::Level::DEBUG));
/// # Ok::<(), spanscope_layers::UnknownCategory>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a filter does nothing until it is added to a subscriber or to a layer"]
pub struct CategoryFilter {
    switches: Switches,
    warnings: Arc<[LevelWarning]>,
}

/// One switch, nearly always; the first of several is kept beside the others to spare that case a way through memory.
#[derive(Debug, Clone)]
struct Switches {
    first: Arc<Switch>,
    others: Arc<[Arc<Switch>]>,
}

impl CategoryFilter {
    /// A filter with these levels.
    pub fn new(categories: Categories, levels: Levels) -> Self {
        Self {
            switches: Switches {
                first: Arc::new(Switch::new(categories, levels)),
                others: Arc::new([]),
            },
            warnings: Arc::new([]),
        }
    }

    /// The filter that the environment asks for: `LLAMA_STACK_LOGGING`, with `RUST_LOG` on top. The application is the
    /// package of the source file that calls this; what could not be used is in [`warnings`](Self::warnings).
    #[track_caller]
    pub fn from_env() -> Self {
        let categories = Categories::of_caller();
        let mut levels = Levels::new();
        let warnings = levels.read_env(&categories);
        Self::new(categories, levels).with_warnings(warnings)
    }

    /// Lets through what any of these lets through, and follows their handles: the filter for a whole subscriber whose
    /// sinks have filters of their own. Of none, it lets nothing through.
    pub fn any_of(filters: Vec<Self>) -> Self {
        let mut warnings: Vec<LevelWarning> = Vec::new();
        let mut switches: Vec<Arc<Switch>> = Vec::new();
        for filter in filters {
            for warning in filter.warnings.iter() {
                if !warnings.contains(warning) {
                    warnings.push(warning.clone());
                }
            }
            for switch in std::iter::once(&filter.switches.first).chain(filter.switches.others.iter()) {
                // Several sinks may have clones of one filter; it is asked, and changed, once.
                if !switches.iter().any(|known| Arc::ptr_eq(known, switch)) {
                    switches.push(Arc::clone(switch));
                }
            }
        }
        let mut switches = switches.into_iter();
        let Some(first) = switches.next() else {
            return Self::new(Categories::new().web_targets([""; 0]), Levels::all_off());
        };
        Self {
            switches: Switches {
                first,
                others: switches.collect(),
            },
            warnings: warnings.into(),
        }
    }

    /// Keeps these warnings beside the filter, for whoever shows them; those that it had are replaced.
    pub fn with_warnings(mut self, warnings: Vec<LevelWarning>) -> Self {
        self.warnings = warnings.into();
        self
    }

    /// What could not be used of the text that the levels came from.
    #[must_use]
    pub fn warnings(&self) -> &[LevelWarning] {
        &self.warnings
    }

    /// The categories by which it decides; of several filters, the first one's.
    #[must_use]
    pub fn categories(&self) -> &Categories {
        self.switches.first.categories()
    }

    /// Changes levels at run time, without replacing a layer.
    #[must_use]
    pub fn handle(&self) -> LevelHandle {
        LevelHandle {
            switches: self.switches.clone(),
        }
    }

    /// Whether it lets this span through, for a layer that has several outlets and asks for each by itself. A span that
    /// is not to be shown is then said to [`Capture::hide`](spanscope_core::capture::Capture::hide).
    #[must_use]
    pub fn shows_span(&self, attributes: &Attributes<'_>) -> bool {
        match self.decide(attributes.metadata()) {
            Decision::Never => false,
            Decision::Always => true,
            Decision::ByValue => self.lets_span(attributes),
        }
    }

    /// Whether it lets this event through, for a layer that has several outlets and asks for each by itself.
    #[must_use]
    pub fn shows_event(&self, event: &Event<'_>) -> bool {
        let metadata = event.metadata();
        // All records of the `log` crate at one level have one callsite; where they are from is in their fields.
        if is_log_record(metadata) {
            return self.lets_log_record(event);
        }
        self.can_pass(metadata) && self.lets_event(event)
    }

    #[cold]
    fn lets_log_record(&self, event: &Event<'_>) -> bool {
        self.switches.iter().any(|switch| switch.lets_log_record(event))
    }

    /// Notes whether it keeps a span from the next sink that is called.
    pub(super) fn note_span(&self, attributes: &Attributes<'_>, id: &Id) {
        let is_hidden = !self.shows_span(attributes);
        if is_hidden && !decides_by_value() {
            decide_by_value();
        }
        if decides_by_value() {
            hide_from_next(attributes, id, is_hidden);
        }
    }

    /// Whether any of the filters may let through something from this callsite.
    #[inline]
    fn can_pass(&self, metadata: &Metadata<'_>) -> bool {
        self.switches.first.can_pass(metadata)
            || (!self.switches.others.is_empty() && self.others_can_pass(metadata))
    }

    #[cold]
    fn others_can_pass(&self, metadata: &Metadata<'_>) -> bool {
        self.switches
            .others
            .iter()
            .any(|switch| switch.can_pass(metadata))
    }

    #[inline]
    fn decide(&self, metadata: &Metadata<'_>) -> Decision {
        let decision = self.switches.first.decide(metadata);
        if decision == Decision::Always || self.switches.others.is_empty() {
            return decision;
        }
        self.switches.decide_by(|switch| switch.decide(metadata))
    }

    fn register(&self, metadata: &'static Metadata<'static>) -> Decision {
        note_callsite(metadata);
        self.switches.decide_by(|switch| switch.register(metadata))
    }

    /// Whether an event passes that `enabled` let through, which has said all there is to say of most.
    #[inline]
    fn lets_event(&self, event: &Event<'_>) -> bool {
        !decides_by_value() || self.lets_event_by_value(event)
    }

    /// Cold, so that the check before it is inlined into `tracing-subscriber`'s functions and saves no registers there:
    /// together that was 1.5 ns of an event's 6.
    #[cold]
    fn lets_event_by_value(&self, event: &Event<'_>) -> bool {
        // A record of the `log` crate: it was let through by its own target, which is only in its fields now.
        let metadata = event.metadata();
        if is_log_record(metadata) {
            return true;
        }
        self.switches.iter().any(|switch| switch.lets_event(event))
    }

    fn lets_span(&self, attributes: &Attributes<'_>) -> bool {
        self.switches.iter().any(|switch| switch.lets_span(attributes))
    }

    fn max_level(&self) -> LevelFilter {
        let levels = self.switches.iter().map(|switch| switch.max_level());
        levels.max().unwrap_or(LevelFilter::OFF)
    }
}

impl Switches {
    fn iter(&self) -> impl Iterator<Item = &Switch> {
        std::iter::once(&*self.first).chain(self.others.iter().map(|switch| &**switch))
    }

    /// The most that any of them says. All are asked, because every switch must hear of a new callsite.
    fn decide_by(&self, decide: impl Fn(&Switch) -> Decision) -> Decision {
        let mut decision = decide(&self.first);
        for switch in self.others.iter() {
            decision = match (decision, decide(switch)) {
                (Decision::Always, _) | (_, Decision::Always) => Decision::Always,
                (Decision::ByValue, _) | (_, Decision::ByValue) => Decision::ByValue,
                (Decision::Never, Decision::Never) => Decision::Never,
            };
        }
        decision
    }
}

impl<S> Layer<S> for CategoryFilter
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match self.register(metadata) {
            Decision::Never => Interest::never(),
            Decision::Always => Interest::always(),
            Decision::ByValue => Interest::sometimes(),
        }
    }

    #[inline]
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.can_pass(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.max_level())
    }

    #[inline]
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.lets_event(event)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if decides_by_value()
            && !self.lets_span(attributes)
            && let Some(span) = context.span(id)
        {
            span.extensions_mut().replace(HiddenFromAll);
        }
    }
}

impl<S> Filter<S> for CategoryFilter {
    /// Never `always`: what a filter of one layer answered to `enabled` travels to `on_new_span` and `on_event` in a
    /// thread-local that nobody clears when `enabled!` or `log_enabled!` asked and no event followed
    /// (tokio-rs/tracing#2519, still so in tracing-subscriber 0.3.23). With `always`, `tracing` would not ask again for
    /// the next span, and that span would be dropped by the answer given for another callsite. Asked each time, the
    /// stale answer is overwritten; that is why `enabled` has to be fast.
    ///
    /// Rejected: `always` until the filter first has to say no. Interest would have to be rebuilt at that moment, inside
    /// `enabled`, where another layer may hold a lock that its `register_callsite` needs.
    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        match self.register(metadata) {
            Decision::Never => Interest::never(),
            Decision::Always | Decision::ByValue => Interest::sometimes(),
        }
    }

    #[inline]
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.can_pass(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.max_level())
    }

    /// Asks once more: what was recorded while the values were worked out has left its own answer.
    #[inline]
    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        self.shows_event(event)
    }

    /// As [`event_enabled`](Self::event_enabled).
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        self.note_span(attributes, id);
    }
}

/// Changes the levels of a [`CategoryFilter`] while it is in use, from any thread.
///
/// Each change is in force when the call returns: `tracing` has asked about every callsite again, which takes a while
/// where there are thousands, so this is for people and not for loops. Not to be called from within a layer's or a
/// filter's `register_callsite`, where `tracing` holds a lock that it needs.
///
/// The handle of [`CategoryFilter::any_of`] changes all of its filters.
#[derive(Debug, Clone)]
pub struct LevelHandle {
    switches: Switches,
}

impl LevelHandle {
    /// The levels in force; of several filters, the first one's.
    #[must_use]
    pub fn levels(&self) -> Levels {
        Levels::clone(&self.switches.first.levels())
    }

    /// Puts other levels in place of all that there are.
    pub fn replace(&self, levels: Levels) {
        for switch in self.switches.iter() {
            switch.change(|place| place.clone_from(&levels));
        }
    }

    /// Sets the level of one category, of a finer name under one, or of everything (`all`).
    ///
    /// # Errors
    ///
    /// The category is not known, to one of several filters; nothing is changed.
    pub fn set(&self, category: &str, threshold: Threshold) -> Result<(), UnknownCategory> {
        for switch in self.switches.iter() {
            Levels::new().set(switch.categories(), category, threshold)?;
        }
        for switch in self.switches.iter() {
            switch.change(|levels| levels.set(switch.categories(), category, threshold))?;
        }
        Ok(())
    }

    /// Applies pairs as `LLAMA_STACK_LOGGING` has them; what could not be used is given back, once where several
    /// filters say the same.
    pub fn apply(&self, pairs: &str) -> Vec<LevelWarning> {
        let mut warnings = Vec::new();
        for switch in self.switches.iter() {
            let found = switch.change(|levels| levels.set_pairs(switch.categories(), "levels", pairs));
            for warning in found {
                if !warnings.contains(&warning) {
                    warnings.push(warning);
                }
            }
        }
        warnings
    }
}
