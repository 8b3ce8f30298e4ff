//! A call of a model, as it was read.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Value as Json, json};
use spanscope_model::Value;
use spanscope_model::semconv::{SemanticAttribute as A, TokenCounts};

use crate::{Api, CallError};

/// The number of tokens that are sampled from. In the table of names it is an older name for the
/// limit of a retrieval.
const OLD_TOP_K: &str = "gen_ai.request.top_k";
/// The older name, which dashboards know and Spanscope's helpers for spans write.
const OLD_CACHE_WRITE: &str = "gen_ai.usage.cache_creation.input_tokens";
/// OpenLIT's name for the cost; OpenTelemetry has none.
const COST: &str = "gen_ai.usage.cost";

/// A call of a model.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ModelCall {
    /// The API that was called.
    pub api: Api,
    /// The provider, as OpenTelemetry spells it.
    pub provider: Cow<'static, str>,
    /// What the request asks for.
    pub request: RequestFacts,
    /// The response.
    pub response: ResponseFacts,
    /// The usage. Parts are included in their wholes: the input includes cache reads and writes.
    pub usage: Option<TokenCounts>,
    /// The cost of the call in US dollars, if the provider reports it.
    pub cost: Option<f64>,
    /// The provider's error.
    pub error: Option<CallError>,
    /// Whether the response was streamed.
    pub is_streamed: bool,
    /// The number of chunks of a streamed response.
    pub chunk_count: u64,
    /// The time from the start of the call to the first chunk of a streamed response.
    pub time_to_first_chunk: Option<Duration>,
    /// Whether the body of the response was read to its end. Many clients of streams stop at the
    /// last event, before the end.
    pub is_complete: bool,
    /// The contents, if they are kept.
    pub content: Option<Content>,
}

/// What a request asks for. Parameters that it does not contain are `None`.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct RequestFacts {
    /// The model; Azure's deployment if the body names none.
    pub model: String,
    /// Whether the response is to be streamed.
    pub stream: bool,
    /// The sampling temperature.
    pub temperature: Option<f64>,
    /// The probability mass for nucleus sampling.
    pub top_p: Option<f64>,
    /// The number of tokens that are sampled from.
    pub top_k: Option<i64>,
    /// The largest number of tokens that may be generated.
    pub max_tokens: Option<i64>,
    /// The seed of the sampling.
    pub seed: Option<i64>,
    /// The number of choices, if that is not 1.
    pub choice_count: Option<i64>,
    /// The penalty for frequent tokens.
    pub frequency_penalty: Option<f64>,
    /// The penalty for tokens that already occurred.
    pub presence_penalty: Option<f64>,
    /// The stop sequences.
    pub stop_sequences: Vec<String>,
    /// `json` or `text`, if the request sets it.
    pub output_type: Option<&'static str>,
    /// The requested amount of reasoning.
    pub reasoning_level: Option<String>,
    /// The response that this one continues.
    pub previous_response: Option<String>,
    /// The number of dimensions of embeddings.
    pub dimensions: Option<i64>,
    /// The encodings of embeddings.
    pub encoding_formats: Vec<String>,
}

/// The data of a response.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ResponseFacts {
    /// Its id.
    pub id: Option<String>,
    /// The model that responded.
    pub model: Option<String>,
    /// Why the model stopped, for each choice, in the provider's words.
    pub finish_reasons: Vec<String>,
    /// The model's tool calls.
    pub tool_calls: Vec<RequestedToolCall>,
    /// The provider's service tier.
    pub service_tier: Option<String>,
    /// The provider's fingerprint of its configuration.
    pub system_fingerprint: Option<String>,
    /// The number of dimensions of the first embedding, if the response was small enough to count.
    pub dimensions: Option<u64>,
}

/// A tool call that the model requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestedToolCall {
    /// The id of the call, if the provider sets one.
    pub id: Option<String>,
    /// The tool.
    pub name: String,
    /// The arguments as JSON. They are content: empty unless content is kept.
    pub arguments: String,
}

/// The contents of a call, in the structure of OpenTelemetry's conventions.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Content {
    /// The instructions that are not among the messages.
    pub system_instructions: Option<Json>,
    /// The model's input.
    pub input_messages: Option<Json>,
    /// The model's output.
    pub output_messages: Option<Json>,
    /// The tools that the model may call.
    pub tool_definitions: Option<Json>,
}

