//! Where a signal goes.

use http::Uri;

use super::{BadSetting, Protocol, Settings, Signal, Sourced};

const DEFAULT_HTTP: &str = "http://localhost:4318";
const DEFAULT_GRPC: &str = "http://localhost:4317";

/// A URL that a signal is sent to.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// All of it, for HTTP with the path.
    pub(crate) uri: Uri,
    /// What a message may show of it.
    pub(crate) shown: String,
}

impl Endpoint {
    /// The endpoint of a signal. What is set for the signal alone is taken as it is; what is set for all gets the signal's
    /// path behind its own.
    pub(crate) fn of(settings: &Settings, signal: Signal, protocol: Protocol) -> Result<Self, BadSetting> {
        let own = settings.own[signal.index()].endpoint.as_ref();
        let default = Sourced {
            place: "the default endpoint".to_owned(),
            text: if protocol == Protocol::Grpc {
                DEFAULT_GRPC
            } else {
                DEFAULT_HTTP
            }
            .to_owned(),
        };
        let set = own.or(settings.all.endpoint.as_ref()).unwrap_or(&default);
        let mut text = set.text.trim().to_owned();
        let is_grpc = protocol == Protocol::Grpc;
        if is_grpc && !text.contains("://") {
            // As the specification has it: without a scheme the variable `_INSECURE` decides.
            let is_insecure = settings.way(signal).insecure.unwrap_or(false);
            text = format!("{}://{text}", if is_insecure { "http" } else { "https" });
        }
        let wrong = |why: &str| BadSetting {
            place: set.place.clone(),
            input: shown(&set.text),
            accepted: format!("{why}; write a URL such as {}", default.text),
        };
        let uri: Uri = text
            .parse()
            .map_err(|error| wrong(&format!("this is no URL ({error})")))?;
        match uri.scheme_str() {
            Some("http" | "https") => {}
            Some(_) => return Err(wrong("only http:// and https:// are spoken")),
            None => return Err(wrong("it has no http:// or https:// in front")),
        }
        let Some(authority) = uri.authority().filter(|authority| !authority.host().is_empty()) else {
            return Err(wrong("it has no host"));
        };
        // `http` lets a port pass that no machine has.
        let port = authority.as_str().rsplit_once(':').map(|(_, port)| port);
        if let Some(port) = port.filter(|port| !port.contains(']'))
            && !port.parse::<u16>().is_ok_and(|port| port > 0)
        {
            return Err(wrong("its port is none; ports go from 1 to 65535"));
        }
        let uri = if own.is_none() && !is_grpc {
            let base = text
                .split(['?', '#'])
                .next()
                .unwrap_or(&text)
                .trim_end_matches('/');
            format!("{base}{}", signal.path())
                .parse()
                .map_err(|error| wrong(&format!("this is no URL ({error})")))?
        } else {
            uri
        };
        Ok(Self {
            shown: shown(&uri.to_string()),
            uri,
        })
    }
}

/// A URL without what may be secret in it: user and password, query.
pub(crate) fn shown(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => url.rsplit_once('@').map_or(url, |(_, host)| host).to_owned(),
    }
}
