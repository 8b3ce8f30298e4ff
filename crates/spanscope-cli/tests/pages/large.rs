//! Traces of 10,000 and 100,000 spans: few elements at any time, and every row can be reached.

use super::browser::Browser;
use super::made::{self, LARGE};
use super::weight::{assert_few_requests, before_rows};

const MAX_ELEMENTS: u64 = 300;
const MAX_BYTES_PER_SPAN: usize = 50;
const END: &str = "\u{e010}";
const HOME: &str = "\u{e011}";

fn elements(browser: &Browser) -> u64 {
    browser.number("return document.querySelectorAll('.grid, .grid *').length")
}

/// The label of the current row of the grid.
const CURRENT: &str = "const id = document.querySelector('.grid').getAttribute('aria-activedescendant'); \
                       return document.getElementById(id)?.getAttribute('aria-label') ?? ''";

fn walk(browser: &Browser, url: &str, spans: usize) {
    browser.open_page(url);
    assert!(elements(browser) <= MAX_ELEMENTS, "{}", elements(browser));
    browser.wait("the tools", "return document.querySelector('.find-field')");
    let rows = browser.number("return Number(document.querySelector('.grid').getAttribute('aria-rowcount'))");
    // Every span, or the line of its group, and the heading.
    assert!(rows > 2 && rows <= spans as u64 + 1, "{rows}");

    browser.press(&[END]);
    browser.wait(
        "the last row",
        &CURRENT.replace("?? ''", "?.startsWith('the very last')"),
    );
    assert!(elements(browser) <= MAX_ELEMENTS);
    browser.press(&[HOME]);
    browser.wait(
        "the first row",
        &CURRENT.replace("?? ''", "?.startsWith('POST /turns')"),
    );

    // 60 steps down and back.
    browser.run(
        "const grid = document.querySelector('.grid'); window.most = 0; window.done = false; let step = 0; \
         const go = () => { step += 1; grid.scrollTop += (step <= 60 ? 1 : -1) * grid.scrollHeight / 61; \
         window.most = Math.max(window.most, document.querySelectorAll('.grid, .grid *').length); \
         if (step < 120) requestAnimationFrame(go); else window.done = true; }; requestAnimationFrame(go)",
    );
    browser.wait("the end of scrolling", "return window.done");
    let most = browser.number("return window.most");
    println!("{spans} spans: {most} elements at most");
    assert!(most <= MAX_ELEMENTS, "{most}");

    // The next error is found in folded rows.
    browser.press(&["["]);
    browser.wait(
        "all rows to fold",
        "return document.querySelector('.grid').getAttribute('aria-rowcount') === '2'",
    );
    browser.press(&["e"]);
    browser.wait("an error", &CURRENT.replace("?? ''", "?.includes(', error')"));
    browser.press(&["]"]);

    // A search finds rows that are not shown, because the server performs it.
    browser.press(&["/"]);
    browser.type_text("very");
    browser.press(&["\u{e007}"]);
    browser.wait(
        "the match",
        "return document.querySelector('.find [role=status]')?.textContent.includes('1 match')",
    );
    browser.press(&["\u{e00c}"]);
    browser.press(&["n"]);
    browser.wait(
        "the row that was found",
        &CURRENT.replace("?? ''", "?.startsWith('the very last')"),
    );
    assert!(elements(browser) <= MAX_ELEMENTS);
}

/// The other views have few elements too.
fn views(browser: &Browser, url: &str, views: &[&str], origin: &str) {
    for view in views {
        browser.open_page(&format!("{url}?view={view}"));
        browser.wait(
            view,
            "return document.querySelector('.view :is(.vrow, tbody tr)')",
        );
        browser.settled();
        let elements = browser.number("return document.querySelectorAll('.view *').length");
        println!("{view}: {elements} elements");
        assert!(elements <= 1_000, "{view}: {elements}");
        browser.assert_clean(view, origin);
    }
}

#[test]
fn a_trace_of_10_000_spans_has_few_elements_and_every_row() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::empty();
    made::large(&server, 10_000);
    let url = format!("{}/ui/traces/{LARGE}", server.url());
    walk(&browser, &url, 10_000);
    // A link to a span shows its row.
    browser.open_page(&format!("{url}?span={:016x}", 9_000));
    browser.wait("the linked row", &CURRENT.replace("?? ''", "?.length > 0"));
    browser.assert_clean("10,000 spans", &server.url());
    views(&browser, &url, &["log", "table", "json"], &server.url());
}

#[test]
fn a_trace_of_100_000_spans_has_few_elements_and_every_row() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::empty();
    made::large(&server, 100_000);
    let url = format!("{}/ui/traces/{LARGE}", server.url());
    let shape = server.get(&format!("/ui/api/traces/{LARGE}"));
    println!("100,000 spans: {} bytes", shape.body.len());
    assert!(shape.body.len() <= 100_000 * MAX_BYTES_PER_SPAN);
    browser.open_page(&url);
    let before_rows = before_rows(&browser);
    println!("100,000 spans: {} requests before the rows", before_rows[0]);
    assert_few_requests("100,000 spans", &before_rows);
    walk(&browser, &url, 100_000);
    browser.assert_clean("100,000 spans", &server.url());
    views(&browser, &url, &["log", "table"], &server.url());
    // The text would be too large for a browser: the page names the command that writes a file.
    browser.open_page(&format!("{url}?view=json"));
    browser.wait(
        "what to do instead",
        "return document.querySelector('.view .problem')?.textContent.includes('spanscope export')",
    );
    let log = browser.log();
    assert!(log.iter().all(|line| line.contains("422")), "{log:?}");
    browser.assert_clean("JSON of 100,000 spans", &server.url());
}

#[test]
fn the_current_row_stays_in_view_when_the_details_open() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::empty();
    made::large(&server, 2_000);
    // Here the details open below the rows, which then have less height.
    browser.size(800, 600);
    browser.open_page(&format!("{}/ui/traces/{LARGE}", server.url()));
    browser.press(&[END]);
    browser.wait(
        "the details",
        "return document.querySelector('.details [role=tab]')",
    );
    browser.wait(
        "the last row",
        &CURRENT.replace("?? ''", "?.startsWith('the very last')"),
    );
    browser.assert_clean("the details below the rows", &server.url());
}
