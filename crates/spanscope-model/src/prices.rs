//! [`PriceTable`]: the prices of models' tokens. Users maintain it, because prices change and
//! providers differ.
//!
//! The command and the server read it from TOML:
//!
//! ```toml
//! currency = "USD"
//!
//! [[model]]              # the first one that fits a model counts
//! match = "gpt-4o-mini*" # `*` stands for anything
//! input = 0.15           # for a million tokens
//! output = 0.60
//! cached_read = 0.075    # for cached tokens of the input; by default the price of the input
//! cached_write = 0.15    # for tokens that were written to the cache; by default the same
//! ```
//!
//! The cost of a model that matches no pattern is unknown, not zero.

use serde::Deserialize;

use crate::UsageRow;

/// Prices of models. Deserialize it, then [check](Self::check) it.
///
/// ```
/// use spanscope_model::{PriceTable, UsageRow};
///
/// let table: PriceTable = serde_json::from_str(
///     r#"{"model": [{"match": "gpt-4o*", "input": 2.5, "output": 10}]}"#,
/// )?;
/// table.check()?;
/// let mut row = UsageRow::new(String::new(), "gpt-4o-2024-08-06", "openai");
/// (row.input, row.output, row.total) = (1_000_000, 0, 1_000_000);
/// assert_eq!(table.cost_of(&row), Some(2.5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceTable {
    /// The currency of all prices; `USD` by default.
    #[serde(default = "dollars")]
    pub currency: String,
    #[serde(default, rename = "model")]
    models: Vec<Price>,
}

fn dollars() -> String {
    DOLLARS.to_owned()
}

/// The currency of reported costs.
const DOLLARS: &str = "USD";

/// The prices of a million tokens of the models that match a pattern.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Price {
    #[serde(rename = "match")]
    pattern: String,
    input: f64,
    output: f64,
    cached_read: Option<f64>,
    cached_write: Option<f64>,
}

/// The error for a number in a [`PriceTable`] that is not a valid price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongPriceError(String);

impl std::fmt::Display for WrongPriceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the price of {:?} has an invalid number: it must be 0 or more",
            self.0
        )
    }
}

impl std::error::Error for WrongPriceError {}

impl PriceTable {
    /// Checks that every number is a valid price.
    ///
    /// # Errors
    /// Fails if a number is negative or not finite.
    pub fn check(&self) -> Result<(), WrongPriceError> {
        for price in &self.models {
            let optional = [price.cached_read, price.cached_write];
            let numbers = [Some(price.input), Some(price.output)]
                .into_iter()
                .chain(optional);
            if !numbers
                .flatten()
                .all(|number| number.is_finite() && number >= 0.0)
            {
                return Err(WrongPriceError(price.pattern.clone()));
            }
        }
        Ok(())
    }

    /// Returns the cost of a row's tokens, in [`currency`](Self::currency); `None` if the table has
    /// no price for the model.
    #[must_use]
    pub fn cost_of(&self, row: &UsageRow) -> Option<f64> {
        let price = self
            .models
            .iter()
            .find(|price| fits(&price.pattern, &row.model))?;
        Some(price.cost(row))
    }
}

impl UsageRow {
    /// Returns the cost of a row by the table. Without a table, or a price for the model in it,
    /// returns the reported cost, unless the table's currency is not the US dollar. `None` means
    /// unknown, not zero.
    ///
    /// ```
    /// use spanscope_model::UsageRow;
    ///
    /// let mut row = UsageRow::new(String::new(), "tiny", "local");
    /// assert_eq!(row.cost(None), None);
    /// row.reported_cost = Some(0.002);
    /// assert_eq!(row.cost(None), Some(0.002));
    /// ```
    #[must_use]
    pub fn cost(&self, prices: Option<&PriceTable>) -> Option<f64> {
        // Amounts in dollars can't be added to amounts in another currency.
        let is_in_dollars = prices.is_none_or(|prices| prices.currency == DOLLARS);
        prices
            .and_then(|prices| prices.cost_of(self))
            .or(self.reported_cost.filter(|_| is_in_dollars))
    }

    /// Returns whether the calls used tokens. Calls without tokens cost nothing.
    #[must_use]
    pub const fn has_tokens(&self) -> bool {
        self.total > 0 || self.input > 0 || self.output > 0
    }
}

