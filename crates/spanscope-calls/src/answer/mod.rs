//! The response, assembled from one document or from the events of a stream.
//!
//! Each API has a file that parses its documents into the one [`Answer`]. Whole responses and the
//! events of a stream have nearly the same members, so each API parses both with the same code.

mod anthropic;
mod ollama;
mod openai;
mod output;
mod responses;
mod usage;

use serde_json::{Map, Value};
use spanscope_model::text::cut;

use crate::call::ResponseFacts;
use crate::request::text;
use crate::settings::ReadSettings;
use crate::{Api, CallError};
use output::Outputs;
pub(crate) use usage::Usage;

/// Longer ids and names are cut to this number of bytes.
const MAX_NAME: usize = 256;

/// The kind of an object in a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ObjectKind {
    /// A part of a response.
    Chunk,
    /// An object without data of a response: a ping, an event of an unknown type, an error.
    Ignored,
}

/// The parsed response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) api: Api,
    pub(crate) facts: ResponseFacts,
    pub(crate) usage: Usage,
    pub(crate) error: Option<CallError>,
    pub(crate) outputs: Outputs,
    /// Whether it contained a response of a model, or an error from a provider.
    pub(crate) is_recognized: bool,
}

impl Answer {
    pub(crate) fn new(api: Api, settings: &ReadSettings) -> Self {
        Self {
            api,
            facts: ResponseFacts::default(),
            usage: Usage::default(),
            error: None,
            outputs: Outputs::new(settings),
            is_recognized: false,
        }
    }

    /// Parses the response, or the next event of it. `event` is the name of the event, which some
    /// APIs repeat in the data and some compatible ones don't. `is_reduced`: parts may be missing.
    pub(crate) fn take(&mut self, event: &str, object: &Map<String, Value>, is_reduced: bool) -> ObjectKind {
        if let Some(error) = CallError::in_answer(object) {
            self.error = Some(error);
            self.is_recognized = true;
            self.take_common(
                object
                    .get("response")
                    .and_then(Value::as_object)
                    .unwrap_or(object),
            );
            return ObjectKind::Ignored;
        }
        let kind = text(object, "type").unwrap_or(event);
        let taken = match self.api {
            Api::OpenAiChat | Api::OpenAiCompletions => self.take_choices(object),
            Api::OpenAiResponses => self.take_response(kind, object),
            Api::OpenAiEmbeddings | Api::OllamaEmbed => self.take_embeddings(object, is_reduced),
            Api::OpenAiModerations => self.take_moderation(object),
            Api::AnthropicMessages => self.take_message(kind, object),
            Api::OllamaChat | Api::OllamaGenerate => self.take_ollama(object),
        };
        self.is_recognized |= taken == ObjectKind::Chunk;
        taken
    }

    /// Reads the members that have the same names in all APIs.
    fn take_common(&mut self, object: &Map<String, Value>) {
        let name = |key| text(object, key).map(|text| cut(text, MAX_NAME).to_owned());
        let facts = &mut self.facts;
        for (place, key) in [
            (&mut facts.id, "id"),
            (&mut facts.model, "model"),
            (&mut facts.service_tier, "service_tier"),
            (&mut facts.system_fingerprint, "system_fingerprint"),
        ] {
            if place.is_none() {
                *place = name(key);
            }
        }
        if let Some(usage) = object.get("usage").and_then(Value::as_object) {
            self.usage.take(usage);
        }
    }

    fn take_embeddings(&mut self, object: &Map<String, Value>, is_reduced: bool) -> ObjectKind {
        let list = object.get("data").or_else(|| object.get("embeddings"));
        let first = match list.and_then(Value::as_array) {
            Some(list) => list.first().map(|first| first.get("embedding").unwrap_or(first)),
            None => match object.get("embedding") {
                Some(embedding) => Some(embedding),
                // A large list may have been left out.
                None if object.contains_key("usage") || is_reduced => None,
                None => return ObjectKind::Ignored,
            },
        };
        self.take_common(object);
        self.usage.take_ollama(object);
        let len = first.and_then(Value::as_array).map(|vector| vector.len() as u64);
        self.facts.dimensions = len.filter(|len| *len > 0 && !is_reduced);
        ObjectKind::Chunk
    }

    fn take_moderation(&mut self, object: &Map<String, Value>) -> ObjectKind {
        if !object.contains_key("results") {
            return ObjectKind::Ignored;
        }
        self.take_common(object);
        ObjectKind::Chunk
    }
}
