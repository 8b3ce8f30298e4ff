//! What the command says beside its answer. Nothing of it is on stdout, which programs read.

use std::fmt;

use spanscope_core::queue::log_to_stderr;

/// Writes a remark to stderr, after the name of the command.
///
/// Unlike `eprintln!` it neither panics where stderr can't be written nor waits for long where its
/// reader takes nothing: what the command did is done all the same.
pub(crate) fn remark(text: impl fmt::Display) {
    log_to_stderr(format!("spanscope: {text}"));
}
