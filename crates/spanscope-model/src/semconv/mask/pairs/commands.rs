//! Credentials in arguments of commands whose flags do not name a secret.

use super::Pairs;
use super::look::{ValueClass, classify};

/// The argument of a flag.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Argument {
    /// `user:password`
    UserAndPassword,
    /// A password.
    Password,
    /// `name=value; ...`, or the name of a file.
    Cookies,
}

/// Returns the kind of argument that a command's flag has, and the part of the argument that is
/// attached to the flag.
fn argument_of<'a>(command: &str, flag: &'a str) -> Option<(Argument, &'a str)> {
    let long = |name: &str| {
        flag.strip_prefix(name)
            .filter(|rest| rest.is_empty() || rest.starts_with('='))
    };
    if command == "sshpass" {
        let attached = flag.strip_prefix("-p")?;
        return Some((Argument::Password, attached));
    }
    if let Some(attached) = long("--user").or_else(|| long("--proxy-user")) {
        return Some((Argument::UserAndPassword, attached.trim_start_matches('=')));
    }
    let short = flag.strip_prefix('-').filter(|rest| !rest.starts_with('-'))?;
    // Flags without a value may precede it: `-sSu`.
    let at = short.find(['u', 'U', 'b'])?;
    if !short[..at]
        .bytes()
        .all(|byte| b"sSfLkiIvgNGj#0123".contains(&byte))
    {
        return None;
    }
    let argument = if short[at..].starts_with('b') {
        Argument::Cookies
    } else {
        Argument::UserAndPassword
    };
    Some((argument, &short[at + 1..]))
}

impl Pairs<'_> {
    /// Masks the arguments of a command's flags, up to the end of its line. The other arguments are
    /// read again, for their own pairs.
    pub(super) fn command(&mut self, command: &str, end: usize) {
        if end < self.command_end {
            return;
        }
        let mut at = end;
        let mut before: Option<Argument> = None;
        while let Some((start, argument_end)) = self.next_argument(at) {
            at = argument_end;
            let text = &self.text.text[start..argument_end];
            let (argument, offset) = match before.take() {
                Some(argument) => (argument, 0),
                None => match argument_of(command, text) {
                    Some((argument, "")) => {
                        before = Some(argument);
                        continue;
                    }
                    Some((argument, attached)) => (argument, text.len() - attached.len()),
                    None => continue,
                },
            };
            self.argument(argument, start + offset, argument_end);
        }
        self.command_end = at;
    }

    fn argument(&mut self, argument: Argument, start: usize, end: usize) {
        let text = self.text.text[start..end].trim_end_matches(['"', '\'', '\\', '`', ')', ',', ';']);
        let inside = text.trim_start_matches(['"', '\'', '\\']);
        let start = start + (text.len() - inside.len());
        let end = start + inside.len();
        let secret = match argument {
            Argument::UserAndPassword => inside.find(':').map(|at| start + at + 1),
            Argument::Password => Some(start),
            Argument::Cookies => inside.contains('=').then_some(start),
        };
        let Some(secret) = secret.filter(|secret| *secret < end) else {
            return;
        };
        let value = &self.text.text[secret..end];
        let is_number = super::look::is_number(value);
        if is_number || classify(value, "password") != ValueClass::Nothing {
            self.edits.push((secret, end, super::masked(value, None)));
        }
    }

    /// Returns the next argument of a command in this line, or in the next line after a backslash.
    fn next_argument(&self, from: usize) -> Option<(usize, usize)> {
        let text = &self.text;
        let mut at = from;
        loop {
            at += text.spaces(at);
            match (text.byte(at)?, text.byte(at + 1)) {
                (b'\\', Some(b'\n')) => at += 2,
                (b'\n' | b'\r' | b'|' | b';', _) => return None,
                _ => break,
            }
        }
        let start = at;
        while let Some(byte) = text.byte(at) {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => break,
                b'"' | b'\'' => match text.literal_at(at) {
                    Some((_, _, _, close)) => at = close,
                    None => at += 1,
                },
                _ => at += 1,
            }
        }
        Some((start, at))
    }
}
