//! [`TailDecider`]: the state of undecided traces, and the verdicts.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use spanscope_model::{SpanId, TraceId};

use super::TailRule;
use crate::capture::SpanIds;

/// Maximum wait for a trace without a known local root, even if `slower_than` is longer: a filter
/// may hide its root from the sink, and then nothing signals its end.
const ROOTLESS_WAIT: Duration = Duration::from_secs(60);

/// The decision about a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The trace is not over.
    Undecided,
    /// The whole trace is kept.
    Keep,
    /// The whole trace is dropped.
    Drop,
}

/// A decided trace: [`Verdict::Keep`] or [`Verdict::Drop`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decision {
    /// The trace.
    pub trace_id: TraceId,
    /// The decision.
    pub verdict: Verdict,
}

/// Which traces [`TailDecider::decide`] decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecisionScope {
    /// Those that are due: the sink runs.
    Due,
    /// Also those that have ended: the sink is flushed.
    Ended,
    /// All: the sink ends, and no record follows.
    All,
}

/// A span that ended.
#[derive(Debug, Clone, Copy)]
pub struct EndedSpan {
    /// Its ids.
    pub ids: SpanIds,
    /// Whether it is the root of this process's part of the trace.
    pub is_local_root: bool,
    /// Whether it failed.
    pub failed: bool,
    /// When it was created.
    pub start: Duration,
    /// When it ended.
    pub end: Duration,
    /// When it closed, never before `end`: all spans below it were closed by then.
    pub closed: Duration,
}

/// The number of traces, by decision. `kept + dropped + undecided` is the number of all traces,
/// unless one was forgotten and appeared again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TailStats {
    /// Traces that are kept.
    pub kept: u64,
    /// Traces that are dropped.
    pub dropped: u64,
    /// Traces that are undecided.
    pub undecided: u64,
    /// Of the kept ones: those that were decided before they were over, because there were more
    /// than [`TailRule::max_traces`].
    pub kept_early: u64,
    /// Spans that failed, or were slow roots, and arrived after their trace had been dropped. They
    /// are dropped with it; a longer [`TailRule::wait`] reduces their number.
    pub too_late: u64,
}

/// Decides which traces a sink keeps. The [module](super) lists its guarantees.
///
/// ```
/// use std::time::Duration;
/// use spanscope_core::capture::SpanIds;
/// use spanscope_core::tail::{EndedSpan, TailDecider, TailRule, Verdict};
///
/// let mut decider = TailDecider::new(TailRule::new());
/// let ids = SpanIds {
///     trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".parse()?,
///     span_id: "00f067aa0ba902b7".parse()?,
/// };
/// let span = EndedSpan {
///     ids,
///     is_local_root: true,
///     failed: false,
///     start: Duration::from_millis(10),
///     end: Duration::from_millis(15),
///     closed: Duration::from_millis(15),
/// };
/// assert_eq!(decider.ended(&span), Verdict::Undecided); // an error may be on its way from another thread
/// let decisions = decider.decide_due(Duration::from_millis(20));
/// assert_eq!((decisions[0].trace_id, decisions[0].verdict), (ids.trace_id, Verdict::Drop));
/// # Ok::<(), spanscope_model::ParseIdError>(())
/// ```
#[derive(Debug)]
pub struct TailDecider {
    rule: TailRule,
    watched: HashMap<TraceId, Watched>,
    /// The watched traces, ordered by when they are due.
    due: BTreeSet<(Duration, TraceId)>,
    /// The watched traces, in the order of their arrival.
    arrived: BTreeMap<u64, TraceId>,
    arrivals: u64,
    /// The decided traces, and whether they are kept.
    decided: HashMap<TraceId, bool>,
    /// The decided traces in the order of their decisions.
    remembered: VecDeque<TraceId>,
    /// The result of the next [`decide_due`](Self::decide_due).
    decisions: Vec<Decision>,
    stats: TailStats,
}

