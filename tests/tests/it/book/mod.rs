//! The README, the pages of the book and the other Markdown files: each page is in the table of
//! contents, each link leads somewhere, and the reference equals the code.

mod excerpts;
mod links;
mod reference;
mod speed;

use std::path::Path;

use crate::repository::{files, root};

/// Rewrites generated pages instead of comparing them.
const WRITE: &str = "SPANSCOPE_WRITE_DOCS";

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The Markdown files that people read, by their path in the repository.
fn documents() -> Vec<String> {
    let mut names = files();
    names.retain(|name| has_extension(name, "md") && !name.contains("/src/"));
    assert!(
        names.contains(&"crates/spanscope-calls/README.md".to_owned()),
        "{names:?}"
    );
    names
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|found| found == extension)
}

/// The lines of a document outside of fenced blocks, with their numbers from 1.
fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut is_fenced = false;
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        } else if !is_fenced {
            lines.push((number + 1, line));
        }
    }
    lines
}

/// A fenced block of a document.
struct Block {
    line: usize,
    info: String,
    text: String,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut is_fenced = false;
    for (number, line) in text.lines().enumerate() {
        match line.trim_start().strip_prefix("```") {
            Some(info) if !is_fenced => {
                is_fenced = true;
                blocks.push(Block {
                    line: number + 1,
                    info: info.to_owned(),
                    text: String::new(),
                });
            }
            Some(_) => is_fenced = false,
            None if is_fenced => {
                let block = blocks.last_mut().unwrap();
                block.text.push_str(line);
                block.text.push('\n');
            }
            None => {}
        }
    }
    blocks
}
