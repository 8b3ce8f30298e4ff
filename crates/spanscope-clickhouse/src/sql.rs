//! [`Sql`]: a statement and its parameters.
//!
//! The text only consists of literals of this crate and of identifiers that a server described;
//! what a caller sends becomes a parameter of the server (`{p0:String}`), whose value is not part
//! of the statement.

use std::fmt::Write as _;

use spanscope_model::Timestamp;

/// A piece of a statement, or all of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sql {
    text: String,
    parameters: Vec<Parameter>,
}

/// The type of a parameter, and its value as the server reads it.
#[derive(Debug, Clone)]
struct Parameter {
    kind: &'static str,
    value: String,
}

/// Where a parameter is in the text, until all of them have numbers.
const PLACE: char = '\u{1}';

impl Sql {
    pub(crate) fn new(text: &'static str) -> Self {
        Self::default().push(text)
    }

    /// Adds a text of this crate.
    pub(crate) fn push(mut self, text: &'static str) -> Self {
        self.text.push_str(text);
        self
    }

    /// Adds an expression that this crate has put together from literals and described columns.
    pub(crate) fn column(mut self, expression: &str) -> Self {
        self.text.push_str(expression);
        self
    }

    pub(crate) fn add(mut self, other: &Self) -> Self {
        self.text.push_str(&other.text);
        self.parameters.extend(other.parameters.iter().cloned());
        self
    }

    fn bind(mut self, kind: &'static str, value: String) -> Self {
        self.text.push(PLACE);
        self.parameters.push(Parameter { kind, value });
        self
    }

    pub(crate) fn text(self, text: &str) -> Self {
        self.bind("String", escaped(text))
    }

    pub(crate) fn integer(self, number: i64) -> Self {
        self.bind("Int64", number.to_string())
    }

    pub(crate) fn count(self, number: u64) -> Self {
        self.bind("UInt64", number.to_string())
    }

    pub(crate) fn real(self, number: f64) -> Self {
        self.bind("Float64", format!("{number:?}"))
    }

    /// Adds a time as a `DateTime64(9)`, within the years that this type has.
    pub(crate) fn time(self, time: Timestamp) -> Self {
        self.push("fromUnixTimestamp64Nano(")
            .integer(time.as_nanos())
            .push(")")
    }

    /// Adds a list of texts.
    pub(crate) fn texts<T: AsRef<str>>(self, texts: impl IntoIterator<Item = T>) -> Self {
        let mut list = String::from("[");
        for text in texts {
            if list.len() > 1 {
                list.push(',');
            }
            list.push('\'');
            for c in text.as_ref().chars() {
                if matches!(c, '\\' | '\'') {
                    list.push('\\');
                }
                list.push(c);
            }
            list.push('\'');
        }
        list.push(']');
        self.bind("Array(String)", list)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Returns the text with the names of the parameters, and these with their values.
    pub(crate) fn statement(&self) -> (String, Vec<(String, &str)>) {
        let mut text = String::with_capacity(self.text.len() + 16 * self.parameters.len());
        let mut pieces = self.text.split(PLACE);
        text.push_str(pieces.next().unwrap_or_default());
        for (number, (piece, parameter)) in pieces.zip(&self.parameters).enumerate() {
            let _ = write!(text, "{{p{number}:{}}}{piece}", parameter.kind);
        }
        let parameters = self.parameters.iter().enumerate();
        let named = parameters.map(|(number, parameter)| (format!("p{number}"), parameter.value.as_str()));
        (text, named.collect())
    }
}

/// Joins conditions by `AND` or `OR`.
pub(crate) fn joined(pieces: &[Sql], by: &'static str) -> Sql {
    let mut all = Sql::new("(");
    for (place, piece) in pieces.iter().enumerate() {
        if place > 0 {
            all = all.push(by);
        }
        all = all.add(piece);
    }
    all.push(")")
}

/// The server reads the value of a parameter as a field of its format TabSeparated.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\t' => escaped.push_str("\\t"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\0' => escaped.push_str("\\0"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_parameters_and_never_part_of_the_text() {
        let piece = Sql::new("name = ").text("a' OR '1'='1\t\\");
        let sql = Sql::new("SELECT 1 WHERE n > ")
            .integer(-3)
            .push(" AND ")
            .add(&piece);
        let (text, parameters) = sql.statement();
        assert_eq!(text, "SELECT 1 WHERE n > {p0:Int64} AND name = {p1:String}");
        assert_eq!(
            parameters,
            [("p0".to_owned(), "-3"), ("p1".to_owned(), "a' OR '1'='1\\t\\\\")]
        );
        let list = Sql::new("IN ").texts(["a'", "b\\"]);
        assert_eq!(list.statement().1, [("p0".to_owned(), "['a\\'','b\\\\']")]);
    }
}
