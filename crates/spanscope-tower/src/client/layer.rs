//! The client's layer and its builder. Every setter names its default.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use http::Uri;
use tower_layer::Layer;

use super::failure::KnownError;
use super::hosts::{DEFAULT_MAX_HOSTS, HostPattern, Hosts, Propagation};
#[cfg(feature = "model-calls")]
use super::model_calls::ModelCalls;
use super::request::ClientRequest;
use super::service::ClientService;
use super::shared::{Shared, TemplateOf};

/// Opens a span for each request of a client, measures it, and sends the trace along.
///
/// It wraps any tower service of `http` requests: hyper-util's client, a tonic channel. With the
/// feature `reqwest` it also wraps `reqwest::Client`, with `async-openai` that crate's
/// `ReqwestService`, and with `reqwest-middleware` it is a middleware of that crate.
///
/// Apply it inside retries and redirects: each attempt then has a span, as the conventions require.
/// Of two layers around one client only the outer one opens spans and measures. Clones share the
/// numbers of running requests, so a program creates one layer and clones it for all its clients.
#[derive(Debug, Clone)]
pub struct ClientLayer {
    pub(crate) shared: Arc<Shared>,
}

impl ClientLayer {
    /// Creates the layer with all defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Returns a builder with all defaults.
    pub fn builder() -> ClientLayerBuilder {
        ClientLayerBuilder::default()
    }
}

impl Default for ClientLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for ClientLayer {
    type Service = ClientService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ClientService::new(inner, Arc::clone(&self.shared))
    }
}

/// Builds a [`ClientLayer`].
///
/// ```
/// use spanscope_tower::ClientLayer;
/// let layer = ClientLayer::builder()
///     .propagate_to(["*.internal.example.com"]) // other servers don't see the trace
///     .template_of(|request| request.path().starts_with("/users/").then(|| "/users/{id}".to_owned()))
///     .build();
/// # let _ = layer;
/// ```
#[must_use = "it does nothing before `build`"]
pub struct ClientLayerBuilder {
    propagation: Propagation,
    template_of: Option<Box<TemplateOf>>,
    origin: Option<Uri>,
    known_errors: Vec<KnownError>,
    max_hosts: usize,
    opens_span: bool,
    #[cfg(feature = "model-calls")]
    model_calls: Option<ModelCalls>,
}

impl Default for ClientLayerBuilder {
    fn default() -> Self {
        Self {
            propagation: Propagation::All,
            template_of: None,
            origin: None,
            known_errors: Vec::new(),
            max_hosts: DEFAULT_MAX_HOSTS,
            opens_span: true,
            #[cfg(feature = "model-calls")]
            model_calls: None,
        }
    }
}

impl fmt::Debug for ClientLayerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientLayerBuilder")
            .field("propagation", &self.propagation)
            .field("origin", &self.origin)
            .field("max_hosts", &self.max_hosts)
            .field("opens_span", &self.opens_span)
            .finish_non_exhaustive()
    }
}

impl ClientLayerBuilder {
    /// Sets the only hosts that receive `traceparent`, `tracestate` and `baggage`:
    /// `api.example.com`, or `*.example.com` for all hosts below a domain. Ports are ignored; of a
    /// URL only the host is used. With an empty list no host receives them. Default: all hosts.
    ///
    /// Every server can read the baggage that it receives, so a program that sets baggage and calls
    /// servers of others should list its own servers. A `reqwest` client that follows a redirect
    /// sends the headers to the new host too, unless it has the layer's `redirect_policy` (feature
    /// `reqwest`).
    pub fn propagate_to<H: AsRef<str>>(mut self, hosts: impl IntoIterator<Item = H>) -> Self {
        let hosts = hosts.into_iter().map(|host| HostPattern::new(host.as_ref()));
        self.propagation = Propagation::Only(hosts.collect());
        self
    }

    /// Sets a function that returns the template of a request's path, for the span's name and
    /// `url.template`. It must not be the path itself: there must be few templates. A
    /// [`UrlTemplate`](crate::UrlTemplate) in the request's extensions has priority. Default: none,
    /// and the span's name is the method.
    pub fn template_of(
        mut self,
        template_of: impl Fn(&ClientRequest<'_>) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.template_of = Some(Box::new(template_of));
        self
    }

    /// Sets the server of requests whose URI is only a path, as around a tonic channel:
    /// `http::Uri::from_static("http://books.internal:50051")`. Only its scheme, host and port are
    /// read. Default: the header `host`, else none.
    pub fn origin(mut self, origin: Uri) -> Self {
        self.origin = Some(origin);
        self
    }

    /// Adds a type of errors that the layer inspects. Error types of services have no common trait,
    /// so the layer knows a few (`std::io::Error`, boxed errors, those of enabled features); of
    /// others it uses the type's name as `error.type`. In a chain of errors, one of this type
    /// provides its name.
    ///
    /// ```
    /// # use spanscope_tower::ClientLayer;
    /// let layer = ClientLayer::builder()
    ///     .inspect_error::<hyper_util::client::legacy::Error>() // `connection_refused` in place of its name
    ///     .build();
    /// # let _ = layer;
    /// ```
    pub fn inspect_error<T: Error + 'static>(mut self) -> Self {
        self.known_errors.push(KnownError::of::<T>());
        self
    }

    /// Sets the number of servers that metrics distinguish, by name and port; later ones count as
    /// [`OTHER`](crate::OTHER). Spans name all. Default: [`DEFAULT_MAX_HOSTS`].
    pub fn max_hosts(mut self, max: usize) -> Self {
        self.max_hosts = max;
        self
    }

    /// Sets whether requests get a span. Without one they are measured, and the current span is
    /// propagated. Default: yes.
    pub fn span(mut self, opens_span: bool) -> Self {
        self.opens_span = opens_span;
        self
    }

    /// Turns the spans of requests that call a model into spans of that call, with its tokens, for
    /// all hosts and without contents. Default: no. See [Calls of models](crate#calls-of-models).
    ///
    /// ```
    /// # use spanscope_tower::ClientLayer;
    /// let layer = ClientLayer::builder().model_calls().build();
    /// # let _ = layer;
    /// ```
    #[cfg(feature = "model-calls")]
    pub fn model_calls(self) -> Self {
        self.model_calls_with(ModelCalls::new())
    }

    /// Does the same as [`model_calls`](Self::model_calls), with settings: hosts, providers,
    /// contents.
    #[cfg(feature = "model-calls")]
    pub fn model_calls_with(mut self, calls: ModelCalls) -> Self {
        self.model_calls = Some(calls);
        self
    }

    /// Creates the layer.
    #[must_use]
    pub fn build(self) -> ClientLayer {
        ClientLayer {
            shared: Arc::new(Shared {
                hosts: Hosts::new(self.max_hosts),
                propagation: self.propagation,
                template_of: self.template_of,
                origin: self.origin,
                known_errors: self.known_errors,
                opens_span: self.opens_span,
                #[cfg(feature = "model-calls")]
                model_calls: self.model_calls,
            }),
        }
    }
}
