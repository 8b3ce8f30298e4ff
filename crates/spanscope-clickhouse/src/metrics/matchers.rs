//! Conditions on labels, as in Prometheus: regular expressions match the whole value, and a missing
//! label is empty. Their meaning and their bounds are those of the SQLite store.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};
use spanscope_model::text::excerpt;
use spanscope_model::{LabelMatcher, LabelOperator, StoreError};

/// The longest expression, in bytes.
const MAX_LEN: usize = 4096;
/// The largest compiled expression, in bytes.
const MAX_COMPILED: usize = 1 << 20;

pub(super) struct Matchers(Vec<(String, bool, Test)>);

enum Test {
    Is(String),
    Matches(Regex),
}

impl Matchers {
    pub(super) fn new(matchers: &[LabelMatcher]) -> Result<Self, StoreError> {
        let read = matchers.iter().map(|matcher| {
            let is = || Ok(Test::Is(matcher.value.clone()));
            let (test, wanted) = match matcher.operator {
                LabelOperator::Equals => (is(), true),
                LabelOperator::NotEquals => (is(), false),
                LabelOperator::RegexMatch => (whole(matcher), true),
                LabelOperator::RegexNotMatch => (whole(matcher), false),
            };
            Ok((matcher.name.clone(), wanted, test?))
        });
        read.collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn match_all(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|(label, wanted, test)| {
            let value = labels.get(label).map_or("", String::as_str);
            *wanted
                == match test {
                    Test::Is(wanted) => value == wanted,
                    Test::Matches(wanted) => wanted.is_match(value),
                }
        })
    }
}

/// The expression, made to match whole values only.
fn whole(matcher: &LabelMatcher) -> Result<Test, StoreError> {
    let LabelMatcher { name, value, .. } = matcher;
    let refused = |why: &str| {
        let short = excerpt(value, 80);
        StoreError::invalid(format!(
            "the regular expression {short:?} for the label {name:?} can't be used: {why}"
        ))
    };
    if value.len() > MAX_LEN {
        return Err(refused(&format!("it is longer than {MAX_LEN} bytes")));
    }
    let compile = |text: &str| {
        let mut builder = RegexBuilder::new(text);
        builder.size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED);
        builder.build().map_err(|error| match &error {
            regex::Error::CompiledTooBig(_) => refused("it would grow too large"),
            _ => {
                // The last line has the error; those before draw the expression.
                let text = error.to_string();
                let why = text.lines().last().unwrap_or_default();
                refused(why.trim_start_matches("error: "))
            }
        })
    };
    // Unmodified first: `a)|(b` would become valid between the parentheses.
    compile(value)?;
    compile(&format!(r"\A(?s:{value})\z")).map(Test::Matches)
}
