//! Reads a filter. The first thing that is wrong is reported, with its position and what would be right.
//!
//! Never here: what a filter matches.

use std::ops::Range;
use std::str::FromStr;

use serde_json::Number;

use super::{
    Comparison, Filter, FilterError, FilterField, FilterKey, FilterOp, FilterTerm, FilterTest, Pattern,
    Scalar, TimeUnit, TraceField,
};
use crate::text::nearest;
use crate::{Severity, SpanKind, SpanStatus, Timestamp};

/// Longer filters are refused, in bytes: people write filters, and a store pays for each term.
pub const MAX_LEN: usize = 8 * 1024;
/// Filters with more terms are refused.
pub const MAX_TERMS: usize = 100;
/// Terms with more values are refused.
pub const MAX_VALUES: usize = 1000;

/// The longer ones first: `>=` begins with `>`.
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

/// Operators of other languages, and what they are here.
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

/// Reads the whole text.
///
/// # Errors
/// The text is no filter, or is beyond [`MAX_LEN`], [`MAX_TERMS`] or [`MAX_VALUES`].
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
    /// Reads the whole text and says in which bytes of it each term is, so that a term can be shown
    /// and removed by itself.
    ///
    /// # Errors
    /// As [`Filter::from_str`].
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

/// Whether the text, as it is, reads as a term that looks for this text.
pub(super) fn is_bare_text(text: &str) -> bool {
    let mut parser = Parser { text, at: 0 };
    !has_control(text)
        && matches!(parser.term(), Ok(FilterTerm { negated: false, test: FilterTest::Text(found) }) if found == text)
}

/// Whether the key can be written without quotes.
pub(super) fn is_bare_key(key: &str) -> bool {
    // A `!` would become a part of the operator.
    !key.is_empty()
        && !key.starts_with('-')
        && !key.ends_with('!')
        && !has_control(key)
        && word_len(key) == key.len()
}

/// Whether the text, as it is, reads as this value.
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

/// The length of a key or a word: to a blank, a quote or an operator.
fn word_len(rest: &str) -> usize {
    rest.char_indices()
        .find(|(at, c)| c.is_whitespace() || *c == '"' || operator(&rest[*at..]).is_some())
        .map_or(rest.len(), |(at, _)| at)
}