#[derive(Debug)]
struct Watched {
    /// Its key in `arrived`.
    arrival: u64,
    /// Its key in `due`.
    due: Option<Duration>,
    first: Duration,
    last: Duration,
    /// Whether a span of it has ended.
    has_ended: bool,
    /// Whether a local root of it is known, open or ended.
    has_root: bool,
    /// When the last of its ended spans closed.
    last_closed: Duration,
    /// When the last of its ended local roots closed.
    root_closed: Duration,
    /// Spans that are known to be open; if a local root is known, the others don't matter.
    open: BTreeMap<SpanId, Open>,
    open_roots: usize,
    /// No open span that delays the decision started before this. It is updated when the trace is
    /// due, because updating it at each end would search all open spans.
    open_since: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    start: Duration,
    is_local_root: bool,
}

impl Watched {
    /// Returns whether a span is open that delays the decision: a local root, or any span if no
    /// root is known.
    fn is_open(&self) -> bool {
        if self.has_root {
            self.open_roots > 0
        } else {
            !self.open.is_empty()
        }
    }

    fn open(&mut self, span_id: SpanId, open: Open) {
        if self.has_root && !open.is_local_root {
            return;
        }
        self.open_since = match self.is_open() {
            true => self.open_since.min(open.start),
            false => open.start,
        };
        let is_new = self.open.insert(span_id, open).is_none();
        if is_new && open.is_local_root {
            self.has_root = true;
            self.open_roots += 1;
        }
    }

    fn close(&mut self, span_id: SpanId) {
        if let Some(open) = self.open.remove(&span_id)
            && open.is_local_root
        {
            self.open_roots -= 1;
        }
    }

    fn update_open_since(&mut self) {
        let holds = |open: &&Open| open.is_local_root || !self.has_root;
        let starts = self.open.values().filter(holds).map(|open| open.start);
        self.open_since = starts.min().unwrap_or(self.first);
    }

    /// Returns when it is due, by the current state.
    fn due(&self, rule: &TailRule) -> Duration {
        if self.is_open() {
            self.open_since.saturating_add(rule.slower_than)
        } else if self.has_root {
            self.root_closed.saturating_add(rule.wait)
        } else {
            self.first
                .saturating_add(rule.slower_than.min(ROOTLESS_WAIT))
                .saturating_add(rule.wait)
        }
    }

    /// Returns whether it is kept, evaluated when it is due.
    fn is_kept(&self, rule: &TailRule) -> bool {
        // A span that is still open when the trace is due has taken too long. If only events or
        // starts of a trace are known, the ends of its spans were lost.
        self.is_open() || !self.has_ended || (!self.has_root && is_slow(rule, self.first, self.last))
    }
}

/// Inserts a trace at its due time.
fn schedule(
    due: &mut BTreeSet<(Duration, TraceId)>,
    trace_id: TraceId,
    watched: &mut Watched,
    rule: &TailRule,
) {
    let when = watched.due(rule);
    if watched.due != Some(when) {
        if let Some(before) = watched.due.replace(when) {
            due.remove(&(before, trace_id));
        }
        due.insert((when, trace_id));
    }
}

fn is_slow(rule: &TailRule, start: Duration, end: Duration) -> bool {
    end.saturating_sub(start) > rule.slower_than
}

impl TailDecider {
    /// Creates a decider without traces.
    #[must_use]
    pub fn new(rule: TailRule) -> Self {
        Self {
            rule,
            watched: HashMap::new(),
            due: BTreeSet::new(),
            arrived: BTreeMap::new(),
            arrivals: 0,
            decided: HashMap::new(),
            remembered: VecDeque::new(),
            decisions: Vec::new(),
            stats: TailStats::default(),
        }
    }

