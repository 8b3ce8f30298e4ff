//! Links, anchors, the table of contents, and the lengths that README and ARCHITECTURE keep to.

use std::collections::HashMap;

use super::{documents, has_extension, prose, read, root};

/// The published repository. Links of the book to files outside the book begin with this URL,
/// because the book may be read without the repository.
const REPOSITORY: &str = "https://github.com/spanscope/spanscope/";

/// The anchor that GitHub and mdBook give a heading.
fn anchor(heading: &str) -> String {
    heading
        .trim()
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            c if c.is_alphanumeric() => Some(c),
            _ => None,
        })
        .collect()
}

fn anchors(text: &str) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let headings = prose(text).into_iter().filter_map(|(_, line)| {
        let text = line.trim_start_matches('#');
        (text.len() < line.len() && text.starts_with(' ')).then(|| anchor(text))
    });
    headings
        .map(|anchor| {
            let count = seen.entry(anchor.clone()).or_default();
            *count += 1;
            match *count {
                1 => anchor,
                more => format!("{anchor}-{}", more - 1),
            }
        })
        .collect()
}

/// A line without its inline code.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("``")
}

/// The targets of the links of a document.
fn targets(text: &str) -> Vec<String> {
    // A link may be broken over two lines.
    let lines: Vec<String> = prose(text).iter().map(|(_, line)| without_code(line)).collect();
    let text = lines.join("\n");
    let inline = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let referred = text.lines().filter_map(|line| {
        let (label, target) = line.strip_prefix('[')?.split_once("]: ")?;
        (!label.contains(']')).then_some(target)
    });
    inline
        .chain(referred)
        .map(|target| target.trim().trim_matches(['<', '>']).to_owned())
        .collect()
}

/// Returns the fault of a link of a document, if it has one.
fn wrong(document: &str, target: &str) -> Option<String> {
    let is_of_book = document.starts_with("docs/");
    let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
    let file = if let Some(path) = path.strip_prefix(REPOSITORY) {
        let path = path
            .strip_prefix("blob/main/")
            .or_else(|| path.strip_prefix("tree/main/"))?;
        root().join(path)
    } else if path.contains("://") || path.starts_with("mailto:") {
        return None;
    } else if path.is_empty() {
        root().join(document)
    } else {
        root().join(document).parent().unwrap().join(path)
    };
    if !file.exists() {
        return Some(format!("{target} leads nowhere"));
    }
    // mdBook makes the list of pages from it, and no page.
    if is_of_book && path.ends_with("SUMMARY.md") && !path.contains("://") {
        return Some(format!("{target} is not a page of the book"));
    }
    let file = file.canonicalize().unwrap();
    if is_of_book && !path.contains("://") && !file.starts_with(root().join("docs").canonicalize().unwrap()) {
        return Some(format!(
            "{target} leaves the book: write {REPOSITORY}blob/main/..."
        ));
    }
    if !fragment.is_empty() && has_extension(file.to_str().unwrap(), "md") {
        let text = std::fs::read_to_string(&file).unwrap();
        if !anchors(&text).iter().any(|anchor| anchor == fragment) {
            return Some(format!("{target}: no heading has this anchor"));
        }
    }
    None
}

#[test]
fn every_link_of_a_document_leads_somewhere() {
    let mut count = 0;
    let mut found = Vec::new();
    for document in documents() {
        for target in targets(&read(&document)) {
            count += 1;
            found.extend(wrong(&document, &target).map(|wrong| format!("{document}: {wrong}")));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(count > 150, "only {count} links: are they read?");
}

/// Links of the rustdoc of all crates to files of the repository.
#[test]
fn every_link_of_the_sources_to_the_repository_leads_somewhere() {
    let mut found = Vec::new();
    for file in crate::sources::sources() {
        let text = std::fs::read_to_string(&file).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.starts_with(REPOSITORY) || has_extension(target, "md") {
                let name = file.strip_prefix(root()).unwrap_or(&file);
                found.extend(
                    wrong(name.to_str().unwrap(), target).map(|wrong| format!("{}: {wrong}", file.display())),
                );
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_page_of_the_book_is_in_its_table_of_contents() {
    let listed = targets(&read("docs/SUMMARY.md"));
    let pages: Vec<String> = documents()
        .into_iter()
        .filter_map(|document| Some(document.strip_prefix("docs/")?.to_owned()))
        .filter(|page| page != "SUMMARY.md")
        .collect();
    assert!(pages.len() > 25, "{pages:?}");
    for page in &pages {
        let times = listed.iter().filter(|target| *target == page).count();
        assert_eq!(times, 1, "docs/{page} is listed in docs/SUMMARY.md {times} times");
    }
    assert_eq!(
        listed.len(),
        pages.len(),
        "each entry of docs/SUMMARY.md is a page"
    );
}

/// Each published crate has its own README, whose links work on crates.io too.
#[test]
fn every_published_crate_has_a_readme() {
    for entry in std::fs::read_dir(root().join("crates")).unwrap() {
        let folder = entry.unwrap().path();
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        if manifest.contains("publish = false") {
            continue;
        }
        assert!(
            manifest.contains("readme = \"README.md\""),
            "{}",
            folder.display()
        );
        let text = std::fs::read_to_string(folder.join("README.md")).unwrap();
        for target in targets(&text) {
            assert!(target.contains("://"), "{}: {target}", folder.display());
        }
    }
}

/// A document begins with its title and has no other; the table of contents has one per part.
#[test]
fn every_document_begins_with_its_title() {
    for document in documents() {
        let text = read(&document);
        assert!(text.starts_with("# "), "{document} does not begin with a title");
        let titles = prose(&text)
            .iter()
            .filter(|(_, line)| line.starts_with("# "))
            .count();
        assert!(
            titles == 1 || document == "docs/SUMMARY.md",
            "{document} has {titles} titles"
        );
    }
}

#[test]
fn the_readme_and_the_architecture_stay_short() {
    for (name, title) in [
        ("README.md", "# Spanscope"),
        ("ARCHITECTURE.md", "# Architecture"),
    ] {
        let text = read(name);
        assert!(text.starts_with(title), "{name}");
        let lines = text.lines().count();
        assert!(lines <= 150, "{name} has {lines} lines: move details to docs/");
        for (number, line) in prose(&text) {
            let may_be_long = line.starts_with('|') || line.contains("](");
            assert!(
                may_be_long || line.chars().count() <= 100,
                "{name}:{number} is too long"
            );
        }
    }
}

#[test]
fn anchors_and_targets_are_read_as_github_reads_them() {
    assert_eq!(anchor(" Step 3: the calls of `x::y`"), "step-3-the-calls-of-xy");
    assert_eq!(anchors("# A b\n```\n# not one\n```\n## A b\n"), ["a-b", "a-b-1"]);
    let text = "[a](b.md#c), `[x](y)` and [two\nlines](d.md)\n```\n[e](f)\n```\n[g]: h.md\n";
    assert_eq!(targets(text), ["b.md#c", "d.md", "h.md"]);
}
