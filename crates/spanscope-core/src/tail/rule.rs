//! [`TailRule`]: which traces a program keeps.

use std::time::Duration;

use spanscope_model::TraceId;

/// A trace that takes longer is kept.
pub const DEFAULT_SLOW: Duration = Duration::from_secs(1);

/// How long to wait for further parts of a trace after its local root ended. `tracing` ends a span
/// after everything below it, so only a trace that is continued from outside a second time can have
/// any. Waiting costs what a sink must buffer, or write and delete again, for every trace; so the
/// default is not to wait.
pub const DEFAULT_WAIT: Duration = Duration::ZERO;

/// Maximum number of traces that are watched at a time, and of decided ones that are remembered: 20
/// MiB at most. Beyond it the oldest watched trace is kept, and counted, and the oldest remembered
/// one is forgotten.
pub const DEFAULT_MAX_TRACES: usize = 65_536;

/// The number of bits of a trace id that decide, as OpenTelemetry specifies.
const RANDOM_BITS: u32 = 56;

/// Which traces a sink keeps, as a whole: those with an error, those that are slow, and a share of
/// the others.
///
/// ```
/// use std::time::Duration;
/// use spanscope_core::tail::TailRule;
///
/// let rule = TailRule::new().slower_than(Duration::from_millis(250)).ratio(0.01);
/// # drop(rule);
/// ```
#[derive(Debug, Clone)]
#[must_use = "a rule has no effect until it is passed to a sink"]
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
    /// Creates a rule that keeps every trace with an error and every trace that takes longer than
    /// [`DEFAULT_SLOW`], and none of the others.
    pub fn new() -> Self {
        Self {
            slower_than: DEFAULT_SLOW,
            keep_errors: true,
            threshold: 1 << RANDOM_BITS,
            wait: DEFAULT_WAIT,
            max_traces: DEFAULT_MAX_TRACES,
        }
    }

    /// Sets the duration of a local root from which on its trace is kept; an open root counts once
    /// it has taken that long. Default: [`DEFAULT_SLOW`]. [`Duration::MAX`] keeps none for being
    /// slow.
    pub fn slower_than(mut self, duration: Duration) -> Self {
        self.slower_than = duration;
        self
    }

    /// Sets whether traces with an error are kept: a span that failed, or an event of level ERROR.
    /// Default: true.
    pub fn keep_errors(mut self, keep: bool) -> Self {
        self.keep_errors = keep;
        self
    }

    /// Sets the share of the unremarkable traces that is kept, from 0 to 1. Default: 0. A value
    /// outside the range is clamped; not-a-number is 0.
    ///
    /// The last seven bytes of the trace id decide, by the comparison that OpenTelemetry specifies
    /// for `TraceIdRatioBased`, so that every process with the same share keeps the same traces.
    /// SDKs that still use eight bytes keep the same number, but other traces.
    pub fn ratio(mut self, share: f64) -> Self {
        let all = 1_u64 << RANDOM_BITS;
        // `max` and `min` alone would turn NaN into 1.
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

    /// Sets how long a trace waits for further parts, after the end of its local root, before it
    /// counts as unremarkable. Default: [`DEFAULT_WAIT`], which describes the cost of waiting.
    pub fn wait(mut self, duration: Duration) -> Self {
        self.wait = duration;
        self
    }

    /// Sets how many traces are watched at a time, and how many decided ones are remembered.
    /// Default: [`DEFAULT_MAX_TRACES`], which says what happens beyond it; the minimum is 1.
    pub fn max_traces(mut self, count: usize) -> Self {
        self.max_traces = count.max(1);
        self
    }

    /// Returns whether a trace is in the share that is always kept.
    pub(super) fn is_in_share(&self, trace_id: TraceId) -> bool {
        let bytes = u128::from_be_bytes(trace_id.to_bytes());
        bytes & ((1 << RANDOM_BITS) - 1) >= u128::from(self.threshold)
    }
}
