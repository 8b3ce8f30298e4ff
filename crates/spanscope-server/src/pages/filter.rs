//! The terms of a filter, and keys in it that are probably misspelled.

use std::ops::Range;

use axum::response::Response;
use serde::Serialize;
use spanscope_model::filter::{Comparison, Filter, FilterKey, FilterTest};
use spanscope_model::text::nearest;

use super::params::Q;
use crate::answer::{ApiError, json};
use crate::api::Parameter;
use crate::caller::ScopedStore;
use crate::runs::QueryParams;

pub(super) const PARAMETERS: [Parameter; 1] = [Q];

/// The number of newest spans of which none may have a key that is reported as unknown.
const NEWEST_SPANS: u64 = 20_000;

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "ParsedFilter"))]
pub(super) struct Parsed {
    terms: Vec<Term>,
    warnings: Vec<Warning>,
}

/// One term. Positions count UTF-16 units, as in JavaScript.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "FilterTermText"))]
struct Term {
    text: String,
    from: usize,
    to: usize,
    /// The key that it compares; null for a bare word.
    key: Option<String>,
    negated: bool,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "FilterWarning"))]
struct Warning {
    key: String,
    from: usize,
    to: usize,
    message: String,
    did_you_mean: Option<String>,
}

pub(super) async fn get(ScopedStore(store): ScopedStore, params: QueryParams) -> Result<Response, ApiError> {
    params.only(&PARAMETERS)?;
    let text = params.text(Q.name).unwrap_or_default().to_owned();
    let parsed = Filter::parse_ranges(&text).map_err(|error| ApiError::wrong_filter(&error))?;
    let mut terms = Vec::new();
    let mut keys = Vec::new();
    for (range, term) in &parsed {
        let position = utf_16(&text, range);
        let key = match &term.test {
            FilterTest::Text(_) => None,
            FilterTest::Compare(Comparison { key, .. }) => {
                if let FilterKey::Attribute(key) = key {
                    keys.push((key.clone(), position.clone()));
                }
                Some(name_of(key))
            }
        };
        terms.push(Term {
            text: text[range.clone()].to_owned(),
            from: position.start,
            to: position.end,
            key,
            negated: term.negated,
        });
    }
    let mut warnings = Vec::new();
    if !keys.is_empty() {
        let known = store.attribute_keys(NEWEST_SPANS).await?;
        for (key, position) in keys {
            let plain = spanscope_model::filter::resource_key(&key);
            if known.binary_search_by(|have| have.as_str().cmp(plain)).is_ok() {
                continue;
            }
            let meant = nearest(plain, known.iter().map(String::as_str));
            warnings.push(Warning {
                message: format!("no span of the last {NEWEST_SPANS} has {key:?}"),
                did_you_mean: meant.map(ToOwned::to_owned),
                from: position.start,
                to: position.end,
                key,
            });
        }
    }
    json(Parsed { terms, warnings }).await
}

fn name_of(key: &FilterKey) -> String {
    match key {
        FilterKey::Field(field) => field.as_str().to_owned(),
        FilterKey::Trace(field) => field.as_str().to_owned(),
        FilterKey::Attribute(key) => key.clone(),
    }
}

fn utf_16(text: &str, range: &Range<usize>) -> Range<usize> {
    let units = |text: &str| text.encode_utf16().count();
    let start = units(&text[..range.start]);
    start..start + units(&text[range.clone()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_utf_16_units() {
        let text = "ключ=😀 b=1";
        let ranges: Vec<_> = Filter::parse_ranges(text)
            .unwrap_or_default()
            .into_iter()
            .map(|(range, _)| utf_16(text, &range))
            .collect();
        assert_eq!(ranges, [0..7, 8..11]);
    }
}
