//! The `error.type` of a client's error, and its description.
//!
//! Errors of services have no common trait: most implement `std::error::Error`, and a box of one
//! does not. So an error is inspected as `Any`, with the types that the layer knows; of another
//! type only its name and its `Display` are known.

use std::any::{Any, type_name};
use std::borrow::Cow;
use std::error::Error;
use std::fmt::{Display, Write as _};
use std::io;

use spanscope_model::semconv::mask_text;
use spanscope_model::text::cut;

/// A longer description is cut.
const MAX_DESCRIPTION_LEN: usize = 1024;

/// The conventions' value for an error without a better one.
const OTHER: &str = "_OTHER";

/// Finds an error of one type in an error of any type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KnownError {
    pub(crate) of_any: fn(&dyn Any) -> Option<&(dyn Error + 'static)>,
    pub(crate) is: fn(&(dyn Error + 'static)) -> bool,
    pub(crate) name: &'static str,
}

impl KnownError {
    pub(crate) fn of<T: Error + 'static>() -> Self {
        Self {
            of_any: |any| {
                any.downcast_ref::<T>()
                    .map(|error| -> &(dyn Error + 'static) { error })
            },
            is: |error| error.is::<T>(),
            name: type_name::<T>(),
        }
    }
}

/// An error of a client or of a body.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error_type: Cow<'static, str>,
    pub(crate) description: String,
}

impl Failure {
    pub(crate) fn of<E: Display + 'static>(error: &E, known: &[KnownError]) -> Self {
        let known_error = as_error(error, known);
        let error_type = known_error.and_then(|error| kind_of(error, known)).unwrap_or({
            match type_name::<E>() {
                // The name of a box does not contain the type inside.
                name if name.contains("dyn ") => OTHER,
                name => name,
            }
        });
        let mut description = error.to_string();
        let mut source = known_error.and_then(Error::source);
        while let Some(error) = source {
            // Many errors repeat their source.
            let text = error.to_string();
            if !description.ends_with(&text) {
                let _ = write!(description, ": {text}");
            }
            source = error.source();
        }
        // Errors may contain the URL.
        let description = mask_text(&description);
        Self {
            error_type: error_type.into(),
            description: cut(&description, MAX_DESCRIPTION_LEN).to_owned(),
        }
    }
}

fn as_error<'a, E: 'static>(error: &'a E, known: &[KnownError]) -> Option<&'a (dyn Error + 'static)> {
    let any: &dyn Any = error;
    if let Some(boxed) = any.downcast_ref::<Box<dyn Error + Send + Sync>>() {
        return Some(&**boxed);
    }
    #[cfg(feature = "reqwest-middleware")]
    if let Some(reqwest_middleware::Error::Reqwest(error)) = any.downcast_ref() {
        return Some(error);
    }
    let built_in = [
        KnownError::of::<io::Error>(),
        #[cfg(feature = "reqwest")]
        KnownError::of::<reqwest::Error>(),
        #[cfg(feature = "async-openai")]
        KnownError::of::<async_openai::error::OpenAIError>(),
    ];
    built_in.iter().chain(known).find_map(|known| (known.of_any)(any))
}

/// Returns the `error.type` of an error by it and its sources, the most relevant first: a timeout,
/// the system's error, the client's own kind, a type that the user named.
fn kind_of(error: &(dyn Error + 'static), known: &[KnownError]) -> Option<&'static str> {
    #[cfg(feature = "reqwest")]
    let of_reqwest = || chain(error).filter_map(|error| error.downcast_ref::<reqwest::Error>());
    #[cfg(feature = "reqwest")]
    if of_reqwest().any(reqwest::Error::is_timeout) {
        return Some("timeout");
    }
    let of_system = chain(error)
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .find_map(|error| of_io(error.kind()));
    if of_system.is_some() {
        return of_system;
    }
    #[cfg(feature = "reqwest")]
    if let Some(kind) = of_reqwest().find_map(of_reqwest_kind) {
        return Some(kind);
    }
    chain(error).find_map(|error| {
        let known = known.iter().find(|known| (known.is)(error))?;
        Some(known.name)
    })
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

fn of_io(kind: io::ErrorKind) -> Option<&'static str> {
    Some(match kind {
        io::ErrorKind::TimedOut => "timeout",
        io::ErrorKind::ConnectionRefused => "connection_refused",
        io::ErrorKind::ConnectionReset => "connection_reset",
        io::ErrorKind::ConnectionAborted => "connection_aborted",
        io::ErrorKind::HostUnreachable => "host_unreachable",
        io::ErrorKind::NetworkUnreachable => "network_unreachable",
        io::ErrorKind::UnexpectedEof => "unexpected_end",
        io::ErrorKind::BrokenPipe => "broken_pipe",
        _ => return None,
    })
}

#[cfg(feature = "reqwest")]
fn of_reqwest_kind(error: &reqwest::Error) -> Option<&'static str> {
    Some(match error {
        error if error.is_connect() => "connect",
        error if error.is_redirect() => "redirect",
        error if error.is_builder() => "invalid_request",
        error if error.is_body() => "body_error",
        error if error.is_decode() => "decode",
        error if error.is_request() => "request_error",
        _ => return None,
    })
}
