//! Rust code on the pages is compiled: whole programs and functions as documentation of
//! `spanscope-examples`, excerpts as parts of the examples.

use std::fs;

use super::{blocks, documents, read, root};

/// The sources that pages quote in `rust,ignore` blocks.
fn sources() -> Vec<String> {
    let folder = root().join("examples/src/bin");
    let mut texts: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    texts.push(read("crates/spanscope/src/lib.rs"));
    texts
}

#[test]
fn every_page_with_rust_code_is_compiled() {
    let compiled = read("examples/src/book.rs");
    for document in documents() {
        let has_code = blocks(&read(&document))
            .iter()
            .any(|block| block.info.starts_with("rust") && !block.info.contains("ignore"));
        if has_code {
            let path = match document.strip_prefix("examples/") {
                Some(path) => format!("../{path}"),
                None => format!("../../{document}"),
            };
            let include = format!("include_str!(\"{path}\")");
            assert!(
                compiled.contains(&include),
                "examples/src/book.rs has no {include}"
            );
        }
    }
}

#[test]
fn every_excerpt_of_a_program_is_in_an_example() {
    let sources = sources();
    let mut count = 0;
    for document in documents() {
        if !document.starts_with("docs/") && document != "README.md" {
            continue;
        }
        for block in blocks(&read(&document)) {
            if block.info != "rust,ignore" {
                continue;
            }
            count += 1;
            let is_there = sources.iter().any(|source| source.contains(&block.text));
            assert!(
                is_there,
                "{document}:{}: no example has this text:\n{}",
                block.line, block.text
            );
        }
    }
    assert!(count >= 6, "only {count} excerpts");
}
