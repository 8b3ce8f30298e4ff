//! Calls of models, and the search that feeds them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tracing::field::Empty;
use tracing::info_span;

use super::{HelperSpan, spanned};
use crate::metrics;

/// Tokens of one call. Cached and reasoning tokens are parts of input and output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens that went in, cached ones included.
    pub input: u64,
    /// Tokens that came out, reasoning included.
    pub output: u64,
    /// Of the input: read from a cache.
    pub cache_read: Option<u64>,
    /// Of the input: written to a cache.
    pub cache_write: Option<u64>,
    /// Of the output: reasoning.
    pub reasoning: Option<u64>,
}

impl Usage {
    /// Tokens in and out.
    #[must_use]
    pub fn new(input: u64, output: u64) -> Self {
        Self {
            input,
            output,
            ..Self::default()
        }
    }
}

/// A call of a model, whole or streamed.
#[derive(Debug)]
pub struct ModelCall {
    span: HelperSpan,
    operation: &'static str,
    provider: String,
    model: String,
    began: Instant,
    /// Chunks that came, and when the last one did, in nanoseconds after the beginning.
    chunks: AtomicU64,
    last_chunk: AtomicU64,
}

spanned!(ModelCall);

impl ModelCall {
    /// A conversation's next message: `chat`.
    pub fn chat(provider: &str, model: &str) -> Self {
        Self::new("chat", provider, model)
    }

    /// Text that goes on: `text_completion`.
    pub fn text_completion(provider: &str, model: &str) -> Self {
        Self::new("text_completion", provider, model)
    }

    /// Text and other content: `generate_content`.
    pub fn generate_content(provider: &str, model: &str) -> Self {
        Self::new("generate_content", provider, model)
    }

    fn new(operation: &'static str, provider: &str, model: &str) -> Self {
        let span = info_span!(
            target: "inference",
            "model_call",
            otel.name = format!("{operation} {model}"),
            otel.kind = "client",
            otel.status_code = Empty,
            otel.status_description = Empty,
            error.type = Empty,
            gen_ai.operation.name = operation,
            gen_ai.provider.name = provider,
            gen_ai.request.model = model,
            gen_ai.request.stream = Empty,
            gen_ai.conversation.id = Empty,
            gen_ai.input.messages = Empty,
            gen_ai.output.messages = Empty,
            gen_ai.response.id = Empty,
            gen_ai.response.model = Empty,
            gen_ai.response.finish_reasons = Empty,
            gen_ai.response.time_to_first_chunk = Empty,
            gen_ai.response.chunk_count = Empty,
            gen_ai.usage.input_tokens = Empty,
            gen_ai.usage.output_tokens = Empty,
            gen_ai.usage.cache_read.input_tokens = Empty,
            gen_ai.usage.cache_creation.input_tokens = Empty,
            gen_ai.usage.reasoning.output_tokens = Empty,
            server.address = Empty,
            server.port = Empty,
        );
        Self {
            span: HelperSpan(span),
            operation,
            provider: provider.to_owned(),
            model: model.to_owned(),
            began: Instant::now(),
            chunks: AtomicU64::new(0),
            last_chunk: AtomicU64::new(0),
        }
    }

    /// The conversation that it belongs to.
    pub fn conversation(&self, id: &str) -> &Self {
        self.span.record("gen_ai.conversation.id", id);
        self
    }

    /// The server that runs the model.
    pub fn server(&self, address: &str, port: u16) -> &Self {
        self.span.record("server.address", address);
        self.span.record("server.port", port);
        self
    }

    /// What the model gets to read, as JSON. This is content.
    pub fn input_messages(&self, json: &str) -> &Self {
        self.span.record("gen_ai.input.messages", json);
        self
    }

    /// What the model answered, as JSON. This is content.
    pub fn output_messages(&self, json: &str) -> &Self {
        self.span.record("gen_ai.output.messages", json);
        self
    }

    /// The answer's id, and the model that gave it.
    pub fn response(&self, id: &str, model: &str) -> &Self {
        self.span.record("gen_ai.response.id", id);
        self.span.record("gen_ai.response.model", model);
        self
    }

    /// Why the model stopped: `stop`, `length`, `tool_calls` ...
    pub fn finish_reason(&self, reason: &str) -> &Self {
        let reasons = serde_json::json!([reason]).to_string();
        self.span.record("gen_ai.response.finish_reasons", reasons);
        self
    }

