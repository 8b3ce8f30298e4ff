//! The fenced blocks of a Markdown page.

use std::path::Path;

/// A page and its blocks, in their order.
pub(crate) struct Page {
    /// Its path in the repository.
    pub(crate) name: String,
    pub(crate) blocks: Vec<Block>,
}

/// A fenced block; `line` is where it begins, from 1.
pub(crate) enum Block {
    Console {
        line: usize,
        commands: Vec<Command>,
    },
    Sql {
        line: usize,
        statements: Vec<String>,
    },
    Other {
        line: usize,
        language: String,
        text: String,
    },
}

/// A command and the output below it.
pub(crate) struct Command {
    pub(crate) text: String,
    pub(crate) output: Vec<String>,
}

impl Page {
    pub(crate) fn read(root: &Path, name: &str) -> Self {
        let text = std::fs::read_to_string(root.join(name)).unwrap();
        Self {
            name: name.to_owned(),
            blocks: blocks(&text),
        }
    }
}

/// The pages of the book.
pub(crate) fn names(root: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec!["docs".to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            if entry.path().is_dir() {
                folders.push(name);
            } else if Path::new(&name)
                .extension()
                .is_some_and(|extension| extension == "md")
            {
                names.push(name);
            }
        }
    }
    names.sort();
    names
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(info) = line.trim_start().strip_prefix("```") else {
            continue;
        };
        let indent = line.len() - line.trim_start().len();
        let content: Vec<&str> = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| !line.trim_start().starts_with("```"))
            .map(|line| line.get(indent..).unwrap_or_default())
            .collect();
        let language = info.split([',', ' ']).next().unwrap_or_default();
        let line = number + 1;
        blocks.push(match language {
            "console" => Block::Console {
                line,
                commands: commands(&content),
            },
            "sql" => Block::Sql {
                line,
                statements: statements(&content.join("\n")),
            },
            _ => Block::Other {
                line,
                language: language.to_owned(),
                text: content.iter().map(|line| format!("{line}\n")).collect(),
            },
        });
    }
    blocks
}

fn commands(lines: &[&str]) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    let mut continues = false;
    for line in lines {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push(Command {
                text: command.to_owned(),
                output: Vec::new(),
            });
        } else if let Some(command) = commands.last_mut() {
            if continues {
                command.text = format!("{}\n{line}", command.text);
            } else {
                command.output.push((*line).to_owned());
                continue;
            }
        }
        continues = line.ends_with('\\');
    }
    commands
}

fn statements(text: &str) -> Vec<String> {
    text.split(';')
        .map(|statement| statement.trim().to_owned())
        .filter(|statement| !statement.is_empty())
        .collect()
}

#[test]
fn a_page_is_read_as_blocks_commands_and_outputs() {
    let page = "# A\n```console\n$ export A=1\n$ curl -d 1 \\\n    x\nanswer\n\nmore\n```\n```sql\nSELECT 1;\nSELECT\n2;\n```\n";
    let blocks = blocks(page);
    let Block::Console { line: 2, commands } = &blocks[0] else {
        panic!("a console block comes first");
    };
    assert_eq!(commands[0].text, "export A=1");
    assert!(commands[0].output.is_empty());
    assert_eq!(commands[1].text, "curl -d 1 \\\n    x");
    assert_eq!(commands[1].output, ["answer", "", "more"]);
    let Block::Sql { line: 10, statements } = &blocks[1] else {
        panic!("then SQL");
    };
    assert_eq!(statements, &["SELECT 1", "SELECT\n2"]);
}
