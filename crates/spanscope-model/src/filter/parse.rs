//! The parser of filters. It reports the first error, with its position and what would be valid
//! there.

use std::ops::Range;
use std::str::FromStr;

use super::values::{bare_value, begins, operators_of, scalar, text_of_bare};
use super::{
    Comparison, Filter, FilterError, FilterKey, FilterOp, FilterTerm, FilterTest, Pattern, TraceField,
};
use crate::text::nearest;

/// Maximum length of a filter in bytes. Longer filters are refused: people write filters, and a
/// store pays for each term.
pub const MAX_LEN: usize = 8 * 1024;
/// Maximum number of terms.
pub const MAX_TERMS: usize = 100;
/// Maximum number of values of a term.
pub const MAX_VALUES: usize = 1000;

/// Longer operators come first: `>=` begins with `>`.
const OPERATORS: [FilterOp; 8] = [
    FilterOp::Ge,
    FilterOp::Le,
    FilterOp::Ne,
    FilterOp::NotContains,
    FilterOp::Eq,
    FilterOp::Gt,
    FilterOp::Lt,
    FilterOp::Contains,
];

/// Operators of other languages, and their equivalents.
const FOREIGN_OPERATORS: [(&str, &str); 8] = [
    ("==", "="),
    ("===", "="),
    ("!==", "!="),
    ("=~", "~"),
    ("=<", "<="),
    ("=>", ">="),
    ("<>", "!="),
    ("~=", "~"),
];

/// Parses the whole text.
///
/// # Errors
/// Fails if the text is not a valid filter, or exceeds [`MAX_LEN`], [`MAX_TERMS`] or
/// [`MAX_VALUES`].
impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let terms = Self::parse_ranges(text)?;
        Ok(Self {
            terms: terms.into_iter().map(|(_, term)| term).collect(),
        })
    }
}

impl Filter {
    /// Parses the whole text and returns the byte range of each term, so that a term can be shown
    /// and removed separately.
    ///
    /// # Errors
    /// The same errors as [`Filter::from_str`].
    ///
    /// # Examples
    /// ```
    /// use spanscope_model::filter::Filter;
    ///
    /// let terms = Filter::parse_ranges("status=error  timeout")?;
    /// assert_eq!((terms[0].0.clone(), terms[1].0.clone()), (0..12, 14..21));
    /// # Ok::<(), spanscope_model::filter::FilterError>(())
    /// ```
    pub fn parse_ranges(text: &str) -> Result<Vec<(Range<usize>, FilterTerm)>, FilterError> {
        if text.len() > MAX_LEN {
            return Err(FilterError::new(
                crate::text::cut(text, MAX_LEN).len(),
                format!("the end: a filter has at most {MAX_LEN} bytes"),
            ));
        }
        let mut parser = Parser { text, at: 0 };
        let mut terms = Vec::new();
        loop {
            parser.skip_blanks();
            if parser.rest().is_empty() {
                return Ok(terms);
            }
            if terms.len() == MAX_TERMS {
                return Err(FilterError::new(
                    parser.at,
                    format!("the end: a filter has at most {MAX_TERMS} terms"),
                ));
            }
            let start = parser.at;
            let term = parser.term()?;
            terms.push((start..parser.at, term));
        }
    }
}

/// Returns whether the text, unquoted, parses as a term that searches for it.
pub(super) fn is_bare_text(text: &str) -> bool {
    let mut parser = Parser { text, at: 0 };
    !has_control(text)
        && matches!(parser.term(), Ok(FilterTerm { negated: false, test: FilterTest::Text(found) }) if found == text)
}

/// Returns whether the key needs no quotes.
pub(super) fn is_bare_key(key: &str) -> bool {
    // A `!` would become part of the operator.
    !key.is_empty()
        && !key.starts_with('-')
        && !key.ends_with('!')
        && !has_control(key)
        && word_len(key) == key.len()
}

/// Returns whether the text, unquoted, parses as this value.
pub(super) fn is_bare_value(key: &FilterKey, op: FilterOp, text: &str, value: &Pattern) -> bool {
    !text.is_empty()
        && !text.starts_with(is_operator_char)
        && !has_control(text)
        && bare_len(text) == text.len()
        && bare_value(key, op, text, 0).is_ok_and(|read| read == *value)
}

fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

fn is_operator_char(c: char) -> bool {
    matches!(c, '=' | '<' | '>' | '~' | '!')
}

