//! The language of the sources: no idioms that a reader has to learn, and lines that fit a screen.

use crate::repository::{self, root};

/// Words and phrases that have a plainer form, which the second column names. Names are
/// split into their words, so that they are checked as well.
const IDIOMS: [(&str, &str); 57] = [
    ("whoever", "the caller, the reader, the client"),
    ("whosoever", "the caller, the reader, the client"),
    ("somebody", "the caller, another thread, a user"),
    ("nobody", "no caller, no client, no tenant"),
    ("anybody", "any caller, any client"),
    ("everybody", "every caller, every client"),
    ("is said", "is logged, is reported"),
    ("are said", "are logged, are reported"),
    ("was said", "was logged, was reported"),
    ("were said", "were logged, were reported"),
    ("be said", "be logged, be reported"),
    ("is told", "is notified, is configured"),
    ("are told", "are notified, are configured"),
    ("was told", "was notified, was configured"),
    ("were told", "were notified, were configured"),
    ("be told", "be notified, be distinguished"),
    ("so many", "this number of, a count"),
    ("of its own", "its own, separate, dedicated"),
    ("of their own", "their own, separate"),
    ("of our own", "Spanscope's"),
    ("likewise", "also, the same way"),
    ("beside", "next to, in addition to"),
    ("anew", "again"),
    ("as there", "name what it is like"),
    ("the same of", "repeat the noun"),
    ("makes of", "derives, converts to"),
    ("made of it", "derived from it, converted to"),
    ("mend", "fix, correct"),
    ("mended", "fixed, corrected"),
    ("what is known", "the data, the state"),
    ("what came", "what was received, new records"),
    ("what comes", "new records, the input"),
    ("what waits", "the queue, the backlog"),
    ("what becomes of", "how it ends"),
    ("what became of", "how it ended"),
    ("goes by", "uses, is found by"),
    ("go by", "use, are found by"),
    ("at one time", "at once, concurrent"),
    ("one behind the other", "in order"),
    ("described system", "Llama Stack"),
    ("all the same", "still, anyway, identical"),
    ("told apart", "distinguished"),
    ("is away", "is unreachable, is stopped"),
    ("are away", "are unreachable, are stopped"),
    ("what is left", "the rest, the queued records"),
    ("what is sent", "the sent records, the requests"),
    ("what was sent", "the sent records, the request"),
    ("what was recorded", "the records"),
    ("what arrived", "the received data"),
    ("one a line", "one per line"),
    ("a line a", "one line per"),
    ("of ours", "Spanscope's, the name of the thing"),
    ("for life", "always, until it ends"),
    ("trouble", "a failure, an error"),
    ("file of settings", "settings file"),
    ("file of tokens", "token file"),
    ("specification section", "name the document"),
];

/// Uses that stay: the end of a file's path, the idiom, and why.
const ALLOWED: [(&str, &str, &str); 1] = [(
    "spanscope-store-tests/src/followed.rs",
    "trouble",
    "the message of a log event",
)];

/// Folders with files that are not written here, or that tests write.
const SKIPPED: [&str; 3] = ["vendor", "fixtures", "snapshots"];

/// Files whose text is not ours to change.
const FROZEN: [&str; 3] = [
    // Schemas as released versions wrote them, to test their upgrade.
    "tests/store/version_",
    // SQLite keeps the text of a statement with its comments, so that of a released version stays.
    "src/file/schema",
    // The idioms themselves.
    "tests/it/language.rs",
];

/// Files whose wording is still to be revised, as paths or as beginnings of paths that end with `/`.
/// Lines are only ever removed.
const UNREVISED: &str = include_str!("language_unrevised.txt");

const CHECKED: [&str; 15] = [
    "rs", "md", "toml", "sql", "py", "mjs", "js", "css", "html", "yml", "yaml", "sh", "c", "snap", "svg",
];

/// Generated from the sources, and what users read first.
const CHECKED_JSON: &str = "openapi.json";

/// The longest line of a comment or of Markdown.
const MAX_WIDTH: usize = 100;

/// All checked files, by their path in the repository.
fn files() -> Vec<String> {
    let mut files = repository::files();
    files.retain(|path| {
        let is_skipped = path.split('/').any(|folder| SKIPPED.contains(&folder));
        is_checked(path) && !is_skipped && !is_left_out(path)
    });
    assert!(
        files.len() > 800,
        "only {} files: is the path wrong?",
        files.len()
    );
    files
}

fn is_left_out(path: &str) -> bool {
    let mut unrevised = UNREVISED.lines();
    FROZEN.iter().any(|frozen| path.contains(frozen))
        || unrevised.any(|left| path == left || (left.ends_with('/') && path.starts_with(left)))
}

fn is_checked(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.rsplit_once('.') {
        Some((_, extension)) => CHECKED.contains(&extension) || name == CHECKED_JSON,
        None => path.starts_with(".ci/"),
    }
}

