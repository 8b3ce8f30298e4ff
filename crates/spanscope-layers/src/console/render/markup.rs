//! Markup as Python's rich has it, for messages that ask for it by the field `markup = true`, or a console that was told
//! to read it in all messages of the application.
//!
//! `[bold red]text[/bold red]`, `[dim]text[/]`, nested and crossed; colours by their sixteen names, as `color(208)`,
//! `#rrggbb` or `rgb(r,g,b)`, behind `on` for the background; `[link=https://…]text[/link]`; `\[` for a bracket. Other
//! than in rich, markup that is broken (an unknown tag, a closing tag of nothing, an opening tag that nothing closes) is
//! shown as it was written, and so is what only looks like markup: `[0]`, `vec![x]`, `[INFO]`.

use std::borrow::Cow;

use anstyle::{Ansi256Color, AnsiColor, Color, Effects, RgbColor, Style};

/// The field by which an event says that its message is markup: `markup = true`.
pub const MARKUP_FIELD: &str = "markup";

/// So many tags may be open at once; further ones are shown as they are, so that no message costs without a bound.
const MAX_OPEN: usize = 64;

/// A longer address is no link.
const MAX_LINK: usize = 2000;

/// The text, written so that markup shows it as it is: for data inside of a message.
///
/// A text that ends in a backslash gets another one, as in rich, so that it can't take the meaning from a tag behind it.
///
/// ```
/// use spanscope_layers::console::render::markup;
/// assert_eq!(markup::escape("[bold]"), r"\[bold]");
/// assert_eq!(markup::strip(&markup::escape("[bold]x[/bold] [0]")), "[bold]x[/bold] [0]");
/// ```
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    let mut escaped = String::new();
    let mut done = 0;
    for tag in tags(text) {
        let brackets = tag.start + tag.backslashes;
        escaped.push_str(&text[done..brackets]);
        escaped.push_str(&text[tag.start..brackets]);
        escaped.push('\\');
        done = brackets;
    }
    let trailing = text.len() - text.trim_end_matches('\\').len();
    if escaped.is_empty() && trailing.is_multiple_of(2) {
        return Cow::Borrowed(text);
    }
    escaped.push_str(&text[done..]);
    if !trailing.is_multiple_of(2) {
        escaped.push('\\');
    }
    Cow::Owned(escaped)
}

/// The text without its markup. Broken markup stays.
///
/// ```
/// use spanscope_layers::console::render::markup::strip;
/// assert_eq!(strip("[bold]3[/bold] of [dim]4[/] in xs[i]"), "3 of 4 in xs[i]");
/// assert_eq!(strip("[bold]never closed"), "[bold]never closed");
/// ```
#[must_use]
pub fn strip(text: &str) -> String {
    let mut stripped = String::with_capacity(text.len());
    pieces(text, |piece| stripped.push_str(piece.text));
    stripped
}

/// A part of a text that has one style.
pub(super) struct Piece<'a> {
    pub(super) text: &'a str,
    pub(super) style: Style,
    pub(super) link: Option<&'a str>,
}

enum Token<'a> {
    Text(&'a str),
    Tag {
        tag: TagPlace<'a>,
        style: Style,
        link: Option<&'a str>,
        does: Does,
    },
}

/// What a tag turned out to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    Nothing,
    Open,
    /// Closes the tag that this token opened.
    Close(usize),
}

/// Tells the pieces of a text in order. None of them is empty.
pub(super) fn pieces<'a>(text: &'a str, mut tell: impl FnMut(Piece<'a>)) {
    let tokens = matched(text);
    let mut open: Vec<usize> = Vec::new();
    let (mut style, mut link) = (Style::new(), None);
    for (place, token) in tokens.iter().enumerate() {
        let shown = match token {
            Token::Text(text) => text,
            Token::Tag {
                tag,
                does: Does::Nothing,
                ..
            } => tag.source,
            Token::Tag { tag, .. } => &tag.source[..tag.backslashes / 2],
        };
        if !shown.is_empty() {
            tell(Piece {
                text: shown,
                style,
                link,
            });
        }
        match token {
            Token::Tag { does: Does::Open, .. } => open.push(place),
            Token::Tag {
                does: Does::Close(opened),
                ..
            } => open.retain(|open| open != opened),
            _ => continue,
        }
        (style, link) = (Style::new(), None);
        for opened in &open {
            if let Token::Tag {
                style: above,
                link: target,
                ..
            } = &tokens[*opened]
            {
                style = over(style, *above);
                link = target.or(link);
            }
        }
    }
}

/// Reads the tags, and finds for each closing tag the one it closes.
fn matched(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut done = 0;
    for tag in tags(text) {
        tokens.push(Token::Text(&text[done..tag.start]));
        done = tag.start + tag.source.len();
        if tag.backslashes % 2 == 1 {
            // Half of the backslashes, without the one that escapes, and then the tag as it is.
            tokens.push(Token::Text(&tag.source[..tag.backslashes / 2]));
            tokens.push(Token::Text(&tag.source[tag.backslashes..]));
            continue;
        }
        let place = tokens.len();
        let (mut style, mut link, mut does) = (Style::new(), None, Does::Nothing);
        if let Some(name) = tag.content.strip_prefix('/') {
            let closed = closed_by(name.trim(), &tokens, &open).map(|at| open.remove(at));
            if let Some(opened) = closed
                && let Some(Token::Tag { does: opens, .. }) = tokens.get_mut(opened)
            {
                *opens = Does::Open;
                does = Does::Close(opened);
            }
        } else if let Some(read) = style_of(tag.content)
            && open.len() < MAX_OPEN
        {
            (style, link) = read;
            open.push(place);
        }
        tokens.push(Token::Tag {
            tag,
            style,
            link,
            does,
        });
    }
    tokens.push(Token::Text(&text[done..]));
    tokens
}

