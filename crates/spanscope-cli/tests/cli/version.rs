//! The output of `--version`, and the origin of the commit in it.

use std::process::Command;

#[expect(dead_code, reason = "one function of the build script is tested here")]
#[path = "../../build.rs"]
mod build;

#[test]
fn the_version_is_that_of_the_package() {
    let output = Command::new(env!("CARGO_BIN_EXE_spanscope"))
        .arg("--version")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let version = text.trim().strip_prefix("spanscope ").unwrap();
    let (version, commit) = version.split_once(' ').unwrap_or((version, ""));
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    assert!(
        commit.is_empty() || (commit.starts_with('(') && commit.len() == 12),
        "{text}"
    );
}

#[test]
fn the_commit_is_the_one_that_is_checked_out() {
    let output = Command::new("git")
        .args(["rev-parse", "HEAD"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else {
        println!("skipped: the tests were not built from a checkout");
        return;
    };
    let head = String::from_utf8(output.stdout).unwrap();
    assert_eq!(build::of_checkout().as_deref(), Some(head.trim()));
}
