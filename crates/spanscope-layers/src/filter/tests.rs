#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod categories;
mod levels;
mod text;
