//! Entries as JSON lines.

use super::super::{ContentPolicy, Format};
use super::*;

fn line(entry: &Entry<'_>) -> String {
    let options = RenderOptions::new().format(Format::Json).color(Color::TrueColor);
    let line = render(options, entry);
    assert_eq!(line.matches('\n').count(), 1, "one line: {line:?}");
    assert!(
        !line.trim_end().contains(super::super::text::is_hidden),
        "{line:?}"
    );
    line
}

fn parsed(entry: &Entry<'_>) -> serde_json::Value {
    serde_json::from_str(&line(entry)).unwrap()
}

#[test]
fn an_event_keeps_its_ids_and_the_types_of_its_attributes() {
    let fields = [
        ("b", RawValue::Bool(true)),
        ("i", RawValue::I64(-1)),
        ("u", RawValue::U64(u64::MAX)),
        ("f", RawValue::F64(2.0)),
        ("nan", RawValue::F64(f64::NAN)),
        ("inf", RawValue::F64(f64::NEG_INFINITY)),
        ("t", text("the last value")),
        ("__hidden", text("for programs")),
        ("cut", RawValue::Text("begin", Some(20_000))),
    ];
    let entry = Entry {
        service: "shop",
        fields: &fields,
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".parse().ok(),
        span_id: "00f067aa0ba902b7".parse().ok(),
        ..own("[bold]planning[/bold] [0]")
    };
    insta::assert_snapshot!(line(&entry), @r#"{"timestamp":"2026-11-21T14:03:22.123456789Z","severity":"info","kind":"event","service":"shop","target":"my_app::agents","line":42,"category":"agents","message":"planning [0]","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7","attributes":{"b":true,"i":-1,"u":18446744073709551615,"f":2.0,"nan":"NaN","inf":"-Infinity","t":"the last value","__hidden":"for programs","cut":"begin… (20,000 bytes)"}}"#);
    parsed(&entry);
}

#[test]
fn spans_and_floods_have_their_times() {
    let ended = entry(EntryKind::SpanEnd {
        name: "plan",
        total: Duration::from_micros(12_340),
        busy: Some(Duration::from_micros(3_100)),
        outcome: Outcome::Failed(Some("why")),
        slow: true,
    });
    let held = entry(EntryKind::RateLimited {
        lines: 149_900,
        during: Duration::from_secs(1),
        message: "cache miss",
    });
    insta::assert_snapshot!(line(&entry(EntryKind::SpanStart { name: "plan" })) + &line(&ended) + &line(&held), @r#"
    {"timestamp":"2026-11-21T14:03:22.123456789Z","severity":"info","kind":"span_start","target":"my_app::agents","line":42,"category":"agents","name":"plan","attributes":{}}
    {"timestamp":"2026-11-21T14:03:22.123456789Z","severity":"info","kind":"span_end","target":"my_app::agents","line":42,"category":"agents","name":"plan","duration_ms":12.34,"busy_ms":3.1,"status":"error","status_message":"why","slow":true,"attributes":{}}
    {"timestamp":"2026-11-21T14:03:22.123456789Z","severity":"info","kind":"held_back","target":"my_app::agents","line":42,"category":"agents","message":"cache miss","held_back":149900,"during_ms":1000.0,"attributes":{}}
    "#);
    assert_eq!(parsed(&ended)["busy_ms"], 3.1);
}

#[test]
fn any_text_is_parsed_back_unchanged() {
    let all: String = (0..=0x1_ffff).filter_map(char::from_u32).collect::<String>() + "\u{e0041}\u{10ffff}";
    let fields = [(all.as_str(), text(&all))];
    let entry = Entry {
        fields: &fields,
        ..foreign(&all)
    };
    let parsed = parsed(&entry);
    assert_eq!(parsed["message"], all.as_str());
    assert_eq!(parsed["attributes"][&all], all.as_str());
}

#[test]
fn the_content_policy_applies_to_json() {
    let fields = [("input.value", text("secret"))];
    let entry = Entry {
        fields: &fields,
        ..own("m")
    };
    let shown = |policy| render(RenderOptions::new().format(Format::Json).content(policy), &entry);
    assert!(shown(ContentPolicy::None).ends_with("\"attributes\":{}}\n"));
    assert!(shown(ContentPolicy::Redacted).contains("[redacted: 6 characters, fnv1a "));
    assert!(shown(ContentPolicy::Preview).contains("\"input.value\":\"secret\""));
}
