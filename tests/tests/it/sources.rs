//! What the sources of the published crates must not contain.

use std::fs;
use std::path::{Path, PathBuf};

/// Each panics where its stream can't be written: when the reader of a pipe is gone, or on a full disk.
const PANICKING: [&str; 5] = ["print!", "println!", "eprint!", "eprintln!", "dbg!"];

/// The macros that code outside of tests calls, each as its line and itself.
fn panicking_macros(source: &str) -> Vec<(usize, String)> {
    let code = source
        .lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"));
    let mut found = Vec::new();
    for (number, line) in code.enumerate() {
        if line.trim_start().starts_with("//") {
            continue;
        }
        let words = line.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '!'));
        found.extend(
            words
                .filter(|word| PANICKING.contains(word))
                .map(|word| (number + 1, word.to_owned())),
        );
    }
    found
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_of_tests = path.ends_with("tests") || path.ends_with("tests.rs");
        if is_of_tests {
            continue;
        }
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

#[test]
fn no_message_of_ours_can_panic() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let mut files = Vec::new();
    for entry in fs::read_dir(crates).unwrap() {
        let folder = entry.unwrap().path();
        // The benchmark is run by hand, and a panic is how it fails.
        if !folder.ends_with("spanscope-bench") {
            rust_files(&folder.join("src"), &mut files);
        }
    }
    assert!(
        files.len() > 300,
        "only {} files: is the path wrong?",
        files.len()
    );
    let found: Vec<_> = files
        .iter()
        .flat_map(|file| {
            let found = panicking_macros(&fs::read_to_string(file).unwrap());
            found
                .into_iter()
                .map(move |(line, word)| format!("{}:{line}: {word}", file.display()))
        })
        .collect();
    assert_eq!(
        found,
        Vec::<String>::new(),
        "libraries write to stderr by `log_to_stderr`, the command by its module `output`"
    );
}

#[test]
fn the_search_finds_each_macro_and_passes_over_comments_and_tests() {
    let source = "fn f() {\n    eprintln!(\"{}\", dbg!(1));\n    // println!\n    std::print!(\"\");\n    write!(f, \"\");\n}\n\
                  /// println!(\"an example\");\n#[cfg(test)]\nmod tests { fn g() { println!(); } }\n";
    let found = panicking_macros(source);
    let found: Vec<_> = found.iter().map(|(line, word)| (*line, word.as_str())).collect();
    assert_eq!(found, [(2, "eprintln!"), (2, "dbg!"), (4, "print!")]);
}
