//! Conversion between filters and the conditions of the telemetry API, which can express less.

use serde_json::{Number, Value as Json};

use super::eval::in_unit;
use super::key::ATTRIBUTE_PREFIX;
use super::{
    Comparison, FilterField, FilterKey, FilterOp, FilterTerm, FilterTest, Pattern, Scalar, TimeUnit,
};
use crate::{Condition, ConditionOp, ConditionTarget};

impl FilterTerm {
    /// Returns the equivalent condition, if there is one: a condition has one value, no `-`, no
    /// levels and no whole-trace numbers, and compares by `=`, `!=`, `>` and `<`.
    ///
    /// ```
    /// use spanscope_model::filter::Filter;
    /// use spanscope_model::{Condition, ConditionOp};
    ///
    /// let condition = |text: &str| text.parse::<Filter>().unwrap().terms[0].to_condition();
    /// let slow = Condition::new("duration_ms", ConditionOp::Gt, 1500.0);
    /// assert_eq!(condition("duration>1.5s"), Some(slow));
    /// assert_eq!(condition("duration>=1.5s"), None);
    /// ```
    #[must_use]
    pub fn to_condition(&self) -> Option<Condition> {
        let FilterTest::Compare(Comparison { key, op, values }) = &self.test else {
            return None;
        };
        let (false, [Pattern::Is(value)]) = (self.negated, values.as_slice()) else {
            return None;
        };
        let op = match op {
            FilterOp::Eq => ConditionOp::Eq,
            FilterOp::Ne => ConditionOp::Ne,
            FilterOp::Gt => ConditionOp::Gt,
            FilterOp::Lt => ConditionOp::Lt,
            FilterOp::Ge | FilterOp::Le | FilterOp::Contains | FilterOp::NotContains => return None,
        };
        let (name, unit) = match key {
            FilterKey::Field(field) => (
                field.span_field()?.as_str().to_owned(),
                matches!(field, FilterField::Duration).then_some(TimeUnit::Millis),
            ),
            FilterKey::Attribute(attribute) => (condition_key(attribute), key.time_unit()),
            FilterKey::Trace(_) => return None,
        };
        let value = match value {
            Scalar::Text(text) => Json::from(text.as_str()),
            Scalar::Bool(truth) => Json::Bool(*truth),
            Scalar::Number(number, None) => Json::Number(number.clone()),
            Scalar::Number(number, given) => Json::Number(Number::from_f64(in_unit(number, *given, unit)?)?),
        };
        Some(Condition::new(name, op, value))
    }
}

/// Returns the key of a condition on this attribute.
fn condition_key(attribute: &str) -> String {
    match Condition::new(attribute, ConditionOp::Eq, Json::Null).target() {
        ConditionTarget::Attribute(key) if key == attribute => attribute.to_owned(),
        _ => format!("{ATTRIBUTE_PREFIX}{attribute}"),
    }
}

/// The equivalent term. A condition with an unsupported value (null, a list, an object) matches
/// nothing.
impl From<&Condition> for FilterTerm {
    fn from(condition: &Condition) -> Self {
        let value = match &condition.value {
            Json::String(text) => Some(Scalar::Text(text.clone())),
            Json::Bool(truth) => Some(Scalar::Bool(*truth)),
            Json::Number(number) => Some(Scalar::Number(number.clone(), None)),
            Json::Null | Json::Array(_) | Json::Object(_) => None,
        };
        let op = match condition.op {
            ConditionOp::Eq => FilterOp::Eq,
            ConditionOp::Ne => FilterOp::Ne,
            ConditionOp::Gt => FilterOp::Gt,
            ConditionOp::Lt => FilterOp::Lt,
        };
        Self {
            negated: false,
            test: FilterTest::Compare(Comparison {
                key: condition.target().into(),
                op: if value.is_some() { op } else { FilterOp::Eq },
                values: value.map(Pattern::Is).into_iter().collect(),
            }),
        }
    }
}
