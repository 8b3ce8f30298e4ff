//! Hostile texts and inconsistent records: at least 40 kinds, each stored once.

use serde_json::{Value as Json, json};
use spanscope_model::Timestamp;

use super::made;
use super::support::Serve;

/// The trace with a span for each text.
pub(crate) const TRACE: &str = "e0000000000000000000000000000001";
/// A trace of 10,000 spans below each other.
pub(crate) const DEEP: &str = "e0000000000000000000000000000002";
pub(crate) const DEPTH: u64 = 10_000;
/// A trace that begins in 1970 and ends in 2262.
pub(crate) const TIMES: &str = "e0000000000000000000000000000003";
/// A span of [`TRACE`] with values and lists that are large, and one with 100,000 attributes.
pub(crate) const LARGE_VALUES: u64 = 1;
pub(crate) const MANY_KEYS: u64 = 2;
pub(crate) const KEYS: usize = 100_000;

/// Kinds of texts. Each is stored as a name, a key, a value, a message, a model, a status message
/// and a trace state. `other` is the address of a server that must not receive a connection.
pub(crate) fn texts(other: &str) -> Vec<(&'static str, String)> {
    let mut texts: Vec<(&str, String)> = [
        ("a script", "<script>window.__pwned=1</script>"),
        ("an event attribute", "<img src=x onerror=\"window.__pwned=1\">"),
        (
            "SVG",
            "<svg onload=window.__pwned=1><animate onbegin=window.__pwned=1>",
        ),
        (
            "a frame",
            "</bdi></div><iframe srcdoc=\"<script>parent.__pwned=1</script>\">",
        ),
        (
            "the end of an attribute",
            "\"><a href=\"javascript:window.__pwned=1\" autofocus onfocus=window.__pwned=1>x</a>",
        ),
        ("a single quote", "' onmouseover='window.__pwned=1"),
        ("a URL of JavaScript", "javascript:window.__pwned=1"),
        (
            "a URL of data",
            "data:text/html,<script>window.__pwned=1</script>",
        ),
        ("a base", "<base href=\"//OTHER/\">"),
        (
            "a redirect",
            "<meta http-equiv=refresh content=\"0;url=http://OTHER/\">",
        ),
        ("a style sheet", "<link rel=stylesheet href=http://OTHER/a.css>"),
        ("a picture in Markdown", "![picture](http://OTHER/a.png)"),
        ("a link in Markdown", "[link](javascript:window.__pwned=1)"),
        ("styles", "<style>*{background:url(http://OTHER/b.png)}</style>"),
        ("a form", "<form action=http://OTHER/><input type=submit></form>"),
        (
            "a template of braces",
            "{{constructor.constructor('window.__pwned=1')()}}",
        ),
        ("a template of JavaScript", "${window.__pwned=1}"),
        ("a reversed order", "invoice\u{202e}fdp.exe"),
        (
            "isolation and no width",
            "\u{2066}isolated\u{2069} \u{200b}zero\u{feff}width\u{ad}",
        ),
        ("NUL and escapes of terminals", "nul\u{0}esc\u{1b}[31mred\u{7}"),
        ("lines and tabs", "many\nlines\r\nand\ttabs"),
        ("writing from the right", "مرحبا بالعالم עברית"),
        (
            "a tower of marks",
            "a\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}tower",
        ),
        ("invisible tags", "\u{e0041}\u{e0042}tags"),
        ("a prototype", "__proto__"),
        ("a constructor", "constructor"),
        ("a method", "toString"),
        ("another method", "hasOwnProperty"),
        ("a formula", "=1+1"),
        ("a formula of others", "@SUM(A1)"),
        ("no number", "NaN"),
        ("a number of 64 bits and one", "9223372036854775808"),
        ("nothing", ""),
        ("a blank", " "),
        // An unpaired surrogate is stored as the replacement character.
        ("half a character", "LONE half"),
    ]
    .iter()
    .map(|(kind, text)| (*kind, text.replace("OTHER", other)))
    .collect();
    texts.push(("a long name", "long".repeat(1_250)));
    texts.push(("nothing but hidden characters", "\u{202e}".repeat(3_000)));
    texts
}

/// Kinds of inconsistent records, and the names of their spans.
pub(crate) const RECORDS: [(&str, &str); 5] = [
    ("a parent of its parent", "one of a circle"),
    ("a child of its child", "other of a circle"),
    ("a parent that is not stored", "without its parent"),
    ("an end before the start", "ends before it starts"),
    ("a span that is its own parent", "its own parent"),
];

/// Kinds that are tested one by one: the span that was sent twice, those of [`TIMES`], [`DEEP`],
/// [`LARGE_VALUES`] and [`MANY_KEYS`], and the values that JSON can't represent.
pub(crate) const OTHERS: [&str; 9] = [
    "an id that came twice",
    "a start in 1970",
    "an end in 2262",
    "a depth of 10,000",
    "a value of 1 MB",
    "a list of 20,000 items",
    "100,000 attributes",
    "a float that is no number",
    "the least integer",
];

