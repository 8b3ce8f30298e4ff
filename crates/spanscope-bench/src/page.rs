//! `docs/performance.md`, whose sections a run replaces.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Where the page is.
#[must_use]
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/performance.md")
}

/// The page with another text of a section; the others stay.
///
/// # Errors
/// The page has no markers of this section.
pub fn with_section(page: &str, section: &str, text: &str) -> Result<String> {
    let begin = format!("<!-- measured: {section} -->\n");
    let end = format!("<!-- end: {section} -->\n");
    let (before, rest) = page
        .split_once(&begin)
        .with_context(|| format!("the page has no line {begin:?}"))?;
    let (_, after) = rest
        .split_once(&end)
        .with_context(|| format!("the page has no line {end:?} behind {begin:?}"))?;
    Ok(format!("{before}{begin}{text}{end}{after}"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::{path, with_section};

    #[test]
    fn a_section_is_replaced_and_the_others_stay() {
        let page = "a\n<!-- measured: x -->\nold\n<!-- end: x -->\nb\n";
        assert_eq!(
            with_section(page, "x", "new\n").unwrap(),
            "a\n<!-- measured: x -->\nnew\n<!-- end: x -->\nb\n"
        );
        assert!(with_section(page, "y", "new\n").is_err());
    }

    #[test]
    fn the_page_has_each_section_of_the_benchmark() {
        let page = std::fs::read_to_string(path()).unwrap();
        for section in crate::SECTIONS {
            with_section(&page, section, "").unwrap();
        }
    }
}
