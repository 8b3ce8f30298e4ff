//! Which spans count as model calls: one rule for spans that end in this program and for spans that
//! other programs send.
//!
//! Two nested spans with the same operation and model (without the provider before the name and the
//! date after it), and no tool or agent between them, describe one call: the inner one counts, or
//! the outer one if the inner reports no usage. Otherwise both count, with two exceptions: the
//! outer one does not count if its usage is the sum of the calls below it, or if it is the span of
//! an agent or a workflow, whose usage is always that of its calls.
//!
//! The result does not depend on the order of the spans.

use std::hash::{BuildHasher as _, Hasher as _};

use foldhash::quality::FixedState;

use crate::RawValue;

use super::SemanticAttribute as A;
use super::operation::OperationKind;
use super::usage::{TokenCounts, reported_cost};
use super::values::AttributeValues;

/// Maximum time between the beginning of a stream and the end of the span that opened it, in
/// nanoseconds.
const STREAM_SLACK: u64 = 1_000_000_000;
/// The attribute with which Logfire marks a span of zero length.
const LOGFIRE_TYPE: (&str, &str) = ("logfire.span_type", "log");
/// The attribute of such a span for the duration, in seconds, of the stream whose end it reports.
const LOGFIRE_LENGTH: &str = "duration";

/// Maximum number of different calls directly below a span that are distinguished. Further ones are
/// counted, but not recognized as another description of the same call.
const MAX_DIRECT: usize = 4;

/// The data of a span that decide whether it counts as a call.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct CallFacts {
    /// What the span does.
    pub kind: OperationKind,
    /// A hash of operation and model: equal for two spans that may describe the same call.
    pub identity: u64,
    /// The usage.
    pub usage: TokenCounts,
    /// Whether it names the called model.
    pub names_model: bool,
    /// The reported cost in US dollars.
    pub cost: Option<f64>,
    /// The duration of a stream in nanoseconds, if this is a span of zero length that reports the
    /// stream's end.
    pub stream_length: Option<i64>,
}

impl CallFacts {
    /// Reads the attributes of a span; bare names only if the span concerns models.
    #[must_use]
    pub fn of(values: &AttributeValues<'_>) -> Self {
        let (kind, operation) = OperationKind::of(values);
        let usage = TokenCounts::read(values, kind.is_about_models(values), |_| ());
        Self::new(values, kind, operation, usage)
    }

    /// Creates it from values that were read before.
    #[must_use]
    pub fn new(
        values: &AttributeValues<'_>,
        kind: OperationKind,
        operation: Option<&str>,
        usage: TokenCounts,
    ) -> Self {
        let alone = Self::without_identity(values, kind, usage);
        let mut hasher = FixedState::default().build_hasher();
        // Libraries name this operation chat, completion, or generation of content.
        let operation = match kind {
            OperationKind::Inference => "chat",
            _ => operation.unwrap_or_default(),
        };
        hasher.write(operation.as_bytes());
        hasher.write_u8(0);
        if let Some(model) = values.model() {
            hasher.write(family_of(model.as_text().unwrap_or_default()).as_bytes());
        }
        Self {
            identity: hasher.finish(),
            ..alone
        }
    }

    /// Creates it without an identity, for a span that is not compared with others because no span
    /// above or below it describes a call.
    #[must_use]
    pub fn without_identity(values: &AttributeValues<'_>, kind: OperationKind, usage: TokenCounts) -> Self {
        Self {
            kind,
            identity: 0,
            usage,
            names_model: values.model().is_some(),
            cost: reported_cost(values, kind.is_about_models(values)),
            stream_length: None,
        }
    }

    /// Returns whether this span, of zero length at `time`, reports the end of the stream that the
    /// span of `opened` opened. That span ended at `opened_until`; times are in nanoseconds.
    ///
    /// Logfire ends the span of a streamed call when the caller receives the stream, and reports
    /// the usage in a second span when the stream is over. Both describe one call.
    #[must_use]
    pub fn reports_stream_of(&self, time: i64, opened: &Self, opened_until: i64) -> bool {
        self.stream_length.is_some_and(|length| {
            self.identity == opened.identity
                && self.usage.is_any()
                && opened.opens_stream()
                && time.saturating_sub(length).abs_diff(opened_until) <= STREAM_SLACK
        })
    }

    /// Returns whether the span may have ended when its caller received a stream: it reports no
    /// usage.
    #[must_use]
    pub fn opens_stream(&self) -> bool {
        !self.usage.is_any() && self.stream_length.is_none()
    }

    /// Returns whether the span describes a call of a model, with or without usage.
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