impl ModelCall {
    /// Returns the name of its span: `{operation} {model}`.
    #[must_use]
    pub fn span_name(&self) -> String {
        let operation = self.api.operation();
        match self.request.model.as_str() {
            "" => operation.to_owned(),
            model => format!("{operation} {model}"),
        }
    }

    /// Returns the attributes of its span by OpenTelemetry's conventions, contents last. A failed
    /// call has `error.type`.
    #[must_use]
    pub fn attributes(&self) -> Vec<(&'static str, Value)> {
        let mut out = Attributes(Vec::with_capacity(24));
        let request = &self.request;
        out.put(A::Operation.name(), Some(self.api.operation()));
        out.put(A::Provider.name(), Some(&*self.provider));
        out.put(
            A::RequestModel.name(),
            Some(request.model.as_str()).filter(|model| !model.is_empty()),
        );
        out.put(
            A::IsStreamed.name(),
            (request.stream || self.is_streamed).then_some(true),
        );
        out.put(A::Temperature.name(), request.temperature);
        out.put(A::TopP.name(), request.top_p);
        out.put(OLD_TOP_K, request.top_k);
        out.put(A::MaxTokens.name(), request.max_tokens);
        out.put(A::Seed.name(), request.seed);
        out.put(A::ChoiceCount.name(), request.choice_count);
        out.put(A::FrequencyPenalty.name(), request.frequency_penalty);
        out.put(A::PresencePenalty.name(), request.presence_penalty);
        out.list(A::StopSequences.name(), &request.stop_sequences);
        out.put(A::OutputType.name(), request.output_type);
        out.put(A::ReasoningLevel.name(), request.reasoning_level.as_deref());
        out.put(A::PreviousResponse.name(), request.previous_response.as_deref());
        out.list(A::EncodingFormats.name(), &request.encoding_formats);
        let dimensions = self
            .response
            .dimensions
            .and_then(|count| i64::try_from(count).ok());
        out.put(A::EmbeddingDimensions.name(), request.dimensions.or(dimensions));

        let response = &self.response;
        out.put(A::ResponseId.name(), response.id.as_deref());
        out.put(A::ResponseModel.name(), response.model.as_deref());
        out.list(A::FinishReasons.name(), &response.finish_reasons);
        out.put(A::ServiceTier.name(), response.service_tier.as_deref());
        out.put(
            A::SystemFingerprint.name(),
            response.system_fingerprint.as_deref(),
        );
        if self.is_streamed {
            let first = self.time_to_first_chunk.map(|time| time.as_secs_f64());
            out.put(A::FirstChunkSeconds.name(), first);
            out.put(A::ChunkCount.name(), Some(self.chunk_count));
        }
        if let Some(usage) = &self.usage {
            out.put(A::InputTokens.name(), usage.input);
            let is_embedding = self.api.operation() == "embeddings";
            out.put(A::OutputTokens.name(), usage.output.filter(|_| !is_embedding));
            // Only a total that differs from the sum is recorded: the provider counts more there.
            let sum = usage.input.unwrap_or(0).saturating_add(usage.output.unwrap_or(0));
            out.put(A::TotalTokens.name(), usage.total.filter(|total| *total != sum));
            out.put(A::CacheReadTokens.name(), usage.cache_read);
            out.put(OLD_CACHE_WRITE, usage.cache_write);
            out.put(A::ReasoningTokens.name(), usage.reasoning);
        }
        out.put(COST, self.cost);
        out.put(
            A::ErrorType.name(),
            self.error.as_ref().map(|error| error.error_type().into_owned()),
        );
        if let Some(content) = &self.content {
            out.json(A::SystemInstructions.name(), content.system_instructions.as_ref());
            out.json(A::InputMessages.name(), content.input_messages.as_ref());
            out.json(A::OutputMessages.name(), content.output_messages.as_ref());
            out.json(A::ToolDefinitions.name(), content.tool_definitions.as_ref());
        }
        out.0
    }
}

struct Attributes(Vec<(&'static str, Value)>);

impl Attributes {
    fn put(&mut self, name: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.0.push((name, value.into()));
        }
    }

    fn list(&mut self, name: &'static str, texts: &[String]) {
        if !texts.is_empty() {
            self.0.push((name, Value::Str(json!(texts).to_string())));
        }
    }

    fn json(&mut self, name: &'static str, value: Option<&Json>) {
        self.put(name, value.map(Json::to_string));
    }
}
