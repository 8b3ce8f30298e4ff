//! Decides whether an ended span counts as a call, and records its metrics.

use spanscope_core::capture::{Clock, RawValue, SpanIds, Ticks, span_outcome};
use spanscope_core::metrics::Number;
use spanscope_model::semconv::{
    self, AttributeValues, CallFacts, Convention, OperationKind, SemanticAttribute as A, TokenCounts,
};
use spanscope_model::{CACHE_METRICS, MetricKind, SpanStatus};

use super::child_activity::{ActivityReport, ChildActivity};
use super::names::{self, GenAiNames};
use super::outlet::{Labels, SpanOutlet};
use super::responses::Responses;
use super::stats::Counters;

/// The settings of one layer that decide how spans are counted.
#[derive(Debug)]
pub(super) struct Counting {
    pub(super) bare_names: bool,
    pub(super) names: GenAiNames,
    pub(super) prompt_tokens: String,
    pub(super) completion_tokens: String,
    pub(super) total_tokens: String,
}

/// The labels of the counters in Llama Stack's telemetry API.
const MODEL: &str = "model_id";
const PROVIDER: &str = "provider_id";

/// The ids, times and outcome of an ended span. Its fields are in [`AttributeValues`].
#[derive(Debug, Clone, Copy)]
pub(super) struct ObservedSpan {
    pub(super) ids: SpanIds,
    pub(super) start: Ticks,
    pub(super) end: Ticks,
    pub(super) failed: bool,
}

/// An ended span.
#[derive(Debug)]
pub(super) struct EndedSpan<'v, 'f> {
    values: &'v AttributeValues<'f>,
    pub(super) seen: ObservedSpan,
    below: &'v ChildActivity,
    operation: Option<&'f str>,
    provider: Option<RawValue<'f>>,
    /// The span's kind of operation, token usage and cost.
    facts: CallFacts,
    /// Whether its tokens are counted: they belong to one call, and no other span has counted them.
    counts: bool,
    /// Whether another span of the trace reported the same response before.
    repeats: bool,
}

impl<'v, 'f> EndedSpan<'v, 'f> {
    pub(super) fn new(
        values: &'v AttributeValues<'f>,
        seen: ObservedSpan,
        below: &'v ChildActivity,
        is_root: bool,
        counting: &Counting,
        responses: &Responses,
        counters: &Counters,
    ) -> Self {
        let (kind, operation) = OperationKind::of(values);
        let with_bare_names = counting.bare_names || kind.is_about_models(values);
        let usage = TokenCounts::read(values, with_bare_names, |problem| {
            counters.note(problem);
        });
        let facts = if is_root && !below.calls.is_any() {
            CallFacts::without_identity(values, kind, usage)
        } else {
            CallFacts::new(values, kind, operation, usage)
        };
        let counts = facts.counts(&below.calls);
        let response = values.text(A::ResponseId).filter(|_| counts);
        let repeats = response.is_some_and(|id| !responses.is_first(seen.ids.trace_id, id));
        let counts = counts && !repeats;
        if usage.is_any() && !counts {
            counters.note_repeated();
        }
        Self {
            values,
            seen,
            below,
            operation,
            provider: values.provider(),
            facts,
            counts,
            repeats,
        }
    }

