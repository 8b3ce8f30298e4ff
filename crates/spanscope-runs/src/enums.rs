//! The enums of RAGFlow's agent trace API (<https://github.com/infiniflow/ragflow>): types of
//! events, levels, formats, and the kinds of steps.

use spanscope_model::text_enum;

text_enum!(
    /// The kind of a step.
    StepKind, "kind of step",
    /// An agent.
    Agent = "agent",
    /// Several steps in a fixed order.
    Workflow = "workflow",
    /// Any other part of the run.
    Node = "node",
    /// A model call.
    LlmCall = "llm",
    /// A search for the model's context.
    Retrieval = "retrieval",
    /// A tool call.
    ToolCall = "tool",
    /// Reasoning or planning of the agent.
    Thinking = "thinking",
    /// A message from the agent to its user.
    Message = "message",
);

text_enum!(
    /// The type of an event in a run.
    EventType, "type of event",
    /// The run started.
    WorkflowStarted = "workflow_started",
    /// The run ended without an error.
    WorkflowCompleted = "workflow_completed",
    /// The run ended with an error, or was abandoned.
    WorkflowFailed = "workflow_failed",
    /// A component started: a node, or an agent inside the run.
    NodeStarted = "node_started",
    /// A component ended without an error.
    NodeFinished = "node_finished",
    /// A component ended with an error.
    NodeFailed = "node_failed",
    /// A retrieval started.
    RetrievalStarted = "retrieval_started",
    /// A retrieval ended; if it failed, the event has an error.
    RetrievalCompleted = "retrieval_completed",
    /// A model call started.
    LlmCallStarted = "llm_call_started",
    /// A model call ended; if it failed, the event has an error.
    LlmCallCompleted = "llm_call_completed",
    /// A tool call started.
    ToolCallStarted = "tool_call_started",
    /// A tool call ended; if it failed, the event has an error.
    ToolCallCompleted = "tool_call_completed",
    /// The agent sent a message to its user.
    MessageGenerated = "message_generated",
    /// The program logged an error.
    ErrorOccurred = "error_occurred",
    /// The agent's reasoning started.
    ThinkingStarted = "thinking_started",
    /// The agent's reasoning ended.
    ThinkingCompleted = "thinking_completed",
);

text_enum!(
    /// The level of detail of a run; each level includes the previous one.
    DetailLevel, "level of a trace",
    /// Start, end, messages and errors, without payloads.
    Minimal = "minimal",
    /// Also components, retrievals and tool calls, with truncated payloads.
    Standard = "standard",
    /// Also model calls and reasoning.
    Detailed = "detailed",
    /// Everything, with full payloads.
    Debug = "debug",
);

text_enum!(
    /// The format in which a run is shown.
    TraceFormat, "format of a trace",
    /// Flat events, for sending one by one.
    Streaming = "streaming",
    /// Counts and a timeline.
    Compact = "compact",
    /// Nested events, and lists of the calls.
    Detailed = "detailed",
);

impl Default for DetailLevel {
    /// `standard`.
    fn default() -> Self {
        Self::Standard
    }
}

impl Default for TraceFormat {
    /// `streaming`.
    fn default() -> Self {
        Self::Streaming
    }
}

impl DetailLevel {
    /// Returns whether events of this type are shown at this level.
    ///
    /// ```
    /// use spanscope_runs::{DetailLevel, EventType};
    /// assert!(DetailLevel::Minimal.shows(EventType::WorkflowStarted));
    /// assert!(!DetailLevel::Standard.shows(EventType::LlmCallStarted));
    /// assert!(DetailLevel::Detailed.shows(EventType::LlmCallStarted));
    /// ```
    #[must_use]
    pub fn shows(self, event_type: EventType) -> bool {
        self >= event_type.level()
    }
}

