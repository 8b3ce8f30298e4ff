//! Statistics of what could not be counted, and why.

use std::sync::atomic::{AtomicU64, Ordering};

use spanscope_model::semconv::{CountError, UsageProblem};

/// The number of values that a [`TokenMetricsLayer`](super::TokenMetricsLayer) left out or found
/// inconsistent, by reason. A count that is left out is never replaced by a guess; the span's
/// attributes keep the original value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenMetricsStats {
    /// Negative counts.
    pub negative: u64,
    /// Counts that are not whole numbers.
    pub fractional: u64,
    /// Values that are not numbers: other strings, booleans, NaN.
    pub not_a_number: u64,
    /// Counts beyond 2^53.
    pub too_large: u64,
    /// Cached or reasoning tokens that exceed the tokens they are part of.
    pub part_exceeds_whole: u64,
    /// Reported totals that are not the sum of input and output. The reported total was kept.
    pub totals_differing: u64,
    /// Times to the first chunk that exceed their span's duration in every unit of their key.
    pub first_chunk_after_span: u64,
    /// Spans with usage that did not count: an agent's or a workflow's, or one above a call that
    /// had counted already.
    pub repeated: u64,
    /// Measurements that were not added to a full [`collect`](super::collect)ion.
    pub not_collected: u64,
    /// Measurements that a sink made while it received one. They reach no sink, because that would
    /// recurse.
    pub from_sinks: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    negative: AtomicU64,
    fractional: AtomicU64,
    not_a_number: AtomicU64,
    too_large: AtomicU64,
    part_exceeds_whole: AtomicU64,
    totals_differing: AtomicU64,
    first_chunk_after_span: AtomicU64,
    repeated: AtomicU64,
    not_collected: AtomicU64,
    from_sinks: AtomicU64,
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

impl Counters {
    pub(super) fn note(&self, problem: UsageProblem) {
        let counter = match problem {
            UsageProblem::Invalid(CountError::Negative) => &self.negative,
            UsageProblem::Invalid(CountError::Fractional) => &self.fractional,
            UsageProblem::Invalid(CountError::NotANumber) => &self.not_a_number,
            UsageProblem::Invalid(CountError::TooLarge) => &self.too_large,
            UsageProblem::PartExceedsWhole => &self.part_exceeds_whole,
            UsageProblem::DifferingTotal => &self.totals_differing,
        };
        add(counter, 1);
    }

    pub(super) fn note_first_chunk_beyond_span(&self) {
        add(&self.first_chunk_after_span, 1);
    }

    pub(super) fn note_repeated(&self) {
        add(&self.repeated, 1);
    }

    pub(super) fn note_not_collected(&self, count: u64) {
        add(&self.not_collected, count);
    }

    pub(super) fn note_from_sink(&self) {
        add(&self.from_sinks, 1);
    }

    pub(super) fn snapshot(&self) -> TokenMetricsStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TokenMetricsStats {
            negative: read(&self.negative),
            fractional: read(&self.fractional),
            not_a_number: read(&self.not_a_number),
            too_large: read(&self.too_large),
            part_exceeds_whole: read(&self.part_exceeds_whole),
            totals_differing: read(&self.totals_differing),
            first_chunk_after_span: read(&self.first_chunk_after_span),
            repeated: read(&self.repeated),
            not_collected: read(&self.not_collected),
            from_sinks: read(&self.from_sinks),
        }
    }
}
