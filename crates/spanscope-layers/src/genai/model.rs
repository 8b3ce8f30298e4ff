//! Model calls, and the search that provides their context.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tracing::field::Empty;
use tracing::info_span;

use super::{HelperSpan, spanned};
use crate::metrics;

/// Tokens of one call. Cached and reasoning tokens are parts of input and output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Usage {
    /// Input tokens, cached ones included.
    pub input: u64,
    /// Output tokens, reasoning included.
    pub output: u64,
    /// Input tokens that were read from a cache.
    pub cache_read: Option<u64>,
    /// Input tokens that were written to a cache.
    pub cache_write: Option<u64>,
    /// Output tokens that were reasoning.
    pub reasoning: Option<u64>,
}

impl Usage {
    /// Creates a usage of input and output tokens.
    #[must_use]
    pub fn new(input: u64, output: u64) -> Self {
        Self {
            input,
            output,
            ..Self::default()
        }
    }

    /// Sets the input tokens that were read from a cache.
    #[must_use]
    pub const fn cache_read(mut self, tokens: u64) -> Self {
        self.cache_read = Some(tokens);
        self
    }

    /// Sets the input tokens that were written to a cache.
    #[must_use]
    pub const fn cache_write(mut self, tokens: u64) -> Self {
        self.cache_write = Some(tokens);
        self
    }

    /// Sets the output tokens that were reasoning.
    #[must_use]
    pub const fn reasoning(mut self, tokens: u64) -> Self {
        self.reasoning = Some(tokens);
        self
    }
}

/// A model call, streamed or not.
#[derive(Debug)]
pub struct ModelCall {
    span: HelperSpan,
    operation: &'static str,
    provider: String,
    model: String,
    began: Instant,
    /// The number of chunks, and when the last one arrived, in nanoseconds after the start.
    chunks: AtomicU64,
    last_chunk: AtomicU64,
}

spanned!(ModelCall);

impl ModelCall {
    /// Starts a chat call: `chat`.
    pub fn chat(provider: &str, model: &str) -> Self {
        Self::new("chat", provider, model)
    }

    /// Starts a completion of a text: `text_completion`.
    pub fn text_completion(provider: &str, model: &str) -> Self {
        Self::new("text_completion", provider, model)
    }

    /// Starts a generation of text and other content: `generate_content`.
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

    /// Sets the conversation.
    pub fn conversation(&self, id: &str) -> &Self {
        self.span.record("gen_ai.conversation.id", id);
        self
    }

    /// Sets the server that runs the model.
    pub fn server(&self, address: &str, port: u16) -> &Self {
        self.span.record("server.address", address);
        self.span.record("server.port", port);
        self
    }

    /// Sets the input messages, as JSON. They are content.
    pub fn input_messages(&self, json: &str) -> &Self {
        self.span.record("gen_ai.input.messages", json);
        self
    }

    /// Sets the output messages, as JSON. They are content.
    pub fn output_messages(&self, json: &str) -> &Self {
        self.span.record("gen_ai.output.messages", json);
        self
    }

    /// Sets the response's id, and the model that responded.
    pub fn response(&self, id: &str, model: &str) -> &Self {
        self.span.record("gen_ai.response.id", id);
        self.span.record("gen_ai.response.model", model);
        self
    }

    /// Sets why the model stopped: `stop`, `length`, `tool_calls` ...
    pub fn finish_reason(&self, reason: &str) -> &Self {
        let reasons = serde_json::json!([reason]).to_string();
        self.span.record("gen_ai.response.finish_reasons", reasons);
        self
    }

    /// Sets the tokens of the call; for a streamed one as soon as they are known.
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

    /// Reports a chunk of a streamed response. Chunks are counted and timed; they are not separate
    /// spans.
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

/// A call that turns texts into vectors.
#[derive(Debug)]
pub struct Embeddings {
    span: HelperSpan,
}

spanned!(Embeddings);

impl Embeddings {
    /// Starts a call.
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

    /// Sets the input tokens.
    pub fn input_tokens(&self, tokens: u64) -> &Self {
        self.span.record("gen_ai.usage.input_tokens", tokens);
        self
    }

    /// Sets the number of dimensions of a vector.
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
    /// Starts a search.
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

    /// Sets the requested number of documents.
    pub fn top_k(&self, count: u64) -> &Self {
        self.span.record("gen_ai.retrieval.top_k", count);
        self
    }

    /// Sets the search query. It is content.
    pub fn query(&self, text: &str) -> &Self {
        self.span.record("gen_ai.retrieval.query.text", text);
        self
    }

    /// Sets the documents: a JSON list of objects with `id` and `score`. They are content.
    pub fn documents(&self, json: &str) -> &Self {
        self.span.record("gen_ai.retrieval.documents", json);
        self
    }
}
