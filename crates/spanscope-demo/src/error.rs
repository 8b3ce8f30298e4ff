//! Why a question could not be answered.

use std::error::Error as StdError;
use std::fmt;

/// The error of an agent's run. Its causes are its sources; `{:#}` writes them all in one line, as
/// `anyhow` does.
#[derive(Debug)]
pub struct Error {
    what: String,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            cause: None,
        }
    }

    pub(crate) fn with(what: impl Into<String>, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            what: what.into(),
            cause: Some(cause.into()),
        }
    }

    /// For `map_err`: creates an error with a cause.
    pub(crate) fn because<E: Into<Box<dyn StdError + Send + Sync>>>(
        what: &'static str,
    ) -> impl FnOnce(E) -> Self {
        move |cause| Self::with(what, cause)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if f.alternate() {
            let mut next = self.source();
            while let Some(cause) = next {
                write!(f, ": {cause}")?;
                next = cause.source();
            }
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_long_form_has_every_cause_once() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let error = Error::with("no weather", Error::with("can't connect", refused));
        assert_eq!(error.to_string(), "no weather");
        assert_eq!(
            format!("{error:#}"),
            "no weather: can't connect: connection refused"
        );
    }
}
