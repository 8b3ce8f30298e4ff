//! Replaces `expression.rs` without the feature `regex`.

use std::convert::Infallible;

use spanscope_model::{LabelMatcher, StoreError};

/// A compiled expression, which can't exist without the feature.
pub(super) struct Expression(Infallible);

impl Expression {
    pub(super) fn new(matcher: &LabelMatcher) -> Result<Self, StoreError> {
        Err(StoreError::unsupported(format!(
            "a regular expression for the label {:?} needs the feature `regex` of the crate `spanscope-sqlite`",
            matcher.name
        )))
    }

    pub(super) fn is_match(&self, _value: &str) -> bool {
        match self.0 {}
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use spanscope_model::{MetricQuery, Timestamp, TraceStore, block_on};

    use crate::SqliteStore;

    #[test]
    fn without_the_feature_a_regular_expression_is_unsupported_and_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::builder().open(folder.path().join("s.db")).unwrap();
        assert!(!store.capabilities().label_regex);
        for (operator, is_regex) in [("=", false), ("!=", false), ("=~", true), ("!~", true)] {
            let mut query = MetricQuery::range("m", Timestamp::from_nanos(0));
            query.matchers = vec![spanscope_model::LabelMatcher {
                name: "model_id".to_owned(),
                value: "llama.*".to_owned(),
                operator: operator.parse().unwrap(),
            }];
            let result = block_on(store.query_metrics(query));
            assert_eq!(result.is_err(), is_regex, "{operator}");
            if let Err(error) = result {
                assert!(error.is_unsupported(), "{error}");
                assert!(error.to_string().contains("the feature `regex`"), "{error}");
            }
        }
    }
}
