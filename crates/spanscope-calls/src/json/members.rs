//! Decides by its position whether a member of a document is essential: one table for all APIs.

/// The position of a value in a document, as far as it decides whether the value is essential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Root,
    /// `response` of an event of OpenAI's Responses API.
    Response,
    /// `message` of the root: the response in an event of Anthropic's API, a chat message in
    /// Ollama's and others' APIs.
    Message,
    /// `choices`, and each of them.
    Choices,
    /// `delta` of an event of Anthropic's API.
    Delta,
    /// The token counts, and whether the response is done. They are essential too, and have an
    /// additional budget, for documents with too many other essential members.
    Counts,
    /// Kept even if ordinary members have used up the budget, with everything inside.
    Essential,
    Ordinary,
}

impl Place {
    /// Returns the place of a member of an object at this place.
    pub(super) fn member(self, key: &[u8]) -> Self {
        match (self, key) {
            (Self::Essential | Self::Counts, _) => self,
            (Self::Root, b"response") => Self::Response,
            (Self::Root, b"message") => Self::Message,
            (Self::Root, b"choices") => Self::Choices,
            (Self::Root, b"delta") => Self::Delta,
            (Self::Root | Self::Response | Self::Message, b"usage")
            | (Self::Root, b"x_groq" | b"done" | b"prompt_eval_count" | b"eval_count") => Self::Counts,
            // The data of a response.
            (
                Self::Root | Self::Response | Self::Message,
                b"id" | b"model" | b"error" | b"status" | b"stop_reason" | b"type"
                | b"incomplete_details" | b"service_tier" | b"system_fingerprint",
            )
            | (
                Self::Root,
                b"object" | b"code" | b"detail" | b"done_reason" | b"index",
            )
            | (Self::Choices, b"finish_reason" | b"index")
            | (Self::Delta, b"stop_reason")
            // The settings of a request.
            | (
                Self::Root,
                b"stream" | b"temperature" | b"top_p" | b"top_k" | b"max_tokens" | b"max_completion_tokens"
                | b"max_output_tokens" | b"seed" | b"stop" | b"stop_sequences" | b"n" | b"frequency_penalty"
                | b"presence_penalty" | b"options" | b"dimensions" | b"encoding_format" | b"reasoning"
                | b"reasoning_effort" | b"previous_response_id",
            ) => Self::Essential,
            _ => Self::Ordinary,
        }
    }

    /// Returns the place of an element of a list at this place.
    pub(super) fn element(self) -> Self {
        match self {
            Self::Essential | Self::Counts | Self::Choices => self,
            _ => Self::Ordinary,
        }
    }

    pub(super) fn is_essential(self) -> bool {
        matches!(self, Self::Essential | Self::Counts)
    }

    /// Returns whether a container at this place may have essential members. Such a container is
    /// copied even if ordinary members have used up the budget.
    pub(super) fn may_hold_essential(self) -> bool {
        self != Self::Ordinary
    }
}
