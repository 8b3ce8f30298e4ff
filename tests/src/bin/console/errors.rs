//! Errors as programs log them: of `anyhow`, `eyre`, `Box<dyn Error>` and their own types.

use std::error::Error;
use std::fmt;

use tracing::{error, info_span, instrument, warn};

/// An error with a cause, and lines in its text.
#[derive(Debug)]
struct Refused {
    answer: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused: {}", self.answer)
    }
}

impl Error for Refused {}

fn refused() -> Refused {
    Refused {
        answer: "line one\nline two".to_owned(),
    }
}

fn of_anyhow() -> anyhow::Error {
    anyhow::Error::new(refused())
        .context("no answer of the index")
        .context("the tool failed")
}

fn of_eyre() -> eyre::Report {
    eyre::Report::new(refused())
        .wrap_err("no answer of the index")
        .wrap_err("the tool failed")
}

#[instrument(err(Debug))]
fn fails() -> anyhow::Result<()> {
    Err(of_anyhow())
}

/// One way of logging an error.
pub(crate) fn log(way: &str) {
    let boxed: Box<dyn Error> = "first line\nsecond \"line\"".into();
    match way {
        "anyhow" => error!(error = ?of_anyhow(), attempt = 2, "it failed"),
        "anyhow-as-err" => warn!(err = ?of_anyhow(), "it failed"),
        "eyre" => error!(error = ?of_eyre(), attempt = 2, "it failed"),
        "dyn" => error!(error = &*of_anyhow() as &dyn Error, attempt = 2, "it failed"),
        "boxed" => error!(error = ?boxed, attempt = 2, "it failed"),
        "own" => error!(error = ?refused(), attempt = 2, "it failed"),
        "pretty" => error!(error = format_args!("{:#?}", refused()), "it failed"),
        "instrumented" => drop(fails()),
        "log" => log::error!(target: "elsewhere", "it failed: {:?}", of_anyhow()),
        "span" => {
            let _span = info_span!(
                "tool",
                error = ?of_anyhow(),
                otel.status_code = "error",
                otel.status_description = format!("{:?}", of_anyhow())
            )
            .entered();
        }
        "panic" => {
            let answer: Result<(), _> = Some(of_anyhow()).map_or(Ok(()), Err);
            let caught = std::panic::catch_unwind(|| answer.unwrap());
            assert!(caught.is_err());
        }
        other => panic!("no way {other}"),
    }
}
