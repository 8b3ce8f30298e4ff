//! How a command ends when it does not succeed: exit codes that scripts can rely on, and one line
//! for people.
//!
//! 1 something failed, 2 wrong usage, 3 nothing found. The reader of our output may stop reading at
//! any time, as `head` does; that is success.

use std::fmt;
use std::process::ExitCode;

use spanscope_model::{StoreError, StoreErrorKind};

use crate::filter::WrongFilter;
use crate::remark::remark;
use crate::render::text::visible;

/// An error with its own exit code. The exit code of other errors is 1, or depends on the kind of a
/// [`StoreError`].
#[derive(Debug)]
pub(crate) enum Stop {
    /// The command line is invalid.
    Usage(String),
    /// A filter on the command line is invalid. It is shown with the position.
    Filter(WrongFilter),
    /// The query was valid, and the result is empty.
    NothingFound(String),
    /// The reader of our output is gone.
    ClosedPipe,
}

impl Stop {
    /// Creates a [`Stop::Usage`] from an error.
    pub(crate) fn usage(message: impl fmt::Display) -> anyhow::Error {
        Self::Usage(message.to_string()).into()
    }

    /// Creates a [`Stop::NothingFound`].
    pub(crate) fn nothing(message: impl fmt::Display) -> anyhow::Error {
        Self::NothingFound(message.to_string()).into()
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::NothingFound(message) => f.write_str(message),
            Self::Filter(wrong) => write!(f, "{wrong}"),
            Self::ClosedPipe => f.write_str("the output was closed"),
        }
    }
}

impl std::error::Error for Stop {}

/// Reports to the user and returns the exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    let code = exit_code(error);
    if code != 0 {
        match error.downcast_ref::<Stop>() {
            Some(Stop::Filter(wrong)) => remark(wrong),
            // One line, with the causes after colons. Messages may quote data, which must not
            // restyle the terminal.
            _ => remark(visible(&format!("{error:#}"))),
        }
    }
    ExitCode::from(code)
}

fn exit_code(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if let Some(stop) = cause.downcast_ref::<Stop>() {
            return match stop {
                Stop::ClosedPipe => 0,
                Stop::Usage(_) | Stop::Filter(_) => 2,
                Stop::NothingFound(_) => 3,
            };
        }
        if let Some(error) = cause.downcast_ref::<StoreError>() {
            return match error.kind() {
                StoreErrorKind::InvalidInput => 2,
                StoreErrorKind::NotFound => 3,
                _ => 1,
            };
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_end_has_its_exit_code() {
        assert_eq!(exit_code(&Stop::ClosedPipe.into()), 0);
        assert_eq!(exit_code(&anyhow::anyhow!("disk on fire")), 1);
        assert_eq!(exit_code(&Stop::usage("no").context("while reading")), 2);
        assert_eq!(exit_code(&Stop::nothing("none")), 3);
        assert_eq!(exit_code(&StoreError::invalid("order").into()), 2);
        assert_eq!(exit_code(&StoreError::not_found("id").into()), 3);
        assert_eq!(
            exit_code(&StoreError::new(StoreErrorKind::Unavailable, "locked").into()),
            1
        );
    }
}
