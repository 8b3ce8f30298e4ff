//! What a filter matches: the reference for every store.

use std::cmp::Ordering;

use serde_json::Number;

use super::{
    Comparison, FieldValue, Filter, FilterField, FilterKey, FilterOp, FilterSubject, FilterTerm, FilterTest,
    Pattern, Scalar, TimeUnit, resource_key,
};
use crate::{Severity, Timestamp, Value};

impl Filter {
    /// Returns whether all terms match.
    ///
    /// # Examples
    /// ```
    /// use spanscope_model::filter::{Filter, SpanSubject};
    /// # let span: spanscope_model::Span = serde_json::from_value(serde_json::json!({
    /// #     "span_id": "00f067aa0ba902b7", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "name": "chat",
    /// #     "start_time": "2026-11-21T14:03:00Z", "end_time": "2026-11-21T14:03:02Z", "status": "ok",
    /// #     "attributes": {"model": "llama"}, "parent_span_id": null
    /// # })).unwrap();
    /// // A span called `chat` of two seconds, whose attribute `model` is `llama`.
    /// let subject = SpanSubject::new(&span);
    /// for (filter, matches) in [
    ///     ("chat duration>1500ms", true),
    ///     ("model=gpt*,llama", true),
    ///     ("user!=ann", false),
    ///     ("-user=ann", true),
    /// ] {
    ///     assert_eq!(filter.parse::<Filter>()?.matches(&subject), matches, "{filter}");
    /// }
    /// # Ok::<(), spanscope_model::filter::FilterError>(())
    /// ```
    #[must_use]
    pub fn matches(&self, subject: &impl FilterSubject) -> bool {
        self.terms.iter().all(|term| term.matches(subject))
    }
}

impl FilterTerm {
    /// Returns whether the term matches.
    #[must_use]
    pub fn matches(&self, subject: &impl FilterSubject) -> bool {
        self.test.holds(subject) != self.negated
    }
}

impl FilterTest {
    fn holds(&self, subject: &impl FilterSubject) -> bool {
        match self {
            Self::Text(wanted) => subject.any_text(&mut |text| text_contains(text, wanted)),
            Self::Compare(comparison) => comparison.holds(subject),
        }
    }
}

impl Comparison {
    fn holds(&self, subject: &impl FilterSubject) -> bool {
        match &self.key {
            FilterKey::Attribute(key) => {
                let found = subject.attribute(key);
                attribute_matches(
                    self,
                    found.or_else(|| subject.resource_attribute(resource_key(key))),
                )
            }
            FilterKey::Field(field) => field_matches(self, subject.field(*field).as_ref()),
            FilterKey::Trace(field) => trace_matches(self, subject.trace(*field)),
        }
    }

    /// Returns whether the value is present and fits one of the patterns, or none of them for a
    /// negated operator.
    fn any<T>(&self, found: Option<&T>, fits: impl Fn(&T, &Pattern) -> bool) -> bool {
        let is_not = matches!(self.op, FilterOp::Ne | FilterOp::NotContains);
        found.is_some_and(|found| self.values.iter().any(|pattern| fits(found, pattern)) != is_not)
    }

    fn is_in_order(&self, order: Option<Ordering>) -> bool {
        order.is_some_and(|order| match self.op {
            // The caller negates the result of `Ne`.
            FilterOp::Eq | FilterOp::Ne => order.is_eq(),
            FilterOp::Gt => order.is_gt(),
            FilterOp::Ge => order.is_ge(),
            FilterOp::Lt => order.is_lt(),
            FilterOp::Le => order.is_le(),
            FilterOp::Contains | FilterOp::NotContains => false,
        })
    }

    const fn is_contains(&self) -> bool {
        matches!(self.op, FilterOp::Contains | FilterOp::NotContains)
    }

    fn field_fits(&self, field: FilterField, found: &FieldValue<'_>, pattern: &Pattern) -> bool {
        let wanted = match pattern {
            Pattern::Present => return true,
            Pattern::Begins(start) => {
                return matches!(found, FieldValue::Text(text) if text.starts_with(&*spelled(field, start)));
            }
            Pattern::Is(wanted) => wanted,
        };
        self.is_in_order(match (found, wanted) {
            (FieldValue::Text(text), Scalar::Text(wanted)) => {
                if self.is_contains() {
                    return text_contains(text, wanted);
                }
                Some(text.as_ref().cmp(&*spelled(field, wanted)))
            }
            (FieldValue::Millis(millis), Scalar::Number(number, unit)) => {
                in_unit(number, *unit, Some(TimeUnit::Millis)).and_then(|wanted| millis.partial_cmp(&wanted))
            }
            (FieldValue::Time(time), Scalar::Text(wanted)) => {
                wanted.parse::<Timestamp>().ok().map(|wanted| time.cmp(&wanted))
            }
            (FieldValue::Time(time), Scalar::Number(number, None)) => {
                compare(&Value::I64(time.as_nanos()), &number_value(number))
            }
            (FieldValue::Level(level), Scalar::Text(wanted)) => {
                Severity::from_name(wanted).map(|wanted| level.cmp(&wanted))
            }
            _ => None,
        })
    }
}

/// Returns whether a comparison of a built-in field matches the field's value; `None` means that
/// the field is missing.
///
/// For stores that can't express the comparison in their own language.
#[must_use]
pub fn field_matches(comparison: &Comparison, found: Option<&FieldValue<'_>>) -> bool {
    let FilterKey::Field(field) = comparison.key else {
        return false;
    };
    comparison.any(found, |found, pattern| {
        comparison.field_fits(field, found, pattern)
    })
}