/// The length of a value without quotes: to a blank, a quote or a comma.
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
                return Err(self.error("a key or a word after -, or quotes around a text that begins so"));
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

    /// A text in quotes, as JSON has them.
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
            // JSON has no control characters between quotes; a filter that was pasted may.
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
            return Err(self.error("a key before the operator, or quotes around a text"));
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

    fn values(&mut self, key: &FilterKey, op: FilterOp) -> Result<Vec<Pattern>, FilterError> {
        let start = self.at;
        let mut values = Vec::new();
        loop {
            if values.len() == MAX_VALUES {
                return Err(self.error(format!("at most {MAX_VALUES} values")));
            }
            values.push(self.value(key, op)?);
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

/// A word alone. Words that mean something in other languages are no accident.
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

/// What kind of values a key has.
enum KeyKind {
    Any,
    Text,
    Id,
    Status,
    Kind,
    Level,
    Duration,
    Time,
    Number,
}

fn kind_of(key: &FilterKey) -> KeyKind {
    match key {
        FilterKey::Attribute(_) => KeyKind::Any,
        FilterKey::Field(field) => match field {
            FilterField::Name | FilterField::Service | FilterField::Category => KeyKind::Text,
            FilterField::Trace | FilterField::Span | FilterField::Parent => KeyKind::Id,
            FilterField::Status => KeyKind::Status,
            FilterField::Kind => KeyKind::Kind,
            FilterField::Level => KeyKind::Level,
            FilterField::Duration => KeyKind::Duration,
            FilterField::Start | FilterField::End => KeyKind::Time,
        },
        FilterKey::Trace(TraceField::Duration) => KeyKind::Duration,
        FilterKey::Trace(_) => KeyKind::Number,
    }
}

fn operators_of(key: &FilterKey) -> &'static [FilterOp] {
    use FilterOp::{Contains, Eq, Ge, Gt, Le, Lt, Ne, NotContains};
    match kind_of(key) {
        KeyKind::Any | KeyKind::Text => &[Eq, Ne, Gt, Ge, Lt, Le, Contains, NotContains],
        KeyKind::Id => &[Eq, Ne, Contains, NotContains],
        KeyKind::Status | KeyKind::Kind => &[Eq, Ne],
        KeyKind::Level | KeyKind::Duration | KeyKind::Time | KeyKind::Number => &[Eq, Ne, Gt, Ge, Lt, Le],
    }
}

/// A value without quotes: `*` and `text*` mean something.
fn bare_value(key: &FilterKey, op: FilterOp, text: &str, at: usize) -> Result<Pattern, FilterError> {
    if text == "*" {
        if op == FilterOp::Eq {
            return Ok(Pattern::Present);
        }
        return Err(FilterError::new(
            at,
            format!("a value after {op}; {key}=* asks whether it is there"),
        )
        .found(text));
    }
    if text.starts_with('*') {
        return Err(
            FilterError::new(at, "a text without * at its beginning, or quotes around it")
                .found(text)
                .suggest(Some(format!("{key}~{}", text.trim_matches('*')))),
        );
    }
    match text.strip_suffix('*') {
        Some(start) => begins(key, op, start.to_owned(), at),
        None => scalar(key, op, text, false, at).map(Pattern::Is),
    }
}

fn begins(key: &FilterKey, op: FilterOp, start: String, at: usize) -> Result<Pattern, FilterError> {
    let is_text = matches!(kind_of(key), KeyKind::Any | KeyKind::Text | KeyKind::Id);
    if !is_text || !matches!(op, FilterOp::Eq | FilterOp::Ne) {
        return Err(
            FilterError::new(at, format!("a whole value after {key}{op}, or quotes around it"))
                .found(&format!("{start}*")),
        );
    }
    Ok(Pattern::Begins(match kind_of(key) {
        KeyKind::Id => hex(&start, at)?,
        _ => start,
    }))
}

fn scalar(
    key: &FilterKey,
    op: FilterOp,
    text: &str,
    is_quoted: bool,
    at: usize,
) -> Result<Scalar, FilterError> {
    let wrong = |expected: &str| FilterError::new(at, expected).found(text);
    if matches!(op, FilterOp::Contains | FilterOp::NotContains) {
        return Ok(Scalar::Text(text.to_owned()));
    }
    match kind_of(key) {
        KeyKind::Text => Ok(Scalar::Text(text.to_owned())),
        KeyKind::Id => hex(text, at).map(Scalar::Text),
        KeyKind::Status => text
            .parse()
            .map_err(|_| {
                wrong("ok or error")
                    .suggest(nearest(text, SpanStatus::ALL.iter().map(|known| known.as_str())))
            })
            .map(|status: SpanStatus| Scalar::Text(status.as_str().to_owned())),
        KeyKind::Kind => text
            .parse()
            .map_err(|_| {
                wrong("internal, server, client, producer or consumer")
                    .suggest(nearest(text, SpanKind::ALL.iter().map(|known| known.as_str())))
            })
            .map(|kind: SpanKind| Scalar::Text(kind.as_str().to_owned())),
        KeyKind::Level => Severity::from_name(text)
            .ok_or_else(|| {
                wrong("verbose, debug, info, warn, error or critical")
                    .suggest(nearest(text, Severity::ALL.iter().map(|known| known.as_str())))
            })
            .map(|level| Scalar::Text(level.as_str().to_owned())),
        KeyKind::Duration => match quantity(text) {
            Some((number, "")) => Ok(Scalar::Number(number, None)),
            Some((number, unit)) => match time_unit(unit) {
                Some(unit) => Ok(Scalar::Number(number, Some(unit))),
                None => Err(unknown_unit(&number, unit, at)),
            },
            None => Err(wrong(
                "a duration as 250ms, 1.5s, 2m or 1h; a number without a unit is milliseconds",
            )),
        },
        KeyKind::Time => match text.parse() {
            Ok(number) => Ok(Scalar::Number(number, None)),
            Err(_) if text.parse::<Timestamp>().is_ok() => Ok(Scalar::Text(text.to_owned())),
            Err(_) => Err(wrong(
                "a time as 2026-11-21T14:03:00Z, or a number of nanoseconds since 1970",
            )),
        },
        KeyKind::Number => match text.parse() {
            Ok(number) => Ok(Scalar::Number(number, None)),
            Err(_) => Err(wrong("a number")),
        },
        KeyKind::Any if is_quoted => Ok(Scalar::Text(text.to_owned())),
        KeyKind::Any => any_scalar(key, op, text, at),
    }
}

/// The value of an attribute, whose type nothing but the value says.
fn any_scalar(key: &FilterKey, op: FilterOp, text: &str, at: usize) -> Result<Scalar, FilterError> {
    let is_order = !matches!(op, FilterOp::Eq | FilterOp::Ne);
    if let "true" | "false" = text {
        if is_order {
            return Err(FilterError::new(
                at,
                "= or != with true or false, which have no order; in quotes it is a text",
            )
            .found(text));
        }
        return Ok(Scalar::Bool(text == "true"));
    }
    match quantity(text) {
        Some((number, "")) => Ok(Scalar::Number(number, None)),
        Some((number, unit)) => match (time_unit(unit), key.time_unit()) {
            (Some(unit), Some(_)) => Ok(Scalar::Number(number, Some(unit))),
            (None, Some(_)) if is_order => Err(unknown_unit(&number, unit, at)),
            (Some(_), None) if is_order => Err(FilterError::new(
                at,
                format!("a number without a unit: the unit of {key} is not known; in quotes it is a text"),
            )
            .found(text)),
            _ => Ok(Scalar::Text(text.to_owned())),
        },
        None => Ok(Scalar::Text(text.to_owned())),
    }
}

fn hex(text: &str, at: usize) -> Result<String, FilterError> {
    match text.find(|c: char| !c.is_ascii_hexdigit()) {
        None => Ok(text.to_ascii_lowercase()),
        Some(wrong) => Err(FilterError::new(
            at + wrong,
            "a hexadecimal digit of an id; ID* is the beginning of one",
        )
        .found(text)),
    }
}

/// A number, and the letters that follow it.
fn quantity(text: &str) -> Option<(Number, &str)> {
    let number = text.trim_end_matches(char::is_alphabetic);
    Some((number.parse().ok()?, &text[number.len()..]))
}

fn time_unit(text: &str) -> Option<TimeUnit> {
    match text {
        // The two code points that people write for micro.
        "\u{b5}s" | "\u{3bc}s" => Some(TimeUnit::Micros),
        _ => TimeUnit::ALL.iter().copied().find(|unit| unit.as_str() == text),
    }
}

fn unknown_unit(number: &Number, unit: &str, at: usize) -> FilterError {
    const LONG: [(&str, &str); 12] = [
        ("nanoseconds", "ns"),
        ("microseconds", "us"),
        ("milliseconds", "ms"),
        ("msec", "ms"),
        ("seconds", "s"),
        ("secs", "s"),
        ("sec", "s"),
        ("minutes", "m"),
        ("mins", "m"),
        ("min", "m"),
        ("hours", "h"),
        ("hrs", "h"),
    ];
    let number = number.to_string();
    let lower = unit.to_lowercase();
    let meant = time_unit(&lower).map(TimeUnit::as_str).or_else(|| {
        let near = nearest(&lower, LONG.iter().map(|(long, _)| *long))?;
        LONG.iter()
            .find(|(long, _)| *long == near)
            .map(|(_, short)| *short)
    });
    FilterError::new(at + number.len(), "one of the units ns us ms s m h")
        .found(unit)
        .suggest(meant)
}
