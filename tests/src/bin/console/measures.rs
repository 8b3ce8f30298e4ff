//! A model call that is a plain span, a measurement that is an event, and records that are neither.

use tracing::field::Empty;

pub(crate) fn log_all() {
    let call = tracing::info_span!(
        "chat",
        model_id = "llama-3",
        provider_id = "tgi",
        prompt_tokens = 12,
        completion_tokens = Empty
    );
    call.in_scope(|| {
        tracing::info!(
            metric = "queue_length",
            value = 17,
            unit = "requests",
            queue = "embeddings"
        );
        tracing::info!(metric = "queue_length", "no value, so no measurement");
        tracing::warn!(metric = "rejected", value = 3, "the queue is full");
        tracing::warn!(metric = "odd", value = "many");
    });
    call.record("completion_tokens", 5);
}
