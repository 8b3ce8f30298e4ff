//! The environment of a process as a carrier.
//!
//! The names follow OpenTelemetry's [Environment Variables as Context Propagation
//! Carriers](https://opentelemetry.io/docs/specs/otel/context/env-carriers/).

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::carrier::Carrier;
use super::w3c;

/// The variables `TRACEPARENT`, `TRACESTATE` and `BAGGAGE` of this process, as the process that
/// started it set them.
///
/// They are read when this is created, and at no other time. They are not applied automatically: a
/// program passes them to the span of its work.
///
/// ```
/// use spanscope_core::propagation::{self, Environment};
///
/// let span = tracing::info_span!("job");
/// propagation::continue_from(&span, &Environment::from_env());
/// ```
///
/// In the other direction, `propagation::inject(&span, &mut command)` puts a context into a
/// [`Command`](std::process::Command). Changes of this value do not change the environment of the
/// running process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<String, OsString>,
}

impl Environment {
    /// Reads the variables of this process. Unset and empty ones are left out.
    #[must_use]
    pub fn from_env() -> Self {
        let variables = w3c::NAMES.map(variable_of).into_iter();
        variables
            .filter_map(|name| std::env::var_os(&name).map(|value| (name, value)))
            .filter(|(_, value)| !value.is_empty())
            .collect()
    }
}

/// For tests, and for other environments, such as a container's.
impl<K: Into<String>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        let variables = variables.into_iter();
        Self {
            variables: variables
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        }
    }
}

impl Carrier for Environment {
    fn read(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        if let Some(value) = self.variables.get(&variable_of(name)) {
            each(value.as_encoded_bytes());
        }
    }

    fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(variable_of(name), value.into());
    }

    fn remove(&mut self, name: &str) {
        self.variables.remove(&variable_of(name));
    }

    fn names(&self) -> Vec<&str> {
        self.variables.keys().map(String::as_str).collect()
    }
}

/// Returns the variable of a name: `TRACEPARENT` for `traceparent`, `X_B3_TRACEID` for
/// `x-b3-traceid`.
pub(super) fn variable_of(name: &str) -> String {
    let upper = name.chars().map(|c| match c.to_ascii_uppercase() {
        c @ ('A'..='Z' | '0'..='9') => c,
        _ => '_',
    });
    upper.collect()
}
