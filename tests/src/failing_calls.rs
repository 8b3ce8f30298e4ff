//! A library that makes system calls of one program fail; `fail.c` describes its variables.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the library into a folder, for `LD_PRELOAD`. Returns `None`, with a message, if
/// there is no C compiler.
#[must_use]
pub fn library(folder: &Path) -> Option<PathBuf> {
    let library = folder.join("fail.so");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src/fail.c"))
        .arg("-ldl")
        .status();
    if built.is_ok_and(|status| status.success()) {
        return Some(library);
    }
    crate::skip("no C compiler builds a library here");
    None
}
