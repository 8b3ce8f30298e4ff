//! Properties of any text: tested on random texts, the same ones in every run.

use super::*;

const PARTS: [&str; 34] = [
    "word",
    " ",
    " ",
    "  ",
    "a-much-longer-word-that-fits-no-narrow-line",
    "日本語",
    "é",
    "e\u{301}",
    "👩\u{200d}👧",
    "❤\u{fe0f}",
    "שלום",
    "مرحبا",
    "\n",
    "\t",
    "\x1b[31m",
    "\u{202e}",
    "\u{9b}",
    "[bold]",
    "[/bold]",
    "[red on #102030]",
    "[/]",
    "[link=https://x.org]",
    "[/link]",
    "\\",
    "[",
    "]",
    "\"",
    "'",
    "=",
    "12.5",
    "https://x.org/a",
    "/usr/lib",
    "true",
    "\u{301}\u{301}\u{301}\u{301}\u{301}",
];

fn any_text(random: &mut fastrand::Rng) -> String {
    let parts = random.usize(..40);
    (0..parts).map(|_| PARTS[random.usize(..PARTS.len())]).collect()
}

#[test]
fn for_any_text_lines_fit_and_have_only_our_escape_codes() {
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..3_000 {
        let texts: [String; 5] = std::array::from_fn(|_| any_text(&mut random));
        let [message, key, value, name, cause] = texts.each_ref().map(String::as_str);
        let mut fields = vec![(key, text(value)), ("n", RawValue::F64(random.f64()))];
        if random.bool() {
            fields.push(("exception.message", text(cause)));
            fields.push(("exception.chain", text(message)));
        }
        let entry = Entry {
            fields: &fields,
            depth: random.usize(..6),
            spans: &[name],
            target: name,
            ..match random.u8(..4) {
                0 => own(message),
                1 => foreign(message),
                2 => entry(EntryKind::SpanStart { name }),
                _ => end(Duration::from_nanos(random.u64(..)), Outcome::Failed(Some(cause))),
            }
        };
        check(random.usize(1..130), &entry);
    }
}

#[test]
fn lines_of_any_characters_fit() {
    let mut random = fastrand::Rng::with_seed(6);
    for _ in 0..3_000 {
        let top = [0x80, 0x800, 0x3000, 0x1_0000, 0x10_ffff][random.usize(..5)];
        let message: String = (0..random.usize(..120))
            .filter_map(|_| char::from_u32(random.u32(..top)))
            .collect();
        let fields = [("k", text(&message)), (&message, text("v"))];
        let entry = Entry {
            fields: &fields,
            category: &message,
            ..own(&message)
        };
        check(random.usize(1..130), &entry);
    }
}

#[test]
fn no_word_is_lost_or_moved_by_wrapping() {
    let mut random = fastrand::Rng::with_seed(4);
    for _ in 0..2_000 {
        let words: Vec<String> = (0..random.usize(1..60))
            .map(|_| (0..random.usize(1..30)).map(|_| random.alphabetic()).collect())
            .collect();
        let message = words.join(" ");
        let entry = Entry {
            target: "",
            category: "",
            ..foreign(&message)
        };
        let shown = plain(random.usize(20..120), &entry);
        let letters = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(letters(&shown), format!("INFO14:03:22.123{}", words.concat()));
    }
}

#[test]
fn plain_text_shows_markup_stripped() {
    let mut random = fastrand::Rng::with_seed(5);
    for _ in 0..2_000 {
        let text = any_text(&mut random).replace(['\n', '\t'], "");
        let stripped = super::super::markup::strip(&text);
        assert_eq!(plain(10_000, &own(&text)), plain(10_000, &foreign(&stripped)));
        if !text.ends_with('\\') {
            let escaped = super::super::markup::escape(&text);
            assert_eq!(super::super::markup::strip(&escaped), text);
        }
    }
}

#[test]
fn the_same_entry_is_always_the_same_text() {
    let mut renderer = Renderer::new(RenderOptions::new().color(Color::TrueColor));
    let [first, second] = [
        own("[bold]a[/bold] 1"),
        Entry {
            time: Timestamp::default(),
            ..own("b")
        },
    ];
    let mut shown = [const { String::new() }; 4];
    for (out, entry) in shown.iter_mut().zip([&first, &second, &first, &second]) {
        renderer.render(entry, out);
    }
    assert_eq!(shown[0], shown[2]);
    assert_eq!(shown[1], shown[3]);
}
