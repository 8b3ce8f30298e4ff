//! Markup in the syntax of Python's rich, for messages with the field `markup = true`, or for all
//! messages of the application if the console is set to read it.
//!
//! `[bold red]text[/bold red]`, `[dim]text[/]`, nested and crossed; colours by their sixteen names,
//! as `color(208)`, `#rrggbb` or `rgb(r,g,b)`, after `on` for the background;
//! `[link=https://…]text[/link]`; `\[` for a bracket. Unlike in rich, invalid markup (an unknown
//! tag, a closing tag without an opening one, an opening tag that is not closed) is shown
//! literally, and so is what only looks like markup: `[0]`, `vec![x]`, `[INFO]`.

use std::borrow::Cow;

use anstyle::{Ansi256Color, AnsiColor, Color, Effects, RgbColor, Style};

/// The field with which an event marks its message as markup: `markup = true`.
pub const MARKUP_FIELD: &str = "markup";

/// Maximum number of open tags; further ones are shown literally, so that the cost of a message is
/// bounded.
const MAX_OPEN: usize = 64;

/// Maximum length of a link's address.
const MAX_LINK: usize = 2000;

/// Returns the text escaped so that markup shows it literally: for data in a message.
///
/// A text that ends in a backslash gets another one, as in rich, so that it can't escape a
/// following tag.
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

/// Returns the text without its markup. Invalid markup stays.
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

/// A part of a text with one style.
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
        effect: TagEffect,
    },
}

/// The effect of a tag.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TagEffect {
    Nothing,
    Open,
    /// Closes the tag that this token opened.
    Close(usize),
}

/// Passes the pieces of a text in order. None of them is empty.
pub(super) fn pieces<'a>(text: &'a str, mut emit: impl FnMut(Piece<'a>)) {
    let tokens = matched(text);
    let mut open: Vec<usize> = Vec::new();
    let (mut style, mut link) = (Style::new(), None);
    for (place, token) in tokens.iter().enumerate() {
        let shown = match token {
            Token::Text(text) => text,
            Token::Tag {
                tag,
                effect: TagEffect::Nothing,
                ..
            } => tag.source,
            Token::Tag { tag, .. } => &tag.source[..tag.backslashes / 2],
        };
        if !shown.is_empty() {
            emit(Piece {
                text: shown,
                style,
                link,
            });
        }
        match token {
            Token::Tag {
                effect: TagEffect::Open,
                ..
            } => open.push(place),
            Token::Tag {
                effect: TagEffect::Close(opened),
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

/// Parses the tags, and finds for each closing tag the one it closes.
fn matched(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut done = 0;
    for tag in tags(text) {
        tokens.push(Token::Text(&text[done..tag.start]));
        done = tag.start + tag.source.len();
        if tag.backslashes % 2 == 1 {
            // Half of the backslashes, without the one that escapes, and then the tag literally.
            tokens.push(Token::Text(&tag.source[..tag.backslashes / 2]));
            tokens.push(Token::Text(&tag.source[tag.backslashes..]));
            continue;
        }
        let place = tokens.len();
        let (mut style, mut link, mut effect) = (Style::new(), None, TagEffect::Nothing);
        if let Some(name) = tag.content.strip_prefix('/') {
            let closed = closed_by(name.trim(), &tokens, &open).map(|at| open.remove(at));
            if let Some(opened) = closed
                && let Some(Token::Tag { effect: opens, .. }) = tokens.get_mut(opened)
            {
                *opens = TagEffect::Open;
                effect = TagEffect::Close(opened);
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
            effect,
        });
    }
    tokens.push(Token::Text(&text[done..]));
    tokens
}

/// Returns which of the open tags `[/name]` closes: the last one, or the last one with that name.
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

/// A part of the text that looks like a tag: in brackets, beginning with a small letter, `#`, `/`
/// or `@`.
#[derive(Clone, Copy)]
struct TagPlace<'a> {
    start: usize,
    /// The tag with the backslashes before it.
    source: &'a str,
    backslashes: usize,
    /// The text inside the brackets.
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
            // The search stops at the next bracket, so no part of the text is read twice.
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

/// Parses the content of a tag: `bold red on #202020`, `link=https://…`.
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

/// Accepts only schemes that run no program, and only characters that can't end the escape code.
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

/// Returns the style of a tag inside another.
fn over(below: Style, above: Style) -> Style {
    Style::new()
        .fg_color(above.get_fg_color().or(below.get_fg_color()))
        .bg_color(above.get_bg_color().or(below.get_bg_color()))
        .effects(below.get_effects() | above.get_effects())
}
