//! Lists: pages that load while scrolling, columns and their widths, log events with the newest
//! last.

use serde_json::{Value as Json, json};
use spanscope_model::Timestamp;

use super::browser::Browser;
use super::made;
use super::support::{Serve, json_of};

/// Sends a number of traces of one span, a second apart, the newest last.
fn send_traces(server: &Serve, number: i64) {
    let now = Timestamp::now().as_nanos();
    let spans: Vec<Json> = (1..=number)
        .map(|i| {
            let start = now - (number - i) * 1_000_000_000;
            json!({"traceId": format!("{i:032x}"), "spanId": format!("{i:016x}"), "name": format!("turn {i}"),
                   "startTimeUnixNano": start.to_string(), "endTimeUnixNano": (start + i * 1_000).to_string()})
        })
        .collect();
    let request =
        json!({"resourceSpans": [{"resource": made::resource("agent"), "scopeSpans": [{"spans": spans}]}]});
    made::send(server, &request);
}

/// Sends a log event.
fn send_event(server: &Serve, message: &str) {
    let record = json!({"timeUnixNano": Timestamp::now().as_nanos().to_string(), "severityNumber": 9,
                        "body": {"stringValue": message}});
    let logs = json!({"resourceLogs": [{"resource": made::resource("agent"), "scopeLogs": [{"logRecords": [record]}]}]});
    assert_eq!(server.post("/v1/logs", &logs).status, 200);
}

const ROWS: &str = "document.querySelectorAll('.row-link').length";

#[test]
fn a_list_loads_its_next_pages_while_scrolling() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::empty();
    send_traces(&server, 250);
    for page in ["traces", "spans"] {
        browser.open_page(&format!("{}/ui/{page}?live=0", server.url()));
        assert_eq!(browser.number(&format!("return {ROWS}")), 100, "{page}");
        // Only the histogram counts what is not shown, and spans have none.
        if page == "traces" {
            browser.wait(
                "the number of all traces",
                "return document.querySelector('.of-all')?.textContent.trim() === '100 of 250'",
            );
        }
        for rows in [200, 250] {
            browser.run("scrollTo(0, document.documentElement.scrollHeight)");
            browser.wait("the next page", &format!("return {ROWS} === {rows}"));
        }
        let first = "document.querySelector('.row-link').textContent";
        let last = "[...document.querySelectorAll('.row-link')].pop().textContent";
        assert_eq!(
            browser.text(&format!("return {first} + ', ' + {last}")),
            "turn 250, turn 1",
            "{page}"
        );
        browser.settled();
        browser.assert_clean(page, &server.url());
    }
}

#[test]
fn chosen_columns_and_widths_set_by_keys_are_kept() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::demo();
    browser.open_page(&format!("{}/ui/traces", server.url()));
    let width = "document.querySelector('.row-head .c-root').offsetWidth";
    browser.run("[...document.querySelectorAll('.menu label')].find((label) => label.textContent.includes('run')).click()");
    browser.wait(
        "the column of runs",
        "return document.querySelector('.row:not(.row-head) .c-run')?.textContent.startsWith('task-')",
    );
    let before = browser.number(&format!("return {width}"));
    browser.run("document.querySelector('.row-head .c-root .separator').focus()");
    for _ in 0..5 {
        browser.press(&["\u{e012}"]);
    }
    browser.wait("a narrower column", &format!("return {width} < {before}"));
    let narrow = browser.number(&format!("return {width}"));
    browser.assert_clean("a narrower column", &server.url());
    browser.open_page(&format!("{}/ui/traces", server.url()));
    assert_eq!(browser.number(&format!("return {width}")), narrow);
    browser.wait(
        "the column of runs",
        "return document.querySelector('.row-head .c-run')",
    );
}

/// Drags the separator in this element by some pixels to the right.
fn drag(browser: &Browser, element: &str, by: i64) {
    let at = browser.run(&format!(
        "const box = document.querySelector('{element} .separator').getBoundingClientRect(); \
         return [Math.round(box.left + box.width / 2), Math.round(box.top + 8)]"
    ));
    let (x, y) = (at[0].as_i64().unwrap(), at[1].as_i64().unwrap());
    for (event, x) in [
        ("mousePressed", x),
        ("mouseMoved", x + by),
        ("mouseReleased", x + by),
    ] {
        browser.cdp(
            "Input.dispatchMouseEvent",
            &json!({"type": event, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1}),
        );
    }
}

