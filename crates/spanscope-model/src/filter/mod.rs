//! The filter language: one text for the pages, the command and the API, read here and nowhere else.
//!
//! ```text
//! filter = term*                     all must hold, on one same span
//! term   = ["-"] (key op value | word | "quoted text")
//! op     = "=" "!=" ">" ">=" "<" "<=" "~" "!~"
//! key    = name status kind duration start end_time service category trace span parent level
//!        | trace.duration trace.spans trace.errors trace.tokens trace.cost
//!        | any attribute key, literally; attributes.KEY forces it; "KEY with blanks"
//!        | resource.KEY, an attribute of the resource of the program that sent it
//! value  = word | "quoted" | number[ns us ms s m h] | true | false | a,b,c | text* | *
//! ```
//!
//! - `key=v` compares by type: numbers as numbers, texts as texts. `key!=v` needs the key to be there
//!   with another value; `-key=v` also matches what lacks the key.
//! - `~` contains, upper and lower case of ASCII alike; `a,b,c` is any of them; `text*` begins;
//!   `*` is there, whatever it is. In quotes (those of JSON) a text is what it is.
//! - An attribute that the span lacks is looked for in the resource: `host.name=box` finds the spans of
//!   programs on that host. `resource.KEY` is the resource's, whatever the span has under `KEY`.
//! - A word alone looks into the name, the status message, the messages of events and the attributes
//!   that are texts.
//!
//! [`Filter::matches`] is the reference for what a filter means: a store that answers filters in its
//! own language is compared with it. Nothing here does I/O, reads a clock or knows a store.
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
mod where_condition;
mod write;

use serde::{Deserialize, Serialize};
use serde_json::Number;

pub use error::FilterError;
pub use eval::{attribute_matches, field_matches, text_contains, trace_matches};
pub use key::{FilterField, FilterKey, TimeUnit, TraceField, resource_key};
pub use parse::{MAX_LEN, MAX_TERMS, MAX_VALUES};
pub use subject::{EventSubject, FieldValue, FilterSubject, SpanSubject, TraceNumbers};

/// Terms that must all hold on one same span. Without terms it matches everything.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Filter {
    /// The terms, in the order of the text.
    pub terms: Vec<FilterTerm>,
}

/// One term of a [`Filter`]. Its JSON is for stores, which hand terms on to their own language; people
/// and programs write a filter as text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FilterTerm {
    /// Whether the term holds where its test does not: also where the span lacks the key.
    pub negated: bool,
    /// What is tested.
    pub test: FilterTest,
}

/// What a term tests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FilterTest {
    /// The name, the status message, a message of an event or an attribute contains this text.
    Text(String),
    /// The value under a key.
    Compare(Comparison),
}

/// A key, an operator and one value, or several of which any may fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// What is compared.
    pub key: FilterKey,
    /// How.
    pub op: FilterOp,
    /// With what. Without values nothing fits.
    pub values: Vec<Pattern>,
}

crate::text_enum!(
    /// How a filter compares.
    FilterOp, "operator",
    /// Is the same.
    Eq = "=",
    /// Is there, and is another.
    Ne = "!=",
    /// Is greater.
    Gt = ">",
    /// Is greater or the same.
    Ge = ">=",
    /// Is less.
    Lt = "<",
    /// Is less or the same.
    Le = "<=",
    /// Contains the text; upper and lower case of ASCII are alike.
    Contains = "~",
    /// Is there, and doesn't contain the text.
    NotContains = "!~",
);

/// One value of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Pattern {
    /// This value.
    Is(Scalar),
    /// A text that begins so.
    Begins(String),
    /// Any value.
    Present,
}

/// A single value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Scalar {
    /// A text.
    Text(String),
    /// A truth value.
    Bool(bool),
    /// A number, with the unit that was written behind it.
    Number(Number, Option<TimeUnit>),
}

impl Filter {
    /// Whether it has no terms, and so matches everything.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The attribute keys that it compares, to look for slips among the keys that a store knows.
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