    /// Reports an open span. It may be reported more than once; the end of a span that was not
    /// reported before is accepted too.
    pub fn opened(&mut self, ids: SpanIds, is_local_root: bool, start: Duration) -> Verdict {
        self.update(ids.trace_id, start, |_, watched| {
            let open = Open { start, is_local_root };
            watched.open(ids.span_id, open);
            false
        })
    }

    /// Reports the end of a span.
    pub fn ended(&mut self, span: &EndedSpan) -> Verdict {
        let EndedSpan {
            ids,
            is_local_root,
            failed,
            start,
            end,
            closed,
        } = *span;
        let verdict = self.update(ids.trace_id, start, |rule, watched| {
            watched.has_ended = true;
            watched.last = watched.last.max(end);
            watched.last_closed = watched.last_closed.max(closed);
            watched.close(ids.span_id);
            if is_local_root {
                watched.has_root = true;
                watched.root_closed = watched.root_closed.max(closed);
            }
            let decides_by_duration = is_local_root || !watched.has_root;
            (failed && rule.keep_errors) || (decides_by_duration && is_slow(rule, start, end))
        });
        let matters = (failed && self.rule.keep_errors) || (is_local_root && is_slow(&self.rule, start, end));
        if verdict == Verdict::Drop && matters {
            self.stats.too_late += 1;
        }
        verdict
    }

    /// Reports an event in a span of the trace. An error marks the trace before its span ends.
    pub fn event(&mut self, trace_id: TraceId, is_error: bool, time: Duration) -> Verdict {
        self.update(trace_id, time, |rule, watched| {
            watched.last = watched.last.max(time);
            is_error && rule.keep_errors
        })
    }

    /// Updates the state of a trace by a record that began at `start`; `change` returns whether
    /// this record decides to keep the trace.
    fn update(
        &mut self,
        trace_id: TraceId,
        start: Duration,
        change: impl FnOnce(&TailRule, &mut Watched) -> bool,
    ) -> Verdict {
        match self.decided.get(&trace_id) {
            Some(true) => return Verdict::Keep,
            Some(false) => return Verdict::Drop,
            None => {}
        }
        let mut is_new = false;
        let arrival = self.arrivals;
        let watched = self.watched.entry(trace_id).or_insert_with(|| {
            is_new = true;
            Watched {
                arrival,
                due: None,
                first: start,
                last: start,
                has_ended: false,
                has_root: false,
                last_closed: Duration::ZERO,
                root_closed: Duration::ZERO,
                open: BTreeMap::new(),
                open_roots: 0,
                open_since: start,
            }
        });
        watched.first = watched.first.min(start);
        let keep = change(&self.rule, watched);
        if is_new {
            self.arrivals += 1;
            self.arrived.insert(arrival, trace_id);
        }
        schedule(&mut self.due, trace_id, watched, &self.rule);
        if keep || (is_new && self.rule.is_in_share(trace_id)) {
            self.record_decision(trace_id, true);
            return Verdict::Keep;
        }
        if is_new && self.watched.len() > self.rule.max_traces {
            self.keep_oldest();
        }
        Verdict::Undecided
    }

    fn keep_oldest(&mut self) {
        if let Some((_, oldest)) = self.arrived.first_key_value() {
            self.stats.kept_early += 1;
            self.record_decision(*oldest, true);
        }
    }

    fn record_decision(&mut self, trace_id: TraceId, keep: bool) {
        let Some(watched) = self.watched.remove(&trace_id) else {
            return;
        };
        if let Some(due) = watched.due {
            self.due.remove(&(due, trace_id));
        }
        self.arrived.remove(&watched.arrival);
        self.decided.insert(trace_id, keep);
        self.remembered.push_back(trace_id);
        let verdict = if keep {
            self.stats.kept += 1;
            Verdict::Keep
        } else {
            self.stats.dropped += 1;
            Verdict::Drop
        };
        self.decisions.push(Decision { trace_id, verdict });
    }

