//! The calls of a run in the detailed shape: of models, of retrievals, of tools.

use serde_json::{Map, Value as Json, json};
use spanscope_model::semconv::SemanticAttribute as A;
use spanscope_model::{Attributes, Span};

use crate::content::{
    self, chunk_count, chunks_of, completion_of, error_of, first, first_text, json_of, names, number_of,
    prompt_of, text_of, value,
};
use crate::format::{cut_json, cut_text, rounded};
use crate::step::{Step, call_id_of, seconds};
use crate::token_usage::tokens_of;
use crate::{DetailLevel, Run, StepKind};

/// The length of a preview in characters, and its maximum number of list items.
const PREVIEW: usize = 200;
const PREVIEW_ITEMS: usize = 10;

/// Returns the steps of one kind, each as JSON.
fn list(
    run: &Run<'_>,
    kind: StepKind,
    show: impl Fn(&Step, &Span) -> Map<String, Json>,
    level: DetailLevel,
) -> Json {
    let steps = run.steps();
    let steps = steps.iter().filter(|(step, _)| step.kind == kind);
    let shown = steps.map(|(step, span)| {
        let mut call = show(step, span);
        call.insert("latency_ms".into(), latency(step));
        call.insert("started_at".into(), step.start.to_string().into());
        call.insert("completed_at".into(), json!(step.end));
        let error = error_of(span).filter(|_| step.end.is_some());
        let error = error.map(|error| match level {
            DetailLevel::Debug => error,
            _ => cut_text(&error, PREVIEW),
        });
        call.insert("error".into(), json!(error));
        Json::Object(call)
    });
    shown.collect()
}

pub(crate) fn llm_calls(run: &Run<'_>, level: DetailLevel) -> Json {
    let show = |step: &Step, span: &Span| {
        let attributes = &span.attributes;
        let tokens = tokens_of(attributes).unwrap_or_default();
        let parameters = value(attributes, A::InvocationParameters).map(json_of);
        let parameter = |own, key: &str| {
            let own = value(attributes, own).and_then(number_of).map(whole_if_it_is);
            own.or_else(|| parameters.as_ref()?.get(key).cloned())
        };
        let mut call = object(json!({
            "call_id": call_id_of(attributes).unwrap_or_else(|| span.span_id.to_string()),
            "component_id": step.component.id,
            "model_name": first_text(attributes, names::MODELS),
            "provider": first_text(attributes, &[A::Provider]),
            "tokens": tokens,
            "temperature": parameter(A::Temperature, "temperature"),
            "max_tokens": parameter(A::MaxTokens, "max_tokens"),
        }));
        put_content(&mut call, "prompt", prompt_of(attributes), level);
        put_content(&mut call, "response", completion_of(attributes), level);
        call
    };
    list(run, StepKind::LlmCall, show, level)
}

pub(crate) fn retrievals(run: &Run<'_>, level: DetailLevel) -> Json {
    let show = |step: &Step, span: &Span| {
        let attributes = &span.attributes;
        let chunks = chunks_of(attributes);
        let count = chunk_count(attributes, chunks.as_ref());
        let query = first_text(attributes, names::QUERY);
        let mut results = object(json!({ "chunks_retrieved": count }));
        match (level, chunks) {
            (DetailLevel::Debug, chunks) => {
                results.insert("chunks".into(), chunks.unwrap_or_else(|| json!([])))
            }
            (_, chunks) => results.insert("chunks_preview".into(), chunks_preview(chunks.as_ref())),
        };
        let mut call = object(json!({
            "retrieval_id": content::first_text(attributes, names::CALL_ID).unwrap_or_else(|| span.span_id.to_string()),
            "component_id": step.component.id,
            "query": query.map(|query| match level {
                DetailLevel::Debug => query,
                _ => cut_text(&query, PREVIEW),
            }),
            "knowledge_bases": knowledge_bases(attributes),
            "config": {
                "top_k": value(attributes, A::TopK).map(json_of),
                "similarity_threshold": value(attributes, A::SimilarityThreshold).map(json_of),
                "rerank_enabled": value(attributes, A::RerankEnabled).map(json_of),
            },
        }));
        call.insert("results".into(), results.into());
        call
    };
    list(run, StepKind::Retrieval, show, level)
}

