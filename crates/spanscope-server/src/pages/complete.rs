//! Completions of a filter that a user is typing.

use axum::response::Response;
use serde::Serialize;
use spanscope_model::filter::{Filter, FilterField, FilterKey, FilterTest};
use spanscope_model::{CompletionOf, CompletionQuery, Severity, SpanKind, SpanStatus};

use super::params;
use crate::answer::{ApiError, json};
use crate::api::{Parameter, Takes};
use crate::caller::ScopedStore;
use crate::runs::QueryParams;

const OF: Parameter = Parameter::query(
    "of",
    Takes::Word(|| CompletionOf::ALL.iter().map(|of| of.as_str()).collect()),
    "The kind of text to complete; `key` by default.",
);
const KEY: Parameter = Parameter::query(
    "key",
    Takes::Text(MAX_CHARS),
    "For values: the attribute or the field whose values are completed.",
);
const PREFIX: Parameter = Parameter::query(
    "prefix",
    Takes::Text(MAX_CHARS),
    "A prefix or a part of the text.",
);
pub(super) const PARAMETERS: [Parameter; 3] = [OF, KEY, PREFIX];

const MAX_CHARS: usize = 1000;
/// Maximum number of completions.
const LIMIT: u64 = 50;

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct Completions {
    items: Vec<Item>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Completion"))]
struct Item {
    text: String,
    /// The number of recent spans that have it; null if it was not counted.
    count: Option<u64>,
    #[serde(rename = "type")]
    kind: char,
}

pub(super) async fn get(ScopedStore(store): ScopedStore, params: QueryParams) -> Result<Response, ApiError> {
    params.only(&PARAMETERS)?;
    let mut of = params.word(OF.name)?.unwrap_or(CompletionOf::Key);
    let key = params::text(&params, &KEY).unwrap_or_default();
    let part = params::text(&params, &PREFIX).unwrap_or_default();
    let mut attribute = String::new();
    if of == CompletionOf::Value {
        match field_of(&key) {
            Some(FilterField::Name) => of = CompletionOf::Name,
            Some(FilterField::Service) => of = CompletionOf::Service,
            Some(FilterField::Category) => of = CompletionOf::Category,
            Some(field) => {
                return json(Completions {
                    items: words(field, &part),
                })
                .await;
            }
            None => attribute = spanscope_model::filter::resource_key(&key).to_owned(),
        }
    } else if !key.is_empty() {
        return Err(ApiError::invalid("key is only for of=value: leave it out"));
    }
    let found = store
        .completions(CompletionQuery::new(of, LIMIT).key(attribute).part(part))
        .await?;
    let items = found.into_iter().map(|found| Item {
        text: found.text,
        count: Some(found.count),
        kind: found.kind,
    });
    json(Completions {
        items: items.collect(),
    })
    .await
}

/// Returns the field that a key names in a filter; `None` if it is an attribute.
fn field_of(key: &str) -> Option<FilterField> {
    let filter: Filter = format!("{key}=*").parse().ok()?;
    match &filter.terms.first()?.test {
        FilterTest::Compare(comparison) => match comparison.key {
            FilterKey::Field(field) => Some(field),
            _ => None,
        },
        FilterTest::Text(_) => None,
    }
}

/// Returns the values of a field that contain this part; nothing if the field has no fixed values.
fn words(field: FilterField, part: &str) -> Vec<Item> {
    let all: Vec<&str> = match field {
        FilterField::Status => SpanStatus::ALL.iter().map(|word| word.as_str()).collect(),
        FilterField::Kind => SpanKind::ALL.iter().map(|word| word.as_str()).collect(),
        FilterField::Level => Severity::ALL.iter().map(|word| word.as_str()).collect(),
        _ => Vec::new(),
    };
    let part = part.to_ascii_lowercase();
    all.into_iter()
        .filter(|word| word.contains(&part))
        .map(|word| Item {
            text: word.to_owned(),
            count: None,
            kind: 's',
        })
        .collect()
}
