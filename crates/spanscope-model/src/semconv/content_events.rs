//! The names of events that carry what a model, an agent or a tool was given and what it gave back.

/// What an event carries, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContentEvent {
    /// The instructions to a model.
    SystemMessage,
    /// What the user said.
    UserMessage,
    /// What the model said before, and got to read again.
    AssistantMessage,
    /// What a tool returned, for the model to read; on the span of a tool what the tool was given.
    ToolMessage,
    /// What the model, the agent or the tool answered.
    Answer,
    /// Inputs and outputs of a call, each under the name that spans have for it.
    Details,
}

/// The names, and what events of them carry.
const NAMES: [(&str, ContentEvent); 10] = [
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
];

impl ContentEvent {
    /// The event of this name; `None` for one that carries no content.
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

    /// All names.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }
}