pub(crate) fn tool_calls(run: &Run<'_>, level: DetailLevel) -> Json {
    let show = |step: &Step, span: &Span| {
        let attributes = &span.attributes;
        let arguments = first(attributes, names::ARGUMENTS).map(json_of);
        let mut call = object(json!({
            "call_id": call_id_of(attributes).unwrap_or_else(|| span.span_id.to_string()),
            "component_id": step.component.id,
            "tool_name": first_text(attributes, names::TOOL_NAME).unwrap_or_else(|| step.component.name.clone()),
            "tool_type": tool_type(attributes),
        }));
        let arguments = arguments.map(|arguments| match level {
            DetailLevel::Debug => arguments,
            _ => cut_json(&arguments, PREVIEW, PREVIEW_ITEMS),
        });
        call.insert("arguments".into(), arguments.unwrap_or_default());
        put_content(
            &mut call,
            "result",
            first(attributes, names::RESULTS).map(json_of),
            level,
        );
        call
    };
    list(run, StepKind::ToolCall, show, level)
}

fn tool_type(attributes: &Attributes) -> String {
    let of_protocol = || value(attributes, A::McpMethod).map(|_| "mcp".to_owned());
    let named = first_text(attributes, &[A::ToolType]).or_else(of_protocol);
    named.unwrap_or_else(|| "function".to_owned())
}

/// Adds a text, an object or a list of messages: complete at the level `debug`, as a preview of its
/// text below it.
fn put_content(call: &mut Map<String, Json>, key: &str, content: Option<Json>, level: DetailLevel) {
    if level == DetailLevel::Debug {
        call.insert(key.to_owned(), content.unwrap_or_default());
        return;
    }
    let preview = content.map(|content| match text_of(&content) {
        Some(text) => cut_text(&text, PREVIEW).into(),
        // Tool calls have no text: they are shown as JSON.
        None => cut_json(&content, PREVIEW, PREVIEW_ITEMS),
    });
    call.insert(format!("{key}_preview"), preview.unwrap_or_default());
}

/// Returns the first chunks, without their content.
fn chunks_preview(chunks: Option<&Json>) -> Json {
    let chunks = chunks.and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
    let shown = chunks.iter().take(PREVIEW_ITEMS).map(|chunk| {
        let part = |keys: &[&str]| {
            keys.iter()
                .find_map(|key| chunk.get(*key))
                .map(|part| cut_json(part, PREVIEW, 1))
        };
        json!({
            "id": part(&["id", "chunk_id", "document_id", "doc_id"]),
            "score": part(&["score", "similarity", "relevance_score", "distance"]),
        })
    });
    shown.collect()
}

/// Returns a list of names from any notation.
fn knowledge_bases(attributes: &Attributes) -> Json {
    match first(attributes, names::KNOWLEDGE_BASES).map(json_of) {
        None => json!([]),
        Some(Json::Array(names)) => names.into(),
        Some(name) => json!([name]),
    }
}

/// Returns a JSON number, as an integer if it has no fraction.
#[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
fn whole_if_it_is(number: f64) -> Json {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number.fract() == 0.0 && number.abs() <= EXACT {
        true => (number as i64).into(),
        false => number.into(),
    }
}

fn latency(step: &Step) -> Json {
    step.nanos()
        .map_or(Json::Null, |nanos| rounded(seconds(nanos) * 1e3, 3))
}

fn object(value: Json) -> Map<String, Json> {
    match value {
        Json::Object(object) => object,
        _ => Map::new(),
    }
}
