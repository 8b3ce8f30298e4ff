//! Rows for evaluations, derived from stored spans.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::semconv::{SemanticAttribute as A, names_of};
use crate::{Attributes, Span, SpanId, Value};

/// The input, output and expected output of one step: the `EvalTrace` of Llama Stack's telemetry
/// API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct EvalTrace {
    /// The session; the trace id if neither the step nor a span above it names a session.
    pub session_id: String,
    /// The step: the span's name.
    pub step: String,
    /// The step's input; empty if it was not recorded.
    pub input: String,
    /// The step's output; empty if it was not recorded.
    pub output: String,
    /// The expected output, if the program recorded it (`expected_output`).
    pub expected_output: String,
}

/// The attributes that hold a step's input, by precedence.
const INPUTS: &[A] = &[
    A::PlainInput,
    A::InputMessages,
    A::StepInput,
    A::TaskInput,
    A::Prompt,
];
/// The attributes that hold a step's output, by precedence.
const OUTPUTS: &[A] = &[
    A::PlainOutput,
    A::OutputMessages,
    A::StepOutput,
    A::TaskOutput,
    A::Completion,
];
const SESSIONS: &[A] = &[A::SessionId];

/// The attribute with which a program records the expected output. No convention defines one.
const EXPECTED_OUTPUT: &str = "expected_output";

impl EvalTrace {
    /// Returns a row for each span of a trace that has an input or an output, in the order of the
    /// spans.
    ///
    /// ```
    /// use spanscope_model::{EvalTrace, Span, SpanId, Timestamp, TraceId};
    ///
    /// let ids = (TraceId::from_bytes([1; 16]).unwrap(), SpanId::from_bytes([2; 8]).unwrap());
    /// let mut span = Span::new(ids.0, ids.1, "answer", Timestamp::now());
    /// span.attributes.set("input", "2 + 2?");
    /// span.attributes.set("output", "5");
    /// span.attributes.set("expected_output", "4");
    /// let rows = EvalTrace::of_spans(&[span]);
    /// assert_eq!((rows[0].step.as_str(), rows[0].output.as_str()), ("answer", "5"));
    /// ```
    #[must_use]
    pub fn of_spans(spans: &[Span]) -> Vec<Self> {
        let by_id: HashMap<SpanId, &Span> = spans.iter().map(|span| (span.span_id, span)).collect();
        spans
            .iter()
            .filter(|span| {
                first(&span.attributes, INPUTS).is_some() || first(&span.attributes, OUTPUTS).is_some()
            })
            .map(|span| Self {
                session_id: session(span, &by_id),
                step: span.name.clone(),
                input: first(&span.attributes, INPUTS).unwrap_or_default(),
                output: first(&span.attributes, OUTPUTS).unwrap_or_default(),
                expected_output: (span.attributes.get(EXPECTED_OUTPUT))
                    .map(Value::to_string)
                    .unwrap_or_default(),
            })
            .collect()
    }
}

fn first(attributes: &Attributes, meanings: &[A]) -> Option<String> {
    names_of(meanings)
        .find_map(|name| attributes.get(name))
        .map(Value::to_string)
}

/// Returns the session of a span or of its nearest ancestor that names one.
fn session(span: &Span, by_id: &HashMap<SpanId, &Span>) -> String {
    let mut seen = HashSet::new();
    let mut next = Some(span);
    while let Some(span) = next {
        if let Some(session) = first(&span.attributes, SESSIONS) {
            return session;
        }
        // In a cycle of parents, stop at the first span that was visited before.
        next = match seen.insert(span.span_id) {
            true => span.parent_span_id.and_then(|parent| by_id.get(&parent).copied()),
            false => None,
        };
    }
    span.trace_id.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Timestamp, TraceId};

    fn span(id: u8, parent: u8, attributes: &[(&str, Value)]) -> Option<Span> {
        let mut span = Span::new(
            TraceId::from_bytes([9; 16])?,
            SpanId::from_bytes([id; 8])?,
            format!("step {id}"),
            Timestamp::now(),
        );
        span.parent_span_id = SpanId::from_bytes([parent; 8]);
        span.attributes = attributes
            .iter()
            .map(|(key, value)| (*key, value.clone()))
            .collect();
        Some(span)
    }

    #[test]
    fn rows_use_the_attribute_names_of_all_conventions_and_the_session_of_an_ancestor() {
        let text = |text: &str| Value::from(text);
        let spans = [
            span(1, 0, &[("session.id", text("s-1"))]),
            span(2, 1, &[("input.value", text("a")), ("output.value", text("b"))]),
            span(
                3,
                2,
                &[("gen_ai.input.messages", Value::Json(serde_json::json!([1])))],
            ),
            span(4, 1, &[("other", text("x"))]),
            // Two spans in a cycle, without a session.
            span(5, 6, &[("output", Value::from(7))]),
            span(6, 5, &[]),
        ];
        let spans: Vec<Span> = spans.into_iter().flatten().collect();
        let rows: Vec<_> = EvalTrace::of_spans(&spans)
            .into_iter()
            .map(|row| (row.session_id, row.step, row.input, row.output))
            .collect();
        let row = |session: &str, step: &str, input: &str, output: &str| {
            (
                session.to_owned(),
                step.to_owned(),
                input.to_owned(),
                output.to_owned(),
            )
        };
        assert_eq!(
            rows,
            [
                row("s-1", "step 2", "a", "b"),
                row("s-1", "step 3", "[1]", ""),
                row(&"09".repeat(16), "step 5", "", "7"),
            ]
        );
    }

    #[test]
    fn rows_use_the_attribute_names_that_runs_use() {
        let text = |text: &str| Value::from(text);
        let spans = [
            span(1, 0, &[("langfuse.session.id", text("s-2"))]),
            span(
                2,
                1,
                &[
                    ("langfuse.observation.input", text("a")),
                    ("gen_ai.task.output", text("b")),
                ],
            ),
        ];
        let spans: Vec<Span> = spans.into_iter().flatten().collect();
        let rows = EvalTrace::of_spans(&spans);
        let shown: Vec<_> = rows
            .iter()
            .map(|row| [&row.session_id, &row.input, &row.output])
            .collect();
        assert_eq!(shown, [["s-2", "a", "b"]]);
    }
}
