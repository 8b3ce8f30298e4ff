//! [`RunDescription`]: what the spans of a trace say about one run, whichever of them is read first.

use std::cmp::Ordering;

use crate::RunAttributes;

/// How much a span says about its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RunRank {
    /// A step of the run.
    Step,
    /// An agent or a workflow, or a span that names the task.
    Agent,
    /// A span without a parent.
    Root,
}

impl RunRank {
    /// Returns the rank of a span with these attributes.
    #[must_use]
    pub fn of(attributes: &RunAttributes, has_parent: bool) -> Self {
        match (has_parent, attributes.is_agent || attributes.task_id.is_some()) {
            (false, _) => Self::Root,
            (true, true) => Self::Agent,
            (true, false) => Self::Step,
        }
    }
}

/// A span that says something about a run: `row` is its key in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunSource<R> {
    /// Its rank.
    pub rank: RunRank,
    /// When it started, in nanoseconds since 1970.
    pub start: i64,
    /// Its id as a number, which orders spans that started at the same time.
    pub span_id: u64,
    /// The store's key of it.
    pub row: R,
}

impl<R> RunSource<R> {
    /// Creates a source.
    #[must_use]
    pub const fn new(rank: RunRank, start: i64, span_id: u64, row: R) -> Self {
        Self {
            rank,
            start,
            span_id,
            row,
        }
    }

    /// Compares by precedence: the higher rank comes first, and of equal ranks the earlier start.
    pub fn precedence(&self, other: &Self) -> Ordering {
        let by_rank = other.rank.cmp(&self.rank);
        by_rank.then((self.start, self.span_id).cmp(&(other.start, other.span_id)))
    }

    /// Returns whether it started later than another one.
    pub fn is_later(&self, other: &Self) -> bool {
        (self.start, self.span_id) > (other.start, other.span_id)
    }
}

/// A text, and the span that it was taken from.
type Text<R> = Option<(RunSource<R>, String)>;

/// What spans of one trace say about one run. Each text is taken from the span with the highest
/// rank that has one, and of equal ranks from the earliest; so the result does not depend on the
/// order in which spans are added.
///
/// ```
/// use spanscope_model::RawValue;
/// use spanscope_runs::{RunDescription, RunRank, RunSource, run_attributes};
///
/// let describe = |row: u32, start, agent| {
///     let text = |text| RawValue::Text(text, None);
///     let attributes = [("gen_ai.operation.name", text("invoke_agent")), ("gen_ai.agent.name", text(agent))];
///     let attributes = run_attributes(attributes).unwrap();
///     let rank = RunRank::of(&attributes, true);
///     RunDescription::new(attributes, RunSource::new(rank, start, row.into(), row))
/// };
/// let mut run = describe(2, 20, "later");
/// run.add(describe(1, 10, "earlier"));
/// assert_eq!((run.agent_id(), run.start()), ("earlier", 10));
/// assert_eq!((run.first().row, run.last().row), (1, 2));
/// ```
#[derive(Debug, Clone)]
pub struct RunDescription<R> {
    /// Agent, session, user, level.
    texts: [Text<R>; 4],
    first: RunSource<R>,
    last: RunSource<R>,
    start: i64,
}

impl<R: Copy + PartialEq> RunDescription<R> {
    /// Creates the description from one span.
    #[must_use]
    pub fn new(attributes: RunAttributes, source: RunSource<R>) -> Self {
        let texts = [
            attributes.agent_id,
            attributes.session_id,
            attributes.user_id,
            attributes.trace_level,
        ];
        Self {
            texts: texts.map(|text| text.map(|text| (source, text))),
            first: source,
            last: source,
            start: source.start,
        }
    }

    /// Adds what other spans say. Of one span that was added twice the second state counts.
    pub fn add(&mut self, other: Self) {
        for (known, new) in self.texts.iter_mut().zip(other.texts) {
            let is_better = match (&known, &new) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some((old, _)), Some((new, _))) => old.row == new.row || new.precedence(old).is_lt(),
            };
            if is_better {
                *known = new;
            }
        }
        self.last = match self.first.rank.cmp(&other.first.rank) {
            Ordering::Less => other.last,
            Ordering::Equal if other.last.is_later(&self.last) => other.last,
            Ordering::Equal | Ordering::Greater => self.last,
        };
        if other.first.row == self.first.row || other.first.precedence(&self.first).is_lt() {
            self.first = other.first;
        }
        self.start = self.start.min(other.start);
    }

    fn text(&self, place: usize) -> &str {
        self.texts[place].as_ref().map_or("", |(_, text)| text)
    }

    /// The agent; empty if no span names it, as the following texts.
    #[must_use]
    pub fn agent_id(&self) -> &str {
        self.text(0)
    }

    /// The session.
    #[must_use]
    pub fn session_id(&self) -> &str {
        self.text(1)
    }

    /// The user.
    #[must_use]
    pub fn user_id(&self) -> &str {
        self.text(2)
    }

    /// The level of detail.
    #[must_use]
    pub fn trace_level(&self) -> &str {
        self.text(3)
    }

    /// The agent, the session, the user and the level of detail, each with the span that it was
    /// taken from.
    #[must_use]
    pub fn texts(&self) -> [Option<(RunSource<R>, &str)>; 4] {
        [0, 1, 2, 3].map(|place| {
            let text = self.texts[place].as_ref();
            text.map(|(source, text)| (*source, text.as_str()))
        })
    }

    /// The span that says most about the run.
    #[must_use]
    pub const fn first(&self) -> RunSource<R> {
        self.first
    }

    /// Of the spans with the highest rank, the one that started last.
    #[must_use]
    pub const fn last(&self) -> RunSource<R> {
        self.last
    }

    /// When the first of the spans started.
    #[must_use]
    pub const fn start(&self) -> i64 {
        self.start
    }
}
