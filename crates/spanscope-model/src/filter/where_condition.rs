//! The command's `--where`, which accepts a filter, and the older `KEY=VALUE`.
//!
//! In the older form the key reaches to the first of `= ! < >` and is trimmed, and everything after
//! the operator is the value, with spaces, commas and stars. What only the older form can express
//! stays valid, because scripts use it: `name=chat gpt-4o`.

use super::values::text_of_bare;
use super::{
    Comparison, Filter, FilterError, FilterField, FilterKey, FilterOp, FilterTerm, FilterTest, Pattern,
    Scalar,
};
use crate::{Condition, ConditionOp};

const FORMS: &str =
    "KEY=VALUE, KEY!=VALUE, KEY>VALUE, KEY>=VALUE, KEY<VALUE, KEY<=VALUE, KEY~VALUE or KEY!~VALUE";

impl Filter {
    /// Parses the text of the command's `--where` as a filter. A text that is not a valid filter,
    /// or has only words after its first value, is parsed as one
    /// [`KEY=VALUE`](FilterTerm::parse_where) if its value contains spaces, commas or quotes, or is
    /// empty.
    ///
    /// # Errors
    /// Fails with the filter's error if the text is neither.
    ///
    /// # Examples
    /// ```
    /// use spanscope_model::filter::Filter;
    ///
    /// for (text, filter) in [
    ///     ("status=error duration>1s", "status=error duration>1s"),
    ///     ("name=chat gpt-4o", "name=\"chat gpt-4o\""),
    ///     ("title=a, b", "title=\"a, b\""),
    ///     ("user=", "user=\"\""),
    /// ] {
    ///     assert_eq!(Filter::parse_where(text)?.to_string(), filter);
    /// }
    /// assert_eq!(Filter::parse_where("status=eror").unwrap_err().suggestion(), Some("error"));
    /// # Ok::<(), spanscope_model::filter::FilterError>(())
    /// ```
    pub fn parse_where(text: &str) -> Result<Self, FilterError> {
        let read = text.parse::<Self>();
        let is_older = match &read {
            Ok(filter) => filter.terms.len() > 1 && is_value_with_words(text, filter),
            Err(_) => is_only_older(text),
        };
        if is_older && let Ok(mut term) = FilterTerm::parse_where(text) {
            // A key means the same in both forms.
            if let FilterTest::Compare(comparison) = &mut term.test
                && comparison.key == FilterKey::Attribute(FilterField::Service.as_str().to_owned())
            {
                comparison.key = FilterKey::Field(FilterField::Service);
            }
            return Ok(Self { terms: vec![term] });
        }
        read
    }
}

/// Returns whether the filter is a comparison followed by words, which are part of its value.
fn is_value_with_words(text: &str, filter: &Filter) -> bool {
    let is_word = |term: &FilterTerm| !term.negated && matches!(term.test, FilterTest::Text(_));
    !text.contains('"')
        && has_open_value(text)
        && filter.terms.split_first().is_some_and(|(first, words)| {
            matches!(first.test, FilterTest::Compare(_)) && !first.negated && words.iter().all(is_word)
        })
}

/// Returns whether only the older form allows this: spaces and commas in a value, no value, or
/// spaces in a key. For any other text the caller reports the error of the filter parser.
fn is_only_older(text: &str) -> bool {
    let Some((key, value)) = older_parts(text) else {
        return false;
    };
    has_open_value(text)
        && (value.is_empty()
            || value.contains(|c: char| c.is_whitespace() || matches!(c, ',' | '"'))
            || key.contains(char::is_whitespace))
}

/// Returns whether the key accepts any text, and no further comparison follows.
fn has_open_value(text: &str) -> bool {
    let Some((key, value)) = older_parts(text) else {
        return false;
    };
    let last = key.split_whitespace().next_back().unwrap_or_default();
    let is_open = match FilterKey::parse(last) {
        Some(FilterKey::Attribute(_)) => true,
        Some(FilterKey::Field(field)) => matches!(
            field,
            FilterField::Name | FilterField::Service | FilterField::Category
        ),
        Some(FilterKey::Trace(_)) | None => false,
    };
    let mut words = value.split_whitespace();
    words.next();
    is_open && !words.any(|word| word.contains(['=', '<', '>', '~']))
}

