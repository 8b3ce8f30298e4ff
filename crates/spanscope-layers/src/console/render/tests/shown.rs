//! Snapshots: each entry plain and coloured, at three widths.

use std::fmt::Write as _;

use super::*;

fn snapshot(name: &str, entry: &Entry<'_>) {
    let mut shown = String::new();
    for columns in [40, 80, 120] {
        check(columns, entry);
        let plain = plain(columns, entry);
        let coloured = coloured(columns, entry).replace('\x1b', "^[");
        write!(shown, "--- {columns}\n{plain}--- {columns} coloured\n{coloured}").unwrap();
    }
    insta::with_settings!(
        { snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true },
        { insta::assert_snapshot!(name, shown) }
    );
}

#[test]
fn an_event_is_one_line_with_its_fields() {
    let fields = [
        ("steps", RawValue::U64(3)),
        ("model", text("tiny")),
        ("ratio", RawValue::F64(0.5)),
        ("cached", RawValue::Bool(false)),
        ("query", text("quoted if it has \"blanks\"")),
        ("empty", text("")),
        ("__trace", text("for programs")),
    ];
    snapshot(
        "event",
        &Entry {
            fields: &fields,
            ..own("planning the answer")
        },
    );
}

#[test]
fn every_level_has_its_style() {
    let mut shown = String::new();
    for severity in [
        Severity::Verbose,
        Severity::Debug,
        Severity::Info,
        Severity::Warn,
        Severity::Error,
        Severity::Critical,
    ] {
        let entry = Entry {
            severity,
            category: "uncategorized",
            ..own("said")
        };
        shown.push_str(&coloured(80, &entry).replace('\x1b', "^["));
    }
    insta::assert_snapshot!(shown, @"
    ^[[2mVERBOSE ^[[0m ^[[2m14:03:22.123 my_app::agents:42: ^[[0msaid
    ^[[32mDEBUG   ^[[0m ^[[2m14:03:22.123 my_app::agents:42: ^[[0msaid
    ^[[34mINFO    ^[[0m ^[[2m14:03:22.123 my_app::agents:42: ^[[0msaid
    ^[[33mWARN    ^[[0m ^[[2m14:03:22.123 my_app::agents:42: ^[[0msaid
    ^[[1m^[[31mERROR   ^[[0m ^[[2m14:03:22.123 my_app::agents:42: ^[[0msaid
    ^[[1m^[[7m^[[31mCRITICAL^[[0m ^[[2m14:03:22.123 my_app::agents:42: ^[[0msaid
    ");
}

#[test]
fn a_long_text_is_wrapped_under_itself() {
    let message = "The retriever found 12 documents in /var/lib/kb/index.db and asked \
        https://example.com/search?q=a-rather-long-address-that-fits-no-narrow-line for more, which took 3.5ms; \
        the answer of 10.0.0.7 was 'not modified' and true";
    snapshot(
        "wrapped",
        &Entry {
            fields: &[("id", text("6f1c2a9e-8d0b-4c57-9a35-0f6f3f1b2c4d"))],
            ..own(message)
        },
    );
}

#[test]
fn a_message_of_several_lines_stays_in_its_column() {
    snapshot(
        "several_lines",
        &own("first line\n\tsecond, by a tab\r\n\nfourth\nINFO     14:03:22.124 forged: no"),
    );
}

#[test]
fn markup_styles_the_message_and_nothing_else() {
    snapshot(
        "markup",
        &Entry {
            fields: &[("data", text("[bold]no[/bold]"))],
            ..own(
                "[bold red]failed[/bold red] after [dim]3 tries [i]of[/i] 5[/] see \
                [link=https://example.com/a]the page[/link] [#ff8000 on blue]orange[/] and xs[0]",
            )
        },
    );
}

#[test]
fn a_span_start_shows_the_attributes_that_fit_after_its_name() {
    let long = "word ".repeat(300);
    let fields = [
        ("gen_ai.request.model", text("llama-3.2")),
        ("gen_ai.usage.input_tokens", RawValue::I64(120)),
        ("gen_ai.input.messages", text(&long)),
        ("note", text("two\nlines")),
        ("__type", text("for programs")),
    ];
    snapshot(
        "span_start",
        &Entry {
            fields: &fields,
            ..entry(EntryKind::SpanStart { name: "plan" })
        },
    );
}

#[test]
fn a_verbose_span_shows_each_attribute_on_a_separate_line() {
    let fields = [("model", text("llama-3.2")), ("tokens", RawValue::I64(120))];
    let options = RenderOptions::new().width(80).attributes(AttributeLayout::Below);
    let start = Entry {
        fields: &fields,
        ..entry(EntryKind::SpanStart { name: "plan" })
    };
    insta::assert_snapshot!(render(options, &start), @"
    INFO     14:03:22.123 my_app::agents:42 agents: [START] plan
               model: llama-3.2
               tokens: 120
    ");
}

#[test]
fn a_line_shows_the_first_digits_of_its_trace_id_after_the_time() {
    let named = Entry {
        trace_id: "0123456789abcdef0123456789abcdef".parse().ok(),
        names_trace: true,
        span_name: "pl\nan",
        ..own("said")
    };
    check(80, &named);
    insta::assert_snapshot!(plain(80, &named), @r"
    INFO     14:03:22.123 0123456789ab my_app::agents:42 agents: in pl\nan: said
    ");
}

#[test]
fn a_span_that_ends_shows_total_busy_and_idle_time() {
    snapshot(
        "span_end",
        &Entry {
            fields: &[("answer", RawValue::I64(42))],
            ..entry(EntryKind::SpanEnd {
                name: "plan",
                total: Duration::from_micros(12_340),
                busy: Some(Duration::from_micros(3_100)),
                outcome: Outcome::Ok,
                slow: false,
            })
        },
    );
}

#[test]
fn failed_slow_and_abandoned_spans_are_marked() {
    snapshot(
        "span_failed",
        &Entry {
            severity: Severity::Error,
            ..end(
                Duration::from_millis(3),
                Outcome::Failed(Some("no such\nindex: 'kb'")),
            )
        },
    );
    snapshot(
        "span_slow",
        &entry(EntryKind::SpanEnd {
            name: "plan",
            total: Duration::from_millis(6_250),
            busy: Some(Duration::from_millis(250)),
            outcome: Outcome::Failed(None),
            slow: true,
        }),
    );
    snapshot(
        "span_abandoned",
        &end(Duration::from_secs(184), Outcome::Abandoned),
    );
}

#[test]
fn an_error_is_a_box_below_its_event() {
    let fields = [
        ("attempt", RawValue::U64(2)),
        ("error", text("tool \"search\" timed out after 30s")),
        ("exception.message", text("tool \"search\" timed out after 30s")),
        ("exception.type", text("ToolError")),
        (
            "exception.chain",
            text("request to https://search.example.com failed\nconnection reset by peer (os error 104)"),
        ),
        (
            "backtrace",
            text("   0: my_app::tools::search\n             at ./src/tools.rs:17:9\n   1: main"),
        ),
    ];
    snapshot(
        "error_box",
        &Entry {
            severity: Severity::Error,
            fields: &fields,
            spans: &["call_tool", "plan", "agent_run"],
            ..own("planning failed")
        },
    );
}

#[test]
fn a_flood_is_one_line() {
    snapshot(
        "held_back",
        &entry(EntryKind::RateLimited {
            lines: 149_900,
            during: Duration::from_secs(1),
            message: "cache miss",
        }),
    );
}

#[test]
fn letters_of_all_scripts_count_by_their_width() {
    snapshot(
        "scripts",
        &Entry {
            fields: &[("名前", text("値")), ("greeting", text("שלום"))],
            ..own(
                "日本語のメッセージは幅が二倍です e\u{301}te\u{301} שלום עולם مرحبا 👩\u{200d}👧 ❤\u{fe0f} done",
            )
        },
    );
}

#[test]
fn a_tree_indents_by_depth_and_a_service_precedes_the_target() {
    let fields = [("answer", RawValue::I64(42))];
    let deep = |depth| Entry {
        depth,
        service: "shop",
        fields: &fields,
        ..entry(EntryKind::SpanStart { name: "plan" })
    };
    insta::assert_snapshot!(plain(80, &deep(0)) + &plain(80, &deep(2)), @"
    INFO     14:03:22.123 shop my_app::agents:42 agents: [START] plan answer=42
    INFO     14:03:22.123     shop my_app::agents:42 agents: [START] plan answer=42
    ");
    for columns in [1, 20, 80, 10_000, usize::MAX] {
        check(columns, &deep(usize::MAX));
    }
}

#[test]
fn dates_time_zones_and_missing_parts_are_rendered() {
    let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(2));
    let bare = Entry {
        target: "",
        category: "",
        ..own("hello")
    };
    assert_eq!(
        render(RenderOptions::new().date(true).zone(zone), &bare),
        "INFO     2026-11-21 16:03:22.123 hello\n"
    );
    assert_eq!(
        plain(
            80,
            &Entry {
                line: None,
                link: None,
                ..own("\n")
            }
        ),
        "INFO     14:03:22.123 my_app::agents agents:\n"
    );
    assert_eq!(
        plain(
            80,
            &Entry {
                category: "uncategorized",
                fields: &[("n", RawValue::I64(1))],
                ..foreign("")
            }
        ),
        "INFO     14:03:22.123 my_app::agents:42: n=1\n"
    );
}
