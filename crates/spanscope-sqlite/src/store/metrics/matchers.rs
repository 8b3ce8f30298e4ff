//! Conditions on labels, as in Prometheus: regular expressions match the whole value, and a missing
//! label is empty.

use std::collections::BTreeMap;

use spanscope_model::{LabelMatcher, LabelOperator, StoreError};

use super::expression::Expression;
use crate::file::text::without_nul;

pub(super) struct Matchers(Vec<Matcher>);

struct Matcher {
    label: String,
    test: Test,
    /// The result if the test succeeds.
    wanted: bool,
}

enum Test {
    Is(String),
    Matches(Expression),
}

impl Matchers {
    pub(super) fn new(matchers: &[LabelMatcher]) -> Result<Self, StoreError> {
        matchers
            .iter()
            .map(Matcher::new)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(super) fn match_all(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|matcher| {
            let value = labels.get(&matcher.label).map_or("", String::as_str);
            matcher.wanted
                == match &matcher.test {
                    Test::Is(wanted) => value == wanted,
                    Test::Matches(wanted) => wanted.is_match(value),
                }
        })
    }
}

impl Matcher {
    fn new(matcher: &LabelMatcher) -> Result<Self, StoreError> {
        let is = || Test::Is(without_nul(&matcher.value).into_owned());
        let (test, wanted) = match matcher.operator {
            LabelOperator::Equals => (is(), true),
            LabelOperator::NotEquals => (is(), false),
            LabelOperator::RegexMatch => (Test::Matches(Expression::new(matcher)?), true),
            LabelOperator::RegexNotMatch => (Test::Matches(Expression::new(matcher)?), false),
        };
        Ok(Self {
            label: without_nul(&matcher.name).into_owned(),
            test,
            wanted,
        })
    }
}

#[cfg(all(test, feature = "regex"))]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::super::expression::MAX_LEN;
    use super::*;

    fn matches(operator: &str, value: &str, label: &str) -> Result<bool, StoreError> {
        let matchers = Matchers::new(&[LabelMatcher {
            name: "k".to_owned(),
            value: value.to_owned(),
            operator: operator.parse().unwrap(),
        }])?;
        let labels = [("k".to_owned(), label.to_owned())].into_iter();
        Ok(matchers.match_all(&labels.filter(|(_, value)| !value.is_empty()).collect()))
    }

    #[test]
    fn expressions_match_whole_values_and_a_missing_label_is_empty() {
        for (operator, value, label, expected) in [
            ("=", "llama", "llama", true),
            ("=", "llam", "llama", false),
            ("=", "", "", true),
            ("!=", "llama", "", true),
            ("!=", "", "", false),
            ("=~", "llama.*", "llama-3", true),
            ("=~", "lama", "llama", false),
            ("=~", "a|ab", "ab", true),
            ("=~", "a|b", "xb", false),
            ("=~", ".*", "", true),
            ("=~", ".+", "", false),
            ("=~", "a.b", "a\nb", true),
            ("!~", "llama.*", "mini", true),
            ("!~", "llama.*", "llama", false),
            ("=~", "a$", "a\n", false),
        ] {
            assert_eq!(
                matches(operator, value, label).unwrap(),
                expected,
                "{operator}{value} on {label:?}"
            );
        }
    }

    #[test]
    fn errors_quote_expressions_that_are_invalid_or_too_large() {
        let long = "a".repeat(MAX_LEN + 1);
        for value in [
            "(",
            "a)|(b",
            "[z-a]",
            "*",
            "(?x) a # b",
            "(a{1000}){1000}",
            r"\pL{5000}",
            &long,
        ] {
            let error = matches("=~", value, "a").unwrap_err();
            assert!(error.is_invalid_input(), "{value}");
            let beginning: String = value.chars().take(20).collect();
            assert!(
                error.to_string().contains(&beginning.escape_debug().to_string()),
                "{error}"
            );
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }

    #[test]
    fn an_expression_that_makes_backtracking_engines_exponential_matches_quickly() {
        assert!(!matches("=~", "(a+)+b", &"a".repeat(20_000)).unwrap());
    }
}
