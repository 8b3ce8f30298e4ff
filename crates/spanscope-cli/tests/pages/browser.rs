//! The browser of these tests, with axe-core, which checks the accessibility of a page.

use std::ops::Deref;
use std::path::PathBuf;

use serde_json::json;
pub(crate) use spanscope_tests::browser::THEMES;
use spanscope_tests::skip;

/// A browser that can run axe-core.
pub(crate) struct Browser {
    chromium: spanscope_tests::browser::Browser,
    axe: PathBuf,
}

impl Deref for Browser {
    type Target = spanscope_tests::browser::Browser;

    fn deref(&self) -> &Self::Target {
        &self.chromium
    }
}

impl Browser {
    /// Starts a browser. Returns `None`, with a message, if a required program is missing.
    pub(crate) fn open() -> Option<Self> {
        let Some(axe) = std::env::var_os("SPANSCOPE_AXE").map(PathBuf::from) else {
            skip("SPANSCOPE_AXE names no axe.min.js; npm's package is axe-core");
            return None;
        };
        let pictures = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../pages");
        let chromium = spanscope_tests::browser::Browser::open(pictures)?;
        Some(Self { chromium, axe })
    }

    /// Returns the violations that axe-core finds, one per line. It runs in an isolated world, to
    /// which the content security policy of the page does not apply.
    pub(crate) fn axe(&self) -> Vec<String> {
        let source = std::fs::read_to_string(&self.axe).unwrap();
        let frame = self.cdp("Page.getFrameTree", &json!({}))["frameTree"]["frame"]["id"].clone();
        let world = json!({"frameId": frame, "worldName": "axe"});
        let context = self.cdp("Page.createIsolatedWorld", &world)["executionContextId"].clone();
        self.cdp(
            "Runtime.evaluate",
            &json!({"expression": source, "contextId": context}),
        );
        let run = "axe.run(document, {resultTypes: ['violations']}).then((found) => JSON.stringify(found.violations.map(\
             (one) => [one.id, one.impact, one.nodes.length, one.nodes[0].html.slice(0, 200), \
             one.nodes[0].failureSummary.slice(0, 300)].join(' | '))))";
        let params = json!({"expression": run, "contextId": context, "awaitPromise": true});
        let result = self.cdp("Runtime.evaluate", &params);
        let text = result["result"]["value"].as_str();
        serde_json::from_str(text.unwrap_or_else(|| panic!("axe: {result}"))).unwrap()
    }

    /// Asserts that the browser's log is empty, that no request went to another origin, and that
    /// axe-core finds no violation in the light and in the dark theme.
    pub(crate) fn assert_clean(&self, what: &str, origin: &str) {
        assert_eq!(self.log(), [""; 0], "the log of {what}");
        let others: Vec<String> = self
            .requested()
            .into_iter()
            .filter(|url| !url.starts_with(origin))
            .collect();
        assert_eq!(others, [""; 0], "{what} sent requests to other origins");
        // Sets the attribute that the theme button sets: a test may emulate the system's
        // preference.
        let chosen = self.run("return document.documentElement.dataset.theme ?? null");
        for theme in THEMES {
            self.run(&format!("document.documentElement.dataset.theme = '{theme}'"));
            let wrong = self.axe();
            if !wrong.is_empty() {
                self.picture(what);
            }
            assert_eq!(wrong, [""; 0], "{what}, {theme}, by axe");
        }
        match chosen.as_str() {
            Some(theme) => self.run(&format!("document.documentElement.dataset.theme = '{theme}'")),
            None => self.run("delete document.documentElement.dataset.theme"),
        };
    }
}
