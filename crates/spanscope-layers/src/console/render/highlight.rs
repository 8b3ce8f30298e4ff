//! The highlighter. It finds what rich's highlighter would paint: numbers, quoted texts, URLs,
//! paths, addresses, ids, true, false, none.
//!
//! One hand-written scanner over the bytes instead of rich's regular expressions: it passes once
//! over every text of the console, looks at each byte a bounded number of times for any input, and
//! allocates nothing. Not painted, unlike in rich: brackets, calls, tags, and `key=value` in
//! messages.

use super::theme::Ink;

/// Passes the pieces of the text in order: the end of each, and its style. Ordinary text has the
/// style `base`.
pub(super) fn highlight(text: &str, base: Ink, mut piece: impl FnMut(usize, Ink)) {
    let mut scanner = Scanner {
        bytes: text.as_bytes(),
        unclosed: [false; 2],
    };
    let (mut at, mut painted) = (0, 0);
    while let Some(token) = scanner.token(at) {
        if let Some(ink) = token.ink {
            if painted < at {
                piece(at, base);
            }
            if let Some(file) = token.file {
                piece(file, ink);
                piece(token.end, Ink::File);
            } else {
                piece(token.end, ink);
            }
            painted = token.end;
        }
        at = token.end;
    }
    if painted < at {
        piece(at, base);
    }
}

/// Returns the style of a value that is a single item, such as a URL or a number.
pub(super) fn ink_of(value: &str) -> Option<Ink> {
    let mut scanner = Scanner {
        bytes: value.as_bytes(),
        unclosed: [false; 2],
    };
    let token = scanner.token(0)?;
    token.ink.filter(|_| token.end == value.len())
}

struct Token {
    end: usize,
    ink: Option<Ink>,
    /// Where the last part of a path begins.
    file: Option<usize>,
}

impl Token {
    fn new(end: usize, ink: Option<Ink>) -> Option<Self> {
        Some(Self { end, ink, file: None })
    }
}

struct Scanner<'a> {
    bytes: &'a [u8],
    /// Whether no further `"`, or no further `'`, follows; searching for one again would take
    /// quadratic time.
    unclosed: [bool; 2],
}

/// Letters of other scripts are parts of words.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

