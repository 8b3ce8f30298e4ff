//! Texts with code and markup, and inconsistent records: everything is shown as text, and nothing
//! runs, loads or navigates.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value as Json, json};

use super::browser::Browser;
use super::hostile_cases::{
    DEEP, DEPTH, KEYS, LARGE_VALUES, MANY_KEYS, OTHERS, RECORDS, TIMES, TRACE, send, texts,
};
use super::made;
use super::support::{Folder, Serve};

/// A server with hostile records, and a second server that must not receive a connection.
struct Hostile {
    browser: Browser,
    server: Serve,
    texts: Vec<(&'static str, String)>,
    spans: usize,
    connections: Arc<AtomicUsize>,
    _folder: Folder,
}

impl Hostile {
    fn open() -> Option<Self> {
        let browser = Browser::open()?;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let texts = texts(&listener.local_addr().unwrap().to_string());
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        std::thread::spawn(move || {
            for _ in listener.incoming() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        let (folder, server) = made::empty();
        let spans = send(&server, &texts);
        Some(Self {
            browser,
            server,
            texts,
            spans,
            connections,
            _folder: folder,
        })
    }

    fn go(&self, path: &str) {
        self.browser
            .open_page(&format!("{}/ui/{path}", self.server.url()));
    }

    /// Asserts that nothing ran, that no text became an element, that the other server received no
    /// connection, and that the page is clean.
    fn assert_harmless(&self, what: &str) {
        let browser = &self.browser;
        let made =
            "main :is(img, iframe, script, base, style, object, embed, link, meta, form:not([role=search]))";
        let found = browser.run(&format!(
            "return [window.__pwned ?? null, document.querySelectorAll('{made}').length, location.origin]"
        ));
        assert_eq!(found, json!([null, 0, self.server.url()]), "{what}");
        browser.assert_clean(what, &self.server.url());
        assert_eq!(
            self.connections.load(Ordering::Relaxed),
            0,
            "{what} connected to the other server"
        );
    }

    /// Finds the only span of this name in a trace and goes to it by keys.
    fn reach(&self, trace: &str, name: &str) {
        self.go(&format!("traces/{trace}?find={}", name.replace(' ', "%20")));
        self.browser.wait(
            name,
            "return document.querySelector('.find [role=status]')?.textContent.includes('1 match')",
        );
        self.browser.press(&["n"]);
        self.browser
            .wait(name, &format!("return ({CURRENT} ?? '').startsWith('{name}')"));
    }
}

/// The label of the current row.
const CURRENT: &str = "document.getElementById(document.querySelector('.grid').getAttribute('aria-activedescendant'))\
                       ?.getAttribute('aria-label')";

#[test]
fn every_page_shows_hostile_data_as_text_and_runs_none_of_it() {
    let Some(hostile) = Hostile::open() else { return };
    let kinds = hostile.texts.len() + RECORDS.len() + OTHERS.len();
    assert!(kinds >= 40, "{kinds}");
    for page in ["traces", "spans", "logs", "store", "setup"] {
        hostile.go(page);
        hostile.assert_harmless(&format!("hostile {page}"));
    }
    for trace in [TRACE, TIMES, DEEP] {
        for view in ["waterfall", "log", "table", "json"] {
            hostile.go(&format!("traces/{trace}?view={view}"));
            if view != "waterfall" {
                hostile
                    .browser
                    .wait(view, "return document.querySelector('.view')");
            }
            hostile.browser.settled();
            hostile.assert_harmless(&format!("hostile {view} of {trace}"));
        }
    }
}

#[test]
fn every_hostile_span_has_its_row_and_is_reached_by_keys() {
    let Some(hostile) = Hostile::open() else { return };
    // Equal siblings are not grouped here, so each span has a row; the missing parent and the
    // heading have rows too.
    hostile.go(&format!("traces/{TRACE}?groups=0"));
    let rows = "Number(document.querySelector('.grid').getAttribute('aria-rowcount'))";
    hostile.browser.wait(
        "a row for each span, one for the span that was sent twice",
        &format!("return {rows} === {} + 2", hostile.spans),
    );
    for (kind, name) in RECORDS {
        hostile.reach(TRACE, name);
        hostile.assert_harmless(kind);
    }
    hostile.reach(TRACE, "came twice");
    hostile.reach(TIMES, "since 1970");
    hostile.reach(TIMES, "until 2262");
    hostile.assert_harmless("times of 1970 and 2262");
}

#[test]
fn a_span_10_000_levels_deep_is_reached_with_few_elements() {
    let Some(hostile) = Hostile::open() else { return };
    let browser = &hostile.browser;
    hostile.go(&format!("traces/{DEEP}"));
    let rows = "Number(document.querySelector('.grid').getAttribute('aria-rowcount'))";
    assert_eq!(browser.number(&format!("return {rows}")), DEPTH + 1);
    browser.press(&["\u{e010}"]);
    browser.wait(
        "the deepest row",
        &format!("return ({CURRENT} ?? '').startsWith('the deepest')"),
    );
    let level = "document.getElementById(document.querySelector('.grid').getAttribute('aria-activedescendant')).ariaLevel";
    assert_eq!(browser.text(&format!("return {level}")), DEPTH.to_string());
    let elements = browser.number("return document.querySelectorAll('.grid, .grid *').length");
    assert!(elements <= 300, "{elements}");
    // Folding and unfolding all rows does not recurse.
    browser.press(&["["]);
    browser.wait("one row", &format!("return {rows} === 2"));
    browser.press(&["]"]);
    browser.wait("all rows", &format!("return {rows} === {DEPTH} + 1"));
    hostile.reach(DEEP, "the deepest");
    hostile.assert_harmless("the deepest span");
}

#[test]
fn the_details_show_each_hostile_text_as_text() {
    let Some(hostile) = Hostile::open() else { return };
    let browser = &hostile.browser;
    hostile.go(&format!("traces/{TRACE}?span={:016x}", 100));
    for (i, (kind, value)) in hostile.texts.iter().enumerate() {
        if i > 0 {
            // Their rows are in their order.
            browser.press(&["j"]);
        }
        browser.wait(
            "the details",
            &format!(
                "return location.search === '?span={:016x}' && document.querySelector('.details [role=tab]')",
                100 + i
            ),
        );
        let found = browser.run(
            "return (async () => { const found = []; for (const name of ['error', 'attributes', 'events', 'about']) { \
             const tab = () => document.getElementById(`details-${name}`); tab().click(); \
             while (tab()?.ariaSelected !== 'true') await new Promise((done) => setTimeout(done)); \
             found.push([window.__pwned ?? null, document.querySelector('.details').textContent]); } return found; })()",
        );
        let tabs: Vec<&Json> = found.as_array().unwrap().iter().collect();
        assert_eq!(tabs.len(), 4, "{kind}");
        for tab in &tabs {
            assert_eq!(tab[0], Json::Null, "{kind}");
        }
        let is_plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~')) && value.len() < 150;
        if is_plain && !value.trim().is_empty() && !value.contains("LONE") {
            let shown = tabs[1][1].as_str().unwrap();
            assert!(shown.contains(value.as_str()), "{kind}: {shown}");
        }
        browser.settled();
        hostile.assert_harmless(kind);
    }
}

#[test]
fn large_values_and_many_attributes_are_shown_in_parts() {
    let Some(hostile) = Hostile::open() else { return };
    let browser = &hostile.browser;
    let open = |span: u64| {
        hostile.go(&format!("traces/{TRACE}?span={span:016x}&tab=attributes"));
        browser.wait(
            "the attributes",
            "return document.querySelector('.details .attributes')",
        );
        let length = browser.number("return document.querySelector('.details').textContent.length");
        assert!(length < 60_000, "{length}");
        let elements = browser.number("return document.querySelectorAll('.details *').length");
        assert!(elements < 4_000, "{elements}");
    };
    open(LARGE_VALUES);
    let text = browser.text("return document.querySelector('.details').textContent");
    assert!(
        text.contains("cut when it was recorded, of 977 KiB") && text.contains("whole value"),
        "{text}"
    );
    hostile.assert_harmless("a value of 1 MB and a list of 20,000 items");
    open(MANY_KEYS);
    let text = browser.text("return document.querySelector('.details').textContent");
    assert!(text.contains("99,800 more attributes"), "{KEYS}: {text}");
    hostile.assert_harmless("100,000 attributes");
    // One of them is found without the others.
    browser.run("document.querySelector('.details input[type=search]').focus()");
    browser.type_text("key 99999");
    browser.wait(
        "the attribute",
        "return document.querySelectorAll('.details .attributes tr').length === 1",
    );
}
