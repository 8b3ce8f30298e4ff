//! The ratios in the README, against the measured ones in `docs/performance.md`.

use super::read;

/// The words after a range in the README, and the position of the benchmark's ratio: the beginning
/// of the row's first cell, and the words after the number.
const RATIOS: [(&str, &str, &str); 4] = [
    (
        "of `tracing-opentelemetry`",
        "calling thread: `SqliteLayer`, writer running",
        "x tracing-opentelemetry",
    ),
    (
        "times the bare registry",
        "calling thread: `SqliteLayer`, writer running",
        "x registry",
    ),
    (
        "of `fmt`",
        "an event on `ConsoleLayer` to a sink, on the calling thread",
        "x `fmt`",
    ),
    (
        "of bare SQLite appends",
        "sustained until all is on disk",
        "x bare appends",
    ),
];

/// Returns the numbers of a range such as `0.2 to 0.3` right before these words.
fn range_before(text: &str, words: &str) -> Option<(f64, f64)> {
    let (before, _) = text.split_once(&format!(" {words}"))?;
    let mut parts = before.rsplit(' ');
    let high = parts.next()?.parse().ok()?;
    (parts.next()? == "to").then_some(())?;
    Some((parts.next()?.parse().ok()?, high))
}

/// Returns the ratio in the third cell of a row of the page.
fn measured(page: &str, row: &str, unit: &str) -> Option<f64> {
    let row = page
        .lines()
        .find(|line| line.strip_prefix("| ").is_some_and(|line| line.starts_with(row)))?;
    let cell = row.split(" | ").nth(2)?;
    cell.split(", ")
        .find_map(|ratio| {
            ratio
                .strip_suffix(unit)
                .or_else(|| ratio.split_once(&format!("{unit} ")).map(|(number, _)| number))
        })?
        .trim()
        .parse()
        .ok()
}

#[test]
fn the_ratios_in_the_readme_contain_the_measured_ones() {
    let readme = read("README.md");
    let (_, section) = readme.split_once("## What it costs").unwrap();
    let section = section.split_whitespace().collect::<Vec<_>>().join(" ");
    let page = read("docs/performance.md");
    for (words, row, unit) in RATIOS {
        let (low, high) = range_before(&section, words)
            .unwrap_or_else(|| panic!("the README has no range such as `0.2 to 0.3 {words}`"));
        let ratio = measured(&page, row, unit)
            .unwrap_or_else(|| panic!("docs/performance.md has no ratio `... {unit}` in the row `{row}`"));
        assert!(
            (low..=high).contains(&ratio),
            "the README says {low} to {high} {words}, docs/performance.md has {ratio}"
        );
    }
}
