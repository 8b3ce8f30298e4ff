//! Conditions on labels, as Prometheus has them: regular expressions match the whole value, and a label that is not there
//! has an empty one.
//!
//! The engine takes time linear in what it reads, whatever the expression. What could grow is the expression itself, so its
//! length and its compiled size are bounded.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};
use spanscope_model::text::excerpt;
use spanscope_model::{LabelMatcher, LabelOperator, StoreError};

use crate::file::text::without_nul;

/// The longest expression, in bytes.
const MAX_LEN: usize = 4096;
/// The largest compiled expression, in bytes.
const MAX_COMPILED: usize = 1 << 20;

pub(super) struct Matchers(Vec<Matcher>);

struct Matcher {
    label: String,
    test: Test,
    /// The answer where the test holds.
    wanted: bool,
}

enum Test {
    Is(String),
    Matches(Regex),
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
            LabelOperator::RegexMatch => (Test::Matches(whole(matcher)?), true),
            LabelOperator::RegexNotMatch => (Test::Matches(whole(matcher)?), false),
        };
        Ok(Self {
            label: without_nul(&matcher.name).into_owned(),
            test,
            wanted,
        })
    }
}

/// The expression, made to match whole values only.
fn whole(matcher: &LabelMatcher) -> Result<Regex, StoreError> {
    let LabelMatcher { name, value, .. } = matcher;
    if value.len() > MAX_LEN {
        return Err(refused(
            name,
            value,
            &format!("it is longer than {MAX_LEN} bytes"),
        ));
    }
    let compile = |text: &str| {
        RegexBuilder::new(text)
            .size_limit(MAX_COMPILED)
            .dfa_size_limit(MAX_COMPILED)
            .build()
            .map_err(|error| match &error {
                regex::Error::CompiledTooBig(_) => refused(name, value, "it would grow too large"),
                _ => {
                    // The last line says what is wrong; those before draw the expression.
                    let text = error.to_string();
                    let why = text.lines().last().unwrap_or_default();
                    refused(name, value, why.trim_start_matches("error: "))
                }
            })
    };
    // By itself first: `a)|(b` would be taken for whole between the parentheses.
    compile(value)?;
    compile(&format!(r"\A(?s:{value})\z"))
}

fn refused(label: &str, expression: &str, why: &str) -> StoreError {
    let short = excerpt(expression, 80);
    StoreError::invalid(format!(
        "the regular expression {short:?} for the label {label:?} can't be used: {why}"
    ))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
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
    fn expressions_that_are_wrong_or_would_blow_up_are_named() {
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
    fn what_blows_up_elsewhere_is_linear_here() {
        assert!(!matches("=~", "(a+)+b", &"a".repeat(20_000)).unwrap());
    }
}