/// Returns whether a comparison of a whole-trace number matches the number; `None` means unknown.
///
/// For stores that can't express the comparison in their own language.
#[must_use]
pub fn trace_matches(comparison: &Comparison, found: Option<f64>) -> bool {
    comparison.any(found.as_ref(), |found, pattern| match pattern {
        Pattern::Is(Scalar::Number(number, unit)) => {
            let wanted = in_unit(number, *unit, Some(TimeUnit::Millis));
            comparison.is_in_order(wanted.and_then(|wanted| found.partial_cmp(&wanted)))
        }
        Pattern::Present => true,
        Pattern::Is(_) | Pattern::Begins(_) => false,
    })
}

/// Returns whether a comparison of an attribute matches the attribute's value; `None` means that
/// the attribute is missing.
///
/// For stores that can't express the comparison in their own language.
#[must_use]
pub fn attribute_matches(comparison: &Comparison, found: Option<&Value>) -> bool {
    comparison.any(found, |found, pattern| match pattern {
        Pattern::Present => true,
        Pattern::Begins(start) => found
            .as_str()
            .is_some_and(|text| text.starts_with(start.as_str())),
        Pattern::Is(Scalar::Text(wanted)) if comparison.is_contains() => match found {
            Value::Str(text) => text_contains(text, wanted),
            // Lists of texts, such as the reasons why a model stopped.
            Value::Json(json) if !json.is_null() => text_contains(&json.to_string(), wanted),
            _ => false,
        },
        Pattern::Is(Scalar::Text(wanted)) => {
            comparison.is_in_order(found.as_str().map(|text| text.cmp(wanted.as_str())))
        }
        Pattern::Is(Scalar::Bool(wanted)) => {
            comparison.is_in_order(
                matches!(found, Value::Bool(_))
                    .then(|| found == &Value::Bool(*wanted))
                    .and_then(
                        // Booleans are equal or not; they have no order.
                        |is_same| if is_same { Some(Ordering::Equal) } else { None },
                    ),
            )
        }
        Pattern::Is(Scalar::Number(number, unit)) => {
            let wanted = match unit {
                None => number_value(number),
                Some(_) => match in_unit(number, *unit, comparison.key.time_unit()) {
                    Some(wanted) => Value::F64(wanted),
                    None => return false,
                },
            };
            let order = match found {
                Value::Str(text) if comparison.key.is_number() => text
                    .trim()
                    .parse::<Number>()
                    .ok()
                    .and_then(|number| compare(&number_value(&number), &wanted)),
                _ => compare(found, &wanted),
            };
            comparison.is_in_order(order)
        }
    })
}

/// Returns whether the text contains the other one, ignoring ASCII case.
///
/// ```
/// use spanscope_model::filter::text_contains;
///
/// assert!(text_contains("Connection REFUSED", "refused"));
/// assert!(!text_contains("ÄTHER", "äther"));
/// ```
#[must_use]
pub fn text_contains(text: &str, wanted: &str) -> bool {
    let (text, wanted) = (text.as_bytes(), wanted.as_bytes());
    let Some(first) = wanted.first() else {
        return true;
    };
    memchr::memchr2_iter(first.to_ascii_lowercase(), first.to_ascii_uppercase(), text).any(|at| {
        text.get(at..at + wanted.len())
            .is_some_and(|window| window.eq_ignore_ascii_case(wanted))
    })
}

/// Returns the text as a record has it: enum values and ids are in lower case.
fn spelled(field: FilterField, text: &str) -> std::borrow::Cow<'_, str> {
    match field {
        FilterField::Status
        | FilterField::Kind
        | FilterField::Trace
        | FilterField::Span
        | FilterField::Parent => text.to_ascii_lowercase().into(),
        _ => text.into(),
    }
}

fn number_value(number: &Number) -> Value {
    Value::from(serde_json::Value::Number(number.clone()))
}

/// Converts a number to another unit; a number without a unit is in that unit already.
pub(super) fn in_unit(number: &Number, unit: Option<TimeUnit>, wanted: Option<TimeUnit>) -> Option<f64> {
    let number = number.as_f64()?;
    match unit {
        None => Some(number),
        Some(unit) => Some(number * unit.nanos() / wanted?.nanos()),
    }
}

/// Compares two numbers exactly; returns `None` if one of the values is not a number.
fn compare(found: &Value, wanted: &Value) -> Option<Ordering> {
    let integer = |value: &Value| match value {
        Value::I64(number) => Some(i128::from(*number)),
        Value::U64(number) => Some(i128::from(*number)),
        _ => None,
    };
    match (integer(found), integer(wanted)) {
        (Some(found), Some(wanted)) => Some(found.cmp(&wanted)),
        (Some(found), None) => compare_with_real(found, wanted.as_f64()?),
        (None, Some(wanted)) => compare_with_real(wanted, found.as_f64()?).map(Ordering::reverse),
        (None, None) => found.as_f64()?.partial_cmp(&wanted.as_f64()?),
    }
}

/// Compares without rounding, also integers beyond 2^53.
#[expect(
    clippy::cast_possible_truncation,
    reason = "an i128 holds the remaining range"
)]
fn compare_with_real(integer: i128, real: f64) -> Option<Ordering> {
    // Larger than any integer that an attribute can hold.
    const BEYOND: f64 = 1e30;
    if real.is_nan() {
        return None;
    }
    if real.abs() >= BEYOND {
        return 0.0.partial_cmp(&real);
    }
    match integer.cmp(&(real.trunc() as i128)) {
        Ordering::Equal => 0.0.partial_cmp(&real.fract()),
        order => Some(order),
    }
}
