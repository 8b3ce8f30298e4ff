//! [`StreamPosition`]: a client's position in the stream of a run, as the id of an event.
//!
//! Events come in pages, and a page is everything that the store received between two cursors. So
//! an id contains both cursors and the event's id in its run: a client that returns with it, to
//! this process or another one, gets the same page, which the store can always recreate, and
//! continues after that event.

use std::fmt;
use std::str::FromStr;

use spanscope_model::Cursor;

/// The position after which a client continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StreamPosition {
    /// The cursor after which the page begins.
    pub(super) base: Cursor,
    /// The cursor at which it ends.
    pub(super) upto: Cursor,
    pub(super) within: Within,
}

/// A position within a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Within {
    /// After the event with this id.
    Event(String),
    /// After the event that ends the run.
    End,
    /// After the final message of the stream.
    Done,
}

impl StreamPosition {
    /// Returns the position after the end of a run that was read up to this cursor.
    pub(super) fn at_end(cursor: Cursor, within: Within) -> Self {
        Self {
            base: cursor,
            upto: cursor,
            within,
        }
    }
}

impl fmt::Display for StreamPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.within {
            Within::Event(event) => write!(f, "{}-{}-{event}", self.base, self.upto),
            Within::End => write!(f, "{}-end", self.upto),
            Within::Done => write!(f, "{}-done", self.upto),
        }
    }
}

/// The error of a text that is not an event's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ParsePositionError;

impl FromStr for StreamPosition {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, ParsePositionError> {
        let mut parts = text.split('-');
        let mut next = || parts.next().ok_or(ParsePositionError);
        let base: Cursor = next()?.parse().map_err(|_| ParsePositionError)?;
        let position = match next()? {
            "end" => Self::at_end(base, Within::End),
            "done" => Self::at_end(base, Within::Done),
            upto => {
                let upto: Cursor = upto.parse().map_err(|_| ParsePositionError)?;
                let event = next()?;
                let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b":._".contains(&byte);
                if !upto.covers(&base) || !(1..=128).contains(&event.len()) || !event.bytes().all(is_name) {
                    return Err(ParsePositionError);
                }
                Self {
                    base,
                    upto,
                    within: Within::Event(event.to_owned()),
                }
            }
        };
        match parts.next() {
            None => Ok(position),
            Some(_) => Err(ParsePositionError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_of_events_are_read_and_they_survive_a_round_trip() {
        let base = Cursor::new([3, 1, 0]);
        let upto = Cursor::new([9, 1, 4]);
        for position in [
            StreamPosition {
                base,
                upto,
                within: Within::Event("run:start".to_owned()),
            },
            StreamPosition {
                base,
                upto,
                within: Within::Event("00f067aa0ba902b7:end".to_owned()),
            },
            StreamPosition {
                base,
                upto,
                within: Within::Event("log:0af7651916cd43dd8448eb211c80319c.00f067aa_7".to_owned()),
            },
            StreamPosition::at_end(upto, Within::End),
            StreamPosition::at_end(upto, Within::Done),
        ] {
            assert_eq!(position.to_string().parse(), Ok(position));
        }
        for text in [
            "",
            "7",
            "1.2.3",
            "1.2.3-4.5.6",
            "1.2.3-4.5.6--1",
            "1.2.3-4.5.6-1-2",
            "4.5.6-1.2.3-run:start",
            "1.2.3-4.5.6-run start",
            "1.2.3-4.5.6-",
            "1.2.3-enD",
            "1.2.3-end-1",
        ] {
            assert_eq!(text.parse::<StreamPosition>(), Err(ParsePositionError), "{text}");
        }
    }
}
