//! A library that makes system calls of one program fail; `fail.c` says which variables tell it to.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the library into a folder, for `LD_PRELOAD`. `None` where no C compiler is here, which is
/// reported.
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
