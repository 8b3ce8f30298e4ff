//! Tests of the category filter: categories, levels, and the text of the variables.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod categories;
mod levels;
mod text;
