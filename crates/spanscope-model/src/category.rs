//! Categories: which part of an LLM server a span or an event belongs to, as in Llama Stack's
//! logging.

/// Llama Stack's categories. Applications may use others; these are known without registration.
pub const CATEGORIES: [&str; 22] = [
    "core",
    "server",
    "router",
    "inference",
    "agents",
    "safety",
    "eval",
    "tools",
    "client",
    "openai",
    "openai_responses",
    "openai_conversations",
    "testing",
    "providers",
    "models",
    "files",
    "vector_io",
    "tool_runtime",
    "cli",
    "post_training",
    "scoring",
    "tests",
];

/// The category of everything that no rule assigns.
pub const UNCATEGORIZED: &str = "uncategorized";

/// Returns the category of a target whose first segment is a known category. `core::routers` is the
/// category `core::routers`, a finer name under `core`.
///
/// ```
/// use spanscope_model::category_of;
/// assert_eq!(category_of("core::routers"), "core::routers");
/// assert_eq!(category_of("hyper::client"), "uncategorized");
/// ```
#[must_use]
pub fn category_of(target: &str) -> &str {
    let first = target.split("::").next().unwrap_or_default();
    if CATEGORIES.contains(&first) {
        target
    } else {
        UNCATEGORIZED
    }
}
