//! [`Api`]: adds each route together with its description, so that the router and the OpenAPI
//! document have the same routes.
//!
//! The document itself is only built with the feature `schema` ([`document`]), for the test that
//! compares it with `openapi.json`; that file is served. So a program that serves builds no
//! schemas.
#![cfg_attr(
    not(feature = "schema"),
    expect(dead_code, reason = "only the document uses the descriptions of routes")
)]

#[cfg(feature = "schema")]
mod document;

use std::convert::Infallible;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};

#[cfg(feature = "schema")]
pub(crate) use document::Document;

use crate::answer::ApiError;
use crate::capability::Needs;

/// Routes of a state, and their description.
pub(crate) struct Api<S> {
    router: Router<S>,
    #[cfg(feature = "schema")]
    described: document::Paths,
}

/// The content of a request or a response.
pub(crate) enum Content {
    /// Nothing.
    None,
    /// JSON of a type.
    #[cfg(feature = "schema")]
    Json(document::SchemaOf),
    #[cfg(not(feature = "schema"))]
    Json,
    /// Another format, with its media types and a description.
    Other(&'static [&'static str], &'static str),
    /// An export request of OTLP, with the names of its containers in JSON, from the outside
    /// inwards.
    Otlp([&'static str; 3]),
}

impl Content {
    /// JSON of this type.
    #[cfg(feature = "schema")]
    pub(crate) fn json<T: schemars::JsonSchema>() -> Self {
        Self::Json(|generator| generator.subschema_for::<T>().into())
    }

    /// JSON of this type.
    #[cfg(not(feature = "schema"))]
    #[expect(
        clippy::extra_unused_type_parameters,
        reason = "only the document uses the type"
    )]
    pub(crate) fn json<T>() -> Self {
        Self::Json
    }
}

/// An optional parameter of a route.
#[derive(Debug)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    pub(crate) description: &'static str,
    pub(crate) takes: Takes,
    pub(crate) example: Option<&'static str>,
}

/// Where a parameter is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Query,
    Header,
}

/// The accepted values of a parameter.
#[derive(Debug)]
pub(crate) enum Takes {
    /// A text of at most this many characters.
    Text(usize),
    /// A text of any length.
    AnyText,
    /// A text that matches this expression.
    Pattern(&'static str),
    /// A time. The document has the format `SENT_TIME`; other formats are accepted as well.
    Time,
    /// A whole number: default, minimum, maximum.
    Number(u64, u64, u64),
    /// One of these words.
    Word(fn() -> Vec<&'static str>),
    /// Some of these words, separated by commas.
    Words(fn() -> Vec<&'static str>),
}

impl Parameter {
    /// A parameter of the query string.
    pub(crate) const fn query(name: &'static str, takes: Takes, description: &'static str) -> Self {
        Self {
            name,
            place: Place::Query,
            description,
            takes,
            example: None,
        }
    }

    /// A header.
    pub(crate) const fn header(name: &'static str, takes: Takes, description: &'static str) -> Self {
        Self {
            place: Place::Header,
            ..Self::query(name, takes, description)
        }
    }
}

/// One route, as the document has it.
pub(crate) struct Route {
    /// GET, POST or DELETE.
    pub(crate) method: MethodFilter,
    /// With parameters in braces.
    pub(crate) path: &'static str,
    /// What it does, in one line.
    pub(crate) summary: &'static str,
    /// The parameters of its query string and its headers.
    pub(crate) parameters: &'static [Parameter],
    /// The body of the request.
    pub(crate) reads: Content,
    /// The body of the response. Nothing means 204.
    pub(crate) answers: Content,
    /// What not every store has.
    pub(crate) needs: Option<Needs>,
}

impl Route {
    /// The same route, which responds 501 without this.
    pub(crate) fn needing(self, needs: Needs) -> Self {
        Self {
            needs: Some(needs),
            ..self
        }
    }
}

impl<S: Clone + Send + Sync + 'static> Api<S> {
    pub(crate) fn new() -> Self {
        Self {
            router: Router::new(),
            #[cfg(feature = "schema")]
            described: document::Paths::new(),
        }
    }

    /// Adds a route and its handler.
    pub(crate) fn route<H, T>(self, route: Route, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.failing_as("Failure", route, handler)
    }

    /// Adds a route whose failures are described elsewhere in the document.
    pub(crate) fn failing_as<H, T>(mut self, failure: &str, route: Route, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        let method: MethodRouter<S, Infallible> = on(route.method, handler);
        self.router = self.router.route(route.path, method);
        #[cfg(feature = "schema")]
        self.described.add(&route, failure);
        #[cfg(not(feature = "schema"))]
        let _ = failure;
        self
    }

    /// Returns the routes; other methods get 405.
    pub(crate) fn into_router(self) -> Router<S> {
        self.router
            .method_not_allowed_fallback(async || ApiError::method_not_allowed())
    }
}
