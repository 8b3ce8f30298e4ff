//! Checks of messages by a shield, with the fields of Llama Stack's safety API.

use tracing::field::Empty;
use tracing::info_span;

use super::{HelperSpan, spanned};

/// One check of messages by a shield.
#[derive(Debug)]
pub struct SafetyCheck {
    span: HelperSpan,
}

spanned!(SafetyCheck);

impl SafetyCheck {
    /// Starts a check.
    pub fn run_shield(shield_id: &str) -> Self {
        let span = info_span!(
            target: "safety",
            "run_shield",
            otel.name = format!("run_shield {shield_id}"),
            otel.status_code = Empty,
            otel.status_description = Empty,
            error.type = Empty,
            llama_stack.safety.request.shield_id = shield_id,
            llama_stack.safety.request.messages = Empty,
            llama_stack.safety.response.status = Empty,
            llama_stack.safety.response.metadata = Empty,
            llama_stack.safety.response.violation.level = Empty,
            llama_stack.safety.response.violation.user_message = Empty,
        );
        Self {
            span: HelperSpan(span),
        }
    }

    /// Sets the checked messages, as JSON. They are content.
    pub fn messages(&self, json: &str) -> &Self {
        self.span.record("llama_stack.safety.request.messages", json);
        self
    }

    /// Reports that the shield found no violation.
    pub fn passed(&self) -> &Self {
        self.span.record("llama_stack.safety.response.status", "passed");
        self
    }

    /// Reports a violation: its level (`info`, `warn`, `error`), and the message for the user. This
    /// is not a failure of the check.
    pub fn violation(&self, level: &str, user_message: &str) -> &Self {
        self.span
            .record("llama_stack.safety.response.status", "violation");
        self.span
            .record("llama_stack.safety.response.violation.level", level);
        self.span
            .record("llama_stack.safety.response.violation.user_message", user_message);
        self
    }

    /// Sets the shield's further data, as JSON.
    pub fn metadata(&self, json: &str) -> &Self {
        self.span.record("llama_stack.safety.response.metadata", json);
        self
    }
}
