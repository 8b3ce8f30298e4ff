//! Messages in addition to the result. They are written to stderr, because programs read stdout.

use std::fmt;

use spanscope_core::queue::log_to_stderr;

/// Writes a remark to stderr, after the name of the command.
///
/// Unlike `eprintln!` it neither panics if stderr can't be written nor blocks for long: a remark
/// must not stop the command.
pub(crate) fn remark(text: impl fmt::Display) {
    log_to_stderr(format!("spanscope: {text}"));
}
