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

    /// Returns the violations that axe-core finds, one per line.
    pub(crate) fn axe(&self) -> Vec<String> {
        self.judged("const themes = [root.dataset.theme]")
    }

    /// Returns the violations in each theme of the list `themes`, which a script declares. axe-core
    /// runs in an isolated world, to which the content security policy of the page does not apply.
    fn judged(&self, themes: &str) -> Vec<String> {
        let frame = self.cdp("Page.getFrameTree", &json!({}))["frameTree"]["frame"]["id"].clone();
        let world = json!({"frameId": frame, "worldName": "axe"});
        // The name identifies the world as long as the document stays.
        let context = self.cdp("Page.createIsolatedWorld", &world)["executionContextId"].clone();
        let evaluate = |expression: &str| {
            let params = json!({"expression": expression, "contextId": context, "awaitPromise": true});
            self.cdp("Runtime.evaluate", &params)["result"].clone()
        };
        if evaluate("typeof axe")["value"] == "undefined" {
            evaluate(&std::fs::read_to_string(&self.axe).unwrap());
        }
        // Sets the attribute that the theme button sets: a test may emulate the system's
        // preference.
        let run = format!(
            "(async () => {{ const root = document.documentElement; {themes}; const chosen = root.dataset.theme; \
             const set = (theme) => {{ if (theme === undefined) delete root.dataset.theme; else root.dataset.theme = theme; }}; \
             const wrong = []; for (const theme of themes) {{ set(theme); \
             const found = await axe.run(document, {{resultTypes: ['violations']}}); \
             wrong.push(...found.violations.map((one) => [theme, one.id, one.impact, one.nodes.length, \
             one.nodes[0].html.slice(0, 200), one.nodes[0].failureSummary.slice(0, 300)].join(' | '))); }} \
             set(chosen); return JSON.stringify(wrong); }})()"
        );
        let result = evaluate(&run);
        let text = result["value"].as_str();
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
        let wrong = self.judged(&format!("const themes = {}", json!(THEMES)));
        if !wrong.is_empty() {
            self.picture(what);
        }
        assert_eq!(wrong, [""; 0], "{what}, by axe");
    }
}
