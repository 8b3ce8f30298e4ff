//! Sets the commit of an optimised build, for `spanscope --version`.
//!
//! In a package the commit is in a file that cargo adds, in a checkout git has it. Without either,
//! only the version is shown: a build never fails because of it. A debug build has no commit,
//! because otherwise each commit would rebuild the command's tests.

use std::path::Path;
use std::process::Command;

/// Digits of the commit's hash that are shown: more than git needs in a repository of this size.
const SHOWN_DIGITS: usize = 10;

fn main() {
    let version = env!("CARGO_PKG_VERSION");
    println!("cargo::rerun-if-changed=build.rs");
    let optimised = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = if optimised {
        of_package().or_else(of_checkout)
    } else {
        None
    };
    let version = match commit {
        Some(commit) => format!("{version} ({})", &commit[..SHOWN_DIGITS]),
        None => version.to_owned(),
    };
    println!("cargo::rustc-env=SPANSCOPE_VERSION={version}");
}

/// Returns the commit of a package.
fn of_package() -> Option<String> {
    let text = std::fs::read_to_string(".cargo_vcs_info.json").ok()?;
    text.split('"').find(|part| is_commit(part)).map(str::to_owned)
}

/// Returns the commit that is checked out; `None` if this crate was copied into another
/// repository.
pub(crate) fn of_checkout() -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?.parent()?;
    let of_repository = git(&["rev-parse", "--show-toplevel"])?;
    if Path::new(&of_repository).canonicalize().ok()? != root.canonicalize().ok()? {
        return None;
    }
    // git appends a line to this log at each commit and each checkout.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    println!("cargo::rerun-if-changed={log}");
    git(&["rev-parse", "HEAD"]).filter(|commit| is_commit(commit))
}

/// Returns git's output, if it runs.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// Whether this is a commit's hash.
fn is_commit(text: &str) -> bool {
    text.len() >= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
