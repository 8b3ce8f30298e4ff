//! Stdout by `print!`: the only way to write what `cargo test` captures for the test whose thread it is.

use std::io::{Error, Result};
use std::panic::catch_unwind;

/// Prints lines. `print!` panics where stdout can't be written; that is an error here.
///
/// # Errors
/// Stdout can't be written.
pub(super) fn write(lines: &str) -> Result<()> {
    catch_unwind(|| print!("{lines}")).map_err(|_| Error::other("stdout can't be written"))
}
