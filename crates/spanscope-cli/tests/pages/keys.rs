//! The pages are used by keyboard alone: lists, a trace, the filter field, the dialogs.

use super::browser::Browser;
use super::made;
use super::support::json_of;

const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";
const CONTROL: &str = "\u{e009}";
const SHIFT: &str = "\u{e008}";
const UP: &str = "\u{e013}";
const DOWN: &str = "\u{e015}";
const LEFT: &str = "\u{e012}";
const RIGHT: &str = "\u{e014}";

#[test]
fn lists_traces_and_dialogs_are_used_by_keys_alone() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::demo();
    let query = |name: &str| format!("new URLSearchParams(location.search).get('{name}')");
    let rows = "Number(document.querySelector('.grid').getAttribute('aria-rowcount')) - 1";
    let current = "document.getElementById(document.querySelector('.grid').getAttribute('aria-activedescendant'))?.getAttribute('aria-label') ?? ''";

    browser.open_page(&format!("{}/ui/traces", server.url()));
    browser.press(&["j", "k", DOWN, UP]);
    browser.wait(
        "a row with the focus",
        "return document.activeElement.matches('.row-link')",
    );
    browser.press(&[ENTER]);
    browser.wait("the trace", "return location.pathname.length > 30");
    browser.wait("its rows", "return document.querySelector('.wrows .wrow bdi')");
    browser.wait("its tools", "return document.querySelector('.find-field')");
    let all = browser.number(&format!("return {rows}"));

    browser.press(&["j"]);
    browser.wait(
        "the first row",
        &format!("return ({current}).startsWith('invoke_agent')"),
    );
    browser.press(&[LEFT]);
    browser.wait("one row", &format!("return {rows} === 1"));
    browser.press(&["l"]);
    browser.wait("all rows", &format!("return {rows} === {all}"));
    browser.press(&[RIGHT]);
    browser.wait(
        "the first child",
        &format!("return ({current}) && !({current}).startsWith('invoke_agent')"),
    );
    browser.press(&["h"]);
    browser.wait(
        "the parent",
        &format!("return ({current}).startsWith('invoke_agent')"),
    );
    browser.press(&["O"]);
    browser.wait("fewer levels", &format!("return {rows} < {all}"));
    browser.press(&["o", "o", "o", "]"]);
    browser.wait("all levels", &format!("return {rows} === {all}"));

    browser.press(&["e"]);
    browser.wait("an error", &format!("return ({current}).includes(', error')"));
    browser.press(&["E", "c"]);
    browser.wait(
        "a model call",
        &format!("return ({current}).includes('model call')"),
    );
    browser.press(&["C", "p"]);
    browser.wait("the critical path", &format!("return {} === '1'", query("path")));
    browser.press(&["P", "]", "z"]);
    browser.wait("the time of the span", &format!("return {}", query("zoom")));
    browser.press(&["+"]);
    browser.press(&["-"]);
    browser.chord(&[SHIFT, RIGHT]);
    browser.chord(&[SHIFT, LEFT]);
    browser.press(&["0"]);
    browser.wait("the whole time", &format!("return {} === null", query("zoom")));
    browser.press(&["m"]);
    browser.wait("the pinned row", "return document.querySelector('.pinned')");
    browser.press(&["m"]);
    browser.wait("no pinned row", "return !document.querySelector('.pinned')");
    browser.press(&[ENTER]);
    browser.wait(
        "the focus in the details",
        "return document.activeElement.matches('.details')",
    );
    browser.press(&[ESCAPE]);
    browser.wait(
        "the focus in the grid",
        "return document.activeElement.matches('.grid')",
    );
    browser.press(&["i"]);
    browser.wait("no details", "return !document.querySelector('.details')");
    browser.press(&["i"]);
    browser.wait("details", "return document.querySelector('.details')");
    for (key, view) in [("2", "log"), ("3", "table"), ("4", "json")] {
        browser.press(&[key]);
        browser.wait(view, &format!("return {} === '{view}'", query("view")));
    }
    browser.press(&["1"]);
    browser.wait("the waterfall", &format!("return {} === null", query("view")));

    // The border of the names is moved by arrows.
    browser.wait("the grid", "return document.querySelector('.grid .separator')");
    browser.run("document.querySelector('.grid .separator').focus()");
    let width = "Number(document.querySelector('.grid .separator').ariaValueNow)";
    let before = browser.number(&format!("return {width}"));
    browser.press(&[RIGHT]);
    browser.wait("wider names", &format!("return {width} > {before}"));
    browser.run("document.activeElement.blur()");

    for (keys, path) in [
        ("p", "spans"),
        ("l", "logs"),
        ("o", "store"),
        ("h", "setup"),
        ("t", "traces"),
    ] {
        browser.press(&["g", keys]);
        browser.wait(path, &format!("return location.pathname === '/ui/{path}'"));
    }
    browser.press(&["t"]);
    browser.wait(
        "times in UTC",
        "return localStorage.getItem('spanscope.utc') === '1'",
    );
    browser.press(&["f"]);
    browser.wait(
        "a page that is paused",
        "return document.querySelector('.live-off')",
    );
    browser.press(&["f"]);

    browser.press(&["?"]);
    browser.wait(
        "the list of keys",
        "return document.querySelector('dialog.keys[open]')",
    );
    browser.assert_clean("keys", &server.url());
    browser.press(&[ESCAPE]);
    browser.wait(
        "the end of the list",
        "return !document.querySelector('dialog[open]')",
    );
    browser.chord(&[CONTROL, "k"]);
    browser.wait(
        "the palette",
        "return document.querySelector('dialog.palette[open]')",
    );
    browser.assert_clean("palette", &server.url());
    browser.type_text("store");
    browser.press(&[ENTER]);
    browser.wait("the store", "return location.pathname === '/ui/store'");
}

