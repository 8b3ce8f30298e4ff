//! The work of every subject: one trace of a small request.

use tracing::{info, info_span};

/// Spans of one trace: a root and its children.
pub(crate) const SPANS_A_TRACE: u64 = 10;

const COMPONENTS: [&str; 4] = ["retriever", "reranker", "tool_runtime", "summarizer"];

/// Texts of the spans of different traces, made beforehand so that making them is not measured.
pub(crate) struct Workload {
    documents: Vec<String>,
    sessions: Vec<String>,
}

impl Workload {
    pub(crate) fn new() -> Self {
        Self {
            documents: (0..1_000).map(|number| format!("doc-{number:05}")).collect(),
            sessions: (0..1_000).map(|number| format!("session-{number:05}")).collect(),
        }
    }

    /// One root with nine children; each child has two strings, two integers and one event with a
    /// message and one integer. The root names its session, a key that the store indexes by
    /// default.
    ///
    /// `root_event` gives the root an event too, so that there are as many events as spans.
    pub(crate) fn trace(&self, number: usize, root_event: bool) {
        let root = info_span!(
            "request",
            session.id = self.sessions[number % self.sessions.len()].as_str()
        );
        let _in_root = root.enter();
        for step in 0..SPANS_A_TRACE - 1 {
            let place = number * 9 + usize::try_from(step).unwrap_or_default();
            let child = info_span!(
                "step",
                component = COMPONENTS[place % COMPONENTS.len()],
                document = self.documents[place % self.documents.len()].as_str(),
                position = step,
                bytes = place,
            );
            let _in_child = child.enter();
            info!(chunk = place, "chunk was read");
        }
        if root_event {
            info!(chunk = number, "request was answered");
        }
    }
}
