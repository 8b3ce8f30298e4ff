//! What a filter matches where stored values have no types.
//!
//! The question decides: a number in it is compared with a text that is a number, and a truth value
//! with `true` and `false`. Everything else is as
//! [`Filter::matches`](spanscope_model::filter::Filter::matches) has it.

use spanscope_model::Value;
use spanscope_model::filter::{
    Comparison, Filter, FilterKey, FilterOp, FilterSubject, FilterTerm, FilterTest, Pattern, Scalar,
    attribute_matches, resource_key,
};

use crate::values::number_in;

/// Returns whether all terms match.
pub(crate) fn matches(filter: &Filter, subject: &impl FilterSubject) -> bool {
    filter.terms.iter().all(|term| term_matches(term, subject))
}

/// Returns whether a term matches.
pub(crate) fn term_matches(term: &FilterTerm, subject: &impl FilterSubject) -> bool {
    match &term.test {
        FilterTest::Compare(comparison) => match &comparison.key {
            FilterKey::Attribute(key) => {
                let found = subject.attribute(key);
                let found = found.or_else(|| subject.resource_attribute(resource_key(key)));
                value_matches(comparison, found) != term.negated
            }
            FilterKey::Field(_) | FilterKey::Trace(_) => term.matches(subject),
        },
        FilterTest::Text(_) => term.matches(subject),
    }
}

fn value_matches(comparison: &Comparison, found: Option<&Value>) -> bool {
    let Some(found) = found else { return false };
    let (op, is_not) = match comparison.op {
        FilterOp::Ne => (FilterOp::Eq, true),
        FilterOp::NotContains => (FilterOp::Contains, true),
        op => (op, false),
    };
    let any = comparison.values.iter().any(|pattern| {
        let Some(found) = in_type_of(found, pattern) else {
            return false;
        };
        let one = Comparison {
            key: comparison.key.clone(),
            op,
            values: vec![pattern.clone()],
        };
        attribute_matches(&one, Some(&found))
    });
    any != is_not
}

/// Returns a value in the type of what it is compared with; `None` if it has no such form.
fn in_type_of(found: &Value, pattern: &Pattern) -> Option<Value> {
    match (pattern, found) {
        (Pattern::Present, _) => Some(found.clone()),
        (Pattern::Is(Scalar::Number(..)), Value::Str(text)) => number_in(text),
        (Pattern::Is(Scalar::Bool(_)), Value::Str(text)) => text.parse().ok().map(Value::Bool),
        (Pattern::Is(Scalar::Number(..) | Scalar::Bool(_)), _) => Some(found.clone()),
        (Pattern::Is(Scalar::Text(_)) | Pattern::Begins(_), _) => Some(found.clone()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use spanscope_model::filter::SpanSubject;
    use spanscope_model::{Span, SpanId, Timestamp, TraceId};

    use super::*;

    #[test]
    fn what_is_asked_for_decides_how_a_text_is_read() {
        let ids = (
            TraceId::from_bytes([1; 16]).unwrap(),
            SpanId::from_bytes([2; 8]).unwrap(),
        );
        let mut span = Span::new(ids.0, ids.1, "work", Timestamp::from_nanos(0));
        for (key, value) in [("n", "7"), ("f", "7.0"), ("b", "true"), ("t", "seven")] {
            span.attributes.set(key, value);
        }
        span.attributes.set("typed", 7);
        for (filter, expected) in [
            ("n=7", true),
            ("n>5", true),
            ("n>7", false),
            (r#"n="7""#, true),
            ("n!=8", true),
            ("n!=7", false),
            ("n=6,7", true),
            ("f=7", true),
            ("b=true", true),
            ("b!=false", true),
            ("t>5", false),
            ("t=sev*", true),
            ("t~EVE", true),
            (r#"typed="7""#, false),
            ("typed>6", true),
            ("missing!=1", false),
            ("-missing=1", true),
            ("name=work", true),
        ] {
            let parsed: Filter = filter.parse().unwrap();
            assert_eq!(matches(&parsed, &SpanSubject::new(&span)), expected, "{filter}");
        }
    }
}
