//! What tokens cost: a table that the user keeps, because prices change and providers differ.
//!
//! ```toml
//! currency = "USD"
//!
//! [[model]]              # the first one that fits a model counts
//! match = "gpt-4o-mini*" # `*` stands for anything
//! input = 0.15           # for a million tokens
//! output = 0.60
//! cached_read = 0.075    # for cached tokens of the input; without it they cost what input costs
//! cached_write = 0.15    # likewise, for tokens that were written to the cache
//! ```
//!
//! A model that nothing fits has no price, which is not the price zero.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// Prices of models.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PriceTable {
    #[serde(default = "dollars")]
    pub(crate) currency: String,
    #[serde(default, rename = "model")]
    models: Vec<Price>,
}

fn dollars() -> String {
    "USD".to_owned()
}

/// What a million tokens of one kind of model cost.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Price {
    #[serde(rename = "match")]
    pattern: String,
    input: f64,
    output: f64,
    cached_read: Option<f64>,
    cached_write: Option<f64>,
}

/// Tokens by what they cost. The cached ones are parts of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tokens {
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) cached_read: u64,
    pub(crate) cached_write: u64,
}

impl PriceTable {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("can't read the prices in {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is no table of prices", path.display()))
    }

    pub(crate) fn parse(text: &str) -> Result<Self> {
        let table: Self = toml::from_str(text)?;
        for price in &table.models {
            let optional = [price.cached_read, price.cached_write];
            let numbers = [Some(price.input), Some(price.output)]
                .into_iter()
                .chain(optional);
            ensure!(
                numbers
                    .flatten()
                    .all(|number| number.is_finite() && number >= 0.0),
                "the price of {:?} has a number that is no price: it must be 0 or more",
                price.pattern
            );
        }
        Ok(table)
    }

    /// The price of a model, if the table has one.
    pub(crate) fn of(&self, model: &str) -> Option<&Price> {
        self.models.iter().find(|price| fits(&price.pattern, model))
    }
}

impl Price {
    /// What these tokens cost.
    #[expect(
        clippy::cast_precision_loss,
        reason = "beyond 2^53 tokens a cent does not matter"
    )]
    pub(crate) fn cost(&self, tokens: Tokens) -> f64 {
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

/// Whether a text fits a pattern, in which `*` stands for anything. Linear in both, however many stars there are: what a
/// star has swallowed is never looked at again but once a later piece fits.
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

    const TABLE: &str = r#"
        [[model]]
        match = "gpt-4o-mini*"
        input = 0.15
        output = 0.6
        cached_read = 0.075

        [[model]]
        match = "*llama*:3b*"
        input = 0
        output = 0
    "#;

    fn close(one: f64, other: f64) -> bool {
        (one - other).abs() < 1e-9
    }

    #[test]
    fn the_first_pattern_that_fits_gives_the_price() {
        let table = PriceTable::parse(TABLE).unwrap();
        assert_eq!(table.currency, "USD");
        let mini = table.of("gpt-4o-mini-2024-07-18").unwrap();
        let tokens = Tokens {
            input: 1_000_000,
            output: 500_000,
            ..Tokens::default()
        };
        assert!(close(mini.cost(tokens), 0.45));
        let free = table.of("ollama/llama3.2:3b-instruct").unwrap();
        assert!(close(free.cost(tokens), 0.0), "a price of zero is a price");
        assert_eq!(table.of("gpt-4o"), None, "what nothing fits has no price");
    }

    #[test]
    fn cached_tokens_are_parts_of_the_input() {
        let table = PriceTable::parse(TABLE).unwrap();
        let mini = table.of("gpt-4o-mini").unwrap();
        let cached = Tokens {
            input: 1_000_000,
            cached_read: 400_000,
            ..Tokens::default()
        };
        assert!(close(mini.cost(cached), 0.6 * 0.15 + 0.4 * 0.075));
        let absurd = Tokens {
            input: 10,
            cached_read: u64::MAX,
            cached_write: u64::MAX,
            ..Tokens::default()
        };
        assert!(close(mini.cost(absurd), 10.0 * 0.075 / 1e6));
    }

    #[test]
    fn wrong_tables_say_what_is_wrong() {
        let wrong = |text: &str| format!("{:#}", PriceTable::parse(text).unwrap_err());
        assert!(wrong("[[model]]\nmatch = \"a\"\ninput = -1\noutput = 0").contains("\"a\""));
        assert!(wrong("[[model]]\nmatch = \"a\"\ninput = nan\noutput = 0").contains("no price"));
        assert!(
            wrong("[[model]]\nmatch = \"a\"\ninput = 1\noutput = 1\nreasoning = 3").contains("reasoning")
        );
        assert!(wrong("[[model]]\nmatch = \"a\"\ninput = 1").contains("output"));
        assert!(wrong("nonsense").contains('1'));
    }

    #[test]
    fn stars_stand_for_anything() {
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
        assert!(!fits(&many, &"a".repeat(500)), "no blow-up");
    }
}
