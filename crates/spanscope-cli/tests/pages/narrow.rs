//! Narrow windows, and preferences of the system.

use serde_json::json;

use super::browser::{Browser, THEMES};
use super::made;
use super::support::json_of;

#[test]
fn pages_fit_320_pixels_and_their_targets_are_large_enough() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::demo();
    let list = json_of(&server.get("/ui/api/traces"));
    let trace = list["traces"][0]["trace_id"].as_str().unwrap();
    let pages = ["traces", "spans", "logs", "store", "setup", "sign-in"].map(ToOwned::to_owned);
    let views = ["waterfall", "log", "table", "json"].map(|view| format!("traces/{trace}?view={view}"));
    for page in pages
        .into_iter()
        .chain(views)
        .chain([format!("traces/{trace}?span={:016x}", 1)])
    {
        for (theme, width) in THEMES.into_iter().zip([320, 800]) {
            browser.size(width, 700);
            browser.theme(theme);
            browser.open_page(&format!("{}/ui/{page}", server.url()));
            let fits = browser.run("return document.documentElement.scrollWidth <= innerWidth");
            assert_eq!(fits, json!(true), "{page} at {width}");
            // WCAG 2.2, 2.5.8; it excepts links in a line of text. Rows are a target as a whole.
            let small = browser.run(
                "return [...document.querySelectorAll('button, summary, select, input, [role=tab]')].filter((e) => { \
                 const box = e.getBoundingClientRect(); \
                 return box.width > 0 && e.checkVisibility() && e.type !== 'checkbox' && (box.width < 24 || box.height < 24) })\
                 .map((e) => e.outerHTML.slice(0, 120))",
            );
            assert_eq!(small, json!([]), "{page} at {width}");
            browser.assert_clean(&format!("{page} at {width}"), &server.url());
        }
    }
}

#[test]
fn nothing_moves_with_reduced_motion_and_forced_colours_are_accessible() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::empty();
    let features = json!([
        {"name": "prefers-reduced-motion", "value": "reduce"}, {"name": "forced-colors", "value": "active"}
    ]);
    browser.cdp("Emulation.setEmulatedMedia", &json!({"features": features}));
    browser.open_page(&format!("{}/ui/setup", server.url()));
    let moving = browser.run("return document.getAnimations().length");
    assert_eq!(moving, json!(0));
    browser.assert_clean("forced colours", &server.url());
}
