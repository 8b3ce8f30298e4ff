//! The commands of the README and of the book, run as they are shown, and their output compared
//! with what the page shows. The reference of the command is compared with its `--help` texts.
//!
//! The rules for a page:
//!
//! - The `console` blocks of a page are one session in a new home: lines that begin with `$ ` are
//!   commands, the lines below are their output. A line `...` stands for any lines. A command
//!   without output below only has to succeed.
//! - Times, durations, ids and the lengths of bars differ from run to run and are not compared; see
//!   [`normal`].
//! - `spanscope serve`, and a command that ends with `&`, keep running. The address that a page
//!   shows for them is replaced by the actual one.
//! - Statements of `sql` blocks are run by `spanscope sql`.
//! - `yaml` blocks are settings files, which a program must accept without a warning.
//! - `sh` blocks are not run, because they need other programs or the network. In the README only
//!   commands that install something are in `sh` blocks.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod normal;
mod page;
mod reference;
mod shell;

use std::path::{Path, PathBuf};

use page::{Block, Page};
use shell::Shell;

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs the commands, statements and settings of a page. Returns the differences.
fn run(page: &Page) -> Vec<String> {
    let mut shell = Shell::new();
    let mut differences = Vec::new();
    for block in &page.blocks {
        let found = match block {
            Block::Console { line, commands } => commands
                .iter()
                .map(|command| (*line, shell.check(&command.text, &command.output)))
                .collect(),
            Block::Sql { line, statements } => statements
                .iter()
                .map(|statement| (*line, shell.check_sql(statement)))
                .collect(),
            Block::Other { line, language, text } if language == "yaml" => {
                vec![(*line, shell.check_settings(text))]
            }
            Block::Other { .. } => Vec::new(),
        };
        differences.extend(found.into_iter().filter_map(|(line, difference)| {
            difference.map(|difference| format!("{}:{line}: {difference}", page.name))
        }));
    }
    differences
}

fn assert_none(differences: &[String]) {
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

/// The programs of the examples, which are built with the workspace and not with this package.
fn examples_are_here() -> bool {
    let is_here = shell::programs().join("hello").is_file();
    if !is_here {
        spanscope_tests::skip(
            "the examples are not built: run `cargo test --workspace`, or build them first",
        );
    }
    is_here
}

#[test]
fn the_readme_shows_what_its_commands_print() {
    if examples_are_here() {
        assert_none(&run(&Page::read(&root(), "README.md")));
    }
}

#[test]
fn the_pages_of_the_book_show_what_their_commands_print() {
    if !examples_are_here() {
        return;
    }
    let differences: Vec<String> = page::names(&root())
        .iter()
        .flat_map(|name| run(&Page::read(&root(), name)))
        .collect();
    assert_none(&differences);
}

#[test]
fn every_command_of_the_readme_is_run_but_those_that_install() {
    for block in Page::read(&root(), "README.md").blocks {
        if let Block::Other { line, language, text } = block
            && language == "sh"
        {
            for command in text.lines() {
                assert!(
                    command.starts_with("cargo add ") || command.starts_with("cargo install "),
                    "README.md:{line}: `{command}` is in a block that no test runs"
                );
            }
        }
    }
}

#[test]
fn the_first_program_of_the_readme_is_the_example_hello() {
    let source = std::fs::read_to_string(root().join("examples/src/bin/hello.rs")).unwrap();
    let first = Page::read(&root(), "README.md")
        .blocks
        .into_iter()
        .find_map(|block| match block {
            Block::Other { language, text, .. } if language == "rust" => Some(text),
            _ => None,
        });
    let first = first.unwrap();
    assert!(
        source.ends_with(&first),
        "examples/src/bin/hello.rs does not end with:\n{first}"
    );
}
