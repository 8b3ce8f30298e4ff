//! The shared state of a layer's services: its settings, and the numbers of running requests.

use std::fmt;

use http::Uri;

use super::failure::KnownError;
use super::hosts::{Hosts, Propagation};
#[cfg(feature = "model-calls")]
use super::model_calls::ModelCalls;
use super::request::ClientRequest;

pub(crate) type TemplateOf = dyn Fn(&ClientRequest<'_>) -> Option<String> + Send + Sync;

/// The shared state of a layer's services.
pub(crate) struct Shared {
    pub(crate) hosts: Hosts,
    pub(crate) propagation: Propagation,
    pub(crate) template_of: Option<Box<TemplateOf>>,
    pub(crate) origin: Option<Uri>,
    pub(crate) known_errors: Vec<KnownError>,
    pub(crate) opens_span: bool,
    /// Which requests are read as calls of models.
    #[cfg(feature = "model-calls")]
    pub(crate) model_calls: Option<ModelCalls>,
}

impl Shared {
    /// Returns whether requests that don't name a scheme are sent over TLS.
    pub(crate) fn is_https(&self) -> bool {
        self.origin
            .as_ref()
            .is_some_and(|origin| origin.scheme_str() == Some("https"))
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("hosts", &self.hosts)
            .field("propagation", &self.propagation)
            .field("origin", &self.origin)
            .field("opens_span", &self.opens_span)
            .finish_non_exhaustive()
    }
}
