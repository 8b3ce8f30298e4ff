//! Regular expressions for the values of labels, with the crate `regex`.
//!
//! A match takes time linear in its input, for any expression. A compiled expression can be large,
//! so its length and its compiled size are bounded.

use regex::RegexBuilder;
use spanscope_model::text::excerpt;
use spanscope_model::{LabelMatcher, StoreError};

/// Maximum length of an expression, in bytes.
pub(super) const MAX_LEN: usize = 4096;
/// Maximum size of a compiled expression, in bytes.
const MAX_COMPILED: usize = 1 << 20;

/// A compiled expression.
pub(super) struct Expression(regex::Regex);

impl Expression {
    pub(super) fn new(matcher: &LabelMatcher) -> Result<Self, StoreError> {
        whole(matcher).map(Self)
    }

    pub(super) fn is_match(&self, value: &str) -> bool {
        self.0.is_match(value)
    }
}

/// Compiles the expression to match whole values only.
fn whole(matcher: &LabelMatcher) -> Result<regex::Regex, StoreError> {
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
                    // The last line has the error; those before draw the expression.
                    let text = error.to_string();
                    let why = text.lines().last().unwrap_or_default();
                    refused(name, value, why.trim_start_matches("error: "))
                }
            })
    };
    // Compiled unmodified first: `a)|(b` would become valid inside the group.
    compile(value)?;
    compile(&format!(r"\A(?s:{value})\z"))
}

fn refused(label: &str, expression: &str, why: &str) -> StoreError {
    let short = excerpt(expression, 80);
    StoreError::invalid(format!(
        "the regular expression {short:?} for the label {label:?} can't be used: {why}"
    ))
}