/// Splits the text at the first operator.
fn older_parts(text: &str) -> Option<(&str, &str)> {
    let (key, rest) = text.split_at(text.find(['=', '!', '<', '>'])?);
    Some((key, rest.trim_start_matches(['=', '!', '<', '>'])))
}

impl FilterTerm {
    /// Parses one `KEY=VALUE`, also with `!=`, `>`, `>=`, `<`, `<=`, `~` and `!~`.
    ///
    /// The value is a number, `true`, `false` or else a text; in double quotes it is always a text.
    /// A number, `true` or `false` also matches a text of the same form. The key is a built-in
    /// field by its name in conditions ([`SpanField`](crate::SpanField)), else an attribute.
    ///
    /// # Errors
    /// Fails if there is no operator or no key before it, or if the operator is unknown.
    ///
    /// # Examples
    /// ```
    /// use spanscope_model::filter::FilterTerm;
    ///
    /// let term = FilterTerm::parse_where("title=a, b*")?;
    /// assert_eq!(term.to_string(), r#"title="a, b*""#);
    /// # Ok::<(), spanscope_model::filter::FilterError>(())
    /// ```
    pub fn parse_where(text: &str) -> Result<Self, FilterError> {
        let wrong = |at: usize, expected: &str| FilterError::new(at, expected).found(&text[at..]);
        // A `~` is an operator only if none of the older ones follows it.
        let Some(at) = text.find(['=', '!', '<', '>']).or_else(|| text.find('~')) else {
            return Err(wrong(text.len(), FORMS));
        };
        let (key, rest) = text.split_at(at);
        let op = [
            FilterOp::Ne,
            FilterOp::NotContains,
            FilterOp::Ge,
            FilterOp::Le,
            FilterOp::Eq,
            FilterOp::Gt,
            FilterOp::Lt,
            FilterOp::Contains,
        ]
        .into_iter()
        .find(|op| rest.starts_with(op.as_str()));
        let Some(op) = op else {
            return Err(wrong(at, FORMS));
        };
        let value = &rest[op.as_str().len()..];
        let key = key.trim();
        if key.is_empty() {
            return Err(wrong(0, "a key before the operator"));
        }
        if value.starts_with('=') {
            return Err(wrong(at, FORMS).suggest(Some(op.as_str())));
        }
        let key = FilterKey::from(Condition::new(key, ConditionOp::Eq, ()).target());
        let is_contains = matches!(op, FilterOp::Contains | FilterOp::NotContains);
        let read = match key {
            // An id of decimal digits is not a number.
            FilterKey::Field(field) if !is_number_or_time(field) => Scalar::Text(unquoted(value)),
            _ if is_contains => Scalar::Text(unquoted(value)),
            _ => scalar(value),
        };
        let read = Pattern::Is(read);
        let text = text_of_bare(&key, op, value, &read);
        Ok(Self {
            negated: false,
            test: FilterTest::Compare(Comparison {
                key,
                op,
                values: std::iter::once(read).chain(text).collect(),
            }),
        })
    }
}

const fn is_number_or_time(field: FilterField) -> bool {
    matches!(
        field,
        FilterField::Duration | FilterField::Start | FilterField::End
    )
}

fn scalar(text: &str) -> Scalar {
    match text {
        "true" => Scalar::Bool(true),
        "false" => Scalar::Bool(false),
        _ => match text.parse() {
            Ok(number) => Scalar::Number(number, None),
            Err(_) => Scalar::Text(unquoted(text)),
        },
    }
}

fn unquoted(text: &str) -> String {
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(inner) => serde_json::from_str(text).unwrap_or_else(|_| inner.to_owned()),
        None => text.to_owned(),
    }
}
