//! Data that tries to be markup, escape codes or entries.

use super::*;

const ATTACKS: [&str; 10] = [
    "\nERROR    14:03:22.123 forged: line",
    "\r\nINFO forged",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \u{9b}2J",
    "\x1b]8;;http://evil\x1b\\text\x1b]8;;\x1b\\",
    "[bold red]styled[/bold red] [link=https://evil.example]x[/link]",
    "\u{202e}gpj.exe\u{202c} \u{2066}isolated",
    "zero\u{200b}width \u{feff}mark \u{e0041}tag \u{ad}soft",
    "\0\x01\x07\x08\x7f\u{85}\u{2028}\u{2029}",
    "a=b \"c\" \\d\\ level=info",
    "",
];

#[test]
fn no_part_of_an_entry_can_forge_a_line_or_restyle_the_terminal() {
    for attack in ATTACKS {
        let fields = [
            (attack, text(attack)),
            ("exception.message", text(attack)),
            ("exception.type", text(attack)),
            ("exception.chain", text(attack)),
            ("backtrace", text(attack)),
        ];
        for what in [
            EntryKind::Event {
                message: attack,
                markup: true,
                keeps_lines: true,
            },
            EntryKind::Event {
                message: attack,
                markup: false,
                keeps_lines: false,
            },
            EntryKind::SpanStart { name: attack },
            EntryKind::SpanEnd {
                name: attack,
                total: Duration::MAX,
                busy: Some(Duration::MAX),
                outcome: Outcome::Failed(Some(attack)),
                slow: true,
            },
            EntryKind::RateLimited {
                lines: u64::MAX,
                during: Duration::MAX,
                message: attack,
            },
        ] {
            let entry = Entry {
                target: attack,
                service: attack,
                category: attack,
                fields: &fields,
                spans: &[attack, attack],
                ..entry(what)
            };
            for columns in [1, 40, 80, 10_000] {
                check(columns, &entry);
            }
        }
    }
}

#[test]
fn values_and_foreign_messages_are_one_line_with_escapes() {
    let fields = [("v", text("two\nlines\x1b[0m \u{202e}x\\n"))];
    let entry = Entry {
        fields: &fields,
        ..foreign("a\nb\tc")
    };
    assert_eq!(
        after_head(&plain(120, &entry)),
        r#"a\nb\tc v="two\nlines\x1b[0m \u{202e}x\\n""#
    );
}

#[test]
fn values_that_look_like_two_fields_are_quoted() {
    for (value, shown) in [
        ("tiny", "tiny"),
        ("a b", "\"a b\""),
        ("a=b", "\"a=b\""),
        ("a\"b", r#""a\"b""#),
        ("", "\"\""),
        ("\u{3000}", "\"\u{3000}\""),
        ("/a/b?c", "/a/b?c"),
        ("日本", "日本"),
    ] {
        let fields = [("k", text(value)), ("a b=c", RawValue::Bool(true))];
        let entry = Entry {
            fields: &fields,
            ..own("m")
        };
        assert_eq!(
            after_head(&plain(120, &entry)),
            format!("m k={shown} \"a b=c\"=true")
        );
    }
}

#[test]
fn many_combining_marks_are_truncated() {
    let marks = "\u{301}".repeat(100_000);
    let fields = [("zalgo", text(&marks))];
    let entry = Entry {
        fields: &fields,
        ..own("m")
    };
    check(80, &entry);
    assert!(plain(80, &entry).len() < 20_000);
    check(80, &own(&marks));
    assert!(plain(80, &own("e\u{301}\u{302}")).contains("e\u{301}\u{302}"));
}

#[test]
fn long_values_are_truncated_and_show_their_length() {
    let long = "x".repeat(12_345);
    for (value, note) in [
        (text(&long), "x… (12,345 characters)"),
        (RawValue::Text(&long[..500], Some(99_000)), "x… (99,000 bytes)"),
    ] {
        let fields = [("k", value)];
        let entry = Entry {
            fields: &fields,
            ..entry(EntryKind::SpanStart { name: "s" })
        };
        let shown = plain(10_000, &entry);
        assert!(shown.trim_end().ends_with(note), "{shown}");
        assert!(shown.len() < 1_200);
        check(40, &entry);
    }
}

#[test]
fn boxes_stay_within_bounds() {
    let chain = "cause\n".repeat(1_000);
    let trace = "\t  at a::b::c\n".repeat(10_000);
    let names = vec!["span"; 10_000];
    let fields = [
        ("exception.message", text("it failed")),
        (
            "exception.type",
            text("ATypeWithANameThatIsLongerThanTheBoxIsWide"),
        ),
        ("exception.chain", text(&chain)),
        ("backtrace", text(&trace)),
    ];
    let entry = Entry {
        fields: &fields,
        spans: &names,
        depth: 9,
        ..own("m")
    };
    for columns in [1, 20, 21, 40, 10_000, usize::MAX] {
        check(columns, &entry);
    }
    let shown = plain(80, &entry);
    assert!(shown.lines().count() < 150);
    for more in ["… 968 more causes", "… 9984 more spans", "… 9936 more lines"] {
        assert!(shown.contains(more), "{more}");
    }
}

#[test]
fn contents_follow_their_policy() {
    use super::super::ContentPolicy;
    let content = "secret words ".repeat(20);
    let fields = [("gen_ai.input.messages", text(&content)), ("n", RawValue::I64(1))];
    let entry = Entry {
        fields: &fields,
        ..own("m")
    };
    let shown = |policy| {
        after_head(&render(
            RenderOptions::new().width(10_000).content(policy),
            &entry,
        ))
        .to_owned()
    };
    assert_eq!(shown(ContentPolicy::None), "m n=1");
    assert_eq!(
        shown(ContentPolicy::Redacted),
        "m gen_ai.input.messages=[redacted: 260 characters, fnv1a 94784109340ee379] n=1"
    );
    assert_eq!(
        shown(ContentPolicy::Preview),
        format!(
            "m gen_ai.input.messages=\"{}\"… (260 characters) n=1",
            &content[..120]
        )
    );
    assert_eq!(
        shown(ContentPolicy::Full),
        format!("m gen_ai.input.messages=\"{content}\" n=1")
    );
}
