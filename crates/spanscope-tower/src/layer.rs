//! The server's layer and its builder. Every setter names its default.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use http::Extensions;
use tower_layer::Layer;

use crate::apis::{Apis, DEFAULT_MAX_APIS};
use crate::path::{DEFAULT_EXCLUDED, Excluded, api_of};
use crate::service::RequestMetrics;
use crate::shared::{ApiOf, FromExtensions, Shared};

/// Measures the requests of a service and opens a span for each.
///
/// Apply it once. If middleware converts panics and timeouts to responses, apply it outside that
/// middleware to measure the responses, or inside to measure the panics and timeouts. Clones share
/// the numbers of running requests, so a program with several listeners creates one layer and
/// clones it: two layers would report different numbers under one name.
#[derive(Debug, Clone)]
pub struct RequestMetricsLayer {
    shared: Arc<Shared>,
}

impl RequestMetricsLayer {
    /// Creates the layer with all defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Returns a builder with all defaults.
    pub fn builder() -> RequestMetricsLayerBuilder {
        RequestMetricsLayerBuilder::default()
    }
}

impl Default for RequestMetricsLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for RequestMetricsLayer {
    type Service = RequestMetrics<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequestMetrics::new(inner, Arc::clone(&self.shared))
    }
}

/// Builds a [`RequestMetricsLayer`].
///
/// ```
/// use spanscope_tower::RequestMetricsLayer;
/// let layer = RequestMetricsLayer::builder()
///     .exclude("/health")
///     .known_apis(["inference", "agents", "models"])
///     .build();
/// # let _ = layer;
/// ```
#[must_use = "it does nothing before `build`"]
pub struct RequestMetricsLayerBuilder {
    excluded: Vec<Excluded>,
    api_of: Box<ApiOf>,
    known_apis: Option<Vec<String>>,
    max_apis: usize,
    route_of: Option<Box<FromExtensions<String>>>,
    client_of: Option<Box<FromExtensions<SocketAddr>>>,
    opens_span: bool,
    is_https: bool,
}

impl Default for RequestMetricsLayerBuilder {
    fn default() -> Self {
        Self {
            excluded: DEFAULT_EXCLUDED.into_iter().map(Excluded::new).collect(),
            api_of: Box::new(api_of),
            known_apis: None,
            max_apis: DEFAULT_MAX_APIS,
            route_of: None,
            client_of: None,
            opens_span: true,
            is_https: false,
        }
    }
}

impl fmt::Debug for RequestMetricsLayerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestMetricsLayerBuilder")
            .field("excluded", &self.excluded)
            .field("known_apis", &self.known_apis)
            .field("max_apis", &self.max_apis)
            .field("opens_span", &self.opens_span)
            .field("is_https", &self.is_https)
            .finish_non_exhaustive()
    }
}

impl RequestMetricsLayerBuilder {
    /// Excludes this path and everything below it, by whole segments: neither span nor measurement.
    /// The default, [`DEFAULT_EXCLUDED`], stays excluded.
    pub fn exclude(mut self, path: &str) -> Self {
        self.excluded.push(Excluded::new(path));
        self
    }

    /// Removes all excluded paths, including the default.
    pub fn exclude_none(mut self) -> Self {
        self.excluded.clear();
        self
    }

    /// Sets a function that returns the label `api` for the path, or for the route with
    /// [`route_of`](Self::route_of): a part of it or a constant, `None` for
    /// [`UNKNOWN`](crate::UNKNOWN). Default: [`api_of`].
    pub fn api_of(mut self, api_of: impl Fn(&str) -> Option<&str> + Send + Sync + 'static) -> Self {
        self.api_of = Box::new(api_of);
        self
    }

    /// Sets the only values of the label `api`, besides [`UNKNOWN`](crate::UNKNOWN) and
    /// [`OTHER`](crate::OTHER), which replaces all others. Default: the first [`DEFAULT_MAX_APIS`].
    pub fn known_apis<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.known_apis = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the maximum number of values of the label `api`; later ones become
    /// [`OTHER`](crate::OTHER). Default: [`DEFAULT_MAX_APIS`].
    pub fn max_apis(mut self, max: usize) -> Self {
        self.max_apis = max;
        self
    }

    /// Sets where the framework stores the route (`/models/{id}`), for `http.route`, the label
    /// `api` and the span's name. Routes must be templates, never paths. Default: none.
    ///
    /// The request's extensions are read first, then the response's, because a layer around a
    /// router runs before it. A request without a known route counts as
    /// [`UNKNOWN`](crate::UNKNOWN), and the name of its span is only the method: a scanner's paths
    /// must not use up the labels of the real routes. A request whose route begins with a parameter
    /// (`/{tenant}/files`) counts as [`UNKNOWN`](crate::UNKNOWN) too. In axum, `Router::layer` runs
    /// after routing and knows the route; a layer around the whole router does not.
    ///
    /// ```
    /// # use spanscope_tower::RequestMetricsLayer;
    /// use axum::extract::MatchedPath;
    /// let layer = RequestMetricsLayer::builder()
    ///     .route_of(|extensions| Some(extensions.get::<MatchedPath>()?.as_str().to_owned()))
    ///     .build();
    /// # let _ = layer;
    /// ```
    pub fn route_of(
        mut self,
        route_of: impl Fn(&Extensions) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.route_of = Some(Box::new(route_of));
        self
    }

    /// Sets where the server stores the client's address in the request's extensions, for
    /// `client.address` and `client.port` of the span. Default: none.
    ///
    /// ```
    /// # use spanscope_tower::RequestMetricsLayer;
    /// use std::net::SocketAddr;
    /// use axum::extract::ConnectInfo;
    /// let layer = RequestMetricsLayer::builder()
    ///     .client_of(|extensions| Some(extensions.get::<ConnectInfo<SocketAddr>>()?.0))
    ///     .build();
    /// # let _ = layer;
    /// ```
    pub fn client_of(
        mut self,
        client_of: impl Fn(&Extensions) -> Option<SocketAddr> + Send + Sync + 'static,
    ) -> Self {
        self.client_of = Some(Box::new(client_of));
        self
    }

    /// Sets whether requests get a span. Default: yes.
    pub fn span(mut self, opens_span: bool) -> Self {
        self.opens_span = opens_span;
        self
    }

    /// Sets whether clients use TLS, for requests that don't name a scheme: those of HTTP/1.
    /// Default: no.
    pub fn https(mut self, is_https: bool) -> Self {
        self.is_https = is_https;
        self
    }

    /// Creates the layer.
    #[must_use]
    pub fn build(self) -> RequestMetricsLayer {
        let apis = match &self.known_apis {
            Some(names) => Apis::known(names),
            None => Apis::learning(self.max_apis),
        };
        RequestMetricsLayer {
            shared: Arc::new(Shared {
                excluded: self.excluded,
                api_of: self.api_of,
                apis,
                route_of: self.route_of,
                client_of: self.client_of,
                opens_span: self.opens_span,
                is_https: self.is_https,
                running: Default::default(),
            }),
        }
    }
}
