//! The words of the described service (seed 5): types of events, levels, formats, and the kinds of steps.

use spanscope_model::text_enum;

text_enum!(
    /// What a step of a run does.
    StepKind, "kind of step",
    /// An agent decides what is done.
    Agent = "agent",
    /// Several steps in a given order.
    Workflow = "workflow",
    /// Any other part of the run.
    Node = "node",
    /// A model generates something.
    LlmCall = "llm",
    /// Something is looked up for the model to read.
    Retrieval = "retrieval",
    /// A tool runs.
    ToolCall = "tool",
    /// The agent thinks, or plans.
    Thinking = "thinking",
    /// The agent says something to its user.
    Message = "message",
);

text_enum!(
    /// What an event of a run tells.
    EventType, "type of event",
    /// The run began.
    WorkflowStarted = "workflow_started",
    /// The run ended without an error.
    WorkflowCompleted = "workflow_completed",
    /// The run ended with an error, or was abandoned.
    WorkflowFailed = "workflow_failed",
    /// A component began: a node, or an agent inside of the run.
    NodeStarted = "node_started",
    /// A component ended without an error.
    NodeFinished = "node_finished",
    /// A component ended with an error.
    NodeFailed = "node_failed",
    /// A retrieval began.
    RetrievalStarted = "retrieval_started",
    /// A retrieval ended; if it failed, the event has an error.
    RetrievalCompleted = "retrieval_completed",
    /// A model call began.
    LlmCallStarted = "llm_call_started",
    /// A model call ended; if it failed, the event has an error.
    LlmCallCompleted = "llm_call_completed",
    /// A tool began to run.
    ToolCallStarted = "tool_call_started",
    /// A tool ended; if it failed, the event has an error.
    ToolCallCompleted = "tool_call_completed",
    /// The agent said something to its user.
    MessageGenerated = "message_generated",
    /// The program logged an error.
    ErrorOccurred = "error_occurred",
    /// The agent began to think.
    ThinkingStarted = "thinking_started",
    /// The agent has thought.
    ThinkingCompleted = "thinking_completed",
);

text_enum!(
    /// How much of a run is shown; each level shows all that the one before it does.
    DetailLevel, "level of a trace",
    /// Beginning, end, answers and errors, without payloads.
    Minimal = "minimal",
    /// Components, retrievals and tool calls too, with cut payloads.
    Standard = "standard",
    /// Model calls and thinking too.
    Detailed = "detailed",
    /// The same with full payloads.
    Debug = "debug",
);

text_enum!(
    /// The shape in which a run is shown.
    TraceFormat, "format of a trace",
    /// Flat events, fit to be sent one by one.
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
    /// Whether events of this type are shown at this level.
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
    /// The lowest level that shows it.
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

    /// The sign that stands for it in timelines.
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
    /// The event of its beginning.
    pub(crate) const fn started(self) -> EventType {
        match self {
            Self::Agent | Self::Workflow | Self::Node | Self::Message => EventType::NodeStarted,
            Self::LlmCall => EventType::LlmCallStarted,
            Self::Retrieval => EventType::RetrievalStarted,
            Self::ToolCall => EventType::ToolCallStarted,
            Self::Thinking => EventType::ThinkingStarted,
        }
    }

    /// The event of its end.
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

    /// Whether a root of this kind is the run itself, which has its own events.
    pub(crate) const fn is_run_itself(self) -> bool {
        matches!(self, Self::Agent | Self::Workflow | Self::Node)
    }
}

impl TraceFormat {
    /// The name of the server-sent events that carry events in this shape.
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
    fn each_level_shows_all_that_the_one_before_it_does() {
        for event_type in EventType::ALL {
            for pair in DetailLevel::ALL.windows(2) {
                assert!(!pair[0].shows(*event_type) || pair[1].shows(*event_type));
            }
            assert!(DetailLevel::Debug.shows(*event_type));
        }
        assert_eq!(EventType::ALL.len(), 16);
    }

    #[test]
    fn words_are_read_in_any_case_and_an_unknown_one_is_named_with_the_accepted_ones() {
        assert_eq!("Debug".parse(), Ok(DetailLevel::Debug));
        assert_eq!("llm_call_STARTED".parse(), Ok(EventType::LlmCallStarted));
        for format in TraceFormat::ALL {
            assert_eq!(format.to_string().parse(), Ok(*format));
        }
        let error = |text: &str| text.parse::<DetailLevel>().map_err(|error| error.to_string());
        assert_eq!(
            error("verbose"),
            Err("\"verbose\" is no level of a trace: use one of minimal standard detailed debug".to_owned())
        );
        assert!(error(&"x".repeat(9999)).is_err_and(|message| message.len() < 200));
        assert!("trace".parse::<TraceFormat>().is_err() && "".parse::<EventType>().is_err());
    }
}
