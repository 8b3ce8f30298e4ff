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
use spanscope_model::SENT_TIME;

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
    /// An export request of OTLP, whose containers in JSON have these names, from the outside inwards.
    Otlp([&'static str; 3]),
}

impl Content {
    /// JSON of this type.
    pub(crate) fn json<T: JsonSchema>() -> Self {
        Self::Json(|generator| generator.subschema_for::<T>().into())
    }
}

/// A parameter of a route, which may be left out.
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

/// What values a parameter takes.
#[derive(Debug)]
pub(crate) enum Takes {
    /// A text of at most this many characters.
    Text(usize),
    /// A text of any length.
    AnyText,
    /// A text that matches this expression.
    Pattern(&'static str),
    /// A time, as [`SENT_TIME`] has it, and in the other ways in which times are read.
    Time,
    /// A whole number: by default, at least, at most.
    Number(u64, u64, u64),
    /// One of these words.
    Word(fn() -> Vec<&'static str>),
    /// Some of these words, with commas between them.
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

    fn described(&self) -> Value {
        let schema = match &self.takes {
            Takes::Text(max_length) => json!({"type": "string", "maxLength": max_length}),
            Takes::Pattern(pattern) => json!({"type": "string", "pattern": pattern}),
            Takes::AnyText => json!({"type": "string"}),
            // An empty one is as none, as in all fields of a form that are left empty.
            Takes::Time => {
                let time = SENT_TIME.trim_start_matches('^').trim_end_matches('$');
                json!({"type": "string", "pattern": format!("^({time})?$")})
            }
            Takes::Number(default, least, most) => {
                json!({"type": "integer", "default": default, "minimum": least, "maximum": most})
            }
            Takes::Word(words) => json!({"type": "string", "enum": words()}),
            Takes::Words(words) => {
                let words = words().join("|");
                json!({"type": "string", "pattern": format!("^(({words})(,({words}))*)?$")})
            }
        };
        let place = match self.place {
            Place::Query => "query",
            Place::Header => "header",
        };
        let mut described = json!({
            "name": self.name, "in": place, "required": false, "description": self.description, "schema": schema,
        });
        if let (Some(example), Value::Object(described)) = (self.example, &mut described) {
            described.insert("example".to_owned(), example.into());
        }
        described
    }
}

/// One route, as the document has it.
pub(crate) struct Route {
    /// GET, POST or DELETE.
    pub(crate) method: MethodFilter,
    /// With parameters in braces.
    pub(crate) path: &'static str,
    /// What it does, in a line.
    pub(crate) summary: &'static str,
    /// The parameters of its query string and its headers.
    pub(crate) parameters: &'static [Parameter],
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
        self.schemas.values_mut().for_each(write_for_generators);
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
    let content = |generator: &mut SchemaGenerator, content: &Content| match content {
        Content::None => None,
        Content::Json(schema) => Some(json!({"application/json": {"schema": schema(generator)}})),
        Content::Other(kinds, words) => {
            let kinds = kinds.iter().map(|kind| {
                let schema = json!({"description": words});
                ((*kind).to_owned(), json!({"schema": schema}))
            });
            Some(Value::Object(kinds.collect()))
        }
        Content::Otlp(names) => Some(json!({
            "application/x-protobuf": {"schema": {"description": "An export request of OTLP."}},
            "application/json": {"schema": otlp_schema(*names)},
        })),
    };
    let mut operation = Map::new();
    operation.insert("summary".to_owned(), route.summary.into());
    operation.insert("operationId".to_owned(), operation_id(route).into());
    let parameters: Vec<Value> = parameters(route.path)
        .map(in_path)
        .chain(route.parameters.iter().map(Parameter::described))
        .collect();
    if !parameters.is_empty() {
        operation.insert("parameters".to_owned(), parameters.into());
    }
    if let Some(content) = content(generator, &route.reads) {
        let required = match &route.reads {
            Content::Json(_) => has_required_field(&content, generator),
            _ => true,
        };
        operation.insert(
            "requestBody".to_owned(),
            json!({"content": content, "required": required}),
        );
    }
    let success = match content(generator, &route.answers) {
        Some(content) => ("200", json!({"description": "Done.", "content": content})),
        None => ("204", json!({"description": "Done."})),
    };
    operation.insert(
        "responses".to_owned(),
        json!({success.0: success.1, "default": {"$ref": format!("#/components/responses/{failure}")}}),
    );
    Value::Object(operation)
}

/// Writes a schema as generators of clients read it: that of any value as `{}` in place of `true`, and a choice of
/// words as one enum.
fn write_for_generators(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some((words, lines)) = fields.get("oneOf").and_then(described_words) {
                let description = fields
                    .get("description")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                let description = format!("{description}\n{lines}");
                fields.remove("oneOf");
                fields.insert("type".to_owned(), "string".into());
                fields.insert("enum".to_owned(), words);
                fields.insert("description".to_owned(), description.trim().into());
            }
            if let Some(Value::Object(properties)) = fields.get_mut("properties") {
                for property in properties
                    .values_mut()
                    .filter(|property| **property == json!(true))
                {
                    *property = json!({});
                }
            }
            if fields.get("items") == Some(&json!(true)) {
                fields.insert("items".to_owned(), json!({}));
            }
            fields.values_mut().for_each(write_for_generators);
        }
        Value::Array(items) => items.iter_mut().for_each(write_for_generators),
        _ => {}
    }
}

/// The words of a choice of words, and a line for each with what it means. `None` for another choice.
fn described_words(choice: &Value) -> Option<(Value, String)> {
    let (mut words, mut lines) = (Vec::new(), String::new());
    for one in choice.as_array()? {
        let word = one.get("const").filter(|_| one["type"] == "string")?.as_str()?;
        let meaning = one["description"].as_str().unwrap_or_default();
        lines.push_str(&format!("\n- `{word}`: {meaning}"));
        words.push(Value::from(word));
    }
    Some((words.into(), lines))
}

/// An export request in JSON, down to its records. Null is an empty list, as in all JSON of protobuf.
fn otlp_schema([resources, scopes, records]: [&str; 3]) -> Value {
    let list_of = |name: &str, items: Value| json!({"type": "object", "properties": {name: {"type": ["array", "null"], "items": items}}});
    let mut schema = list_of(resources, list_of(scopes, list_of(records, json!({}))));
    if let Value::Object(schema) = &mut schema {
        schema.insert(
            "description".to_owned(),
            "An export request of OTLP in JSON.".into(),
        );
    }
    schema
}

/// Whether a body has to be sent, because a field of it has to be: none at all is read as `{}`.
fn has_required_field(content: &Value, generator: &SchemaGenerator) -> bool {
    let schema = &content["application/json"]["schema"];
    let name = schema["$ref"].as_str().and_then(|to| to.rsplit('/').next());
    let schema = name
        .and_then(|name| generator.definitions().get(name))
        .unwrap_or(schema);
    schema["required"]
        .as_array()
        .is_some_and(|fields| !fields.is_empty())
}

/// The names in the braces of a path.
fn parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// A parameter of a path, by its name: an id, or a name that programs choose.
fn in_path(name: &str) -> Value {
    let id = |digits: usize, of: &str| {
        let schema =
            json!({"type": "string", "pattern": format!("^(?!0{{{digits}}}$)[0-9a-f]{{{digits}}}$")});
        (
            schema,
            format!("The id of the {of}: {digits} hexadecimal digits that are not all zero."),
        )
    };
    let name_of = |of: &str| (json!({"type": "string", "minLength": 1}), format!("The {of}."));
    let (schema, description) = match name {
        "trace_id" => id(32, "trace"),
        "span_id" => id(16, "span"),
        "task_id" => name_of("id of the run"),
        "agent_id" => name_of("name or id of the agent"),
        "session_id" => name_of("id of the session"),
        other => name_of(&other.replace('_', " ")),
    };
    json!({"name": name, "in": "path", "required": true, "description": description, "schema": schema})
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