    /// The tokens of the call; of a streamed one as soon as they are known.
    pub fn usage(&self, usage: Usage) -> &Self {
        self.span.record("gen_ai.usage.input_tokens", usage.input);
        self.span.record("gen_ai.usage.output_tokens", usage.output);
        let parts = [
            ("gen_ai.usage.cache_read.input_tokens", usage.cache_read),
            ("gen_ai.usage.cache_creation.input_tokens", usage.cache_write),
            ("gen_ai.usage.reasoning.output_tokens", usage.reasoning),
        ];
        for (key, tokens) in parts {
            if let Some(tokens) = tokens {
                self.span.record(key, tokens);
            }
        }
        self
    }

    /// A chunk of a streamed answer has come. Chunks are counted and timed, never a span each.
    pub fn chunk(&self) -> &Self {
        let now = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let before = self.last_chunk.swap(now, Ordering::Relaxed);
        if self.chunks.fetch_add(1, Ordering::Relaxed) == 0 {
            self.span.record("gen_ai.request.stream", true);
            self.span
                .record("gen_ai.response.time_to_first_chunk", seconds(now));
        } else {
            let labels = [
                ("gen_ai.operation.name", self.operation),
                ("gen_ai.provider.name", self.provider.as_str()),
                ("gen_ai.request.model", self.model.as_str()),
            ];
            self.span.in_scope(|| {
                metrics::record_value(
                    "gen_ai.client.operation.time_per_output_chunk",
                    seconds(now.saturating_sub(before)),
                    "s",
                    spanscope_model::MetricKind::Histogram,
                    &labels,
                )
            });
        }
        self
    }
}

impl Drop for ModelCall {
    fn drop(&mut self) {
        let chunks = *self.chunks.get_mut();
        if chunks > 0 {
            self.span.record("gen_ai.response.chunk_count", chunks);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a call takes less than months")]
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

/// Texts turned into vectors.
#[derive(Debug)]
pub struct Embeddings {
    span: HelperSpan,
}

spanned!(Embeddings);

impl Embeddings {
    /// Begins one call.
    pub fn new(provider: &str, model: &str) -> Self {
        let span = info_span!(
            target: "inference",
            "embeddings",
            otel.name = format!("embeddings {model}"),
            otel.kind = "client",
            otel.status_code = Empty,
            otel.status_description = Empty,
            error.type = Empty,
            gen_ai.operation.name = "embeddings",
            gen_ai.provider.name = provider,
            gen_ai.request.model = model,
            gen_ai.response.model = Empty,
            gen_ai.embeddings.dimension.count = Empty,
            gen_ai.usage.input_tokens = Empty,
        );
        Self {
            span: HelperSpan(span),
        }
    }

    /// Tokens that went in.
    pub fn input_tokens(&self, tokens: u64) -> &Self {
        self.span.record("gen_ai.usage.input_tokens", tokens);
        self
    }

    /// How many numbers a vector has.
    pub fn dimensions(&self, count: u64) -> &Self {
        self.span.record("gen_ai.embeddings.dimension.count", count);
        self
    }
}

/// A search in a data source.
#[derive(Debug)]
pub struct Retrieval {
    span: HelperSpan,
}

spanned!(Retrieval);

impl Retrieval {
    /// Begins one search.
    pub fn new(data_source: &str) -> Self {
        let span = info_span!(
            target: "vector_io",
            "retrieval",
            otel.name = format!("retrieval {data_source}"),
            otel.kind = "client",
            otel.status_code = Empty,
            otel.status_description = Empty,
            error.type = Empty,
            gen_ai.operation.name = "retrieval",
            gen_ai.data_source.id = data_source,
            gen_ai.retrieval.top_k = Empty,
            gen_ai.retrieval.query.text = Empty,
            gen_ai.retrieval.documents = Empty,
        );
        Self {
            span: HelperSpan(span),
        }
    }

    /// How many documents are wanted.
    pub fn top_k(&self, count: u64) -> &Self {
        self.span.record("gen_ai.retrieval.top_k", count);
        self
    }

    /// What is searched for. This is content.
    pub fn query(&self, text: &str) -> &Self {
        self.span.record("gen_ai.retrieval.query.text", text);
        self
    }

    /// What was found: a JSON list of objects with `id` and `score`. This is content.
    pub fn documents(&self, json: &str) -> &Self {
        self.span.record("gen_ai.retrieval.documents", json);
        self
    }
}