/// Which of the open tags `[/name]` closes: the last one, or the last one of that name.
fn closed_by(name: &str, tokens: &[Token<'_>], open: &[usize]) -> Option<usize> {
    if name.is_empty() {
        return open.len().checked_sub(1);
    }
    let is_link = name.eq_ignore_ascii_case("link");
    let closed = if is_link { Style::new() } else { style_of(name)?.0 };
    open.iter().rposition(|place| match tokens.get(*place) {
        Some(Token::Tag { style, link, .. }) => link.is_some() == is_link && (is_link || *style == closed),
        _ => false,
    })
}

/// Where something stands that looks like a tag: in brackets, beginning with a small letter, `#`, `/` or `@`.
#[derive(Clone, Copy)]
struct TagPlace<'a> {
    start: usize,
    /// The tag with the backslashes before it.
    source: &'a str,
    backslashes: usize,
    /// What is inside of the brackets.
    content: &'a str,
}

fn tags(text: &str) -> impl Iterator<Item = TagPlace<'_>> {
    let mut done = 0;
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let bracket = at + text[at..].find('[')?;
            at = bracket + 1;
            let inside = &text[at..];
            // The search stops at the next bracket, so no part of the text is looked at twice.
            let Some(end) = inside.find(['[', ']', '\n']) else {
                at = text.len();
                return None;
            };
            let first = inside.as_bytes()[0];
            if inside.as_bytes()[end] != b']'
                || !(first.is_ascii_lowercase() || matches!(first, b'#' | b'/' | b'@'))
            {
                continue;
            }
            let before = &text[done..bracket];
            let backslashes = before.len() - before.trim_end_matches('\\').len();
            let start = bracket - backslashes;
            at += end + 1;
            done = at;
            return Some(TagPlace {
                start,
                source: &text[start..at],
                backslashes,
                content: &inside[..end],
            });
        }
    })
}

/// Reads what a tag says: `bold red on #202020`, `link=https://…`.
fn style_of(content: &str) -> Option<(Style, Option<&str>)> {
    let mut style = Style::new();
    let mut link = None;
    let mut is_back = false;
    for word in content.split_ascii_whitespace() {
        if let Some(target) = word.strip_prefix("link=") {
            link = Some(target).filter(|target| is_link(target));
            link?;
            continue;
        }
        let word = word.to_ascii_lowercase();
        if is_back {
            style = style.bg_color(Some(color_of(&word)?));
            is_back = false;
        } else if word == "on" {
            is_back = true;
        } else if let Some(effect) = effect_of(&word) {
            style |= effect;
        } else {
            style = style.fg_color(Some(color_of(&word)?));
        }
    }
    (!is_back && (link.is_some() || !style.is_plain())).then_some((style, link))
}

/// Only addresses that are no programs, and only characters that can't end the escape code.
fn is_link(target: &str) -> bool {
    let scheme = target.split(':').next().unwrap_or_default();
    ["http", "https", "mailto"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
        && target.len() > scheme.len() + 1
        && target.len() <= MAX_LINK
        && target.bytes().all(|byte| byte.is_ascii_graphic())
}

fn effect_of(word: &str) -> Option<Effects> {
    Some(match word {
        "bold" | "b" => Effects::BOLD,
        "dim" | "d" => Effects::DIMMED,
        "italic" | "i" => Effects::ITALIC,
        "underline" | "u" => Effects::UNDERLINE,
        "strike" | "s" => Effects::STRIKETHROUGH,
        "reverse" | "r" => Effects::INVERT,
        "blink" => Effects::BLINK,
        _ => return None,
    })
}

fn color_of(word: &str) -> Option<Color> {
    const NAMES: [&str; 8] = [
        "black", "red", "green", "yellow", "blue", "magenta", "cyan", "white",
    ];
    const COLORS: [AnsiColor; 8] = [
        AnsiColor::Black,
        AnsiColor::Red,
        AnsiColor::Green,
        AnsiColor::Yellow,
        AnsiColor::Blue,
        AnsiColor::Magenta,
        AnsiColor::Cyan,
        AnsiColor::White,
    ];
    if let Some(digits) = word.strip_prefix('#') {
        let number = u32::from_str_radix(digits, 16).ok()?;
        let [_, r, g, b] = number.to_be_bytes();
        let is_hex = digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        return is_hex.then_some(Color::Rgb(RgbColor(r, g, b)));
    }
    if let Some(inner) = word.strip_prefix("rgb(") {
        let mut parts = inner.strip_suffix(')')?.split(',').map(str::parse::<u8>);
        let (r, g, b) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
        return parts.next().is_none().then_some(Color::Rgb(RgbColor(r, g, b)));
    }
    if let Some(inner) = word.strip_prefix("color(") {
        return Some(Color::Ansi256(Ansi256Color(
            inner.strip_suffix(')')?.parse().ok()?,
        )));
    }
    let (name, is_bright) = match word.strip_prefix("bright_") {
        Some(name) => (name, true),
        None => (word, false),
    };
    let place = NAMES.iter().position(|known| *known == name)?;
    Some(Color::Ansi(COLORS[place].bright(is_bright)))
}

/// The style of a tag inside of another.
fn over(below: Style, above: Style) -> Style {
    Style::new()
        .fg_color(above.get_fg_color().or(below.get_fg_color()))
        .bg_color(above.get_bg_color().or(below.get_bg_color()))
        .effects(below.get_effects() | above.get_effects())
}
