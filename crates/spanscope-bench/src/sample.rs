//! Medians and ratios of measured rounds.

/// The measurements of one subject, one per round.
#[derive(Debug, Clone, Default)]
pub struct Sample(Vec<f64>);

impl Sample {
    /// A sample of these rounds.
    #[must_use]
    pub const fn new(rounds: Vec<f64>) -> Self {
        Self(rounds)
    }

    /// The value that this share of the rounds stays below; NaN without rounds.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a handful of rounds is a small index"
    )]
    pub fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let place = (sorted.len().saturating_sub(1)) as f64 * share.clamp(0.0, 1.0);
        sorted.get(place.round() as usize).copied().unwrap_or(f64::NAN)
    }

    /// The median.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The median of the ratios of each round to the same round of the other: a slowdown of the
    /// machine affects both and cancels out, which it would not in a ratio of medians.
    #[must_use]
    pub fn ratio_to(&self, other: &Self) -> f64 {
        Self(self.0.iter().zip(&other.0).map(|(own, its)| own / its).collect()).median()
    }
}

#[cfg(test)]
mod tests {
    use super::Sample;

    #[test]
    fn the_median_ignores_one_slow_round() {
        assert!((Sample::new(vec![3.0, 900.0, 1.0, 2.0, 4.0]).median() - 3.0).abs() < 1e-9);
        assert!(Sample::default().median().is_nan());
    }

    #[test]
    fn a_ratio_compares_rounds_of_the_same_moment() {
        let (own, its) = (
            Sample::new(vec![2.0, 20.0, 200.0]),
            Sample::new(vec![1.0, 10.0, 100.0]),
        );
        assert!((own.ratio_to(&its) - 2.0).abs() < 1e-9);
    }
}
