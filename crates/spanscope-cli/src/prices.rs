//! The file of `--prices`: a [`PriceTable`] in TOML.

use std::path::Path;

use anyhow::{Context, Result};
use spanscope_model::PriceTable;

/// Reads a price table from a file.
pub(crate) fn read(path: &Path) -> Result<PriceTable> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("can't read the prices in {}", path.display()))?;
    parse(&text).with_context(|| format!("{} is not a price table", path.display()))
}

pub(crate) fn parse(text: &str) -> Result<PriceTable> {
    let table: PriceTable = toml::from_str(text)?;
    table.check()?;
    Ok(table)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_table_is_refused_with_the_faulty_part() {
        let wrong = |text: &str| format!("{:#}", parse(text).unwrap_err());
        assert!(wrong("[[model]]\nmatch = \"a\"\ninput = -1\noutput = 0").contains("\"a\""));
        assert!(wrong("[[model]]\nmatch = \"a\"\ninput = nan\noutput = 0").contains("invalid number"));
        assert!(
            wrong("[[model]]\nmatch = \"a\"\ninput = 1\noutput = 1\nreasoning = 3").contains("reasoning")
        );
        assert!(wrong("[[model]]\nmatch = \"a\"\ninput = 1").contains("output"));
        assert!(wrong("nonsense").contains('1'));
        assert!(parse("[[model]]\nmatch = \"a*\"\ninput = 1\noutput = 1").is_ok());
    }
}