impl Price {
    /// Returns the cost of these tokens. Cached tokens are part of the input.
    #[expect(
        clippy::cast_precision_loss,
        reason = "beyond 2^53 tokens a cent does not matter"
    )]
    fn cost(&self, tokens: &UsageRow) -> f64 {
        let cached_read = tokens.cached_read.min(tokens.input);
        let cached_write = tokens.cached_write.min(tokens.input - cached_read);
        let plain = tokens.input - cached_read - cached_write;
        let parts = [
            (plain, self.input),
            (cached_read, self.cached_read.unwrap_or(self.input)),
            (cached_write, self.cached_write.unwrap_or(self.input)),
            (tokens.output, self.output),
        ];
        parts
            .iter()
            .map(|(tokens, price)| *tokens as f64 * price / 1e6)
            .sum()
    }
}

/// Returns whether a text matches a pattern, in which `*` matches any text. The time is linear
/// for any number of stars: each piece between two stars is searched once.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    let (middle, tail) = rest
        .rsplit_once('*')
        .map_or(("", rest), |(middle, tail)| (middle, tail));
    for piece in middle.split('*').filter(|piece| !piece.is_empty()) {
        match text.find(piece) {
            Some(at) => text = &text[at + piece.len()..],
            None => return false,
        }
    }
    text.ends_with(tail)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn table() -> PriceTable {
        let table: PriceTable = serde_json::from_str(
            r#"{"model": [
                {"match": "gpt-4o-mini*", "input": 0.15, "output": 0.6, "cached_read": 0.075},
                {"match": "*llama*:3b*", "input": 0, "output": 0}
            ]}"#,
        )
        .unwrap();
        table.check().unwrap();
        table
    }

    fn row(model: &str, input: u64, output: u64) -> UsageRow {
        UsageRow {
            input,
            output,
            total: input + output,
            ..UsageRow::new(String::new(), model, "")
        }
    }

    fn close(one: Option<f64>, other: f64) -> bool {
        one.is_some_and(|one| (one - other).abs() < 1e-9)
    }

    #[test]
    fn the_first_matching_pattern_gives_the_price() {
        let table = table();
        assert_eq!(table.currency, "USD");
        let mini = row("gpt-4o-mini-2024-07-18", 1_000_000, 500_000);
        assert!(close(table.cost_of(&mini), 0.45));
        let free = row("ollama/llama3.2:3b-instruct", 1_000_000, 500_000);
        assert!(close(table.cost_of(&free), 0.0), "a price of zero is a price");
        assert_eq!(
            table.cost_of(&row("gpt-4o", 1, 1)),
            None,
            "a model that matches no pattern has no price"
        );
    }

    #[test]
    fn cached_tokens_are_parts_of_the_input() {
        let table = table();
        let mut cached = row("gpt-4o-mini", 1_000_000, 0);
        cached.cached_read = 400_000;
        assert!(close(table.cost_of(&cached), 0.6 * 0.15 + 0.4 * 0.075));
        let mut absurd = row("gpt-4o-mini", 10, 0);
        (absurd.cached_read, absurd.cached_write) = (u64::MAX, u64::MAX);
        assert!(close(table.cost_of(&absurd), 10.0 * 0.075 / 1e6));
    }

    #[test]
    fn a_reported_cost_counts_where_the_table_has_no_price_and_the_same_currency() {
        let mut table = table();
        let mut unknown = row("gpt-4o", 10, 1);
        assert_eq!(unknown.cost(Some(&table)), None);
        unknown.reported_cost = Some(0.5);
        assert_eq!(unknown.cost(Some(&table)), Some(0.5));
        assert_eq!(unknown.cost(None), Some(0.5));
        table.currency = "EUR".to_owned();
        assert_eq!(unknown.cost(Some(&table)), None);
        assert!(unknown.has_tokens() && !row("gpt-4o", 0, 0).has_tokens());
    }

    #[test]
    fn the_error_of_an_invalid_table_names_the_invalid_part() {
        let wrong = |text: &str| match serde_json::from_str::<PriceTable>(text) {
            Ok(table) => table.check().unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(wrong(r#"{"model": [{"match": "a", "input": -1, "output": 0}]}"#).contains("\"a\""));
        assert!(
            wrong(r#"{"model": [{"match": "a", "input": 1, "output": 1, "reasoning": 3}]}"#)
                .contains("reasoning")
        );
        assert!(wrong(r#"{"model": [{"match": "a", "input": 1}]}"#).contains("output"));
    }

    #[test]
    fn a_star_matches_any_text() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b", "ab", true),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c", false),
            ("a*a", "a", false),
            ("*", "", true),
            ("**", "x", true),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
        let many = "*a".repeat(1_000);
        assert!(
            !fits(&many, &"a".repeat(500)),
            "many stars must not take exponential time"
        );
    }
}
