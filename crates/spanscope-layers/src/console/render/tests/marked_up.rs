//! Markup: what is read, what stays literal.

use anstyle::{AnsiColor, Color as AnyColor, RgbColor, Style};

use super::super::markup::{escape, pieces, strip};
use super::*;

/// Returns the styled pieces.
fn styled(text: &str) -> Vec<(&str, Style)> {
    let mut styled = Vec::new();
    pieces(text, |piece| {
        if !piece.style.is_plain() {
            styled.push((piece.text, piece.style));
        }
    });
    styled
}

#[test]
fn tags_are_read_as_rich_reads_them() {
    let red = AnsiColor::Red.on_default();
    let orange = Style::new().fg_color(Some(AnyColor::Rgb(RgbColor(255, 128, 0))));
    for (text, pieces) in [
        ("[bold red]x[/bold red]", vec![("x", red.bold())]),
        ("[b]x[/bold]", vec![("x", Style::new().bold())]),
        ("[dim]x[/]y", vec![("x", Style::new().dimmed())]),
        (
            "[red]a[bold]b[/bold]c[/red]",
            vec![("a", red), ("b", red.bold()), ("c", red)],
        ),
        (
            "[red]a[bold]b[/red]c[/bold]",
            vec![("a", red), ("b", red.bold()), ("c", Style::new().bold())],
        ),
        ("[#ff8000]x[/]", vec![("x", orange)]),
        ("[rgb(255,128,0)]x[/]", vec![("x", orange)]),
        (
            "[on bright_blue]x[/]",
            vec![("x", Style::new().bg_color(Some(AnsiColor::BrightBlue.into())))],
        ),
        ("[red][blue]x[/][/]", vec![("x", AnsiColor::Blue.on_default())]),
    ] {
        assert_eq!(styled(text), pieces, "{text}");
    }
}

#[test]
fn invalid_markup_and_lookalikes_are_shown_literally() {
    for text in [
        "[bold]never closed",
        "closed [/bold] never opened [/]",
        "[nosuch]x[/nosuch]",
        "[bold]wrong[/red]",
        "[bold nosuch]x[/]",
        "[on]x[/] [bold on]x[/]",
        "[#12345]x[/] [#gggggg]x[/] [#+12345]x[/] [rgb(1,2)]x[/] [color(300)]x[/]",
        "xs[0] [1, 2] vec![x] [] [[]] [INFO] [",
        "[bold",
        "[bold\n]x[/bold\n]",
        "[link=javascript:alert(1)]x[/link]",
        "[link=https:]x[/link] [link=]x[/link] [link]x[/link]",
        "[link=https://x\u{9b}2J]x[/link]",
        "\\[0] C:\\[0] \\",
    ] {
        assert_eq!(strip(text), text);
        assert_eq!(styled(text), vec![], "{text}");
        check(80, &own(text));
    }
}

#[test]
fn an_invalid_tag_does_not_affect_the_others() {
    assert_eq!(
        strip("[bold]a[/bold] [nosuch]b [dim]c[/] [red]d"),
        "a [nosuch]b c [red]d"
    );
    assert_eq!(
        strip(r"\[bold]a \\[bold]b[/bold] \\[bold]c"),
        r"[bold]a \b \\[bold]c"
    );
}

#[test]
fn escaped_data_can_not_become_markup() {
    for data in [
        "[bold]x[/bold]",
        "[/]",
        r"\[bold]",
        r"\\[red]",
        "plain",
        "a[0]",
        "[link=https://x]y[/link]",
    ] {
        assert_eq!(strip(&escape(data)), data);
        assert_eq!(strip(&format!("[bold]{}[/bold]", escape(data))), data);
    }
    assert_eq!(strip(&format!("[bold]{}[/bold]", escape(r"C:\dir\"))), r"C:\dir\");
}

#[test]
fn much_markup_is_rendered_in_bounded_time() {
    let started = std::time::Instant::now();
    for part in [
        "[",
        "[bold]",
        "[/]",
        "[bold][/]",
        "[red][bold]x[/red]",
        "[link=https://x]",
        "\\[bold]",
        "[#1",
    ] {
        let text = part.repeat(20_000);
        check(10_000, &own(&text));
    }
    assert!(started.elapsed().as_secs() < 60);
}

#[test]
fn links_are_written_only_with_colours() {
    let entry = own("see [link=https://example.com/a;b]the page[/link]");
    assert_eq!(after_head(&plain(80, &entry)), "see the page");
    assert!(coloured(80, &entry).contains("\x1b]8;;https://example.com/a;b\x1b\\the page\x1b]8;;\x1b\\"));
}

#[test]
fn sixteen_colours_get_the_nearest_one() {
    let options = RenderOptions::new().color(Color::Ansi16);
    let text = render(options, &own("[#fa0505]x[/] [color(208)]y[/]"));
    assert!(text.contains("\x1b[31mx\x1b[0m"), "{text:?}");
    assert!(!text.contains("38;"), "{text:?}");
    assert!(coloured(80, &own("[#fa0505]x[/]")).contains("\x1b[38;2;250;5;5mx"));
}

#[test]
fn only_messages_of_the_application_carry_markup() {
    assert_eq!(
        after_head(&plain(80, &foreign("[bold]x[/bold]"))),
        "[bold]x[/bold]"
    );
    let held = entry(EntryKind::RateLimited {
        lines: 1,
        during: Duration::ZERO,
        message: "[bold]x[/bold]",
    });
    assert!(plain(120, &held).contains("[bold]x[/bold]"));
}
