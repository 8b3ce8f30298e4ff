//! The OpenAPI document of the routes, generated from the types that are read and written. OpenAPI
//! 3.1, whose schemas are JSON Schema.

use axum::routing::MethodFilter;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use spanscope_model::SENT_TIME;

use super::{Api, Content, Parameter, Place, Route, Takes};
use crate::answer::Failure;
use crate::{otlp, receive};

/// The version in the description of every path.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Returns the schema of a type.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Value;

/// The descriptions of routes.
pub(super) struct Paths {
    generator: SchemaGenerator,
    paths: Map<String, Value>,
}

impl Paths {
    pub(super) fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Self {
            generator: settings.into_generator(),
            paths: Map::new(),
        }
    }

    /// Describes a route; its failures are described under `failure`.
    pub(super) fn add(&mut self, route: &Route, failure: &str) {
        let operation = operation(&mut self.generator, route, failure);
        let path = self
            .paths
            .entry(route.path)
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(path) = path {
            path.insert(verb(route).to_owned(), operation);
        }
    }

    /// Returns the descriptions of the routes, under each of these prefixes, and their schemas.
    fn described(self, prefixes: &[&str]) -> (Map<String, Value>, Map<String, Value>) {
        let mut paths = Map::new();
        for prefix in prefixes {
            for (path, item) in &self.paths {
                let mut item = item.clone();
                if prefixes.len() > 1 || !prefix.is_empty() {
                    make_ids_unique(&mut item, prefix);
                }
                paths.insert(format!("{prefix}{path}"), item);
            }
        }
        let mut generator = self.generator;
        (paths, generator.take_definitions(true))
    }
}

impl Parameter {
    fn described(&self) -> Value {
        let schema = match &self.takes {
            Takes::Text(max_length) => json!({"type": "string", "maxLength": max_length}),
            Takes::Pattern(pattern) => json!({"type": "string", "pattern": pattern}),
            Takes::AnyText => json!({"type": "string"}),
            // An empty value means none, as in all fields of an unfilled form.
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

/// Assembles a document.
#[derive(Default)]
pub(crate) struct Document {
    paths: Map<String, Value>,
    schemas: Map<String, Value>,
}

impl Document {
    /// Adds routes, under each of these prefixes.
    pub(crate) fn with<S>(mut self, api: Api<S>, prefixes: &[&str]) -> Self {
        let (paths, schemas) = api.described.described(prefixes);
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
        let mut generator = Paths::new().generator;
        let _ = generator.subschema_for::<Failure>();
        let _ = generator.subschema_for::<otlp::Status>();
        self.schemas.extend(generator.take_definitions(true));
        self.schemas.values_mut().for_each(write_for_generators);
        self.schemas.sort_keys();
        self.paths.sort_keys();
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Spanscope",
                "version": VERSION,
                "description": "The telemetry API of a span store, and its OTLP receiver. If the server has tokens, a request needs one as `authorization: Bearer TOKEN`; it sees the records of the token's tenant, and what it sends belongs to that tenant."
            },
            "paths": self.paths,
            "components": {
                "schemas": self.schemas,
                "responses": {
                    "Failure": {
                        "description": "The request failed; 429 and 503 have `retry-after`, in seconds.",
                        "content": failure_content("Failure")
                    },
                    "OtlpFailure": {
                        "description": "The records were not accepted; 429 and 503 have `retry-after`, in seconds. OTLP's own failures are in the encoding of the request; earlier failures have the format of the other routes.",
                        "content": failure_content(receive::FAILURE)
                    }
                },
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}
            },
            // With a token or, on a loopback address, without.
            "security": [{"token": []}, {}],
        })
    }
}

/// The bodies of failures that are described under a name.
fn failure_content(name: &str) -> Value {
    let failure = json!({"$ref": "#/components/schemas/Failure"});
    match name {
        receive::FAILURE => {
            let status = json!({"$ref": "#/components/schemas/OtlpStatus"});
            json!({
                "application/json": {"schema": {"anyOf": [status, failure]}},
                "application/x-protobuf": {"schema": {"description": "A google.rpc.Status with code and message."}}
            })
        }
        _ => json!({"application/json": {"schema": failure}}),
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
    let mut responses = json!({success.0: success.1});
    if let Some(needs) = route.needs {
        responses["501"] = json!({"description": needs.missing(), "content": failure_content(failure)});
    }
    responses["default"] = json!({"$ref": format!("#/components/responses/{failure}")});
    operation.insert("responses".to_owned(), responses);
    Value::Object(operation)
}

/// Changes a schema to what client generators understand: that of any value is `{}` instead of
/// `true`, and a choice of constants is one enum. Descriptions say null, not `None`.
fn write_for_generators(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(description)) = fields.get_mut("description") {
                *description = description.replace("`None`", "null");
            }
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

/// Returns the constants of a choice, and a line about each. `None` for another choice.
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

/// Returns the schema of an export request in JSON, down to its records. Null is an empty list or
/// container, as in all JSON of protobuf; the body itself is an object.
fn otlp_schema([resources, scopes, records]: [&str; 3]) -> Value {
    let holder = |types: Value, name: &str, items: Value| {
        let list = json!({"type": ["array", "null"], "items": items});
        json!({"type": types, "properties": {name: list}})
    };
    let container = || json!(["object", "null"]);
    let scope = holder(container(), records, json!({}));
    let mut schema = holder(json!("object"), resources, holder(container(), scopes, scope));
    schema["description"] = "An export request of OTLP in JSON.".into();
    schema
}

/// Returns whether a body is required, because one of its fields is: a missing body is read as
/// `{}`.
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

/// Returns the name that client generators use for an operation.
fn operation_id(route: &Route) -> String {
    let verb = verb(route);
    let words = route.path.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .fold(verb.to_owned(), |id, word| format!("{id}_{word}"))
}

/// Gives the same operation under two prefixes two names.
fn make_ids_unique(item: &mut Value, prefix: &str) {
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
