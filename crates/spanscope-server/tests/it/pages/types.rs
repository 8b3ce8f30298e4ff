//! The types of the answers that the modules of the pages read: written from the schemas of the
//! OpenAPI document, so that a changed field fails the check of the types.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use spanscope_server::openapi_of_the_code;

const FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../spanscope-ui/ui/js/api-types.d.ts"
);
const HEAD: &str = "\
/**
 * The answers below `api/`. Written from the server's schemas by its test
 * `types_of_the_pages_are_those_of_the_schemas`, with SPANSCOPE_WRITE_OPENAPI=1.
 */
";
/// Longer lines of comments are broken.
const MAX_WIDTH: usize = 100;

/// Names of schemas, from the answers of the pages on.
fn names(document: &Value) -> BTreeSet<String> {
    fn walk(value: &Value, document: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(name) = fields.get("$ref").and_then(Value::as_str).map(name_of)
                    && found.insert(name.to_owned())
                {
                    walk(&document["components"]["schemas"][name], document, found);
                }
                fields.values().for_each(|field| walk(field, document, found));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, document, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        if path.starts_with("/ui/api/") {
            for method in methods.as_object().unwrap().values() {
                walk(&method["responses"], document, &mut found);
            }
        }
    }
    found
}

fn name_of(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap()
}

/// The type that a schema describes.
fn type_of(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return name_of(reference).to_owned();
    }
    if let Some(choices) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
        return choices.iter().map(type_of).collect::<Vec<_>>().join(" | ");
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(Value::to_string).collect::<Vec<_>>().join(" | ");
    }
    match &schema["type"] {
        Value::Array(types) => {
            let one = |name: &Value| {
                let mut schema = schema.clone();
                schema["type"] = name.clone();
                type_of(&schema)
            };
            types.iter().map(one).collect::<Vec<_>>().join(" | ")
        }
        Value::String(name) => match name.as_str() {
            "integer" | "number" => "number".to_owned(),
            "array" => match schema["prefixItems"].as_array() {
                Some(items) => format!("[{}]", items.iter().map(type_of).collect::<Vec<_>>().join(", ")),
                None => match type_of(&schema["items"]) {
                    item if item.contains(" | ") => format!("({item})[]"),
                    item => format!("{item}[]"),
                },
            },
            "object" => panic!("an object without a name: {schema}"),
            name => name.to_owned(),
        },
        _ => panic!("a schema without a type: {schema}"),
    }
}

/// A comment of one line, or of several.
fn comment(schema: &Value, indent: &str) -> String {
    let Some(text) = schema["description"].as_str() else {
        return String::new();
    };
    let whole = format!("{indent}/** {text} */\n");
    if !text.contains('\n') && whole.len() <= MAX_WIDTH {
        return whole;
    }
    let mut lines = format!("{indent}/**\n");
    for paragraph in text.lines() {
        let mut line = format!("{indent} *");
        for word in paragraph.split(' ').filter(|word| !word.is_empty()) {
            if line.len() + 1 + word.len() > MAX_WIDTH {
                lines.push_str(&line);
                line = format!("\n{indent} *");
            }
            line.push(' ');
            line.push_str(word);
        }
        lines.push_str(&line);
        lines.push('\n');
    }
    format!("{lines}{indent} */\n")
}

fn declaration(name: &str, schema: &Value) -> String {
    let mut text = comment(schema, "");
    let Some(fields) = schema["properties"].as_object() else {
        writeln!(text, "export type {name} = {};", type_of(schema)).unwrap();
        return text;
    };
    let required: BTreeSet<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    writeln!(text, "export interface {name} {{").unwrap();
    for (field, schema) in fields {
        let kind = type_of(schema);
        // A field that may be null is always present, although the document does not require it.
        let mark = match required.contains(field.as_str()) || kind.ends_with("null") {
            true => "",
            false => "?",
        };
        text.push_str(&comment(schema, "  "));
        writeln!(text, "  {field}{mark}: {kind};").unwrap();
    }
    text.push_str("}\n");
    text
}

#[test]
fn types_of_the_pages_are_those_of_the_schemas() {
    let document = openapi_of_the_code();
    let mut text = HEAD.to_owned();
    for name in names(&document) {
        text.push('\n');
        text.push_str(&declaration(&name, &document["components"]["schemas"][&name]));
    }
    let path = Path::new(FILE);
    if std::env::var_os("SPANSCOPE_WRITE_OPENAPI").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    // A package of this crate alone has no pages to check.
    if !path.parent().unwrap().is_dir() {
        return;
    }
    assert!(
        std::fs::read_to_string(path).unwrap_or_default() == text,
        "api-types.d.ts is not what the code says: run this test with SPANSCOPE_WRITE_OPENAPI=1, look at the difference, \
         and commit it"
    );
}