#[test]
fn columns_are_dragged_to_another_width_which_is_kept() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::demo();
    let list = json_of(&server.get("/ui/api/traces"));
    let traces = list["traces"].as_array().unwrap();
    let agent = traces.iter().find(|row| !row["run"].is_null()).unwrap();
    let trace = agent["trace_id"].as_str().unwrap();
    for (page, element, by) in [
        ("traces", ".row-head .c-root", 40),
        // The separator of the last column is at its left.
        (&format!("traces/{trace}"), ".whead .wtokens", -40),
    ] {
        let url = format!("{}/ui/{page}", server.url());
        browser.open_page(&url);
        let width = format!("return document.querySelector('{element}')?.offsetWidth");
        let before = browser.number(&width);
        drag(&browser, element, by);
        browser.wait("a wider column", &format!("{width} > {before} + 30"));
        let after = browser.number(&width);
        browser.assert_clean("a wider column", &server.url());
        browser.open_page(&url);
        assert_eq!(browser.number(&width), after, "{element}");
    }
}

#[test]
fn new_log_events_scroll_into_view_until_the_user_scrolls_up() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::empty();
    for i in 0..60 {
        send_event(&server, &format!("event {i}"));
    }
    browser.open_page(&format!("{}/ui/logs", server.url()));
    browser
        .run("[...document.querySelectorAll('button')].find((b) => b.textContent === 'newest last').click()");
    let last = "[...document.querySelectorAll('.message > bdi')].pop().textContent";
    let at_end = "innerHeight + scrollY > document.documentElement.scrollHeight - 10";
    browser.wait("the order", &format!("return {last} === 'event 59'"));
    browser.wait("the end in view", &format!("return {at_end}"));
    send_event(&server, "a new event");
    browser.wait(
        "the new event in view",
        &format!("return {last} === 'a new event' && {at_end}"),
    );
    browser.assert_clean("the newest last", &server.url());
    browser.run("scrollTo(0, 0)");
    browser.wait("the top", "return scrollY === 0");
    send_event(&server, "another event");
    browser.wait(
        "that there is one more",
        "return document.querySelector('.new-rows')?.textContent.startsWith('1 new event')",
    );
    assert_eq!(browser.number("return scrollY"), 0);
    browser.run("document.querySelector('.new-rows').click()");
    browser.wait(
        "the newest event in view",
        &format!("return {last} === 'another event' && {at_end}"),
    );
}

#[test]
fn a_trace_leads_to_the_ones_before_and_after_it_and_a_span_to_those_that_link_to_it() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::empty();
    send_traces(&server, 3);
    let (trace, span) = (format!("{:032x}", 2), format!("{:016x}", 2));
    let newest = format!("{:032x}", 4);
    let mut linking = super::support::span(&newest, &format!("{:016x}", 4), "<b>follows</b>");
    linking["links"] = json!([{"traceId": trace, "spanId": span}]);
    made::send(&server, &super::support::traces(&[linking]));

    browser.open_page(&format!("{}/ui/traces/{trace}?span={span}", server.url()));
    browser.wait(
        "the ways to both traces next to it",
        "return [...document.querySelectorAll('.near a')].map((link) => link.textContent).join() === '‹ older,newer ›'",
    );
    browser.wait("the tab", "return document.getElementById('details-links')");
    browser.run("document.getElementById('details-links').click()");
    browser.wait(
        "the span that links to it",
        "return document.querySelector('.details .links a')?.textContent === '<b>follows</b>'",
    );
    browser.settled();
    browser.assert_clean("what is next to a trace", &server.url());

    browser.run("document.querySelector('.details .links a').click()");
    browser.wait(
        "the trace of the span, which is the newest",
        &format!(
            "return location.pathname.endsWith('{newest}') && document.querySelectorAll('.near a').length === 1"
        ),
    );
    browser.run("document.querySelector('.near a').click()");
    browser.wait(
        "the trace before it",
        "return document.querySelector('.trace-head h1')?.textContent.includes('turn 3')",
    );
}
