//! Leaving a page cancels its requests, and with them the scans of the store.

use serde_json::json;

use super::browser::Browser;
use super::made;

/// Records requests that were cancelled before their responses.
const WATCH: &str = "window.left = []; const real = window.fetch; \
    window.fetch = (path, options) => { const asked = real(path, options); \
    asked.catch((error) => error.name === 'AbortError' && window.left.push(String(path))); return asked; }";

#[test]
fn leaving_a_page_cancels_its_requests() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::demo();
    browser.open_page(&format!("{}/ui/traces?live=0", server.url()));
    browser.run(WATCH);
    browser.cdp("Network.enable", &json!({}));
    // Responses take longer than the page is shown.
    let slow = json!({"offline": false, "latency": 60_000, "downloadThroughput": -1, "uploadThroughput": -1});
    browser.cdp("Network.emulateNetworkConditions", &slow);
    let quick = json!({"offline": false, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
    let left = |part: &str| {
        browser.wait(
            part,
            &format!("return window.left.some((path) => path.startsWith('{part}'))"),
        );
    };

    let filter = |text: &str| {
        browser.run(&format!(
            "history.pushState(null, '', 'traces?q=name={text}&live=0'); dispatchEvent(new PopStateEvent('popstate'))"
        ));
        browser.wait(
            "that it waits",
            "return document.querySelector('main').ariaBusy === 'true'",
        );
    };

    // A filter that is replaced by another.
    filter("a");
    filter("b");
    left("api/traces?q=name%3Da");
    // Esc cancels the request.
    browser.press(&["\u{e00c}"]);
    left("api/traces?q=name%3Db");
    browser.wait(
        "no request",
        "return document.querySelector('main').ariaBusy !== 'true'",
    );
    // A page that is left for another.
    filter("c");
    browser.press(&["g", "o"]);
    left("api/traces?q=name%3Dc");

    browser.cdp("Network.emulateNetworkConditions", &quick);
    browser.open_page(&format!("{}/ui/traces", server.url()));
    browser.assert_clean("a page after others that were left", &server.url());
}