fn operator(rest: &str) -> Option<FilterOp> {
    OPERATORS.into_iter().find(|op| rest.starts_with(op.as_str()))
}

/// Returns the length of a key or a word: up to a space, a quote or an operator.
fn word_len(rest: &str) -> usize {
    rest.char_indices()
        .find(|(at, c)| c.is_whitespace() || *c == '"' || operator(&rest[*at..]).is_some())
        .map_or(rest.len(), |(at, _)| at)
}

/// Returns the length of an unquoted value: up to a space, a quote or a comma.
fn bare_len(rest: &str) -> usize {
    rest.find(|c: char| c.is_whitespace() || c == '"' || c == ',')
        .unwrap_or(rest.len())
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn eat(&mut self, c: char) -> bool {
        let is_next = self.peek() == Some(c);
        if is_next {
            self.at += c.len_utf8();
        }
        is_next
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn error(&self, expected: impl Into<String>) -> FilterError {
        let rest = self.rest();
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        FilterError::new(self.at, expected).found(&rest[..end])
    }

    fn term(&mut self) -> Result<FilterTerm, FilterError> {
        let negated = self.eat('-');
        let start = self.at;
        let test = match self.peek() {
            None => return Err(self.error("a key or a word after -")),
            Some(c) if c.is_whitespace() || c == '-' => {
                return Err(self.error("a key or a word after -, or quotes around a text with a leading -"));
            }
            Some('"') => {
                let text = self.quoted()?;
                match operator(self.rest()) {
                    Some(op) => self.comparison(&text, start, op)?,
                    None if text.is_empty() => {
                        return Err(FilterError::new(start, "a text to look for").found("\"\""));
                    }
                    None => {
                        self.end_of_term("a blank or an operator after the quotes")?;
                        FilterTest::Text(text)
                    }
                }
            }
            Some(_) => {
                let len = word_len(self.rest());
                let word = &self.rest()[..len];
                self.at += len;
                match operator(self.rest()) {
                    Some(op) => self.comparison(word, start, op)?,
                    None => {
                        self.end_of_term("quotes around the whole")?;
                        plain_word(word, start)?
                    }
                }
            }
        };
        Ok(FilterTerm { negated, test })
    }

    fn end_of_term(&self, expected: &str) -> Result<(), FilterError> {
        match self.peek() {
            None => Ok(()),
            Some(c) if c.is_whitespace() => Ok(()),
            Some(_) => Err(self.error(expected)),
        }
    }

    /// Parses a string in JSON quotes.
    fn quoted(&mut self) -> Result<String, FilterError> {
        let rest = self.rest();
        let mut is_escaped = false;
        let end = rest.char_indices().skip(1).find(|(_, c)| {
            let is_end = *c == '"' && !is_escaped;
            is_escaped = *c == '\\' && !is_escaped;
            is_end
        });
        let Some((end, _)) = end else {
            return Err(
                FilterError::new(self.text.len(), "a quote at the end of the text")
                    .suggest(Some(format!("{rest}\""))),
            );
        };
        let inside = &rest[..=end];
        let text = serde_json::from_str(inside).map_err(|_| {
            // JSON allows no control characters between quotes, but pasted text may contain them.
            let escaped = inside.replace('\\', "\\\\");
            FilterError::new(
                self.at,
                r#"a text whose backslashes are doubled (\\) or part of \" \n \t \uXXXX"#,
            )
            .found(inside)
            .suggest((escaped != inside).then_some(escaped))
        })?;
        self.at += inside.len();
        Ok(text)
    }

    fn comparison(&mut self, key_text: &str, key_at: usize, op: FilterOp) -> Result<FilterTest, FilterError> {
        let op_at = self.at;
        if key_at == op_at {
            let error = || self.error("a key before the operator, or quotes around a text");
            return Err(self.blanks_around(op).unwrap_or_else(error));
        }
        let Some(key) = FilterKey::parse(key_text) else {
            let known = TraceField::ALL.iter().map(|field| field.as_str());
            return Err(FilterError::new(
                key_at,
                format!(
                    "trace.duration, trace.spans, trace.errors, trace.tokens or trace.cost, or attributes.{key_text} \
                     for the attribute"
                ),
            )
            .found(key_text)
            .suggest(nearest(key_text, known)));
        };
        let run = self.rest();
        let run = &run[..run.find(|c| !is_operator_char(c)).unwrap_or(run.len())];
        if run.len() > op.as_str().len() {
            let meant = FOREIGN_OPERATORS.iter().find(|(foreign, _)| *foreign == run);
            return Err(FilterError::new(
                op_at,
                "one of = != > >= < <= ~ !~, and quotes around a value that begins like one",
            )
            .found(run)
            .suggest(meant.map(|(_, meant)| *meant)));
        }
        let allowed = operators_of(&key);
        if !allowed.contains(&op) {
            let allowed: Vec<&str> = allowed.iter().map(|op| op.as_str()).collect();
            return Err(
                FilterError::new(op_at, format!("{} after {key}", allowed.join(" or "))).found(op.as_str()),
            );
        }
        self.at += op.as_str().len();
        let values = self.values(&key, op)?;
        Ok(FilterTest::Compare(Comparison { key, op, values }))
    }

    /// Returns the error for `key = value`, where spaces surround an operator.
    fn blanks_around(&self, op: FilterOp) -> Option<FilterError> {
        let (before, rest) = self.text.split_at_checked(self.at)?;
        let key = before.split_whitespace().next_back()?;
        let value = rest.strip_prefix(op.as_str())?.split_whitespace().next()?;
        if key.contains('"') || value.contains('"') {
            return None;
        }
        let start = before.rfind(key)?;
        let end = self.at + rest.find(value)? + value.len();
        Some(
            FilterError::new(start, "no blanks around the operator")
                .found(self.text.get(start..end)?)
                .suggest(Some(format!("{key}{op}{value}"))),
        )
    }

    fn values(&mut self, key: &FilterKey, op: FilterOp) -> Result<Vec<Pattern>, FilterError> {
        let start = self.at;
        let (mut values, mut count) = (Vec::new(), 0);
        loop {
            if count == MAX_VALUES {
                return Err(self.error(format!("at most {MAX_VALUES} values")));
            }
            count += 1;
            let at = self.at;
            let value = self.value(key, op)?;
            let text = text_of_bare(key, op, &self.text[at..self.at], &value);
            values.push(value);
            values.extend(text);
            if !self.eat(',') {
                break;
            }
            if matches!(op, FilterOp::Gt | FilterOp::Ge | FilterOp::Lt | FilterOp::Le) {
                self.at -= 1;
                return Err(self.error(format!("one value after {op}, not several")));
            }
        }
        self.end_of_term("a blank or a comma after the quotes")?;
        if values.len() > 1 && values.contains(&Pattern::Present) {
            self.at = start;
            return Err(self.error("* alone, or values without it"));
        }
        Ok(values)
    }

    fn value(&mut self, key: &FilterKey, op: FilterOp) -> Result<Pattern, FilterError> {
        let at = self.at;
        if self.peek() == Some('"') {
            let text = self.quoted()?;
            if self.eat('*') {
                return begins(key, op, text, at);
            }
            return scalar(key, op, &text, true, at).map(Pattern::Is);
        }
        let len = bare_len(self.rest());
        let text = &self.rest()[..len];
        if len == 0 {
            return Err(self.error(format!(
                "a value after {op}, without a blank; \"\" is an empty text"
            )));
        }
        self.at += len;
        if self.peek() == Some('"') {
            self.at = at;
            return Err(self.error("quotes around the whole value"));
        }
        bare_value(key, op, text, at)
    }
}

/// Parses a bare word. Keywords of other query languages are an error, because the user means an
/// operator and not a text.
fn plain_word(word: &str, at: usize) -> Result<FilterTest, FilterError> {
    match word {
        "AND" | "&&" => {
            return Err(
                FilterError::new(at, "no AND: all terms must hold; \"AND\" in quotes is a text").found(word),
            );
        }
        "OR" | "||" => {
            return Err(FilterError::new(
                at,
                "no OR: key=a,b is any of several values; \"OR\" in quotes is a text",
            )
            .found(word));
        }
        "NOT" => {
            return Err(
                FilterError::new(at, "- before a term; \"NOT\" in quotes is a text")
                    .found(word)
                    .suggest(Some("-")),
            );
        }
        _ => {}
    }
    if let Some((key, value)) = word.split_once(':')
        && !value.is_empty()
        && !matches!(FilterKey::parse(key), Some(FilterKey::Attribute(_)))
    {
        return Err(
            FilterError::new(at, "an operator after the key; in quotes it is a text")
                .found(word)
                .suggest(Some(format!("{key}={value}"))),
        );
    }
    Ok(FilterTest::Text(word.to_owned()))
}
