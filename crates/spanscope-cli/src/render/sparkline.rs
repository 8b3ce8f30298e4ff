//! Values over time, drawn in one line as bars of eight heights.

const GRADES: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Returns one character per value; a space for a missing one. The lowest grade is zero, or the
/// minimum if that is negative or `from_least` is set, because then only differences matter.
pub(crate) fn sparkline(values: &[Option<f64>], from_least: bool) -> String {
    let known = || values.iter().flatten().copied().filter(|value| value.is_finite());
    let least = known().fold(if from_least { f64::INFINITY } else { 0.0 }, f64::min);
    let greatest = known().fold(f64::NEG_INFINITY, f64::max);
    values
        .iter()
        .map(|value| value.map_or(' ', |value| grade(value, least, greatest)))
        .collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share between 0 and 1 of eight grades"
)]
fn grade(value: f64, least: f64, greatest: f64) -> char {
    // Halves, because the full height of very large values may exceed a float.
    let height = greatest / 2.0 - least / 2.0;
    let share = if height > 0.0 {
        ((value / 2.0 - least / 2.0) / height).clamp(0.0, 1.0)
    } else {
        0.0
    };
    GRADES[((share * 7.0).round() as usize).min(7)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_are_shares_of_the_greatest() {
        let line = |values: &[f64], from_least| {
            let values: Vec<Option<f64>> = values.iter().copied().map(Some).collect();
            sparkline(&values, from_least)
        };
        assert_eq!(line(&[0.0, 1.0, 2.0, 7.0], false), "▁▂▃█");
        assert_eq!(line(&[1000.0, 1001.0], false), "██");
        assert_eq!(line(&[1000.0, 1001.0], true), "▁█");
        assert_eq!(line(&[-7.0, 0.0], false), "▁█");
        assert_eq!(line(&[5.0, 5.0], true), "▁▁");
        assert_eq!(
            line(&[f64::MAX, f64::MIN, f64::INFINITY, f64::NAN], false),
            "█▁█▁"
        );
        assert_eq!(sparkline(&[None, Some(1.0), None], false), " █ ");
        assert_eq!(sparkline(&[], true), "");
    }
}
