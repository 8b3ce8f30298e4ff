//! Whether work is part of a model call that another span describes.

use spanscope_core::capture::{FieldReader, SpanRecord, is_suppressed, late_keys_were_set};
use spanscope_model::semconv::{OperationKind, SemanticAttribute, is_model_operation};
use tracing_core::dispatcher;
use tracing_subscriber::Registry;
use tracing_subscriber::registry::{LookupSpan, SpanData};

use super::plan::{plan_of, values_of};

/// Returns whether the current span, or an ancestor, describes a model call that the current work
/// is part of: no agent and no tool is between them. An HTTP client used by a library with spans
/// for its calls then does not describe them again.
///
/// Only spans that a layer of Spanscope sees are known. If a library's span is filtered out, two
/// spans may describe a call; the token layer still counts it once.
///
/// ```
/// use spanscope_layers::genai::ModelCall;
/// use spanscope_layers::metrics::is_inside_model_call;
/// use tracing_subscriber::prelude::*;
///
/// let layer = spanscope_layers::TokenMetricsLayer::builder().build();
/// let _default = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
/// assert!(!is_inside_model_call());
/// ModelCall::chat("openai", "gpt-4o").in_scope(|| assert!(is_inside_model_call()));
/// ```
#[must_use]
pub fn is_inside_model_call() -> bool {
    if is_suppressed() {
        return false;
    }
    dispatcher::get_default(|dispatch| {
        let Some(registry) = dispatch.downcast_ref::<Registry>() else {
            return false;
        };
        let mut next = dispatch.current_span().id().cloned();
        while let Some(data) = next.and_then(|id| registry.span_data(&id)) {
            // No user code runs here, so the values may be read under the lock.
            let role = data.extensions().get::<SpanRecord>().map(role_of);
            match role {
                Some(Role::ModelCall) => return true,
                Some(Role::Separates) => return false,
                Some(Role::Other) | None => {}
            }
            next = data.parent().cloned();
        }
        false
    })
}

/// The relation of a span to a call inside it.
#[derive(Debug, Clone, Copy)]
enum Role {
    ModelCall,
    /// An agent or a tool: calls inside are separate from those outside.
    Separates,
    Other,
}

fn role_of(record: &SpanRecord) -> Role {
    let plan = plan_of(record.metadata());
    if !(plan.names_operation || (late_keys_were_set() && record.has_watched_key())) {
        return Role::Other;
    }
    let fields = FieldReader::new(record.fields());
    let values = values_of(fields.select(|key| plan.operation_row(key)));
    match OperationKind::of(&values) {
        (OperationKind::Inference, _) => Role::ModelCall,
        (_, Some(operation)) if is_model_operation(operation) => Role::ModelCall,
        (OperationKind::Agent | OperationKind::Tool, _) => Role::Separates,
        _ if values.text(SemanticAttribute::McpMethod) == Some("tools/call") => Role::Separates,
        _ => Role::Other,
    }
}
