//! Live pages: a new trace appears, a running one grows, and a page reports that its server is
//! gone and reconnects to the next one.

use serde_json::json;
use spanscope_model::Timestamp;
use spanscope_tests::process::Signal;

use super::browser::Browser;
use super::made;
use super::support::{Serve, one_span, span, traces};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

#[test]
fn a_new_trace_appears_at_the_top_and_waits_while_a_row_is_selected() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::demo();
    browser.open_page(&format!("{}/ui/traces", server.url()));
    browser.wait("the stream", "return document.querySelector('.live-on')");
    made::send(&server, &one_span(1));
    browser.wait(
        "the second trace",
        "return document.querySelectorAll('.row-link').length === 2",
    );
    browser.wait(
        "the second trace in the histogram",
        "return [...document.querySelectorAll('.histogram td')].reduce((sum, cell) => sum + Number(cell.textContent), 0) === 2",
    );
    browser.press(&["j"]);
    made::send(&server, &one_span(2));
    browser.wait(
        "the new row to be offered",
        "return document.querySelector('.new-rows')?.textContent.startsWith('1 new trace')",
    );
    assert_eq!(
        browser.number("return document.querySelectorAll('.row-link').length"),
        2
    );
    browser.assert_clean("new rows", &server.url());
    browser.run("document.querySelector('.new-rows').click()");
    browser.wait(
        "the third trace",
        "return document.querySelectorAll('.row-link').length === 3",
    );
    // A paused page shows no new rows.
    browser.press(&["f"]);
    made::send(&server, &one_span(3));
    browser.press(&["f"]);
    browser.wait(
        "the fourth trace",
        "return document.querySelectorAll('.row-link').length === 4",
    );
    browser.assert_clean("live", &server.url());
}

#[test]
fn a_page_reports_that_its_server_is_gone_and_reconnects_to_the_next_one() {
    let Some(browser) = Browser::open() else { return };
    let (folder, server) = made::demo();
    let address = server.address();
    browser.open_page(&format!("{}/ui/traces", server.url()));
    browser.wait("the stream", "return document.querySelector('.live-on')");
    server.signal(Signal::KILL);
    server.end();
    browser.wait(
        "that there is no connection, and when the next try is",
        "return /^▲no connection, next try in \\d+ s$/.test(document.querySelector('.live-lost')?.textContent)",
    );
    // The rows stay, and the failed request is reported.
    assert_eq!(
        browser.number("return document.querySelectorAll('.row-link').length"),
        1
    );
    browser.run("document.querySelector('.row-link').click()");
    browser.wait(
        "what failed",
        "return document.querySelector('.problem')?.textContent",
    );
    let wrong = browser.axe();
    assert_eq!(wrong, [""; 0]);

    let listen = address.to_string();
    let server = Serve::start(folder.command(&["serve", "--listen", &listen]));
    browser.wait("the trace", "return document.querySelector('.wrows .wrow bdi')");
    browser.run("history.back()");
    browser.wait("the list", "return document.querySelector('.row-link')");
    browser.wait("the stream", "return document.querySelector('.live-on')");
    made::send(
        &server,
        &traces(&[span(TRACE, "00000000000000a1", "after the pause")]),
    );
    browser.wait(
        "a trace of the new server",
        "return document.querySelectorAll('.row-link').length === 2",
    );
}

#[test]
fn a_trace_grows_while_it_is_shown_and_the_selected_row_stays() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::empty();
    // The parent was not received yet, so the trace is still running.
    let now = Timestamp::now().as_nanos();
    let child = |id: u32, name: &str| {
        json!({"traceId": TRACE, "spanId": format!("{id:016x}"), "parentSpanId": "00000000000000ff", "name": name,
               "startTimeUnixNano": (now + i64::from(id) * 1000).to_string(), "endTimeUnixNano": (now + i64::from(id) * 1000 + 500).to_string()})
    };
    made::send(&server, &traces(&[child(1, "first"), child(2, "second")]));
    browser.open_page(&format!("{}/ui/traces/{TRACE}?span={:016x}", server.url(), 2));
    browser.wait(
        "the details",
        "return document.querySelector('.details h2')?.textContent.includes('second')",
    );
    let root = json!({"traceId": TRACE, "spanId": "00000000000000ff", "name": "root at last",
                      "startTimeUnixNano": now.to_string(), "endTimeUnixNano": (now + 1_000_000).to_string()});
    made::send(&server, &traces(&[child(3, "third"), root]));
    browser.wait(
        "the new rows",
        "return [...document.querySelectorAll('.wrows .wrow:not([hidden]) bdi')].some((e) => e.textContent === 'root at last')",
    );
    browser.wait(
        "the row in hand",
        "return document.querySelector('.wrow[aria-selected=true] bdi')?.textContent === 'second'",
    );
    browser.assert_clean("a trace that grew", &server.url());
}
