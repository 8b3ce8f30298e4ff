//! The endpoint of a signal.

use http::Uri;

use super::sourced::{Located, shown, shown_uri};
use super::{Protocol, SettingError, Settings, Signal};

const DEFAULT_HTTP: &str = "http://localhost:4318";
const DEFAULT_GRPC: &str = "http://localhost:4317";

/// A URL that a signal is sent to.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// The whole URL; for HTTP with the path.
    pub(crate) uri: Uri,
    /// The part that a message may show.
    pub(crate) shown: String,
}

impl Endpoint {
    /// Returns the endpoint of a signal. One for the signal alone is used unchanged; to one for all
    /// the signal's path is appended.
    pub(crate) fn of(settings: &Settings, signal: Signal, protocol: Protocol) -> Result<Self, SettingError> {
        let default = Located {
            place: "the default endpoint".to_owned(),
            text: if protocol == Protocol::Grpc {
                DEFAULT_GRPC
            } else {
                DEFAULT_HTTP
            }
            .to_owned(),
        };
        let (set, is_own) = settings.endpoint(signal).unwrap_or((&default, false));
        let mut text = set.text.trim().to_owned();
        let is_grpc = protocol == Protocol::Grpc;
        if is_grpc && !text.contains("://") {
            // By the specification, the variable `_INSECURE` decides if there is no scheme.
            let is_insecure = settings.config(signal).insecure.unwrap_or(false);
            text = format!("{}://{text}", if is_insecure { "http" } else { "https" });
        }
        let wrong = |why: &str| SettingError {
            place: set.place.clone(),
            input: shown(&set.text),
            accepted: format!("{why}; write a URL such as {}", default.text),
        };
        let uri: Uri = text
            .parse()
            .map_err(|error| wrong(&format!("this is not a URL ({error})")))?;
        match uri.scheme_str() {
            Some("http" | "https") => {}
            Some(_) => return Err(wrong("only http:// and https:// are spoken")),
            None => return Err(wrong("it has no http:// or https:// in front")),
        }
        let Some(authority) = uri.authority().filter(|authority| !authority.host().is_empty()) else {
            return Err(wrong("it has no host"));
        };
        // The crate `http` accepts invalid ports.
        let port = authority.as_str().rsplit_once(':').map(|(_, port)| port);
        if let Some(port) = port.filter(|port| !port.contains(']'))
            && !port.parse::<u16>().is_ok_and(|port| port > 0)
        {
            return Err(wrong("its port is invalid; ports are 1 to 65535"));
        }
        let uri = if !is_own && !is_grpc {
            // A query stays after the path.
            let (base, query) = text.split_at(text.find('?').unwrap_or(text.len()));
            format!("{}{}{query}", base.trim_end_matches('/'), signal.path())
                .parse()
                .map_err(|error| wrong(&format!("this is not a URL ({error})")))?
        } else {
            uri
        };
        Ok(Self {
            shown: shown_uri(&uri),
            uri,
        })
    }
}