    /// Returns whether the span's usage counts, given the counted calls below it.
    ///
    /// The usage of an agent or a workflow that names no model is a sum of calls, wherever their
    /// spans are: some frameworks open them in separate traces.
    #[must_use]
    pub fn counts(&self, below: &NestedCalls) -> bool {
        let is_sum = self.kind == OperationKind::Aggregate || (self.kind.never_counts() && !self.names_model);
        self.usage.is_any() && !is_sum && !below.include(self)
    }
}

/// The sum of the counted calls below a span.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NestedCalls {
    count: u32,
    input: u64,
    output: u64,
    total: u64,
    direct: [u64; MAX_DIRECT],
    direct_count: u8,
}

impl NestedCalls {
    /// Adds a call that counts; `is_direct` if no tool and no agent is between the span and it.
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

    /// Returns whether there is any call.
    #[must_use]
    pub const fn is_any(&self) -> bool {
        self.count > 0
    }

    /// Returns whether these calls already include the usage of a span above.
    #[must_use]
    pub fn include(&self, outer: &CallFacts) -> bool {
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

/// A span that describes a model call or reports usage, with the labels of its measurements.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SpanCall {
    /// What it does and its usage.
    pub facts: CallFacts,
    /// The operation; empty if the span names none.
    pub operation: String,
    /// The model; empty if the span names none.
    pub model: String,
    /// The provider; empty if the span names none.
    pub provider: String,
    /// The error's type, if the span names one.
    pub error_type: Option<String>,
    /// The id of the response, which two spans of one trace may report.
    pub response_id: Option<String>,
}

impl SpanCall {
    /// Reads the attributes of a span. Returns `None` if it neither calls a model nor reports
    /// usage.
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
        let (mut is_log, mut length) = (false, None);
        let attributes = attributes.into_iter().inspect(|(name, value)| match *name {
            LOGFIRE_LENGTH => length = nanoseconds(*value),
            name if name == LOGFIRE_TYPE.0 => is_log = value.as_text() == Some(LOGFIRE_TYPE.1),
            _ => {}
        });
        let values = AttributeValues::of(attributes);
        let facts = CallFacts {
            stream_length: length.filter(|_| is_log),
            ..CallFacts::of(&values)
        };
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

/// Converts seconds to nanoseconds; returns `None` if they are negative or not a number.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the duration of a longer stream saturates"
)]
fn nanoseconds(seconds: RawValue<'_>) -> Option<i64> {
    match seconds {
        RawValue::F64(seconds) if seconds >= 0.0 => Some((seconds * 1e9) as i64),
        RawValue::I64(seconds) => seconds.checked_mul(1_000_000_000).filter(|nanos| *nanos >= 0),
        _ => None,
    }
}

/// Returns a model's name without the provider before it and the date of its version after it: of
/// two spans that describe one call, one may name the requested model and the other one the version
/// that responded.
fn family_of(model: &str) -> &str {
    // This runs for each span of a call, so it does not allocate or search strings.
    let slash = model.bytes().rposition(|byte| byte == b'/');
    let name = slash.map_or(model, |slash| &model[slash + 1..]);
    let is_date = |version: &[u8]| {
        let mut bytes = version.iter().enumerate();
        bytes.all(|(at, byte)| match at {
            4 | 7 if version.len() == 10 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
    };
    // With the dash before them, `2024-08-06` and `20250514` have these lengths.
    let family = [11, 9].into_iter().find_map(|len| {
        let dash = name.len().checked_sub(len).filter(|dash| *dash > 0)?;
        let version = name.as_bytes()[dash..].strip_prefix(b"-")?;
        is_date(version).then(|| &name[..dash])
    });
    family.unwrap_or(name)
}

/// Returns whether a span with these attributes separates the calls below it from those above: it
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_of_a_model_lacks_provider_and_date_and_has_its_size() {
        for (model, family) in [
            ("gpt-4o", "gpt-4o"),
            ("gpt-4o-2024-08-06", "gpt-4o"),
            ("openai/gpt-4o-mini", "gpt-4o-mini"),
            ("claude-sonnet-4-20250514", "claude-sonnet-4"),
            ("accounts/x/models/llama-70b", "llama-70b"),
            ("llama3.2:3b", "llama3.2:3b"),
            ("o1-2024", "o1-2024"),
            ("-20250514", "-20250514"),
            ("é-2024-08-06", "é"),
            ("a-20240101-2024-08-06", "a-20240101"),
            ("2024-08-06", "2024-08-06"),
            ("a-2024-08-é6", "a-2024-08-é6"),
            ("a-2024/08-06", "08-06"),
            ("a-2024-0806", "a-2024-0806"),
            ("", ""),
            ("/", ""),
        ] {
            assert_eq!(family_of(model), family, "{model}");
        }
    }
}
