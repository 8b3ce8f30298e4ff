//! The filter in both roles that `tracing-subscriber` has for one, and the handle that changes it.

use std::sync::Arc;

use tracing_core::span::{Attributes, Id};
use tracing_core::subscriber::Interest;
use tracing_core::{Event, LevelFilter as TracingFilter, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::categories::Categories;
use super::level_filter::LevelFilter;
use super::levels::Levels;
use super::switch::{Decision, Switch};
use super::warning::{LevelWarning, UnknownCategory};
use spanscope_core::capture::{
    HiddenFromAll, enable_value_filtering, hide_from_next_sink, is_log_record, is_value_filtering_enabled,
    note_callsite,
};

/// A filter of spans and events by the level of their category.
///
/// Added as a layer, it applies to the whole subscriber; add it before the sinks. In
/// `.with_filter`, it applies to one layer. A clone is the same filter: it follows the same
/// [`handle`](Self::handle).
///
/// ```
/// use spanscope_layers::{Categories, CategoryFilter, Levels, LevelFilter};
/// use tracing_subscriber::prelude::*;
///
/// let mut levels = Levels::new();
/// levels.set_root(LevelFilter::Error);
/// let filter = CategoryFilter::new(Categories::of_caller().app_crate("my-app"), levels);
/// let handle = filter.handle();
/// let _guard = tracing_subscriber::registry().with(filter).set_default();
///
/// assert!(!tracing::enabled!(target: "agents", tracing::Level::DEBUG));
/// handle.set("agents", LevelFilter::Debug)?;
/// assert!(tracing::enabled!(target: "agents", tracing::Level::DEBUG));
/// # Ok::<(), spanscope_layers::UnknownCategory>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a filter does nothing until it is added to a subscriber or to a layer"]
pub struct CategoryFilter {
    switches: Switches,
    warnings: Arc<[LevelWarning]>,
}

/// Nearly always one switch; the first of several is stored inline to save that case an
/// indirection.
#[derive(Debug, Clone)]
struct Switches {
    first: Arc<Switch>,
    others: Arc<[Arc<Switch>]>,
}

impl CategoryFilter {
    /// Creates a filter with these levels.
    pub fn new(categories: Categories, levels: Levels) -> Self {
        Self {
            switches: Switches {
                first: Arc::new(Switch::new(categories, levels)),
                others: Arc::new([]),
            },
            warnings: Arc::new([]),
        }
    }

    /// Creates the filter from the environment: `LLAMA_STACK_LOGGING`, overridden by `RUST_LOG`.
    /// The application is the package of the calling source file; invalid parts are reported by
    /// [`warnings`](Self::warnings).
    #[track_caller]
    pub fn from_env() -> Self {
        let categories = Categories::of_caller();
        let mut levels = Levels::new();
        let warnings = levels.read_env(&categories);
        Self::new(categories, levels).with_warnings(warnings)
    }

    /// Creates the filter from the environment, as [`from_env`](Self::from_env) does, if every part
    /// of both variables is valid.
    ///
    /// # Errors
    /// Returns the first invalid part.
    #[track_caller]
    pub fn try_from_env() -> Result<Self, LevelWarning> {
        let categories = Categories::of_caller();
        let mut levels = Levels::new();
        match levels.read_env(&categories).into_iter().next() {
            Some(problem) => Err(problem),
            None => Ok(Self::new(categories, levels)),
        }
    }

    /// Creates a filter that passes what any of these filters passes, and follows their handles:
    /// for a whole subscriber whose sinks have their own filters. Without filters, it passes
    /// nothing.
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
                // Several sinks may have clones of one filter; it is evaluated, and changed, once.
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

    /// Stores warnings in the filter, for code that shows them; earlier ones are replaced.
    pub fn with_warnings(mut self, warnings: Vec<LevelWarning>) -> Self {
        self.warnings = warnings.into();
        self
    }

    /// Returns warnings about invalid parts of the text that the levels were read from.
    #[must_use]
    pub fn warnings(&self) -> &[LevelWarning] {
        &self.warnings
    }

    /// Returns the categories of the filter; of several filters, the first one's.
    #[must_use]
    pub fn categories(&self) -> &Categories {
        self.switches.first.categories()
    }

    /// Returns a handle to change levels at run time, without replacing a layer.
    #[must_use]
    pub fn handle(&self) -> LevelHandle {
        LevelHandle {
            switches: self.switches.clone(),
        }
    }

    /// Returns whether it passes this span, for a layer with several outputs that filters each
    /// separately. Report a span that is not shown to
    /// [`Capture::hide`](spanscope_core::capture::Capture::hide).
    #[must_use]
    pub fn shows_span(&self, attributes: &Attributes<'_>) -> bool {
        match self.decide(attributes.metadata()) {
            Decision::Never => false,
            Decision::Always => true,
            Decision::ByValue => self.passes_span(attributes),
        }
    }

    /// Returns whether it passes this event, for a layer with several outputs that filters each
    /// separately.
    #[must_use]
    pub fn shows_event(&self, event: &Event<'_>) -> bool {
        let metadata = event.metadata();
        // All records of the `log` crate at one level have one callsite; their source is in their
        // fields.
        if is_log_record(metadata) {
            return self.passes_log_record(event);
        }
        self.can_pass(metadata) && self.passes_event(event)
    }

    #[cold]
    fn passes_log_record(&self, event: &Event<'_>) -> bool {
        self.switches.iter().any(|switch| switch.passes_log_record(event))
    }

    /// Notes whether it hides a span from the next sink that is called.
    pub(super) fn note_span(&self, attributes: &Attributes<'_>, id: &Id) {
        let is_hidden = !self.shows_span(attributes);
        if is_hidden && !is_value_filtering_enabled() {
            enable_value_filtering();
        }
        if is_value_filtering_enabled() {
            hide_from_next_sink(attributes, id, is_hidden);
        }
    }

    /// Returns whether any of the filters may pass something from this callsite.
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

    /// Returns whether an event passes that `enabled` passed, which already decides most.
    #[inline]
    fn passes_event(&self, event: &Event<'_>) -> bool {
        !is_value_filtering_enabled() || self.passes_event_by_value(event)
    }

    /// Cold, so that the check before it is inlined into `tracing-subscriber`'s functions and saves
    /// no registers there: together that was 1.5 ns of an event's 6.
    #[cold]
    fn passes_event_by_value(&self, event: &Event<'_>) -> bool {
        // A record of the `log` crate: it was passed by its own target, which is now only in its
        // fields.
        let metadata = event.metadata();
        if is_log_record(metadata) {
            return true;
        }
        self.switches.iter().any(|switch| switch.passes_event(event))
    }

    fn passes_span(&self, attributes: &Attributes<'_>) -> bool {
        self.switches.iter().any(|switch| switch.passes_span(attributes))
    }

    fn max_level(&self) -> TracingFilter {
        let levels = self.switches.iter().map(|switch| switch.max_level());
        levels.max().unwrap_or(TracingFilter::OFF)
    }
}

impl Switches {
    fn iter(&self) -> impl Iterator<Item = &Switch> {
        std::iter::once(&*self.first).chain(self.others.iter().map(|switch| &**switch))
    }

    /// Returns the most permissive of the decisions. All switches are evaluated, because each must
    /// see a new callsite.
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

    fn max_level_hint(&self) -> Option<TracingFilter> {
        Some(self.max_level())
    }

    #[inline]
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.passes_event(event)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if is_value_filtering_enabled()
            && !self.passes_span(attributes)
            && let Some(span) = context.span(id)
        {
            span.extensions_mut().replace(HiddenFromAll);
        }
    }
}

