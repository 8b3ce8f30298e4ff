//! The cost of a page with an empty cache: requests and bytes until its rows are shown.

use serde_json::{Value as Json, json};

use super::browser::Browser;
use super::made;
use super::support::json_of;

const MAX_REQUESTS: u64 = 16;
const MAX_BYTES: u64 = 60_000;
const MAX_BYTES_OF_ALL: u64 = 140_000;

/// Returns the number of requests before the rows were shown, their bytes, and their addresses.
pub(crate) fn before_rows(browser: &Browser) -> Json {
    browser.run(
        "const rows = performance.getEntriesByName('ss:rows')[0].startTime; \
         const all = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]\
         .filter((entry) => entry.startTime < rows && !entry.name.endsWith('/icon.svg')); \
         return [all.length, all.reduce((sum, entry) => sum + entry.encodedBodySize, 0), all.map((e) => e.name)]",
    )
}

/// Asserts that a page sent few requests before it showed its rows.
pub(crate) fn assert_few_requests(page: &str, before_rows: &Json) {
    assert!(
        before_rows[0].as_u64().unwrap() <= MAX_REQUESTS,
        "{page}: {before_rows:#}"
    );
}

#[test]
fn a_page_shows_its_rows_after_few_requests_and_bytes() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::demo();
    let list = json_of(&server.get("/ui/api/traces"));
    let trace = list["traces"][0]["trace_id"].as_str().unwrap();
    let mut table = Vec::new();
    for page in [
        "traces",
        &format!("traces/{trace}"),
        "spans",
        "logs",
        "store",
        "setup",
    ] {
        browser.cdp("Network.clearBrowserCache", &json!({}));
        browser.open_page(&format!("{}/ui/{page}", server.url()));
        table.push((page.to_owned(), before_rows(&browser)));
    }
    for (page, found) in &table {
        println!("{page}: {} requests, {} bytes", found[0], found[1]);
    }
    for (page, found) in table {
        assert_few_requests(&page, &found);
        assert!(found[1].as_u64().unwrap() <= MAX_BYTES, "{page}: {found:#}");
    }
}

#[test]
fn all_files_together_are_small() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::demo();
    let list = json_of(&server.get("/ui/api/traces"));
    let trace = list["traces"][0]["trace_id"].as_str().unwrap();
    // Each page, each view and each dialog.
    browser.cdp("Network.clearBrowserCache", &json!({}));
    let mut seen: std::collections::BTreeMap<String, u64> = std::collections::BTreeMap::new();
    let pages = ["traces", "spans", "logs", "store", "setup", "sign-in"].map(ToOwned::to_owned);
    let views =
        ["waterfall&span=x", "log", "table", "json"].map(|view| format!("traces/{trace}?view={view}"));
    for page in pages.into_iter().chain(views) {
        browser.cdp("Network.clearBrowserCache", &json!({}));
        browser.open_page(&format!("{}/ui/{page}", server.url()));
        if page == "traces" {
            browser.press(&["?"]);
            browser.wait("the keys", "return document.querySelector('dialog[open]')");
        }
        let files = browser.run(
            "return performance.getEntriesByType('resource').filter((entry) => entry.name.includes('/assets/'))\
             .map((entry) => [entry.name, entry.encodedBodySize])",
        );
        for file in files.as_array().unwrap() {
            let size = file[1].as_u64().unwrap();
            let known = seen.entry(file[0].as_str().unwrap().to_owned()).or_default();
            *known = size.max(*known);
        }
    }
    let sum: u64 = seen.values().sum();
    println!("{} files, {sum} bytes", seen.len());
    assert!(
        seen.len() > 20 && sum <= MAX_BYTES_OF_ALL,
        "{sum}: {:#}",
        Json::from_iter(seen)
    );
}
