//! The files of the repository, for the tests that read them, without the output of builds and
//! installed tools.

use std::path::{Path, PathBuf};

/// Generated folders, at any depth: git ignores them.
const MADE: [&str; 2] = ["target", "node_modules"];

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All files, by their paths in the repository with `/`, in order. Hidden ones are left out, except
/// those that run in CI.
pub(crate) fn files() -> Vec<String> {
    files_below(&root())
}

fn files_below(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let is_hidden = name.starts_with('.') && name != ".ci";
            if is_hidden || MADE.contains(&&*name) {
                continue;
            }
            let path = format!("{folder}{name}");
            // A link is not followed: it may lead out of the repository.
            if entry.file_type().unwrap().is_dir() {
                folders.push(path + "/");
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

#[test]
fn installed_tools_are_not_files_of_the_repository() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in [
        "ui/node_modules/other/docs",
        "ui/src",
        "target/doc",
        ".git",
        ".ci",
    ] {
        std::fs::create_dir_all(path(name)).unwrap();
        std::fs::write(path(name).join("README.md"), "no title").unwrap();
    }
    assert_eq!(files_below(folder.path()), [".ci/README.md", "ui/src/README.md"]);
}
