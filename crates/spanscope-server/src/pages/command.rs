//! [`Command`]: the `spanscope` command that prints the same data as a response.

use super::params::{FROM, Range, SINCE, TO};
use crate::runs::QueryParams;

/// A command line, with its arguments quoted for a POSIX shell.
#[derive(Debug)]
pub(super) struct Command(String);

impl Command {
    /// Creates `spanscope NAME`.
    pub(super) fn new(name: &'static str) -> Self {
        Self(format!("spanscope {name}"))
    }

    /// Adds an argument, which may be any text.
    pub(super) fn argument(mut self, text: &str) -> Self {
        self.0.push(' ');
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+,".contains(&byte);
        if !text.is_empty() && text.bytes().all(is_plain) {
            self.0.push_str(text);
        } else {
            self.0.push('\'');
            self.0.push_str(&text.replace('\'', "'\\''"));
            self.0.push('\'');
        }
        self
    }

    /// Adds `--name VALUE`, if there is a value.
    pub(super) fn option(self, name: &'static str, value: Option<&str>) -> Self {
        match value {
            None => self,
            Some(value) => self.argument(name).argument(value),
        }
    }

    /// Adds `--name`, if the flag is set.
    pub(super) fn flag(self, name: &'static str, is_set: bool) -> Self {
        if is_set { self.argument(name) } else { self }
    }

    /// Adds a filter, if it is not empty.
    pub(super) fn filter(self, text: &str) -> Self {
        if text.is_empty() {
            self
        } else {
            self.argument(text)
        }
    }

    /// Adds `--since` and `--until`, as in the request.
    pub(super) fn range(self, params: &QueryParams, range: &Range) -> Self {
        let from = params.text(SINCE.name).map(ToOwned::to_owned);
        let from = from.or_else(|| {
            params.text(FROM.name)?;
            Some(range.from?.to_string())
        });
        let to = params.text(TO.name).and(range.to).map(|to| to.to_string());
        self.option("--since", from.as_deref())
            .option("--until", to.as_deref())
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_quoted_for_a_shell() {
        let command = Command::new("traces")
            .option("--since", Some("1h"))
            .option("--until", None)
            .flag("--errors", true)
            .argument("name~'$(rm -rf /)' status=error");
        let expected = r"spanscope traces --since 1h --errors 'name~'\''$(rm -rf /)'\'' status=error'";
        assert_eq!(command.finish(), expected);
    }
}