impl<S> Filter<S> for CategoryFilter {
    /// Never `always`: the result of a per-layer filter's `enabled` travels to `on_new_span` and
    /// `on_event` in a thread-local that is not cleared when `enabled!` or `log_enabled!` was
    /// evaluated and no event followed (tokio-rs/tracing#2519, also in tracing-subscriber 0.3.23).
    /// With `always`, `tracing` would not call the filter for the next span, and that span would be
    /// dropped by the result for another callsite. If the filter is called each time, the stale
    /// result is overwritten; that is why `enabled` has to be fast.
    ///
    /// Rejected: `always` until the filter first has to refuse something. Interest would have to be
    /// rebuilt at that moment, inside `enabled`, where another layer may hold a lock that its
    /// `register_callsite` needs.
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

    fn max_level_hint(&self) -> Option<TracingFilter> {
        Some(self.max_level())
    }

    /// Evaluates the filter again: records made while the values were computed have left their own
    /// result.
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
/// A change is in effect when the call returns: `tracing` has evaluated every callsite again, which
/// takes a while for thousands, so this is for people and not for loops. Do not call it within a
/// layer's or a filter's `register_callsite`, where `tracing` holds a lock that it needs.
///
/// The handle of [`CategoryFilter::any_of`] changes all of its filters.
#[derive(Debug, Clone)]
pub struct LevelHandle {
    switches: Switches,
}

impl LevelHandle {
    /// Returns the current levels; of several filters, the first one's.
    #[must_use]
    pub fn levels(&self) -> Levels {
        Levels::clone(&self.switches.first.levels())
    }

    /// Replaces all levels.
    pub fn replace(&self, levels: Levels) {
        for switch in self.switches.iter() {
            switch.change(|place| place.clone_from(&levels));
        }
    }

    /// Sets the level of one category, of a finer name under one, or of everything (`all`).
    ///
    /// # Errors
    ///
    /// Fails if one of the filters does not know the category; nothing is changed.
    pub fn set(&self, category: &str, threshold: LevelFilter) -> Result<(), UnknownCategory> {
        for switch in self.switches.iter() {
            Levels::new().set(switch.categories(), category, threshold)?;
        }
        for switch in self.switches.iter() {
            switch.change(|levels| levels.set(switch.categories(), category, threshold))?;
        }
        Ok(())
    }

    /// Applies pairs in the syntax of `LLAMA_STACK_LOGGING`; returns warnings about invalid ones,
    /// once if several filters report the same.
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