impl Scanner<'_> {
    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(b' ')
    }

    /// Returns the first position from `at` on whose byte is not one of these.
    fn skip(&self, at: usize, part: impl Fn(u8) -> bool) -> usize {
        let rest = self.bytes.get(at..).unwrap_or_default();
        at + rest.iter().take_while(|byte| part(**byte)).count()
    }

    fn token(&mut self, at: usize) -> Option<Token> {
        let byte = *self.bytes.get(at)?;
        let before = at.checked_sub(1).map_or(b' ', |before| self.byte(before));
        match byte {
            b'"' | b'\'' if !is_word(before) && before != b'\\' => self.quoted(at, byte),
            b'/' if !is_word(before) => self.path(at),
            b'-' if self.byte(at + 1).is_ascii_digit() && !is_word(before) && before != b'-' => {
                self.number(at)
            }
            byte if is_word(byte) => self.word(at),
            _ => Token::new(at + 1, None),
        }
    }

    fn quoted(&mut self, at: usize, quote: u8) -> Option<Token> {
        let unclosed = &mut self.unclosed[usize::from(quote == b'"')];
        let rest = &self.bytes[at + 1..];
        let closes = |(place, byte): (usize, &u8)| *byte == quote && (place == 0 || rest[place - 1] != b'\\');
        let close = if *unclosed {
            None
        } else {
            rest.iter().enumerate().position(closes)
        };
        *unclosed = close.is_none();
        match close {
            Some(close) => Token::new(at + close + 2, Some(Ink::Text)),
            None => Token::new(at + 1, None),
        }
    }

    /// Matches `/usr/lib/x.so`, but not a lone `/`.
    fn path(&self, at: usize) -> Option<Token> {
        let part =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+' | b'/');
        let end = self.skip(at, part);
        let path = &self.bytes[at..end];
        if path.iter().all(|byte| *byte == b'/') {
            return Token::new(end, None);
        }
        let file = path.iter().rposition(|byte| *byte == b'/')?;
        Some(Token {
            end,
            ink: Some(Ink::Path),
            file: Some(at + file + 1).filter(|file| *file < end),
        })
    }

    fn word(&self, at: usize) -> Option<Token> {
        let first = self.bytes[at];
        let end = self.skip(at, is_word);
        let word = &self.bytes[at..end];
        if let Some(end) = self.url(word, end) {
            return Token::new(end, Some(Ink::Url));
        }
        if let Some(end) = self.id(at, end) {
            return Token::new(end, Some(Ink::Uuid));
        }
        match word {
            b"true" | b"True" => Token::new(end, Some(Ink::True)),
            b"false" | b"False" => Token::new(end, Some(Ink::False)),
            b"none" | b"None" | b"null" => Token::new(end, Some(Ink::Nothing)),
            _ if first.is_ascii_digit() => self.number(at),
            _ => Token::new(end, None),
        }
    }

    /// Returns where the URL with this scheme ends.
    fn url(&self, scheme: &[u8], end: usize) -> Option<usize> {
        if !matches!(scheme, b"http" | b"https" | b"ws" | b"wss" | b"file" | b"ftp")
            || !self.bytes[end..].starts_with(b"://")
        {
            return None;
        }
        let start = end + 3;
        let part = |byte: u8| byte.is_ascii_alphanumeric() || b"-$_+!`(),.?/;:&=%#~@*[]".contains(&byte);
        let mut end = self.skip(start, part);
        // The punctuation at the end of a sentence does not belong to the URL.
        while end > start && b".,;:!?)]".contains(&self.bytes[end - 1]) {
            end -= 1;
        }
        (end > start).then_some(end)
    }

    /// Returns where the UUID, trace id or span id ends that begins here.
    fn id(&self, at: usize, end: usize) -> Option<usize> {
        let word = &self.bytes[at..end];
        match word.len() {
            8 => {
                let uuid = self.bytes.get(at..at + 36)?;
                let fits = uuid.iter().enumerate().all(|(place, byte)| match place {
                    8 | 13 | 18 | 23 => *byte == b'-',
                    _ => byte.is_ascii_hexdigit(),
                });
                let next = self.byte(at + 36);
                (fits && !is_word(next) && next != b'-').then_some(at + 36)
            }
            16 | 32 if word.iter().all(|byte| is_hex(*byte)) => {
                word.iter().any(|byte| !byte.is_ascii_digit()).then_some(end)
            }
            _ => None,
        }
    }

    /// Matches a number with its sign, or an address of four numbers. Units of up to three letters
    /// may follow it; a longer word, a version or a date does not match.
    fn number(&self, at: usize) -> Option<Token> {
        let digit = |byte: u8| byte.is_ascii_digit();
        let start = at + usize::from(self.bytes[at] == b'-');
        if self.bytes[start..].starts_with(b"0x") {
            let end = self.skip(start, is_word);
            let is_number = end > start + 2 && self.bytes[start + 2..end].iter().all(u8::is_ascii_hexdigit);
            return Token::new(end, is_number.then_some(Ink::Number));
        }
        let mut end = self.skip(start, digit);
        let (mut dots, mut is_short) = (0, end - start <= 3);
        while self.byte(end) == b'.' && self.byte(end + 1).is_ascii_digit() {
            let next = self.skip(end + 1, digit);
            is_short &= next - end <= 4;
            dots += 1;
            end = next;
        }
        if matches!(self.byte(end), b'e' | b'E') {
            let sign = usize::from(matches!(self.byte(end + 1), b'+' | b'-'));
            let exponent = self.skip(end + 1 + sign, digit);
            if exponent > end + 1 + sign {
                end = exponent;
            }
        }
        let word_end = self.skip(end, is_word);
        let is_dashed = self.byte(word_end) == b'-' && is_word(self.byte(word_end + 1));
        // In `llama-3.2` and `v1.2` the number belongs to the word before it.
        let is_glued = at >= 2 && matches!(self.bytes[at - 1], b'-' | b'.') && is_word(self.bytes[at - 2]);
        if is_glued || is_dashed || word_end - end > 3 {
            return Token::new(word_end, None);
        }
        match dots {
            0 | 1 => Token::new(end, Some(Ink::Number)),
            3 if is_short && word_end == end => Token::new(end, Some(Ink::Ip)),
            _ => Token::new(word_end, None),
        }
    }
}