/// A text as one line in lower case, without the marks of comments, and where its lines begin.
fn flat(text: &str) -> (String, Vec<usize>) {
    let mut flat = String::from(" ");
    let mut starts = Vec::new();
    for line in text.lines() {
        starts.push(flat.len());
        let line = line.trim_start().trim_start_matches(['/', '!', '#', '*', '-']);
        let mut before = ' ';
        for c in line.trim().chars() {
            if c.is_uppercase() && before.is_lowercase() {
                flat.push(' ');
            }
            flat.extend(if c == '_' { ' ' } else { c }.to_lowercase());
            before = c;
        }
        flat.push(' ');
    }
    (flat, starts)
}

/// The idioms of a text, each with its line.
fn idioms(text: &str) -> Vec<(usize, &'static str)> {
    let (flat, starts) = flat(text);
    let is_part = |c: char| c.is_alphanumeric();
    let mut found = Vec::new();
    for (idiom, _) in IDIOMS {
        for (at, _) in flat.match_indices(idiom) {
            let before = flat[..at].chars().next_back();
            let after = flat[at + idiom.len()..].chars().next();
            if !before.is_some_and(is_part) && !after.is_some_and(is_part) {
                found.push((starts.partition_point(|start| *start <= at), idiom));
            }
        }
    }
    found.sort_unstable();
    found
}

/// The lines of comments, or of Markdown, that are too wide. What can't be broken may be: a table, a
/// link, code, a single word.
fn wide_lines(text: &str, is_markdown: bool) -> Vec<usize> {
    let mut is_fenced = false;
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let is_comment = line.trim_start().starts_with("//");
        if !is_markdown && !is_comment {
            is_fenced = false;
            continue;
        }
        let prose = line.trim_start().trim_start_matches(['/', '!']).trim_start();
        if prose.starts_with("```") {
            is_fenced = !is_fenced;
        }
        let is_kept = is_fenced
            || prose.starts_with(['|', '<'])
            || prose.contains("://")
            || prose.contains("](")
            || (prose.starts_with('[') && prose.contains("]: "))
            || !prose.trim_start_matches(['-', '*', ' ']).contains(' ');
        if !is_kept && line.chars().count() > MAX_WIDTH {
            found.push(number + 1);
        }
    }
    found
}

#[test]
fn no_file_uses_an_idiom() {
    let mut wrong = Vec::new();
    let mut used = vec![false; ALLOWED.len()];
    for file in files() {
        let text = std::fs::read_to_string(root().join(&file)).unwrap();
        for (line, idiom) in idioms(&text) {
            let allowed = ALLOWED
                .iter()
                .position(|(path, allowed, _)| file.ends_with(path) && *allowed == idiom);
            match allowed {
                Some(place) => used[place] = true,
                None => {
                    let plain = IDIOMS.iter().find(|(known, _)| *known == idiom).unwrap().1;
                    wrong.push(format!("{file}:{line}: {idiom:?}: write {plain}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} idioms:\n{}", wrong.len(), wrong.join("\n"));
    assert!(!used.contains(&false), "an exception that nothing uses: {used:?}");
}

#[test]
fn comments_and_prose_fit_100_columns() {
    let mut wrong = Vec::new();
    for file in files() {
        let is_markdown = file.ends_with(".md");
        if !is_markdown && !file.ends_with(".rs") {
            continue;
        }
        let text = std::fs::read_to_string(root().join(&file)).unwrap();
        let lines = wide_lines(&text, is_markdown);
        wrong.extend(lines.into_iter().map(|line| format!("{file}:{line}")));
    }
    assert!(
        wrong.is_empty(),
        "{} wide lines:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_source_file_begins_with_its_purpose() {
    let mut wrong = files();
    wrong.retain(|file| {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        file.ends_with(".rs") && !text.starts_with("//!")
    });
    assert!(
        wrong.is_empty(),
        "files without a `//!` that says what they are for:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn idioms_are_found_as_whole_words_in_names_and_across_lines() {
    assert_eq!(idioms("so manifold, a besides, amend"), []);
    assert_eq!(idioms("one\n/// Nobody waits\n"), [(2, "nobody")]);
    assert_eq!(idioms("// what is\n    // said here"), [(1, "is said")]);
    assert_eq!(idioms("fn a_line_is_said_once() {}"), [(1, "is said")]);
    assert_eq!(idioms("NoBody, GoBy"), [(1, "go by")]);
}

#[test]
fn only_prose_that_can_be_broken_is_too_wide() {
    let words = "word ".repeat(30);
    assert_eq!(wide_lines(&format!("fn a() {{}}\n/// {words}"), false), [2]);
    assert_eq!(wide_lines(&format!("let a = 1; // {words}"), false), [0_usize; 0]);
    assert_eq!(
        wide_lines(&format!("/// ```\n/// {words}\n/// ```\n/// {words}"), false),
        [4]
    );
    assert_eq!(
        wide_lines(&format!("| {words} |\nhttps://a.b {words}\n{words}"), true),
        [3]
    );
}
