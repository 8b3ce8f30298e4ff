//! Code that the sources of the published crates must not contain.

use std::fs;
use std::path::{Path, PathBuf};

/// Each panics where its stream can't be written: when the reader of a pipe is gone, or on a full
/// disk.
const PANICKING: [&str; 5] = ["print!", "println!", "eprint!", "eprintln!", "dbg!"];

/// The macros that code outside tests calls, each as its line and itself.
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
        let is_of_tests =
            path.ends_with("tests") || path.to_str().is_some_and(|path| path.ends_with("tests.rs"));
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

/// The sources of all crates but the benchmark, which is run by hand, and the stores' tests.
pub(crate) fn sources() -> Vec<PathBuf> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let mut files = Vec::new();
    for entry in fs::read_dir(crates).unwrap() {
        let folder = entry.unwrap().path();
        if !(folder.ends_with("spanscope-bench") || folder.ends_with("spanscope-store-tests")) {
            rust_files(&folder.join("src"), &mut files);
        }
    }
    assert!(
        files.len() > 300,
        "only {} files: is the path wrong?",
        files.len()
    );
    files
}

/// The one source that prints, because nothing else is captured by `cargo test`. It catches the
/// panic.
const PRINTS: &str = "spanscope-layers/src/console/sink/printed.rs";

#[test]
fn no_message_of_spanscope_can_panic() {
    let mut files = sources();
    let all = files.len();
    files.retain(|file| !file.to_str().unwrap().replace('\\', "/").ends_with(PRINTS));
    assert_eq!(files.len(), all - 1, "{PRINTS}");
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

/// Sources that use stderr by themselves, and why that is safe.
const MAY_USE_STDERR: [(&str, &str); 3] = [
    (
        "spanscope-core/src/queue/log_to_stderr.rs",
        "writes on a thread that nothing waits for",
    ),
    (
        "spanscope-layers/src/console/sink.rs",
        "writes on the console's own thread, or for a caller that asked for it",
    ),
    (
        "spanscope-layers/src/console/terminal.rs",
        "asks what it is, and writes nothing",
    ),
];

#[test]
fn only_the_listed_sources_write_to_stderr() {
    let mut used: Vec<String> = Vec::new();
    for file in sources() {
        let source = fs::read_to_string(&file).unwrap();
        let mut code = source
            .lines()
            .take_while(|line| !line.starts_with("#[cfg(test)]"))
            .filter(|line| !line.trim_start().starts_with("//"));
        if code.any(|line| line.contains("io::stderr()")) {
            used.push(file.to_str().unwrap().replace('\\', "/"));
        }
    }
    let is_known = |path: &&String| MAY_USE_STDERR.iter().any(|(known, _)| path.ends_with(known));
    let unknown: Vec<_> = used.iter().filter(|path| !is_known(path)).collect();
    assert_eq!(unknown, Vec::<&String>::new(), "write by `log_to_stderr`");
    assert_eq!(used.len(), MAY_USE_STDERR.len(), "{used:?}");
}

#[test]
fn the_search_finds_each_macro_and_skips_comments_and_tests() {
    let source = "fn f() {\n    eprintln!(\"{}\", dbg!(1));\n    // println!\n    std::print!(\"\");\n    write!(f, \"\");\n}\n\
                  /// println!(\"an example\");\n#[cfg(test)]\nmod tests { fn g() { println!(); }
                  /// }\n";
    let found = panicking_macros(source);
    let found: Vec<_> = found.iter().map(|(line, word)| (*line, word.as_str())).collect();
    assert_eq!(found, [(2, "eprintln!"), (2, "dbg!"), (4, "print!")]);
}

/// The beginnings of the names that conventions define.
const CONVENTIONS: [&str; 7] = [
    "gen_ai.",
    "llm.",
    "openinference.",
    "traceloop.",
    "langfuse.",
    "ai.",
    "mcp.",
];

/// Sources that may write such names, and why.
const MAY_NAME: [(&str, &str); 9] = [
    (
        "spanscope-calls/src/call.rs",
        "names in the table that are not the first of their meaning",
    ),
    (
        "spanscope-model/src/semconv/",
        "the table, and kinds of the Vercel AI SDK",
    ),
    (
        "spanscope-layers/src/genai/",
        "declare the fields of spans, which a test finds in the table",
    ),
    ("spanscope-layers/src/metrics/names.rs", "names of metrics"),
    (
        "spanscope-sqlite/src/store/usage.rs",
        "labels of measurements in a statement",
    ),
    ("spanscope-runs/src/step.rs", "kinds of the Vercel AI SDK"),
    ("spanscope-cli/src/demo.rs", "declares the fields of a span"),
    ("spanscope-demo/src/retrieval.rs", "declares the fields of a span"),
    ("spanscope-demo/src/tools.rs", "declares the fields of a span"),
];

/// The names of conventions in literals outside comments and tests, each with its line.
fn convention_names(source: &str) -> Vec<(usize, String)> {
    let code = source
        .lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"));
    let code = code
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.flat_map(|(number, line)| {
        let literals = line.split('"').skip(1).step_by(2);
        let named = literals.filter(|text| CONVENTIONS.iter().any(|start| text.starts_with(start)));
        let named: Vec<_> = named.map(|text| (number + 1, text.to_owned())).collect();
        named
    })
    .collect()
}

#[test]
fn attributes_of_conventions_are_named_in_one_table() {
    let mut used = [false; MAY_NAME.len()];
    let mut found = Vec::new();
    for file in sources() {
        let path = file.to_str().unwrap().replace('\\', "/");
        let names = convention_names(&fs::read_to_string(&file).unwrap());
        match MAY_NAME.iter().position(|(allowed, _)| path.contains(allowed)) {
            Some(place) => used[place] |= !names.is_empty(),
            None => found.extend(
                names
                    .into_iter()
                    .map(|(line, name)| format!("{path}:{line}: {name}")),
            ),
        }
    }
    assert_eq!(
        found,
        Vec::<String>::new(),
        "write `SemanticAttribute::...`; a new name is a row of `semconv::ATTRIBUTES`"
    );
    let unused = MAY_NAME.iter().zip(used).filter(|(_, is_used)| !is_used);
    let unused: Vec<_> = unused.map(|((path, _), _)| *path).collect();
    assert_eq!(unused, Vec::<&str>::new(), "these need not be on the list");
}

#[test]
fn the_search_for_names_skips_comments_and_tests() {
    let source = "/// \"gen_ai.a\"\nlet a = [\"gen_ai.b\", \"x\", \"llm.c\"];\nlet agent = \"ai\";\n#[cfg(test)]\nlet d = \"mcp.d\";\n";
    let found = convention_names(source);
    let found: Vec<_> = found.iter().map(|(line, name)| (*line, name.as_str())).collect();
    assert_eq!(found, [(2, "gen_ai.b"), (2, "llm.c")]);
}