fn text(value: &str) -> Json {
    json!({"stringValue": value})
}

fn id(number: u64) -> String {
    format!("{number:016x}")
}

fn span(trace: &str, number: u64, parent: Option<u64>, name: &str, (start, end): (i64, i64)) -> Json {
    let mut span = json!({
        "traceId": trace, "spanId": id(number), "name": name, "kind": 3,
        "startTimeUnixNano": start.to_string(), "endTimeUnixNano": end.to_string(),
    });
    if let Some(parent) = parent {
        span["parentSpanId"] = json!(id(parent));
    }
    span
}

/// Sets a text in all fields of a span that can have a text.
fn with_text(mut span: Json, value: &str, now: i64) -> Json {
    span["attributes"] = json!([
        {"key": value, "value": text(value)}, {"key": "gen_ai.request.model", "value": text(value)},
        {"key": "gen_ai.operation.name", "value": text("chat")},
        {"key": "list", "value": {"arrayValue": {"values": [text(value), {"doubleValue": "NaN"}]}}},
        {"key": "least", "value": {"intValue": i64::MIN.to_string()}},
    ]);
    span["events"] = json!([{
        "timeUnixNano": now.to_string(), "name": "exception", "attributes": [
            {"key": "exception.type", "value": text(value)}, {"key": "exception.message", "value": text(value)},
            {"key": "exception.stacktrace", "value": text(value)}]}]);
    span["status"] = json!({"code": 2, "message": value});
    span["traceState"] = json!(value);
    span
}

/// Sends all records. Returns the number of spans of [`TRACE`].
pub(crate) fn send(server: &Serve, texts: &[(&str, String)]) -> usize {
    let now = Timestamp::now().as_nanos() - 5_000_000_000;
    let short = (now, now + 1_000_000);
    let items = format!("[{}]", vec!["{\"a\":1}"; 20_000].join(","));
    let mut root = span(
        TRACE,
        LARGE_VALUES,
        None,
        "hostile root",
        (now, now + 3_000_000_000),
    );
    root["attributes"] = json!([
        {"key": "big", "value": text(&"m".repeat(1_000_000))}, {"key": "items", "value": text(&items)},
    ]);
    let mut many = span(TRACE, MANY_KEYS, Some(1), "many keys", short);
    many["attributes"] = (0..KEYS)
        .map(|i| json!({"key": format!("key {i}"), "value": {"intValue": i64::MAX.to_string()}}))
        .collect();
    let mut spans = vec![
        root,
        many,
        span(TRACE, 0xa1, Some(0xa2), RECORDS[0].1, short),
        span(TRACE, 0xa2, Some(0xa1), RECORDS[1].1, short),
        span(TRACE, 0xa3, Some(0xdead), RECORDS[2].1, short),
        span(
            TRACE,
            0xa4,
            Some(1),
            RECORDS[3].1,
            (now + 2_000_000_000, now + 1_000_000_000),
        ),
        span(TRACE, 0xa5, Some(0xa5), RECORDS[4].1, short),
        span(TRACE, 0xa6, Some(1), "came twice", short),
    ];
    for (i, (_, value)) in (0_u32..).zip(texts) {
        let start = now + i64::from(i) * 1_000_000;
        let one = span(
            TRACE,
            100 + u64::from(i),
            Some(1),
            value,
            (start, start + 900_000),
        );
        spans.push(with_text(one, value, now));
    }
    let number = spans.len();
    spans.push(span(TRACE, 0xa6, Some(1), "came twice", short));
    let service = made::resource("<img src=x onerror=window.__pwned=1>");
    let request =
        |spans: &[Json]| json!({"resourceSpans": [{"resource": service, "scopeSpans": [{"spans": spans}]}]});
    // A Rust string can't contain an unpaired surrogate, so it is inserted into the JSON text.
    let body = request(&spans).to_string().replace("LONE", "\\ud800");
    let answer = spanscope_tests::http::post(server.address(), "/v1/traces", &body).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");

    let deep: Vec<Json> = (0..DEPTH)
        .map(|depth| {
            let name = if depth + 1 == DEPTH { "the deepest" } else { "deep" };
            span(DEEP, depth + 1, (depth > 0).then_some(depth), name, short)
        })
        .collect();
    made::send(server, &request(&deep));
    made::send(
        server,
        &request(&[
            span(TIMES, 1, None, "since 1970", (1, now)),
            span(TIMES, 2, Some(1), "until 2262", (now, i64::MAX)),
        ]),
    );
    let records: Vec<Json> = texts
        .iter()
        .map(|(_, value)| {
            json!({"timeUnixNano": now.to_string(), "severityNumber": 17, "body": text(value), "traceId": TRACE,
                   "spanId": id(1), "attributes": [{"key": value, "value": text(value)}]})
        })
        .collect();
    let logs = json!({"resourceLogs": [{"resource": service, "scopeLogs": [{"logRecords": records}]}]});
    assert_eq!(server.post("/v1/logs", &logs).status, 200);
    number
}
