//! What a filter matches where stored values have no types.

use super::{
    Comparison, Filter, FilterKey, FilterOp, FilterSubject, FilterTerm, FilterTest, Pattern, Scalar,
    attribute_matches, resource_key,
};
use crate::Value;

impl Filter {
    /// Returns whether all terms match a record of a store without
    /// [types](crate::Capabilities::typed_attributes), which may have `7` as a text.
    ///
    /// The question decides: a number in it is compared with a text that is a number, and a boolean
    /// with `true` and `false`. Everything else is as [`matches`](Self::matches) has it.
    ///
    /// # Examples
    /// ```
    /// use spanscope_model::filter::{Filter, SpanSubject};
    /// # let span: spanscope_model::Span = serde_json::from_value(serde_json::json!({
    /// #     "span_id": "00f067aa0ba902b7", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "name": "chat",
    /// #     "start_time": "2026-11-21T14:03:00Z", "end_time": "2026-11-21T14:03:02Z", "status": "ok",
    /// #     "attributes": {"retries": "7"}, "parent_span_id": null
    /// # })).unwrap();
    /// // A span whose attribute `retries` is the text `7`.
    /// let (subject, filter) = (SpanSubject::new(&span), "retries>5".parse::<Filter>()?);
    /// assert!(filter.matches_untyped(&subject) && !filter.matches(&subject));
    /// # Ok::<(), spanscope_model::filter::FilterError>(())
    /// ```
    #[must_use]
    pub fn matches_untyped(&self, subject: &impl FilterSubject) -> bool {
        self.terms.iter().all(|term| term.matches_untyped(subject))
    }
}

impl FilterTerm {
    fn matches_untyped(&self, subject: &impl FilterSubject) -> bool {
        match &self.test {
            FilterTest::Compare(comparison) => match &comparison.key {
                FilterKey::Attribute(key) => {
                    let found = subject.attribute(key);
                    let found = found.or_else(|| subject.resource_attribute(resource_key(key)));
                    value_matches(comparison, found) != self.negated
                }
                FilterKey::Field(_) | FilterKey::Trace(_) => self.matches(subject),
            },
            FilterTest::Text(_) => self.matches(subject),
        }
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
        (Pattern::Is(Scalar::Number(..)), Value::Str(text)) => Value::number_in(text),
        (Pattern::Is(Scalar::Bool(_)), Value::Str(text)) => text.parse().ok().map(Value::Bool),
        _ => Some(found.clone()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use crate::filter::SpanSubject;
    use crate::{Span, SpanId, Timestamp, TraceId};

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
            assert_eq!(
                parsed.matches_untyped(&SpanSubject::new(&span)),
                expected,
                "{filter}"
            );
        }
    }
}
