//! Which spans count as calls of models: the one rule, for spans that end in this program and for spans
//! that are sent.
//!
//! Two spans below one another with the same operation and model, and no tool or agent between them,
//! describe one call: the inner one counts, or the outer one where the inner reports no usage. Otherwise
//! both count, unless the outer one's usage is the sum of the calls below it, which repeats a total, or
//! the outer one is the span of an agent or a workflow, whose usage always is that of its calls.
//!
//! Nothing here knows in which order spans come.

use std::hash::{BuildHasher as _, Hasher as _};

use foldhash::quality::FixedState;

use crate::RawValue;

use super::SemanticAttribute as A;
use super::operation::OperationKind;
use super::usage::{TokenCounts, reported_cost};
use super::values::AttributeValues;

/// How many different calls are told apart that a span has directly below it. Further ones are counted,
/// but not recognized as another description of the same call.
const MAX_DIRECT: usize = 4;

/// What a span says about a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CallFacts {
    /// What the span does.
    pub kind: OperationKind,
    /// Names the operation and the model: the same for two spans that may describe one call.
    pub identity: u64,
    /// What it used.
    pub usage: TokenCounts,
    /// Whether it names the model that was called.
    pub names_model: bool,
    /// What it cost in US dollars, as the program reports it.
    pub cost: Option<f64>,
}

impl CallFacts {
    /// Reads what the attributes of a span say, bare names only where they count tokens.
    #[must_use]
    pub fn of(values: &AttributeValues<'_>) -> Self {
        let (kind, operation) = OperationKind::of(values);
        let usage = TokenCounts::read(values, kind.is_about_models(values), |_| ());
        Self::new(values, kind, operation, usage)
    }

    /// Puts together what was read before.
    #[must_use]
    pub fn new(
        values: &AttributeValues<'_>,
        kind: OperationKind,
        operation: Option<&str>,
        usage: TokenCounts,
    ) -> Self {
        let mut hasher = FixedState::default().build_hasher();
        hasher.write(operation.unwrap_or_default().as_bytes());
        hasher.write_u8(0);
        if let Some(model) = values.model() {
            hasher.write(model.as_text().unwrap_or_default().as_bytes());
        }
        Self {
            kind,
            identity: hasher.finish(),
            usage,
            names_model: values.model().is_some(),
            cost: reported_cost(values, kind.is_about_models(values)),
        }
    }

    /// Whether the span describes a call of a model, with or without usage.
    #[must_use]
    pub fn is_model_call(&self, values: &AttributeValues<'_>) -> bool {
        match self.kind {
            OperationKind::Inference => true,
            OperationKind::ClientCall => {
                OperationKind::of(values).1 == Some("embeddings") || self.usage.is_any()
            }
            OperationKind::Unknown | OperationKind::Other | OperationKind::Tool => self.usage.is_any(),
            OperationKind::Agent | OperationKind::Workflow => self.usage.is_any() && self.names_model,
            OperationKind::Aggregate => false,
        }
    }

    /// Whether the span's usage counts, given the calls below it that count.
    ///
    /// That of an agent or a workflow which names no model is a sum of calls, wherever their spans are:
    /// some frameworks open them in traces of their own.
    #[must_use]
    pub fn counts(&self, below: &CallsBelow) -> bool {
        let is_sum = self.kind == OperationKind::Aggregate || (self.kind.never_counts() && !self.names_model);
        self.usage.is_any() && !is_sum && !below.cover(self)
    }
}

/// The calls below a span that count, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallsBelow {
    count: u32,
    input: u64,
    output: u64,
    total: u64,
    direct: [u64; MAX_DIRECT],
    direct_count: u8,
}

impl CallsBelow {
    /// Adds a call that counts; `is_direct` where no tool and no agent is between.
    pub fn add(&mut self, call: &CallFacts, is_direct: bool) {
        self.count = self.count.saturating_add(1);
        self.input = self.input.saturating_add(call.usage.input.unwrap_or(0));
        self.output = self.output.saturating_add(call.usage.output.unwrap_or(0));
        self.total = self.total.saturating_add(call.usage.total.unwrap_or(0));
        let known = usize::from(self.direct_count);
        if is_direct && known < MAX_DIRECT && !self.direct[..known].contains(&call.identity) {
            self.direct[known] = call.identity;
            self.direct_count += 1;
        }
    }

    /// Whether there is any.
    #[must_use]
    pub const fn is_any(&self) -> bool {
        self.count > 0
    }

    /// Whether the usage of a span above was counted with them.
    #[must_use]
    pub fn cover(&self, outer: &CallFacts) -> bool {
        if self.count == 0 {
            return false;
        }
        let is_same_call = self.direct[..usize::from(self.direct_count)].contains(&outer.identity);
        let is_sum = match (outer.usage.input, outer.usage.output) {
            (None, None) => outer.usage.total == Some(self.total),
            (input, output) => self.input == input.unwrap_or(0) && self.output == output.unwrap_or(0),
        };
        outer.kind.never_counts() || is_same_call || is_sum
    }
}

/// A span that describes a call of a model, or reports usage, with what a measurement of it says.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanCall {
    /// What it is and what it used.
    pub facts: CallFacts,
    /// The operation; empty where the span names none.
    pub operation: String,
    /// The model; empty where the span names none.
    pub model: String,
    /// The provider that runs it; empty where the span names none.
    pub provider: String,
    /// The error's type, where the span names one.
    pub error_type: Option<String>,
    /// The id of the response, which two spans of one trace may report.
    pub response_id: Option<String>,
}

impl SpanCall {
    /// Reads the attributes of a span. `None` where it neither calls a model nor reports usage.
    ///
    /// ```
    /// use spanscope_model::{RawValue, semconv::SpanCall};
    ///
    /// let text = |text| RawValue::Text(text, None);
    /// let attributes = [("gen_ai.operation.name", text("chat")), ("gen_ai.request.model", text("llama"))];
    /// let call = SpanCall::of(attributes).unwrap();
    /// assert_eq!(call.model, "llama");
    /// assert!(!call.facts.usage.is_any());
    /// assert_eq!(SpanCall::of([("gen_ai.operation.name", text("execute_tool"))]), None);
    /// ```
    #[must_use]
    pub fn of<'a>(attributes: impl IntoIterator<Item = (&'a str, RawValue<'a>)>) -> Option<Self> {
        let values = AttributeValues::of(attributes);
        let facts = CallFacts::of(&values);
        if !facts.is_model_call(&values) {
            return None;
        }
        let text = |value: Option<RawValue<'_>>| match value {
            Some(RawValue::Text(text, _)) => text.to_owned(),
            _ => String::new(),
        };
        let (_, operation) = OperationKind::of(&values);
        Some(Self {
            facts,
            operation: operation.unwrap_or_default().to_owned(),
            model: text(values.model()),
            provider: text(values.provider()),
            error_type: values
                .text(A::ErrorType)
                .or_else(|| values.text(A::ExceptionType))
                .map(str::to_owned),
            response_id: values.text(A::ResponseId).map(str::to_owned),
        })
    }
}

/// Whether calls above a span with these attributes are made by something else than calls below it: it
/// runs a tool or an agent.
#[must_use]
pub fn separates_calls<'a>(attributes: impl IntoIterator<Item = (&'a str, RawValue<'a>)>) -> bool {
    let values = AttributeValues::of(attributes);
    let is_tool_call = values.text(A::McpMethod) == Some("tools/call");
    is_tool_call
        || matches!(
            OperationKind::of(&values).0,
            OperationKind::Agent | OperationKind::Tool
        )
}
