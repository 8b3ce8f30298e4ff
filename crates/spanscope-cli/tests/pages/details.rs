//! Details of a span, widths of columns, and the ids that the filter field goes to.

use serde_json::json;

use super::browser::Browser;
use super::made;
use super::support::json_of;

const ENTER: &str = "\u{e007}";
const CONTROL: &str = "\u{e009}";
const LEFT: &str = "\u{e012}";
const RIGHT: &str = "\u{e014}";
const DOWN: &str = "\u{e015}";

const TRACE: &str = "000000000000000000000000000000c1";

#[test]
fn a_json_value_is_a_tree_that_keys_fold() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::empty();
    let items: Vec<u32> = (0..250).map(|index| index * 3).collect();
    let value =
        json!({"order": {"id": 1_234_567_890_123_456_789_u64, "items": items, "note": "x".repeat(900)}});
    let span = json!({
        "traceId": TRACE, "spanId": "00000000000000c1", "name": "order", "kind": 1,
        "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000001000000000",
        "attributes": [{"key": "body", "value": {"stringValue": value.to_string()}}],
    });
    made::send(
        &server,
        &json!({"resourceSpans": [{"resource": made::resource("shop"), "scopeSpans": [{"spans": [span]}]}]}),
    );
    browser.open_page(&format!(
        "{}/ui/traces/{TRACE}?span=00000000000000c1",
        server.url()
    ));
    let buttons = "[...document.querySelectorAll('.tree button')]";
    let shown = |text: &str| format!("return document.querySelector('.tree').textContent.includes('{text}')");
    browser.wait("the tree", "return document.querySelector('.tree button')");
    // A large value shows only its first level.
    assert_eq!(browser.number(&format!("return {buttons}.length")), 2);
    browser.run(&format!("{buttons}[1].focus()"));
    browser.press(&[RIGHT]);
    // A number would have lost its last digits.
    browser.wait("the members", &shown("id: 1234567890123456789"));
    browser.wait("the length of the list", &shown("items: [250 items]"));
    browser.run(&format!(
        "{buttons}.find((one) => one.textContent.includes('250 items')).focus()"
    ));
    browser.press(&[RIGHT]);
    browser.wait("the first 100 items", &shown("99: 297"));
    assert_eq!(browser.run(&shown("100: 300")), json!(false));
    browser.run(&format!(
        "{buttons}.find((one) => one.textContent === 'show 100 of 150 more').click()"
    ));
    browser.wait("the next items", &shown("199: 597"));
    assert_eq!(browser.run(&shown("200: 600")), json!(false));
    browser.assert_clean("a tree", &server.url());
    browser.press(&[LEFT]);
    browser.wait("the folded list", &format!("return {buttons}.length === 4"));
}

#[test]
fn keys_change_the_width_of_the_tokens() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::demo();
    let list = json_of(&server.get("/ui/api/traces"));
    let trace = list["traces"][0]["trace_id"].as_str().unwrap();
    let url = format!("{}/ui/traces/{trace}", server.url());
    browser.open_page(&url);
    let width = "document.querySelector('.whead .wtokens').clientWidth";
    let before = browser.number(&format!("return {width}"));
    browser.run("document.querySelector('.wtokens [role=separator]').focus()");
    browser.press(&[LEFT, LEFT, LEFT]);
    browser.wait("a wider column", &format!("return {width} === {before} + 30"));
    browser.press(&[RIGHT]);
    browser.wait("a narrower column", &format!("return {width} === {before} + 20"));
    // The browser keeps it.
    browser.open_page(&url);
    assert_eq!(browser.number(&format!("return {width}")), before + 20);
    browser.assert_clean("a wider column", &server.url());
}

#[test]
fn the_field_goes_to_the_trace_of_a_task() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::demo();
    let list = json_of(&server.get("/ui/api/traces"));
    let [trace, task] = ["trace_id", "run"].map(|key| list["traces"][0][key].as_str().unwrap().to_owned());
    assert_ne!(trace, task);
    browser.open_page(&format!("{}/ui/traces", server.url()));
    browser.press(&["/"]);
    browser.type_text(&task);
    browser.wait(
        "the offer",
        &format!("return document.querySelector('.options li')?.textContent === 'go to {task}task'"),
    );
    browser.press(&[DOWN, ENTER]);
    browser.wait(
        "the trace",
        &format!("return location.pathname.endsWith('/traces/{trace}')"),
    );
    browser.settled();
    browser.assert_clean("the trace of a task", &server.url());

    browser.open_page(&format!("{}/ui/store", server.url()));
    browser.chord(&[CONTROL, "k"]);
    browser.wait(
        "the actions",
        "return document.querySelector('dialog[open] input')",
    );
    browser.type_text(&task);
    browser.press(&[ENTER]);
    browser.wait(
        "the trace again",
        &format!("return location.pathname.endsWith('/traces/{trace}')"),
    );
}