    /// Returns the decision about a trace; `None` for one that was not reported, or whose decision
    /// is forgotten.
    #[must_use]
    pub fn verdict(&self, trace_id: TraceId) -> Option<Verdict> {
        match self.decided.get(&trace_id) {
            Some(true) => Some(Verdict::Keep),
            Some(false) => Some(Verdict::Drop),
            None => self.watched.contains_key(&trace_id).then_some(Verdict::Undecided),
        }
    }

    /// Evaluates the traces that are due, and returns all decisions since the last call, in their
    /// order. These are remembered at least until the next call.
    ///
    /// Everything that happened before `now` must have been reported: read the clock, then drain
    /// the queue, report it, and call this. A root that closed before `now` then has no descendants
    /// in flight.
    pub fn decide_due(&mut self, now: Duration) -> Vec<Decision> {
        while let Some((due, trace_id)) = self.due.first().copied()
            && due <= now
        {
            let Some(watched) = self.watched.get_mut(&trace_id) else {
                self.due.remove(&(due, trace_id));
                continue;
            };
            watched.update_open_since();
            if watched.due(&self.rule) > now {
                schedule(&mut self.due, trace_id, watched, &self.rule);
            } else {
                let keep = watched.is_kept(&self.rule);
                self.record_decision(trace_id, keep);
            }
        }
        self.take_decisions()
    }

    /// Does the same as [`decide_due`](Self::decide_due), and also decides those traces without
    /// waiting whose known local roots have all closed before `now`. A flush uses it, so that no
    /// ended trace stays undecided.
    pub fn decide_due_and_ended(&mut self, now: Duration) -> Vec<Decision> {
        self.decide_ended(now);
        self.decide_due(now)
    }

    /// Ends the decider: ended traces are evaluated, and open ones are kept.
    pub fn finish(&mut self) -> Vec<Decision> {
        self.decide_ended(Duration::MAX);
        while let Some((_, oldest)) = self.arrived.first_key_value() {
            self.record_decision(*oldest, true);
        }
        self.take_decisions()
    }

    /// Calls [`decide_due`](Self::decide_due), [`decide_due_and_ended`](Self::decide_due_and_ended)
    /// or [`finish`](Self::finish), as `which` says.
    pub fn decide(&mut self, which: DecisionScope, now: Duration) -> Vec<Decision> {
        match which {
            DecisionScope::Due => self.decide_due(now),
            DecisionScope::Ended => self.decide_due_and_ended(now),
            DecisionScope::All => self.finish(),
        }
    }

    fn decide_ended(&mut self, now: Duration) {
        let over = self.watched.iter().filter(|(_, watched)| {
            let end = if watched.has_root {
                watched.root_closed
            } else {
                watched.last.max(watched.last_closed)
            };
            watched.has_ended && !watched.is_open() && end <= now
        });
        let mut over: Vec<_> = over
            .map(|(trace_id, watched)| (watched.arrival, *trace_id, watched.is_kept(&self.rule)))
            .collect();
        over.sort_unstable_by_key(|(arrival, ..)| *arrival);
        for (_, trace_id, keep) in over {
            self.record_decision(trace_id, keep);
        }
    }

    fn take_decisions(&mut self) -> Vec<Decision> {
        // The decisions that this call returns are the latest ones, so they stay.
        while self.remembered.len() > self.rule.max_traces.max(self.decisions.len()) {
            if let Some(oldest) = self.remembered.pop_front() {
                self.decided.remove(&oldest);
            }
        }
        std::mem::take(&mut self.decisions)
    }

    /// Returns the number of traces, by decision.
    #[must_use]
    pub fn stats(&self) -> TailStats {
        TailStats {
            undecided: self.watched.len() as u64,
            ..self.stats
        }
    }

    /// Returns the sizes of all collections, for tests of the bounds.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize, usize, usize, usize) {
        (
            self.watched.len(),
            self.due.len(),
            self.arrived.len(),
            self.decided.len(),
            self.remembered.len(),
        )
    }
}
