//! Writes filters as text that parses to the same filter. One case differs: the number or boolean
//! of a condition does not match its text, but the parsed one does.

use std::fmt;

use super::parse::{is_bare_key, is_bare_text, is_bare_value};
use super::values::text_of_bare;
use super::{Comparison, Filter, FilterTerm, FilterTest, Pattern, Scalar};

/// The terms in order, separated by one space.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, term) in self.terms.iter().enumerate() {
            if place > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{term}")?;
        }
        Ok(())
    }
}

impl fmt::Display for FilterTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negated {
            f.write_str("-")?;
        }
        write!(f, "{}", self.test)
    }
}

impl fmt::Display for FilterTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) if is_bare_text(text) => f.write_str(text),
            Self::Text(text) => quoted(f, text),
            Self::Compare(comparison) => write!(f, "{comparison}"),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.to_string();
        if is_bare_key(&key) {
            f.write_str(&key)?;
        } else {
            quoted(f, &key)?;
        }
        f.write_str(self.op.as_str())?;
        let mut values = self.values.iter().enumerate().peekable();
        while let Some((place, value)) = values.next() {
            if place > 0 {
                f.write_str(",")?;
            }
            if let Some((_, Pattern::Is(Scalar::Text(text)))) = values.peek()
                && text_of_bare(&self.key, self.op, text, value).is_some()
                && is_bare_value(&self.key, self.op, text, value)
            {
                f.write_str(text)?;
                values.next();
                continue;
            }
            match value {
                Pattern::Is(Scalar::Text(text)) if !is_bare_value(&self.key, self.op, text, value) => {
                    quoted(f, text)?;
                }
                Pattern::Is(scalar) => write!(f, "{scalar}")?,
                Pattern::Begins(start) => {
                    let bare = format!("{start}*");
                    if is_bare_value(&self.key, self.op, &bare, value) {
                        f.write_str(&bare)?;
                    } else {
                        quoted(f, start)?;
                        f.write_str("*")?;
                    }
                }
                Pattern::Present => f.write_str("*")?,
            }
        }
        Ok(())
    }
}

/// Without quotes.
impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Bool(truth) => write!(f, "{truth}"),
            Self::Number(number, None) => write!(f, "{number}"),
            Self::Number(number, Some(unit)) => write!(f, "{number}{unit}"),
        }
    }
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    write!(f, "{}", serde_json::Value::from(text))
}
