//! The files of Spanscope's web pages, embedded, and which of them a page needs.
//!
//! `ui/` contains what browsers load, unchanged: ES modules written by hand, one style sheet,
//! icons, and one vendored file of Preact, which is the only generated one. There is no bundler for
//! the others. This crate depends on no HTTP, no store and no data of a page; `spanscope-server`
//! serves its files (feature `pages`).
//!
//! - [`FILES`] are the files with their paths below `ui/`. [`DIGEST`] identifies this set of files:
//!   a server includes it in their paths, so that browsers can cache them without a time limit.
//! - [`modules`] returns the modules that a page needs before it can show anything. If the HTML
//!   lists them, they load together instead of one level of imports after the other.
//!
//! The build script lists the files, so that a new module needs no change in Rust.

use std::collections::BTreeSet;

/// A file that browsers load.
#[derive(Debug, Clone, Copy)]
pub struct File {
    /// Its path below `ui/`, with `/`.
    pub path: &'static str,
    /// Its content.
    pub bytes: &'static [u8],
}

/// All files, by path.
pub static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// Identifies this set of files: 16 hexadecimal digits that change whenever a file does.
pub const DIGEST: &str = env!("SPANSCOPE_UI_DIGEST");

/// The path of the module that every page starts with.
pub const MAIN: &str = "js/main.js";
/// The path of the style sheet of every page.
pub const STYLE: &str = "style.css";

/// Returns the file with this path.
#[must_use]
pub fn file(path: &str) -> Option<&'static File> {
    let index = FILES.binary_search_by(|file| file.path.cmp(path)).ok()?;
    FILES.get(index)
}

/// Returns the media type of a file by its extension.
///
/// ```
/// assert_eq!(spanscope_ui::media_type("js/main.js"), "text/javascript; charset=utf-8");
/// ```
#[must_use]
pub fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

/// Returns the path of a page's own module.
#[must_use]
pub fn page_module(page: &str) -> String {
    format!("js/pages/{page}.js")
}

/// Returns the paths of the modules that a page needs, each once: [`MAIN`], the page's own module,
/// and all that they import with `import ... from "./..."`, directly or indirectly.
///
/// `read` returns the text of a file by its path; modules for which it returns `None` are left out.
/// Modules that are imported dynamically, with `import("...")`, are not included.
///
/// ```
/// let modules = spanscope_ui::modules("traces", |path| match path {
///     "js/main.js" => Some("import { h } from \"../vendor/preact.js\";".to_owned()),
///     "js/pages/traces.js" | "vendor/preact.js" => Some(String::new()),
///     _ => None,
/// });
/// assert_eq!(modules, ["js/main.js", "js/pages/traces.js", "vendor/preact.js"]);
/// ```
pub fn modules(page: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut found = BTreeSet::new();
    let mut pending = vec![MAIN.to_owned(), page_module(page)];
    while let Some(path) = pending.pop() {
        if found.contains(&path) {
            continue;
        }
        let Some(text) = read(&path) else { continue };
        pending.extend(imports(&text).filter_map(|import| resolved(&path, import)));
        found.insert(path);
    }
    found.into_iter().collect()
}

/// Returns what a module imports or re-exports statically. Statements may span several lines.
fn imports(text: &str) -> impl Iterator<Item = &str> {
    let mut is_open = false;
    text.lines().filter_map(move |line| {
        let line = line.trim();
        let begins =
            line.starts_with("import ") || line.starts_with("import{") || line.starts_with("export ");
        is_open |= begins;
        if !is_open {
            return None;
        }
        let from = line.rsplit_once("from ").map(|(_, from)| from);
        let from = from.or_else(|| {
            line.strip_prefix("import ")
                .filter(|rest| rest.starts_with(['"', '\'']))
        });
        // An exported declaration names no module, and its end need not be found.
        if from.is_some()
            || line.ends_with(';')
            || (line.starts_with("export ") && !line.starts_with("export {"))
        {
            is_open = false;
        }
        let quoted = from?.trim().trim_end_matches(';');
        let inner = quoted.get(1..quoted.len().checked_sub(1)?)?;
        (quoted.starts_with(['"', '\'']) && inner.starts_with('.')).then_some(inner)
    })
}

/// Returns the path of what a module at `path` imports, or `None` if it is outside the folder.
fn resolved(path: &str, import: &str) -> Option<String> {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in import.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn static_imports_and_reexports_are_found() {
        let text = "// import a from \"./no.js\"\nimport { a,\n  b } from './one.js';\nimport \"./two.js\";\n\
             export { c } from \"../three.js\";\nexport const from = 1;\nconst later = () => import(\"./four.js\");\n\
             import x from \"preact\";\nexport function f() {\n  return \"from './five.js'\";\n}\n";
        let found: Vec<_> = imports(text).collect();
        assert_eq!(found, ["./one.js", "./two.js", "../three.js"]);
        assert_eq!(resolved("js/pages/a.js", "../b.js").as_deref(), Some("js/b.js"));
        assert_eq!(resolved("js/a.js", "../../b.js"), None);
    }

    #[test]
    fn files_are_sorted_and_each_is_found() {
        assert!(FILES.windows(2).all(|two| two[0].path < two[1].path));
        for one in FILES {
            assert!(
                file(one.path).is_some_and(|found| found.bytes == one.bytes),
                "{}",
                one.path
            );
            assert_ne!(media_type(one.path), "application/octet-stream");
        }
        assert!(file("no/such.js").is_none());
        assert_eq!(DIGEST.len(), 16);
    }

    /// A module that imports a missing file would break every page that loads it.
    #[test]
    fn every_imported_file_exists() {
        for one in FILES.iter().filter(|file| file.path.ends_with(".js")) {
            let text = String::from_utf8_lossy(one.bytes);
            for import in imports(&text) {
                let path = resolved(one.path, import);
                assert!(
                    path.is_some_and(|path| file(&path).is_some()),
                    "{}: {import}",
                    one.path
                );
            }
        }
    }
}
