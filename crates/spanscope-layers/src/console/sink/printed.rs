//! Stdout by `print!`: the only output that `cargo test` captures for the test on whose thread it
//! is.

use std::io::{Error, Result};
use std::panic::catch_unwind;

/// Prints lines. `print!` panics if stdout can't be written; that is an error here.
///
/// # Errors
/// Fails if stdout can't be written.
pub(super) fn write(lines: &str) -> Result<()> {
    catch_unwind(|| print!("{lines}")).map_err(|_| Error::other("stdout can't be written"))
}