    /// Returns the report to the spans above.
    pub(super) fn report(&self) -> ActivityReport<'_> {
        let below = self.below;
        let is_model_call = match self.facts.kind {
            OperationKind::Inference => true,
            OperationKind::Unknown | OperationKind::Other => self.counts,
            _ => false,
        };
        ActivityReport {
            counted: self.counts.then_some(&self.facts),
            is_direct: self.counts && !matches!(self.facts.kind, OperationKind::Agent | OperationKind::Tool),
            timed: self.is_timed_call(),
            model_called: is_model_call && !below.model_called,
            tool_called: self.facts.kind == OperationKind::Tool && !below.tool_called,
        }
    }

    /// Returns whether the span's duration counts as that of a model call. If two nested spans
    /// describe one call, only the duration of the inner one counts.
    fn is_timed_call(&self) -> bool {
        let is_call = self.facts.kind == OperationKind::Inference && !self.repeats;
        is_call && !self.below.timed && !self.has_span_kind("server")
    }

    fn has_span_kind(&self, kind: &str) -> bool {
        self.values
            .text(A::SpanKind)
            .is_some_and(|recorded| recorded.eq_ignore_ascii_case(kind))
    }

    /// Passes the span's measurements on.
    pub(super) fn measure(&self, counting: &Counting, out: &SpanOutlet<'_>) {
        if self.counts {
            self.measure_counters(counting, out);
        }
        if counting.names == GenAiNames::Off {
            return;
        }
        // The metrics below share one buffer for their labels.
        let labels = &mut Labels::default();
        let seconds = self.seconds();
        match self.facts.kind {
            OperationKind::Agent if !self.has_span_kind("client") => self.measure_agent(seconds, labels, out),
            OperationKind::Workflow => {
                labels.truncate(0);
                labels.push(A::WorkflowName.name(), self.name(A::WorkflowName));
                labels.push(A::ErrorType.name(), self.error());
                out.send(
                    names::WORKFLOW_DURATION,
                    MetricKind::Histogram,
                    "s",
                    seconds,
                    labels,
                );
            }
            OperationKind::Tool if !self.has_span_kind("server") => {
                labels.truncate(0);
                labels.push(A::ToolName.name(), self.name(A::ToolName));
                labels.push_own(A::ToolType, self.values);
                labels.push_own(A::AgentName, self.values);
                labels.push(A::ErrorType.name(), self.error());
                out.send(names::TOOL_DURATION, MetricKind::Histogram, "s", seconds, labels);
            }
            _ => {}
        }
        if self.counts || self.records_call_duration() {
            self.measure_call(counting.names, seconds, labels, out);
        }
        if self.values.has(A::McpMethod) {
            self.measure_mcp(seconds, labels, out);
        }
    }

    fn measure_counters(&self, counting: &Counting, out: &SpanOutlet<'_>) {
        // There are at most two labels, so an array is enough.
        let none = ("", RawValue::Bool(false));
        let labels = match (self.values.model(), self.provider) {
            (Some(model), Some(provider)) => ([(MODEL, model), (PROVIDER, provider)], 2),
            (Some(model), None) => ([(MODEL, model), none], 1),
            (None, Some(provider)) => ([(PROVIDER, provider), none], 1),
            (None, None) => ([none; 2], 0),
        };
        let labels = &labels.0[..labels.1];
        for (name, count) in [
            (&counting.prompt_tokens, self.facts.usage.input),
            (&counting.completion_tokens, self.facts.usage.output),
            (&counting.total_tokens, self.facts.usage.total),
        ] {
            if let Some(count) = count {
                out.count(name, count, labels);
            }
        }
        // Tokens read from or written to a cache are part of the input. They have their own prices,
        // so the cost of a call depends on them.
        let [read, written] = CACHE_METRICS;
        for (name, count) in [
            (read, self.facts.usage.cache_read),
            (written, self.facts.usage.cache_write),
        ] {
            if let Some(count) = count.filter(|count| *count > 0) {
                out.count(name, count, labels);
            }
        }
        if let Some(cost) = self.facts.cost {
            out.add_cost(cost, labels);
        }
    }

    /// Returns whether the span's duration is recorded in the conventions' metric of calls.
    fn records_call_duration(&self) -> bool {
        match self.facts.kind {
            OperationKind::Inference => self.is_timed_call(),
            OperationKind::ClientCall => !self.repeats && !self.has_span_kind("server"),
            OperationKind::Agent => self.has_span_kind("client"),
            OperationKind::Aggregate => self.operation.is_some(),
            OperationKind::Workflow | OperationKind::Tool | OperationKind::Other | OperationKind::Unknown => {
                false
            }
        }
    }

    /// Measures the conventions' metrics of a call.
    fn measure_call(&self, names: GenAiNames, seconds: f64, labels: &mut Labels<'f>, out: &SpanOutlet<'_>) {
        labels.truncate(0);
        labels.push_text(A::Operation.name(), self.operation);
        labels.push(A::Provider.name(), self.provider);
        labels.push_own(A::RequestModel, self.values);
        labels.push_own(A::ResponseModel, self.values);
        if let Some(address) = self.values.label(A::ServerAddress) {
            labels.push(A::ServerAddress.name(), Some(address));
            labels.push_own(A::ServerPort, self.values);
        }
        if self.counts {
            self.measure_tokens(names, labels, out);
        }
        if !self.records_call_duration() {
            return;
        }
        let common = labels.len();
        labels.push(A::ErrorType.name(), self.error());
        // The new name covers model calls only; other operations keep the classic one.
        let new_name = names::new_name_of(names::OPERATION_DURATION)
            .filter(|_| self.facts.kind == OperationKind::Inference);
        if names.has_classic() || new_name.is_none() {
            out.send(
                names::OPERATION_DURATION,
                MetricKind::Histogram,
                "s",
                seconds,
                labels,
            );
        }
        if let Some(name) = new_name.filter(|_| names.has_new()) {
            out.send(name, MetricKind::Histogram, "s", seconds, labels);
        }
        labels.truncate(common);
        if let Some(seconds) = self.first_chunk(&out.outlet.counters) {
            if names.has_classic() {
                out.send(
                    names::TIME_TO_FIRST_CHUNK,
                    MetricKind::Histogram,
                    "s",
                    seconds,
                    labels,
                );
            }
            if let Some(name) = names::new_name_of(names::TIME_TO_FIRST_CHUNK).filter(|_| names.has_new()) {
                out.send(name, MetricKind::Histogram, "s", seconds, labels);
            }
        }
    }

    fn measure_tokens(&self, names: GenAiNames, labels: &mut Labels<'f>, out: &SpanOutlet<'_>) {
        let common = labels.len();
        let usage = &self.facts.usage;
        if names.has_classic() {
            for (token_type, count) in [("input", usage.input), ("output", usage.output)] {
                if let Some(count) = count {
                    labels.push_text(A::TokenType.name(), Some(token_type));
                    out.send(
                        names::TOKEN_USAGE,
                        MetricKind::Histogram,
                        "{token}",
                        count,
                        labels,
                    );
                    labels.truncate(common);
                }
            }
        }
        if !names.has_new() {
            return;
        }
        // Providers have no common way to report tokens by modality.
        labels.push_text(A::TokenModality.name(), Some("unknown"));
        for (name, count) in [
            (names::NEW_INPUT_TOKENS, usage.input),
            (names::NEW_OUTPUT_TOKENS, usage.output),
            (names::NEW_CACHE_READ_TOKENS, usage.cache_read),
            (names::NEW_CACHE_WRITE_TOKENS, usage.cache_write),
            (names::NEW_REASONING_TOKENS, usage.reasoning),
        ] {
            if let Some(count) = count {
                out.send(name, MetricKind::Counter, "{token}", count, labels);
            }
        }
        labels.truncate(common);
        labels.push(A::ErrorType.name(), self.error());
        for (name, count) in [
            (names::NEW_INPUT_DISTRIBUTION, usage.input),
            (names::NEW_OUTPUT_DISTRIBUTION, usage.output),
        ] {
            if let Some(count) = count {
                out.send(name, MetricKind::Histogram, "{token}", count, labels);
            }
        }
        labels.truncate(common);
    }

    fn measure_agent(&self, seconds: f64, labels: &mut Labels<'f>, out: &SpanOutlet<'_>) {
        labels.truncate(0);
        labels.push(A::AgentName.name(), self.name(A::AgentName));
        let named = labels.len();
        labels.push_own(A::RequestModel, self.values);
        labels.push(A::ErrorType.name(), self.error());
        out.send(names::AGENT_DURATION, MetricKind::Histogram, "s", seconds, labels);
        labels.truncate(named);
        let below = self.below;
        let send_calls = |name, calls: u32| {
            let unit = if name == names::AGENT_TOOL_CALLS {
                "{tool_call}"
            } else {
                "{inference_call}"
            };
            out.send(name, MetricKind::Histogram, unit, i64::from(calls), labels);
        };
        // Without spans of its calls, the number of an agent's calls is unknown rather than zero,
        // so it is not sent.
        if below.inference_calls > 0 {
            send_calls(names::AGENT_INFERENCE_CALLS, below.inference_calls);
        }
        if below.inference_calls > 0 || below.tool_calls > 0 {
            send_calls(names::AGENT_TOOL_CALLS, below.tool_calls);
        }
    }

    fn measure_mcp(&self, seconds: f64, labels: &mut Labels<'f>, out: &SpanOutlet<'_>) {
        let is_server = self.has_span_kind("server");
        labels.truncate(0);
        labels.push_own(A::McpMethod, self.values);
        labels.push_own(A::ToolName, self.values);
        labels.push_own(A::PromptName, self.values);
        labels.push_text(A::Operation.name(), self.operation);
        labels.push_own(A::McpVersion, self.values);
        labels.push_own(A::Transport, self.values);
        labels.push_own(A::RpcStatus, self.values);
        if let Some(address) = self.values.label(A::ServerAddress).filter(|_| !is_server) {
            labels.push(A::ServerAddress.name(), Some(address));
            labels.push_own(A::ServerPort, self.values);
        }
        labels.push(A::ErrorType.name(), self.error());
        let name = if is_server {
            names::MCP_SERVER_DURATION
        } else {
            names::MCP_CLIENT_DURATION
        };
        out.send(name, MetricKind::Histogram, "s", seconds, labels);
    }

    /// Returns the value of this attribute, or else of `traceloop.entity.name`, under which
    /// OpenLLMetry records the names of agents, tools and workflows.
    fn name(&self, meaning: A) -> Option<RawValue<'f>> {
        self.values
            .label(meaning)
            .or_else(|| self.values.label(A::EntityName))
    }

    /// Returns the error's type, if it failed.
    fn error(&self) -> Option<RawValue<'f>> {
        let recorded = self
            .values
            .label(A::ErrorType)
            .filter(|value| semconv::indicates_failure(A::ErrorType.name(), *value));
        let own = self.values.text(A::StatusCode);
        let own = own.and_then(|code| code.parse().ok());
        // A span that names its error has failed.
        let outcome = span_outcome(own, self.seen.failed || recorded.is_some());
        (outcome == SpanStatus::Error).then(|| {
            recorded
                .or_else(|| self.values.label(A::ExceptionType))
                .unwrap_or(RawValue::Text("_OTHER", None))
        })
    }

    /// Returns the seconds until the first chunk.
    ///
    /// OpenTelemetry's attribute is in seconds. Programs record milliseconds, microseconds or
    /// nanoseconds as well under vendors' attributes for seconds, so for these the largest unit is
    /// chosen in which the value does not exceed the span's duration. A value that exceeds it in
    /// every unit is ignored, and counted in the layer's statistics.
    fn first_chunk(&self, counters: &Counters) -> Option<f64> {
        let seconds_of = |meaning, unit: f64| {
            let value = self.values.get(meaning)?;
            let number = match value.as_text() {
                Some(text) => text.trim().parse().ok()?,
                None => Number::of(&value)?.as_f64(),
            };
            Some(number / unit).filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0)
        };
        match self.values.convention(A::FirstChunkSeconds) {
            Some(Convention::Vendor) => {
                let length = self.seconds();
                let value = seconds_of(A::FirstChunkSeconds, 1.0)?;
                let mut in_units = [1.0, 1e3, 1e6, 1e9].map(|smaller| value / smaller).into_iter();
                let fits = in_units.find(|seconds| *seconds <= length);
                if fits.is_none() {
                    counters.note_first_chunk_beyond_span();
                }
                fits
            }
            Some(_) => seconds_of(A::FirstChunkSeconds, 1.0),
            None => seconds_of(A::FirstChunkMillis, 1000.0),
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "nanoseconds beyond 2^53 are more than a hundred days"
    )]
    fn seconds(&self) -> f64 {
        Clock::global().nanos_between(self.seen.start, self.seen.end) as f64 / 1e9
    }
}
