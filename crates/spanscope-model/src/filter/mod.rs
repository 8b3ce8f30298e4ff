//! The filter language of the pages, the command and the API, parsed here only.
//!
//! ```text
//! filter = term*                     all must match the same span
//! term   = ["-"] (key op value | word | "quoted text")
//! op     = "=" "!=" ">" ">=" "<" "<=" "~" "!~"
//! key    = name status kind duration start end_time service category trace span parent level
//!        | trace.duration trace.spans trace.errors trace.tokens trace.cost
//!        | any attribute key, literally; attributes.KEY forces it; "KEY with blanks"
//!        | resource.KEY, an attribute of the resource of the program that sent it
//! value  = word | "quoted" | number[ns us ms s m h] | true | false | a,b,c | text* | *
//! ```
//!
//! - `key=v` compares by type: numbers with numbers, texts with texts. Programs may record the same
//!   value as either, so `service.version=1.2` and `done=true` also match the texts `1.2` and
//!   `true`; `"1.2"` matches the text only. `key!=v` matches if the key is present with another
//!   value; `-key=v` also matches if the key is missing.
//! - `~` tests whether the value contains the text, ignoring ASCII case. `a,b,c` matches any of
//!   these values, `text*` a prefix, `*` every value. Text in JSON quotes is literal.
//! - An attribute that the span lacks is looked up in the resource: `host.name=box` finds the
//!   spans of programs on that host. `resource.KEY` is always the resource's attribute, even if the
//!   span has `KEY`.
//! - A word without an operator is searched in the name, the status message, the messages of events
//!   and the attributes that are texts.
//!
//! [`Filter::matches`] is the reference semantics: tests compare it with stores that run filters in
//! their own language. Nothing here does I/O, reads a clock or knows a store.
//!
//! ```
//! use spanscope_model::filter::Filter;
//!
//! let filter: Filter = r#"status=error  -name~health model=gpt-4o,"gpt 5" duration>=1.5s"#.parse()?;
//! assert_eq!(filter.terms.len(), 4);
//! assert_eq!(filter.to_string(), r#"status=error -name~health model=gpt-4o,"gpt 5" duration>=1.5s"#);
//! # Ok::<(), spanscope_model::filter::FilterError>(())
//! ```

mod convert;
mod error;
mod eval;
mod key;
mod parse;
mod subject;
#[cfg(test)]
mod tests;
mod untyped;
mod values;
mod where_condition;
mod write;

use serde::{Deserialize, Serialize};
use serde_json::Number;

pub use error::FilterError;
pub use eval::{attribute_matches, field_matches, text_contains, trace_matches};
pub use key::{FilterField, FilterKey, TimeUnit, TraceField, resource_key};
pub use parse::{MAX_LEN, MAX_TERMS, MAX_VALUES};
pub use subject::{EventSubject, FieldValue, FilterSubject, SpanSubject, TraceNumbers};

/// Terms that must all match the same span. A filter without terms matches everything.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Filter {
    /// The terms, in the order of the text.
    pub terms: Vec<FilterTerm>,
}

/// One term of a [`Filter`]. Its JSON is for stores, which translate terms to their own query
/// language; users write a filter as text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FilterTerm {
    /// Whether the result of the test is inverted; a span that lacks the key then matches.
    pub negated: bool,
    /// The test.
    pub test: FilterTest,
}

/// The test of a term.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FilterTest {
    /// The name, the status message, a message of an event or an attribute contains this text.
    Text(String),
    /// Compares the value under a key.
    Compare(Comparison),
}

/// A key, an operator and one or more values, any of which may match.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The key.
    pub key: FilterKey,
    /// The operator.
    pub op: FilterOp,
    /// The values. Without values nothing matches.
    pub values: Vec<Pattern>,
}

crate::text_enum!(
    /// The operator of a comparison.
    FilterOp, "operator",
    /// Equal.
    Eq = "=",
    /// Present and not equal.
    Ne = "!=",
    /// Greater.
    Gt = ">",
    /// Greater or equal.
    Ge = ">=",
    /// Less.
    Lt = "<",
    /// Less or equal.
    Le = "<=",
    /// Contains the text, ignoring ASCII case.
    Contains = "~",
    /// Present and does not contain the text, ignoring ASCII case.
    NotContains = "!~",
);

/// One value of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Pattern {
    /// Exactly this value.
    Is(Scalar),
    /// A string with this prefix.
    Begins(String),
    /// Any value.
    Present,
}

/// A single value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Scalar {
    /// A string.
    Text(String),
    /// A boolean.
    Bool(bool),
    /// A number, with the unit that follows it.
    Number(Number, Option<TimeUnit>),
}

impl Filter {
    /// Returns whether there are no terms, so that the filter matches everything.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Returns the attribute keys that the filter compares, to find typos by the keys that a store
    /// knows.
    ///
    /// ```
    /// use spanscope_model::filter::Filter;
    /// use spanscope_model::text::nearest;
    ///
    /// let filter: Filter = "status=error gen_ai.request.modle=llama".parse()?;
    /// let keys: Vec<&str> = filter.attribute_keys().collect();
    /// assert_eq!(keys, ["gen_ai.request.modle"]);
    /// assert_eq!(nearest(keys[0], ["gen_ai.request.model"]), Some("gen_ai.request.model"));
    /// # Ok::<(), spanscope_model::filter::FilterError>(())
    /// ```
    pub fn attribute_keys(&self) -> impl Iterator<Item = &str> {
        self.terms.iter().filter_map(|term| match &term.test {
            FilterTest::Compare(Comparison {
                key: FilterKey::Attribute(key),
                ..
            }) => Some(key.as_str()),
            _ => None,
        })
    }
}
