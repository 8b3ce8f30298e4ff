//! [`TailRule`]: what a program wants kept.

use std::time::Duration;

use spanscope_model::TraceId;

/// A trace that takes longer is kept.
pub const DEFAULT_SLOW: Duration = Duration::from_secs(1);

/// How long a trace is waited for after its local root ended. `tracing` ends a span after everything below it, so nothing
/// of the trace is to come then, but for one that is continued from outside a second time. To wait for those costs what a
/// sink must hold, or write and delete again, for every trace; so the default is not to.
pub const DEFAULT_WAIT: Duration = Duration::ZERO;

/// So many traces are watched at a time, and so many decided ones remembered: some 20 MiB at the most. Beyond it the
/// oldest that is watched is kept, and counted, and the oldest that is remembered is forgotten.
pub const DEFAULT_MAX_TRACES: usize = 65_536;

/// Traces are told apart by so many bits of their ids, as OpenTelemetry has it.
const RANDOM_BITS: u32 = 56;

/// Which traces a sink keeps, whole: those with an error, those that are slow, and a share of the others.
///
/// ```
/// use std::time::Duration;
/// use spanscope_core::tail::TailRule;
///
/// let rule = TailRule::new().slower_than(Duration::from_millis(250)).ratio(0.01);
/// # drop(rule);
/// ```
#[derive(Debug, Clone)]
#[must_use = "a rule does nothing until a sink is given it"]
pub struct TailRule {
    pub(super) slower_than: Duration,
    pub(super) keep_errors: bool,
    /// An unremarkable trace is kept if its random bits are not below this.
    threshold: u64,
    pub(super) wait: Duration,
    pub(super) max_traces: usize,
}

impl Default for TailRule {
    fn default() -> Self {
        Self::new()
    }
}

impl TailRule {
    /// Keeps every trace with an error and every one that takes longer than [`DEFAULT_SLOW`], and none of the others.
    pub fn new() -> Self {
        Self {
            slower_than: DEFAULT_SLOW,
            keep_errors: true,
            threshold: 1 << RANDOM_BITS,
            wait: DEFAULT_WAIT,
            max_traces: DEFAULT_MAX_TRACES,
        }
    }

    /// From which duration of a local root on its trace is kept; a root that is still open and has taken so long already
    /// counts. Default: [`DEFAULT_SLOW`]. [`Duration::MAX`] keeps none for being slow.
    pub fn slower_than(mut self, duration: Duration) -> Self {
        self.slower_than = duration;
        self
    }

    /// Whether traces with an error are kept: a span that failed, or an event of level ERROR. Default: true.
    pub fn keep_errors(mut self, keep: bool) -> Self {
        self.keep_errors = keep;
        self
    }

    /// Which share of the unremarkable traces is kept as well, from 0 to 1. Default: 0. What is out of that is the nearer
    /// of the two, and what is no number is 0.
    ///
    /// The last seven bytes of the trace id decide, by the comparison that OpenTelemetry specifies for
    /// `TraceIdRatioBased`, so that every process that has the same share keeps the same traces. SDKs that still go by
    /// eight bytes keep as many, but others.
    pub fn ratio(mut self, share: f64) -> Self {
        let all = 1_u64 << RANDOM_BITS;
        // Not `max` and `min` alone: they would make 1 of NaN.
        let share = if share.is_nan() {
            0.0
        } else {
            share.clamp(0.0, 1.0)
        };
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "2^56 is exact in a float, and the product is from 0 to 2^56"
        )]
        let kept = (share * all as f64).round() as u64;
        self.threshold = all - kept;
        self
    }

    /// How long after the end of its local root more of a trace may come before it is judged to be unremarkable. Default:
    /// [`DEFAULT_WAIT`], which says what else it costs.
    pub fn wait(mut self, duration: Duration) -> Self {
        self.wait = duration;
        self
    }

    /// How many traces are watched at a time, and how many decided ones are remembered. Default: [`DEFAULT_MAX_TRACES`],
    /// which says what happens beyond it; the least is 1.
    pub fn max_traces(mut self, count: usize) -> Self {
        self.max_traces = count.max(1);
        self
    }

    /// Whether a trace is in the share that is kept whatever happens in it.
    pub(super) fn shares(&self, trace_id: TraceId) -> bool {
        let bytes = u128::from_be_bytes(trace_id.to_bytes());
        bytes & ((1 << RANDOM_BITS) - 1) >= u128::from(self.threshold)
    }
}