#[test]
fn the_field_completes_filters_and_goes_to_ids() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::demo();
    let list = json_of(&server.get("/ui/api/traces"));
    let trace = list["traces"][0]["trace_id"].as_str().unwrap().to_owned();

    browser.open_page(&format!("{}/ui/traces", server.url()));
    browser.press(&["/"]);
    browser.wait("the field", "return document.activeElement.id === 'filter'");
    browser.type_text("gen_ai.request.mo");
    browser.wait("an offer", "return [...document.querySelectorAll('#filter-options li')].some((li) => li.textContent.startsWith('gen_ai.request.model'))");
    browser.assert_clean("offers", &server.url());
    browser.press(&[DOWN, ENTER]);
    browser.wait(
        "the key",
        "return document.getElementById('filter').value === 'gen_ai.request.model='",
    );
    browser.wait("values", "return [...document.querySelectorAll('#filter-options li')].some((li) => li.textContent.startsWith('tiny-librarian'))");
    browser.press(&[DOWN, ENTER, ENTER]);
    browser.wait(
        "the filter",
        "return new URLSearchParams(location.search).get('q') === 'gen_ai.request.model=tiny-librarian'",
    );
    browser.wait("its chip", "return document.querySelector('.chips .chip')");
    browser.wait(
        "its rows",
        "return document.querySelectorAll('.row-link').length === 1",
    );
    browser.assert_clean("a filter", &server.url());
    browser.run("document.querySelector('.chips button').click()");
    browser.wait(
        "no filter",
        "return !new URLSearchParams(location.search).get('q')",
    );

    browser.run("document.getElementById('filter').focus()");
    browser.type_text(&trace[..8]);
    browser.wait(
        "the way to the trace",
        "return document.querySelector('#filter-options li')?.textContent.startsWith('go to')",
    );
    browser.press(&[DOWN, ENTER]);
    browser.wait(
        "the trace",
        &format!("return location.pathname.endsWith('{trace}')"),
    );
}

#[test]
fn single_letters_can_be_switched_off() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::demo();
    browser.open_page(&format!("{}/ui/traces", server.url()));
    browser.press(&["?"]);
    browser.wait(
        "the list of keys",
        "return document.querySelector('dialog.keys[open]')",
    );
    browser.run("document.querySelector('dialog input').click()");
    browser.press(&[ESCAPE]);
    browser.wait(
        "the end of the list",
        "return !document.querySelector('dialog[open]')",
    );
    browser.press(&["g", "l"]);
    browser.press(&["?"]);
    browser.wait(
        "the list of keys",
        "return document.querySelector('dialog.keys[open]')",
    );
    assert!(browser.url().ends_with("/ui/traces"), "{}", browser.url());
}

#[test]
fn back_restores_the_previous_choices() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::demo();
    browser.open_page(&format!("{}/ui/traces", server.url()));
    browser.run("document.querySelector('.row-link').click()");
    browser.wait("the waterfall", "return document.querySelector('.find-field')");
    browser.press(&["e", "["]);
    browser.wait(
        "folded rows",
        "return document.querySelector('.grid').getAttribute('aria-rowcount') === '2'",
    );
    browser.press(&["g", "l"]);
    browser.wait("logs", "return location.pathname === '/ui/logs'");
    browser.run("history.back()");
    browser.wait(
        "the trace with its fold",
        "return document.querySelector('.grid')?.getAttribute('aria-rowcount') === '2'",
    );
    browser.run("history.back()");
    browser.run("history.back()");
    browser.wait("the list", "return location.pathname === '/ui/traces'");
}

#[test]
fn a_key_that_is_pressed_before_the_tools_have_loaded_is_not_lost() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::demo();
    let list = json_of(&server.get("/ui/api/traces"));
    let trace = list["traces"][0]["trace_id"].as_str().unwrap();
    browser.go(&format!("{}/ui/traces/{trace}", server.url()));
    browser.wait(
        "the rows",
        "return performance.getEntriesByName('ss:rows').length > 0",
    );
    browser.press(&["e"]);
    browser.wait(
        "the first error",
        "return new URLSearchParams(location.search).get('span')",
    );
}
