//! The shared state of a layer's services: its settings, and the number of running requests.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use http::Extensions;

use crate::apis::{Api, Apis};
use crate::level::InFlightGauge;
use crate::path::Excluded;
use crate::request::{METHODS, RequestLabels, SCHEMES};

pub(crate) type ApiOf = dyn Fn(&str) -> Option<&str> + Send + Sync;
pub(crate) type FromExtensions<T> = dyn Fn(&Extensions) -> Option<T> + Send + Sync;

/// The shared state of a layer's services.
pub(crate) struct Shared {
    pub(crate) excluded: Vec<Excluded>,
    pub(crate) api_of: Box<ApiOf>,
    pub(crate) apis: Apis,
    pub(crate) route_of: Option<Box<FromExtensions<String>>>,
    pub(crate) client_of: Option<Box<FromExtensions<SocketAddr>>>,
    pub(crate) opens_span: bool,
    pub(crate) is_https: bool,
    /// The numbers of running requests, by [`RequestLabels::index`].
    pub(crate) running: [InFlightGauge; METHODS.len() * SCHEMES.len()],
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("excluded", &self.excluded)
            .field("apis", &self.apis)
            .finish_non_exhaustive()
    }
}

/// Returns whether a segment of a route matches any text, in the notation of axum, actix or warp's
/// users.
fn is_parameter(segment: &str) -> bool {
    segment.starts_with(['{', ':', '*', '<'])
}

impl Shared {
    pub(crate) fn is_excluded(&self, path: &str) -> bool {
        self.excluded.iter().any(|excluded| excluded.covers(path))
    }

    /// Returns the API of a request. If routes are known, only a route names one: a path that
    /// matches none may be anything, and a parameter's value is no better.
    pub(crate) fn api(&self, path: &str, route: Option<&str>) -> Arc<Api> {
        let name = match &self.route_of {
            Some(_) => route
                .and_then(|route| (self.api_of)(route))
                .filter(|name| !is_parameter(name)),
            None => (self.api_of)(path),
        };
        self.apis.find(name)
    }

    pub(crate) fn route(&self, extensions: &Extensions) -> Option<String> {
        self.route_of.as_ref()?(extensions)
    }

    pub(crate) fn client(&self, extensions: &Extensions) -> Option<SocketAddr> {
        self.client_of.as_ref()?(extensions)
    }

    /// Returns the number of running requests with this method and scheme.
    pub(crate) fn running(&self, labels: RequestLabels) -> &InFlightGauge {
        &self.running[labels.index()]
    }
}
