//! The names of events that carry the input and output of a model, an agent or a tool.

/// The content of an event, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContentEvent {
    /// The instructions to a model.
    SystemMessage,
    /// A message from the user.
    UserMessage,
    /// An earlier message of the model, as input.
    AssistantMessage,
    /// A tool's result, as input of the model; on the span of a tool its input.
    ToolMessage,
    /// The output of the model, the agent or the tool.
    Answer,
    /// Inputs and outputs of a call, each under its name in spans.
    Details,
}

/// The names, and the content of events with them.
const NAMES: [(&str, ContentEvent); 11] = [
    // OpenTelemetry's conventions since 1.37.
    ("gen_ai.client.inference.operation.details", ContentEvent::Details),
    // 1.28 to 1.36, Strands, Semantic Kernel, Azure's SDKs.
    ("gen_ai.system.message", ContentEvent::SystemMessage),
    ("gen_ai.system.instruction", ContentEvent::SystemMessage),
    ("gen_ai.developer.message", ContentEvent::SystemMessage),
    ("gen_ai.user.message", ContentEvent::UserMessage),
    ("gen_ai.assistant.message", ContentEvent::AssistantMessage),
    ("gen_ai.tool.message", ContentEvent::ToolMessage),
    ("gen_ai.choice", ContentEvent::Answer),
    // 1.26 and 1.27.
    ("gen_ai.content.prompt", ContentEvent::Details),
    ("gen_ai.content.completion", ContentEvent::Details),
    // Claude Code, on its spans of tools.
    ("tool.output", ContentEvent::Answer),
];

impl ContentEvent {
    /// Returns the content of an event with this name; `None` if it carries no content.
    ///
    /// ```
    /// use spanscope_model::semconv::ContentEvent;
    ///
    /// assert_eq!(ContentEvent::of_name("gen_ai.choice"), Some(ContentEvent::Answer));
    /// assert_eq!(ContentEvent::of_name("exception"), None);
    /// ```
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let found = NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, event)| *event)
    }

    /// Returns all names.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }
}
