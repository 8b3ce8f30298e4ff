//! One condition as a flag of the command has it: `KEY=VALUE`, to the end of the text.
//!
//! It is older than the filter language, and what it says must not change: the key goes to the first
//! of `= ! < >` and is trimmed, everything behind the operator is the value, blanks, commas and stars
//! too, and `duration`, `service` or `level` are attributes.

use super::{
    Comparison, FilterError, FilterField, FilterKey, FilterOp, FilterTerm, FilterTest, Pattern, Scalar,
};
use crate::{Condition, ConditionOp};

const FORMS: &str =
    "KEY=VALUE, KEY!=VALUE, KEY>VALUE, KEY>=VALUE, KEY<VALUE, KEY<=VALUE, KEY~VALUE or KEY!~VALUE";

impl FilterTerm {
    /// Reads one `KEY=VALUE`, also with `!=`, `>`, `>=`, `<`, `<=`, `~` and `!~`.
    ///
    /// The value is a number, `true`, `false` or else a text; in double quotes it is a text, whatever it
    /// looks like. The key is an own field by its name in conditions ([`SpanField`](crate::SpanField)),
    /// else an attribute.
    ///
    /// # Errors
    /// There is no operator, no key before it, or an operator that there is not.
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
        // A `~` is an operator only where none of the older ones follows it.
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
        let value = match key {
            // An id of decimal digits is no number.
            FilterKey::Field(field) if !is_number_or_time(field) => Scalar::Text(unquoted(value)),
            _ if is_contains => Scalar::Text(unquoted(value)),
            _ => scalar(value),
        };
        Ok(Self {
            negated: false,
            test: FilterTest::Compare(Comparison {
                key,
                op,
                values: vec![Pattern::Is(value)],
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
