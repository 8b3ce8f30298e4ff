//! The address contains the choices of a view, so that a link shows the same rows to others.

use super::browser::Browser;
use super::made::{self, LARGE};
use super::support::json_of;

const ENTER: &str = "\u{e007}";
const CONTROL: &str = "\u{e009}";
const SHIFT: &str = "\u{e008}";

/// The value of a parameter of the address.
fn param(name: &str) -> String {
    format!("new URLSearchParams(location.search).get('{name}')")
}

const ROWS: &str = "Number(document.querySelector('.grid').getAttribute('aria-rowcount')) - 1";

#[test]
fn the_view_of_a_trace_is_in_its_address() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::empty();
    made::large(&server, 2_000);
    let url = format!("{}/ui/traces/{LARGE}", server.url());
    let press = |text: &str| {
        browser.run(&format!(
            "[...document.querySelectorAll('.tools button, .tools label')].find((one) => one.textContent.includes('{text}')).click()"
        ));
    };
    browser.open_page(&url);
    browser.wait("the tools", "return document.querySelector('.find-field')");
    let all = browser.number(&format!("return {ROWS}"));

    press("gateway");
    browser.wait("a service less", &format!("return {ROWS} < {all}"));
    assert_eq!(
        browser.text(&format!("return {}", param("hide"))),
        "[\"gateway\"]"
    );
    let fewer = browser.number(&format!("return {ROWS}"));
    browser.press(&["/"]);
    browser.type_text("very");
    browser.press(&[ENTER]);
    browser.wait(
        "the match",
        "return document.querySelector('.find [role=status]')?.textContent.includes('1 match')",
    );
    browser.press(&["\u{e00c}", "n", "m"]);
    browser.wait("the pinned row", "return document.querySelector('.pinned')");
    press("only matches");
    browser.wait("few rows", &format!("return {ROWS} < 15"));
    let few = browser.number(&format!("return {ROWS}"));
    browser.run("document.getElementById('details-about').click()");
    browser.wait("the tab", &format!("return {} === 'about'", param("tab")));
    browser.assert_clean("a view with choices", &server.url());

    // The same address in a fresh page.
    let address = browser.url();
    browser.open_page(&format!("{}/ui/store", server.url()));
    browser.open_page(&address);
    browser.wait("the same rows", &format!("return {ROWS} === {few}"));
    browser.wait("the same pin", "return document.querySelector('.pinned')");
    browser.wait(
        "the same tab",
        "return document.getElementById('details-about')?.ariaSelected === 'true'",
    );
    press("only matches");
    browser.wait("the same services", &format!("return {ROWS} === {fewer}"));

    // A range that is dragged in the axis.
    browser.run(
        "const axis = document.querySelector('canvas.axis'); const box = axis.getBoundingClientRect(); \
         axis.setPointerCapture = () => {}; \
         const send = (type, part) => axis.dispatchEvent(new PointerEvent(type, {button: 0, clientX: box.left + box.width * part, pointerId: 1})); \
         send('pointerdown', 0.25); send('pointermove', 0.5); send('pointerup', 0.5)",
    );
    browser.wait("the range", &format!("return {}", param("zoom")));
    browser.chord(&[SHIFT, "\u{e014}"]);
    browser.press(&["0"]);
    browser.wait("the whole time", &format!("return {} === null", param("zoom")));

    browser.open_page(&format!("{url}?view=table&sort=count"));
    browser.wait(
        "the order",
        "return document.querySelector('th[aria-sort=descending]')?.textContent.startsWith('count')",
    );
    browser.open_page(&format!("{url}?view=log&severity=error"));
    browser.wait(
        "the severity",
        "return document.querySelector('.view select')?.value === 'error'",
    );
}

#[test]
fn the_views_of_the_store_and_of_set_up_are_in_their_addresses() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::demo();
    browser.open_page(&format!("{}/ui/store?since=1h&sort=p99_ms", server.url()));
    browser.wait(
        "the order",
        "return document.querySelector('th[aria-sort=descending]')?.textContent.startsWith('p99')",
    );
    assert_eq!(
        browser.text("return document.querySelector('main select').value"),
        "1h"
    );
    browser.run("document.querySelector('main th button').click()");
    browser.wait("by name", &format!("return {} === 'name'", param("sort")));
    browser.open_page(&format!("{}/ui/setup?tab=curl", server.url()));
    browser.wait(
        "the tab",
        "return document.getElementById('way-curl').ariaSelected === 'true'",
    );
    browser.run("document.getElementById('way-curl').focus()");
    browser.press(&["\u{e014}"]);
    browser.wait("the first tab", &format!("return {} === null", param("tab")));
    browser.assert_clean("set up", &server.url());
}

#[test]
fn a_view_is_saved_under_a_name_and_opened_with_keys() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::demo();
    browser.open_page(&format!("{}/ui/traces?errors=1&since=24h", server.url()));
    let palette = |text: &str| {
        browser.chord(&[CONTROL, "k"]);
        browser.wait(
            "the palette",
            "return document.querySelector('dialog.palette[open]')",
        );
        browser.type_text(text);
        browser.press(&[ENTER]);
    };
    palette("save this");
    browser.wait(
        "the name to be asked for",
        "return document.querySelector('dialog.palette input').ariaLabel === 'Name of the view'",
    );
    browser.assert_clean("the name of a view", &server.url());
    browser.type_text("<b>failed</b> today");
    browser.press(&[ENTER]);
    browser.wait("the end", "return !document.querySelector('dialog[open]')");
    browser.press(&["g", "l"]);
    browser.wait("logs", "return location.pathname === '/ui/logs'");
    palette("failed</b>");
    browser.wait(
        "the saved view",
        "return location.pathname + location.search === '/ui/traces?errors=1&since=24h'",
    );
    palette("remove the view");
    browser.wait(
        "no view",
        "return localStorage.getItem('spanscope.views') === '[]'",
    );

    // An action of the page, by its name.
    let list = json_of(&server.get("/ui/api/traces"));
    let trace = list["traces"][0]["trace_id"].as_str().unwrap().to_owned();
    browser.open_page(&format!("{}/ui/traces/{trace}", server.url()));
    browser.wait("the tools", "return document.querySelector('.find-field')");
    palette("next error");
    browser.wait("the error", &format!("return {}", param("span")));
    browser.run("[...document.querySelectorAll('.tools label')].find((one) => one.textContent.includes('by kind')).click()");
    browser.wait("other colours", &format!("return {} === 'kind'", param("colour")));
    palette("rows: comfortable");
    browser.wait(
        "higher rows",
        "return document.querySelector('.wrows .wrow').offsetHeight === 28",
    );
    browser.assert_clean("comfortable rows", &server.url());
}
