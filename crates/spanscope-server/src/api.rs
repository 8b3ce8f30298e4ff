//! [`Api`]: routes and the document that describes them, made by the same call, so that neither has one that the other lacks.
//!
//! The document is OpenAPI 3.1, whose schemas are JSON Schema; they come from the types that are read and written.

use std::convert::Infallible;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::answer::{ApiError, Failure};
use crate::otlp;

/// What every path is described with.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Routes of a state, and what is said of them.
pub(crate) struct Api<S> {
    router: Router<S>,
    generator: SchemaGenerator,
    paths: Map<String, Value>,
}

/// What a route reads or answers.
pub(crate) enum Content {
    /// Nothing.
    None,
    /// JSON of a type.
    Json(fn(&mut SchemaGenerator) -> Value),
    /// Something else, by its media types, with words for it.
    Other(&'static [&'static str], &'static str),
}

impl Content {
    /// JSON of this type.
    pub(crate) fn json<T: JsonSchema>() -> Self {
        Self::Json(|generator| generator.subschema_for::<T>().into())
    }
}

/// A text in the query string, which may be left out.
pub(crate) struct QueryParameter {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    /// In characters.
    pub(crate) max_length: usize,
    pub(crate) example: &'static str,
}

/// One route, as the document has it.
pub(crate) struct Route {
    /// GET, POST or DELETE.
    pub(crate) method: MethodFilter,
    /// With parameters in braces.
    pub(crate) path: &'static str,
    /// What it does, in a line.
    pub(crate) summary: &'static str,
    /// The parameters of its query string.
    pub(crate) query: &'static [QueryParameter],
    /// The body of the request.
    pub(crate) reads: Content,
    /// The body of the answer. Nothing means 204.
    pub(crate) answers: Content,
}

impl<S: Clone + Send + Sync + 'static> Api<S> {
    pub(crate) fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Self {
            router: Router::new(),
            generator: settings.into_generator(),
            paths: Map::new(),
        }
    }

    /// Adds a route and what answers it.
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
        let operation = operation(&mut self.generator, &route, failure);
        let verb = verb(&route);
        let path = self
            .paths
            .entry(route.path)
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(path) = path {
            path.insert(verb.to_owned(), operation);
        }
        self
    }

    /// The routes, to which other methods are answered with 405.
    pub(crate) fn into_router(self) -> Router<S> {
        self.router
            .method_not_allowed_fallback(async || ApiError::method_not_allowed())
    }

    /// What is said of the routes, each with this before its path.
    fn described(self, prefixes: &[&str]) -> (Map<String, Value>, Map<String, Value>) {
        let mut paths = Map::new();
        for prefix in prefixes {
            for (path, item) in &self.paths {
                let mut item = item.clone();
                if prefixes.len() > 1 {
                    tell_apart(&mut item, prefix);
                }
                paths.insert(format!("{prefix}{path}"), item);
            }
        }
        let mut generator = self.generator;
        (paths, generator.take_definitions(true))
    }
}

/// Puts the parts of a document together.
#[derive(Default)]
pub(crate) struct Document {
    paths: Map<String, Value>,
    schemas: Map<String, Value>,
}

impl Document {
    /// Adds routes, under each of these prefixes.
    pub(crate) fn with<S: Clone + Send + Sync + 'static>(mut self, api: Api<S>, prefixes: &[&str]) -> Self {
        let (paths, schemas) = api.described(prefixes);
        for (path, item) in paths {
            match (self.paths.get_mut(&path), item) {
                (Some(Value::Object(known)), Value::Object(item)) => known.extend(item),
                (_, item) => drop(self.paths.insert(path, item)),
            }
        }
        self.schemas.extend(schemas);
        self
    }

    /// The document.
    pub(crate) fn finish(mut self) -> Value {
        let mut generator = Api::<()>::new().generator;
        let failure: Value = generator.subschema_for::<Failure>().into();
        let otlp_status: Value = generator.subschema_for::<otlp::Status>().into();
        self.schemas.extend(generator.take_definitions(true));
        self.schemas.sort_keys();
        self.paths.sort_keys();
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Spanscope",
                "version": VERSION,
                "description": "The telemetry API of a span store, and its OTLP receiver. Where the server has tokens, a request brings one as \
                    `authorization: Bearer TOKEN`, sees what belongs to the token's tenant, and what it sends belongs to that tenant."
            },
            "paths": self.paths,
            "components": {
                "schemas": self.schemas,
                "responses": {
                    "Failure": {
                        "description": "The request could not be answered; 429 and 503 come with `retry-after`, in seconds.",
                        "content": {"application/json": {"schema": failure}}
                    },
                    "OtlpFailure": {
                        "description": "The request could not be taken in; 429 and 503 come with `retry-after`, in seconds. OTLP's own failures \
                            are in the encoding of the request; what fails before it is known to be one is answered as by the other routes.",
                        "content": {
                            "application/json": {"schema": {"anyOf": [otlp_status, failure]}},
                            "application/x-protobuf": {"schema": {"description": "A google.rpc.Status with code and message."}}
                        }
                    }
                },
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}
            },
            // With a token or, on a loopback address, without.
            "security": [{"token": []}, {}],
        })
    }
}

fn operation(generator: &mut SchemaGenerator, route: &Route, failure: &str) -> Value {
    let mut content = |content: &Content| match content {
        Content::None => None,
        Content::Json(schema) => Some(json!({"application/json": {"schema": schema(generator)}})),
        Content::Other(kinds, words) => {
            let kinds = kinds.iter().map(|kind| {
                let schema = json!({"description": words});
                ((*kind).to_owned(), json!({"schema": schema}))
            });
            Some(Value::Object(kinds.collect()))
        }
    };
    let mut operation = Map::new();
    operation.insert("summary".to_owned(), route.summary.into());
    operation.insert("operationId".to_owned(), operation_id(route).into());
    let in_query = route.query.iter().map(|parameter| {
        json!({
            "name": parameter.name,
            "in": "query",
            "required": false,
            "description": parameter.description,
            "schema": {"type": "string", "maxLength": parameter.max_length},
            "example": parameter.example,
        })
    });
    let parameters: Vec<Value> = parameters(route.path)
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .chain(in_query)
        .collect();
    if !parameters.is_empty() {
        operation.insert("parameters".to_owned(), parameters.into());
    }
    if let Some(content) = content(&route.reads) {
        operation.insert("requestBody".to_owned(), json!({"content": content}));
    }
    let success = match content(&route.answers) {
        Some(content) => ("200", json!({"description": "Done.", "content": content})),
        None => ("204", json!({"description": "Done."})),
    };
    operation.insert(
        "responses".to_owned(),
        json!({success.0: success.1, "default": {"$ref": format!("#/components/responses/{failure}")}}),
    );
    Value::Object(operation)
}

/// The names in the braces of a path.
fn parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn verb(route: &Route) -> &'static str {
    match route.method {
        MethodFilter::GET => "get",
        MethodFilter::DELETE => "delete",
        _ => "post",
    }
}

/// Names an operation for generators of clients.
fn operation_id(route: &Route) -> String {
    let verb = verb(route);
    let words = route.path.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .fold(verb.to_owned(), |id, word| format!("{id}_{word}"))
}

/// The same operation under two prefixes has two names.
fn tell_apart(item: &mut Value, prefix: &str) {
    let Value::Object(item) = item else { return };
    for operation in item.values_mut() {
        let id = operation
            .get("operationId")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let id = format!("{id}{}", prefix.replace('/', "_"));
        if let Value::Object(operation) = operation {
            operation.insert("operationId".to_owned(), id.into());
        }
    }
}
