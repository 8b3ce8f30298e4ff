//! What the command says beside its answer. Nothing of it is on stdout, which programs read.

use std::fmt;
use std::io::{self, Write};

/// Writes a remark to stderr, after the name of the command.
///
/// Unlike `eprintln!` it doesn't panic where stderr can't be written: what the command did is done
/// all the same.
pub(crate) fn remark(text: impl fmt::Display) {
    // One write, so that lines of several programs don't mix.
    let _ = io::stderr().write_all(format!("spanscope: {text}\n").as_bytes());
}
