//! Rules for the sources of the pages that no browser checks: no text becomes markup, no request
//! goes to another server, imports have no cycle, colours have enough contrast, and vendored files
//! are listed with their licence.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ui")
}

/// Returns the modules that are written by hand: their paths below `ui/`, and their texts.
fn modules() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "js") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&folder().join("js"), &mut found);
    found.sort();
    let name = |path: &Path| {
        path.strip_prefix(folder())
            .unwrap()
            .to_str()
            .unwrap()
            .replace('\\', "/")
    };
    found
        .iter()
        .map(|path| (name(path), fs::read_to_string(path).unwrap()))
        .collect()
}

/// Ways to make code, markup or an address of a text. The content security policy of the pages
/// refuses most of them; this test keeps them out of the sources.
const FORBIDDEN: [&str; 17] = [
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "dangerouslySetInnerHTML",
    "document.write",
    "DOMParser",
    "createContextualFragment",
    "eval(",
    "new Function",
    "setAttribute(\"style\"",
    "setAttribute(\"on",
    ".href =",
    ".src =",
    "src:",
    "location =",
    "http://",
    "https://",
];

#[test]
fn no_module_turns_text_into_markup_code_or_an_address() {
    for (name, text) in modules() {
        for (number, line) in text.lines().enumerate() {
            for word in FORBIDDEN {
                assert!(!line.contains(word), "{name}:{}: {word}", number + 1);
            }
        }
    }
}

#[test]
fn links_lead_only_to_paths_of_the_pages() {
    for (name, text) in modules() {
        for (number, line) in text.lines().enumerate() {
            let Some((_, value)) = line.split_once("href: ") else {
                continue;
            };
            let allowed = ["to(", "apiPath(", "path,", "\"#main\""];
            assert!(
                allowed.iter().any(|start| value.starts_with(start)),
                "{name}:{}: {line}",
                number + 1
            );
        }
    }
}

/// The maximum length of a module. Longer ones are hard to read, and delay the rows of a page.
const MOST_LINES: usize = 300;

#[test]
fn no_module_is_long_and_no_line_is_wide() {
    for (name, text) in modules() {
        assert!(
            text.lines().count() <= MOST_LINES,
            "{name}: {} lines",
            text.lines().count()
        );
        for (number, line) in text.lines().enumerate() {
            assert!(line.chars().count() <= 110, "{name}:{}", number + 1);
        }
    }
}

/// Returns the paths of the modules that a module imports statically.
fn imports(name: &str, text: &str) -> Vec<String> {
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    let from = |line: &str| {
        let quoted = line.rsplit_once("from \"")?.1.strip_suffix("\";")?;
        let mut path = parts.clone();
        for part in quoted.split('/') {
            match part {
                "." => {}
                ".." => drop(path.pop()),
                part => path.push(part),
            }
        }
        Some(path.join("/"))
    };
    text.lines().filter_map(from).collect()
}

#[test]
fn imports_have_no_cycle() {
    let graph: BTreeMap<String, Vec<String>> = modules()
        .into_iter()
        .map(|(name, text)| {
            let imports = imports(&name, &text);
            (name, imports)
        })
        .collect();
    let mut done: Vec<&str> = Vec::new();
    // A module is done when all its imports are. Modules that are never done import each other.
    while done.len() < graph.len() {
        let is_done = |name: &String| done.contains(&name.as_str()) || !graph.contains_key(name);
        let next = graph
            .iter()
            .find(|(name, of)| !is_done(name) && of.iter().all(is_done));
        match next {
            Some((name, _)) => done.push(name),
            None => {
                let left: Vec<_> = graph
                    .keys()
                    .filter(|name| !done.contains(&name.as_str()))
                    .collect();
                panic!("these import each other: {left:?}");
            }
        }
    }
}

#[test]
fn vendored_files_are_listed_with_their_licence() {
    let vendor = folder().join("vendor");
    let readme = fs::read_to_string(vendor.join("README.md")).unwrap();
    for entry in fs::read_dir(&vendor).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".js") && name != "entry.js" {
            assert!(readme.contains(&format!("| `{name}` |")), "{name}");
        }
    }
    assert!(readme.contains("Permission is hereby granted, free of charge"));
    let preact = fs::read_to_string(vendor.join("preact.js")).unwrap();
    assert!(preact.starts_with("/*!") && preact.contains("MIT License"));
}

/// Returns the custom properties of the style sheet that are colours: light and dark.
fn colours() -> BTreeMap<String, [[f64; 3]; 2]> {
    let style = fs::read_to_string(folder().join("style.css")).unwrap();
    let root = style.split("@media (prefers-contrast").next().unwrap();
    let colour = |text: &str| {
        let digits = text.trim().strip_prefix('#')?;
        let part = |i: usize| Some(f64::from(u8::from_str_radix(digits.get(i..i + 2)?, 16).ok()?));
        Some([part(0)?, part(2)?, part(4)?])
    };
    root.lines()
        .filter_map(|line| {
            let (name, value) = line.trim().strip_prefix("--")?.split_once(": light-dark(")?;
            let (light, dark) = value.strip_suffix(");")?.split_once(',')?;
            Some((name.to_owned(), [colour(light)?, colour(dark)?]))
        })
        .collect()
}

/// Returns the contrast of two colours, as WCAG 2 defines it.
fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
    let luminance = |colour: [f64; 3]| {
        let [r, g, b] = colour.map(|part| {
            let part = part / 255.0;
            if part <= 0.04045 {
                part / 12.92
            } else {
                ((part + 0.055) / 1.055).powf(2.4)
            }
        });
        0.2126 * r + 0.7152 * g + 0.0722 * b
    };
    let (a, b) = (luminance(one), luminance(other));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn texts_and_shapes_have_enough_contrast_to_their_backgrounds() {
    let colours = colours();
    let of = |name: &str| colours.get(name).unwrap_or_else(|| panic!("no colour --{name}"));
    let backs = ["back", "panel", "raised", "select", "hover"];
    let mut pairs = Vec::new();
    for text in ["ink", "dim", "link", "error", "warn"] {
        pairs.extend(backs.map(|back| (text, back, 4.5)));
    }
    pairs.push(("error", "error-back", 4.5));
    pairs.push(("ink", "error-back", 4.5));
    pairs.push(("on-accent", "accent", 4.5));
    pairs.push(("ink", "mark", 4.5));
    for shape in [
        "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "path", "edge", "accent", "ok",
    ] {
        pairs.extend(["back", "panel"].map(|back| (shape, back, 3.0)));
    }
    let mut low = Vec::new();
    for (front, back, least) in pairs {
        for (i, theme) in ["light", "dark"].into_iter().enumerate() {
            let found = contrast(of(front)[i], of(back)[i]);
            if found < least {
                low.push(format!("--{front} on --{back}, {theme}: {found:.2}, not {least}"));
            }
        }
    }
    assert!(low.is_empty(), "{low:#?}");
}
