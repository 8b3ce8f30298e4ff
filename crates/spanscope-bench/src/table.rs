//! The tables that a run ends with: Markdown, so that `docs/performance.md` can have them as they
//! are.

use std::fmt;

/// The goal of a measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// No goal: for comparison.
    None,
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
}

impl Goal {
    /// Whether a measured number meets it; NaN meets nothing.
    #[must_use]
    pub fn is_met(self, measured: f64) -> bool {
        match self {
            Self::None => true,
            Self::AtMost(most) => measured <= most,
            Self::AtLeast(least) => measured >= least,
        }
    }
}

/// Rows of measure, value, ratio and goal, in the order in which they were measured, by section.
#[derive(Debug, Default)]
pub struct Table(Vec<Section>);

/// The rows of a section of the benchmark.
#[derive(Debug)]
pub struct Section {
    /// Its name on the command line.
    pub name: &'static str,
    rows: Vec<[String; 4]>,
}

impl Section {
    /// Whether nothing was measured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        head(f)?;
        rows(f, &self.rows)
    }
}

fn head(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "| measure | value | ratio | goal |")?;
    writeln!(f, "|---|---:|---|---|")
}

fn rows(f: &mut fmt::Formatter<'_>, rows: &[[String; 4]]) -> fmt::Result {
    for [measure, value, ratio, goal] in rows {
        writeln!(f, "| {measure} | {value} | {ratio} | {goal} |")?;
    }
    Ok(())
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Begins a section: rows that are added from now on belong to it.
    pub fn begin(&mut self, name: &'static str) {
        self.0.push(Section {
            name,
            rows: Vec::new(),
        });
    }

    /// The sections, in the order in which they were measured.
    #[must_use]
    pub fn sections(&self) -> &[Section] {
        &self.0
    }

    /// Adds a row without a goal.
    pub fn plain(&mut self, measure: &str, value: impl Into<String>, ratio: impl Into<String>) {
        self.push(measure, value.into(), ratio.into(), String::new());
    }

    /// Adds a row with a goal for `measured`; `words` describes the goal, and the row says whether
    /// it is met.
    pub fn judged(
        &mut self,
        measure: &str,
        value: impl Into<String>,
        ratio: impl Into<String>,
        measured: f64,
        goal: Goal,
        words: &str,
    ) {
        let verdict = if goal.is_met(measured) {
            "met"
        } else {
            "**missed**"
        };
        self.push(measure, value.into(), ratio.into(), format!("{words}: {verdict}"));
    }

    fn push(&mut self, measure: &str, value: String, ratio: String, goal: String) {
        // A run takes minutes; this shows progress.
        eprintln!("  {measure}: {value} {ratio}");
        if self.0.is_empty() {
            self.begin("");
        }
        if let Some(section) = self.0.last_mut() {
            section.rows.push([measure.to_owned(), value, ratio, goal]);
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        head(f)?;
        self.0.iter().try_for_each(|section| rows(f, &section.rows))
    }
}

/// Nanoseconds, formatted for people.
#[must_use]
pub fn nanos(nanos: f64) -> String {
    if nanos < 100.0 {
        format!("{nanos:.1} ns")
    } else if nanos < 100_000.0 {
        format!("{} ns", thousands(nanos))
    } else if nanos < 1e9 {
        format!("{:.1} ms", nanos / 1e6)
    } else {
        format!("{:.2} s", nanos / 1e9)
    }
}

/// A whole number with a comma at every thousand.
#[must_use]
pub fn thousands(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0.0 {
        text.insert(0, '-');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Goal, Table, nanos, thousands};

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(thousands(1_234_567.4), "1,234,567");
        assert_eq!(thousands(-999.0), "-999");
        assert_eq!(nanos(1.04), "1.0 ns");
        assert_eq!(nanos(2_800.0), "2,800 ns");
        assert_eq!(nanos(12_345_678.0), "12.3 ms");
    }

    #[test]
    fn a_row_says_whether_its_goal_is_met() {
        let mut table = Table::new();
        table.judged("a", "1 ns", "2.0 x", 2.0, Goal::AtMost(2.5), "<= 2.5 x");
        table.judged("b", "1 ns", "2.0 x", f64::NAN, Goal::AtLeast(0.1), ">= 0.1 x");
        let text = table.to_string();
        assert!(text.contains("| a | 1 ns | 2.0 x | <= 2.5 x: met |"), "{text}");
        assert!(text.contains(">= 0.1 x: **missed**"), "{text}");
    }
}