impl EventType {
    /// Returns the lowest level that shows it.
    #[must_use]
    pub const fn level(self) -> DetailLevel {
        match self {
            Self::WorkflowStarted
            | Self::WorkflowCompleted
            | Self::WorkflowFailed
            | Self::NodeFailed
            | Self::ErrorOccurred
            | Self::MessageGenerated => DetailLevel::Minimal,
            Self::NodeStarted
            | Self::NodeFinished
            | Self::RetrievalStarted
            | Self::RetrievalCompleted
            | Self::ToolCallStarted
            | Self::ToolCallCompleted => DetailLevel::Standard,
            Self::LlmCallStarted | Self::LlmCallCompleted => DetailLevel::Detailed,
            Self::ThinkingStarted | Self::ThinkingCompleted => DetailLevel::Detailed,
        }
    }

    /// Returns its icon in timelines.
    #[must_use]
    pub const fn icon(self) -> &'static str {
        match self {
            Self::WorkflowStarted => "🚀",
            Self::WorkflowCompleted => "✅",
            Self::WorkflowFailed | Self::NodeFailed => "❌",
            Self::NodeStarted => "▶️",
            Self::NodeFinished => "✔️",
            Self::RetrievalStarted => "🔍",
            Self::RetrievalCompleted => "📚",
            Self::LlmCallStarted => "🤖",
            Self::LlmCallCompleted => "💬",
            Self::ToolCallStarted => "🔧",
            Self::ToolCallCompleted => "⚙️",
            Self::MessageGenerated => "📝",
            Self::ErrorOccurred => "⚠️",
            Self::ThinkingStarted => "💭",
            Self::ThinkingCompleted => "💡",
        }
    }
}

impl StepKind {
    /// Returns the type of its start event.
    pub(crate) const fn started(self) -> EventType {
        match self {
            Self::Agent | Self::Workflow | Self::Node | Self::Message => EventType::NodeStarted,
            Self::LlmCall => EventType::LlmCallStarted,
            Self::Retrieval => EventType::RetrievalStarted,
            Self::ToolCall => EventType::ToolCallStarted,
            Self::Thinking => EventType::ThinkingStarted,
        }
    }

    /// Returns the type of its end event.
    pub(crate) const fn ended(self, failed: bool) -> EventType {
        match self {
            Self::Agent | Self::Workflow | Self::Node | Self::Message if failed => EventType::NodeFailed,
            Self::Agent | Self::Workflow | Self::Node | Self::Message => EventType::NodeFinished,
            Self::LlmCall => EventType::LlmCallCompleted,
            Self::Retrieval => EventType::RetrievalCompleted,
            Self::ToolCall => EventType::ToolCallCompleted,
            Self::Thinking => EventType::ThinkingCompleted,
        }
    }

    /// Returns whether a root of this kind is the run itself, which has its own events.
    pub(crate) const fn is_run_itself(self) -> bool {
        matches!(self, Self::Agent | Self::Workflow | Self::Node)
    }
}

impl TraceFormat {
    /// Returns the name of server-sent events in this format.
    #[must_use]
    pub const fn sse_name(self) -> &'static str {
        match self {
            Self::Streaming => "trace",
            Self::Compact => "trace_compact",
            Self::Detailed => "trace_detailed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_level_shows_all_event_types_of_the_previous_one() {
        for event_type in EventType::ALL {
            for pair in DetailLevel::ALL.windows(2) {
                assert!(!pair[0].shows(*event_type) || pair[1].shows(*event_type));
            }
            assert!(DetailLevel::Debug.shows(*event_type));
        }
        assert_eq!(EventType::ALL.len(), 16);
    }

    #[test]
    fn names_are_parsed_in_any_case_and_an_unknown_one_is_reported_with_the_valid_ones() {
        assert_eq!("Debug".parse(), Ok(DetailLevel::Debug));
        assert_eq!("llm_call_STARTED".parse(), Ok(EventType::LlmCallStarted));
        for format in TraceFormat::ALL {
            assert_eq!(format.to_string().parse(), Ok(*format));
        }
        let error = |text: &str| text.parse::<DetailLevel>().map_err(|error| error.to_string());
        assert_eq!(
            error("verbose"),
            Err(
                "\"verbose\" is not a valid level of a trace: use one of minimal standard detailed debug"
                    .to_owned()
            )
        );
        assert!(error(&"x".repeat(9999)).is_err_and(|message| message.len() < 200));
        assert!("trace".parse::<TraceFormat>().is_err() && "".parse::<EventType>().is_err());
    }
}
