//! A span's time on the axis of its trace, drawn as a bar in eighths of a column.

const EIGHTHS: [char; 9] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];

/// The time axis of a trace, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Axis {
    start: i64,
    length: i64,
}

impl Axis {
    /// The axis from the first to the last of these moments.
    pub(crate) fn new(start: i64, end: i64) -> Self {
        Self {
            start,
            length: end.saturating_sub(start).max(1),
        }
    }

    /// Returns a bar from `from` to `to`, exactly `columns` wide.
    ///
    /// It begins at a whole column, because there are no characters that are filled from the right;
    /// it ends exactly unless it is shorter than a column, and is never empty.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "both ends are clamped to the axis first; an eighth of a column is coarse"
    )]
    pub(crate) fn bar(self, from: i64, to: i64, columns: usize) -> String {
        if columns == 0 {
            return String::new();
        }
        let place = |time: i64| {
            let share = time.saturating_sub(self.start).clamp(0, self.length) as f64 / self.length as f64;
            (share * (columns * 8) as f64).round() as usize
        };
        let begin = (place(from) / 8).min(columns - 1);
        // A bar shorter than a column shows its length, wherever in the column it ends.
        let end = match place(to).saturating_sub(place(from)) {
            length @ 0..8 => begin * 8 + length.max(1),
            _ => place(to),
        };
        (0..columns)
            .map(|column| match column {
                column if column < begin => ' ',
                column => EIGHTHS[end.saturating_sub(column * 8).min(8)],
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_covers_the_time_of_the_span() {
        let axis = Axis::new(1000, 1080);
        assert_eq!(axis.bar(1000, 1080, 10), "██████████");
        assert_eq!(axis.bar(1040, 1060, 10), "     ██▌  ");
        assert_eq!(axis.bar(1080, 1080, 10), "         ▏");
        assert_eq!(axis.bar(1010, 1010, 10), " ▏        ");
    }

    #[test]
    fn times_outside_the_axis_are_clamped_to_it() {
        let axis = Axis::new(1000, 1000);
        assert_eq!(axis.bar(i64::MIN, i64::MAX, 4), "████");
        assert_eq!(axis.bar(i64::MAX, i64::MIN, 4).chars().count(), 4);
        assert_eq!(axis.bar(0, 1, 0), "");
    }
}
