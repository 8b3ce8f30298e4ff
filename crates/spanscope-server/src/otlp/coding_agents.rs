//! Coding agents that report their calls in log events: Claude Code, Codex, the Gemini CLI, Qwen
//! Code, OpenCode.
//!
//! Most send no spans by default, and usage, runs and errors are derived from spans. So each event
//! about a model call or a tool call also becomes a span, in a trace of its session, with the
//! conventions' names. The event itself stays, and is logged in that span. An event in a trace
//! becomes a span of that trace, below the span in which it was logged, unless the agent's own
//! spans report the same.
//!
//! The spans of a session have no root: the agent sends none. An event that ends the session is
//! marked ([`wire::SESSION_ENDED`]), so that the session's run does not wait for a root.
//!
//! Ids are derived from an event's contents, so a repeated one is the same span, in any process and
//! after a restart. The sequence number of some agents' events is not included, because it
//! restarts.

use spanscope_model::semconv::SemanticAttribute as A;
use spanscope_model::{
    Attributes, LogEvent, NewSpan, Span, SpanId, SpanKind, SpanState, SpanStatus, Timestamp, TraceId,
    UNCATEGORIZED, Value, wire,
};

/// An agent and the meanings of its events.
struct Agent {
    /// The prefix of its events' names.
    prefix: &'static str,
    /// The scope of events whose names lack the prefix; empty if there are none.
    scope: &'static str,
    /// The provider of its models, in OpenTelemetry's spelling.
    provider: &'static str,
    /// Whether its input counts exclude cache reads and writes.
    excludes_cached: bool,
    /// Whether its output counts exclude reasoning, unless a total shows otherwise.
    excludes_reasoning: bool,
    events: &'static [(&'static str, EventMeaning)],
    /// What its own spans don't report, so that events in a trace become spans too.
    missing_in_spans: &'static [EventMeaning],
}

/// The meaning of an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum EventMeaning {
    /// A call of a model that ended.
    Call,
    /// A request to a model, whose end another event reports unless it failed.
    Request,
    /// A step of a response, the last of which reports the call's usage.
    Chunk,
    /// A run of a tool.
    Tool,
    /// That the session ended, or waits for its user.
    End,
}

/// <https://code.claude.com/docs/en/monitoring-usage>, <https://developers.openai.com/codex/config-advanced>,
/// <https://github.com/google-gemini/gemini-cli/blob/main/docs/cli/telemetry.md>, <https://github.com/QwenLM/qwen-code>,
/// <https://github.com/DEVtheOPS/opencode-plugin-otel>, <https://github.com/gcornut/opencode-otel>.
const AGENTS: [Agent; 5] = [
    Agent {
        prefix: "claude_code.",
        scope: "com.anthropic.claude_code",
        provider: "anthropic",
        excludes_cached: true,
        excludes_reasoning: false,
        events: &[
            ("api_request", EventMeaning::Call),
            ("api_error", EventMeaning::Call),
            ("tool_result", EventMeaning::Tool),
        ],
        missing_in_spans: &[],
    },
    Agent {
        prefix: "codex.",
        scope: "",
        provider: "openai",
        excludes_cached: false,
        excludes_reasoning: false,
        events: &[
            ("sse_event", EventMeaning::Chunk),
            ("api_request", EventMeaning::Request),
            ("tool_result", EventMeaning::Tool),
        ],
        // Its spans describe its internal functions, and report no calls.
        missing_in_spans: &[EventMeaning::Chunk, EventMeaning::Request, EventMeaning::Tool],
    },
    Agent {
        prefix: "gemini_cli.",
        scope: "gemini-cli",
        provider: "gcp.gemini",
        excludes_cached: false,
        excludes_reasoning: true,
        events: GEMINI,
        // By default its spans contain no model and no counts.
        missing_in_spans: &[EventMeaning::Call],
    },
    // A descendant of the Gemini CLI.
    Agent {
        prefix: "qwen-code.",
        scope: "qwen-code",
        provider: "",
        excludes_cached: false,
        excludes_reasoning: false,
        events: GEMINI,
        missing_in_spans: &[],
    },
    // These are events of its plugins, which follow Claude Code.
    Agent {
        prefix: "opencode.",
        scope: "com.opencode",
        provider: "",
        excludes_cached: true,
        excludes_reasoning: false,
        events: &[
            ("api_request", EventMeaning::Call),
            ("api_error", EventMeaning::Call),
            ("tool_result", EventMeaning::Tool),
            ("session.idle", EventMeaning::End),
            ("session.deleted", EventMeaning::End),
        ],
        missing_in_spans: &[],
    },
];

const GEMINI: &[(&str, EventMeaning)] = &[
    ("api_response", EventMeaning::Call),
    ("api_error", EventMeaning::Call),
    ("tool_call", EventMeaning::Tool),
    ("conversation_finished", EventMeaning::End),
    ("session.end", EventMeaning::End),
];

/// Sets the ids of a coding agent's session on its event, and returns the span that the event
/// describes, if any.
pub(super) fn span_of(event: &mut LogEvent, service: &str) -> Option<NewSpan> {
    let (agent, name) = agent_of(event)?;
    let name = name.to_owned();
    let meaning = agent.events.iter().find(|(known, _)| *known == name);
    let meaning = meaning.map(|(_, meaning)| *meaning);
    let is_in_trace = event.trace_id.is_some();
    if is_in_trace && !meaning.is_some_and(|meaning| agent.missing_in_spans.contains(&meaning)) {
        return None;
    }
    let mut fields = EventAttributes(event.attributes.clone());
    let session = fields.take_text(&[
        "session.id",
        "conversation.id",
        "session_id",
        "sessionId",
        "opencode.session.id",
    ]);
    let identity = identity_of(event, &name);
    let of_session = |session: &String| hash([agent.prefix, service, session.as_str()].map(str::as_bytes));
    if !is_in_trace {
        event.trace_id = session
            .as_ref()
            .map(of_session)
            .or_else(|| meaning.map(|_| identity))
            .and_then(|hash| TraceId::from_bytes(hash.to_be_bytes()));
    }
    if meaning == Some(EventMeaning::End) {
        event.attributes.set(wire::SESSION_ENDED, true);
        return None;
    }
    let call = Call::read(&mut fields, agent, meaning?, &name)?;
    let trace_id = event.trace_id?;
    let [half, _] = halves(identity);
    let span_id = SpanId::from_bytes(half)?;
    let parent = event.span_id;
    if !is_in_trace {
        event.span_id = Some(span_id);
    }
    let mut attributes = call.attributes(agent, service, session.as_deref(), is_in_trace);
    if let Some(user) = fields.take_text(&["user.id", "user.account_uuid", "user.account_id"]) {
        attributes.set(A::UserId.names()[1].name, user);
    }
    // Names of the event only.
    fields
        .0
        .retain(|key, _| key != wire::EVENT_NAME && key != "event.kind");
    for (key, value) in fields.0.iter() {
        attributes.set(key, value.clone());
    }
    attributes.set(wire::READ_FROM, format!("{}{name}", agent.prefix));
    let start = event.timestamp.as_nanos().saturating_sub(call.nanos);
    let span = Span::new(trace_id, span_id, call.name, Timestamp::from_nanos(start))
        .parent_span_id(parent.filter(|_| is_in_trace))
        .end_time(event.timestamp)
        .attributes(attributes)
        .status(if call.failed {
            SpanStatus::Error
        } else {
            SpanStatus::Ok
        })
        .status_message(call.error)
        .kind(if call.is_tool {
            SpanKind::Internal
        } else {
            SpanKind::Client
        })
        .state(SpanState::Ended)
        .target((!event.target.is_empty()).then(|| event.target.clone()))
        .category(UNCATEGORIZED.to_owned());
    Some(NewSpan::new(span))
}

/// Returns the agent of an event, and the event's name without the prefix. Some name the event in
/// its body.
fn agent_of(event: &LogEvent) -> Option<(&'static Agent, &str)> {
    AGENTS.iter().find_map(|agent| {
        let named = [&event.name, &event.message]
            .into_iter()
            .find_map(|name| name.strip_prefix(agent.prefix));
        let of_scope = || {
            let is_scope = !agent.scope.is_empty() && event.target.starts_with(agent.scope);
            (is_scope && !event.name.is_empty()).then_some(event.name.as_str())
        };
        Some((agent, named.or_else(of_scope)?))
    })
}

/// The data of an event about a model call or a tool call.
struct Call {
    is_tool: bool,
    /// The provider, if the event names it.
    provider: Option<String>,
    name: String,
    subject: Option<String>,
    failed: bool,
    error: Option<String>,
    error_type: Option<String>,
    nanos: i64,
    /// Input, output, read from a cache, written to one, reasoning.
    tokens: [Option<u64>; 5],
    cost: Option<f64>,
    call_id: Option<String>,
    response_id: Option<String>,
    content: [Option<Value>; 2],
}

impl Call {
    /// Returns `None` if the event only belongs to a call that another event reports.
    fn read(fields: &mut EventAttributes, agent: &Agent, meaning: EventMeaning, name: &str) -> Option<Self> {
        let error = fields.take_text(&["error", "error.message", "error_message"]);
        let code = fields.take_text(&["status_code", "http.response.status_code"]);
        let kind = fields.take_text(&["error_type", "error.type"]);
        let is_bad = |code: &String| code.parse::<u32>().is_ok_and(|code| code >= 400);
        let succeeded = fields.take_text(&["success"]);
        // Cancelling a tool is not an error.
        let was_cancelled = fields.0.get("status").and_then(Value::as_str) == Some("cancelled");
        let says_no = !was_cancelled && succeeded.is_some_and(|word| word.eq_ignore_ascii_case("false"));
        let says_error = error
            .as_deref()
            .is_some_and(|error| !matches!(error, "" | "undefined"));
        let failed = says_no || says_error || name.ends_with("_error") || code.as_ref().is_some_and(is_bad);
        match meaning {
            EventMeaning::Request if !failed => return None,
            EventMeaning::Chunk => {
                let kind = fields.0.get("event.kind").and_then(Value::as_str);
                let is_last = matches!(kind, Some("response.completed" | "response.failed"));
                if !is_last {
                    return None;
                }
            }
            _ => {}
        }
        let is_tool = meaning == EventMeaning::Tool;
        let subject = match is_tool {
            true => fields.take_text(&["tool_name", "function_name"]),
            false => fields.take_text(&["model", A::RequestModel.name()]),
        };
        let operation = if is_tool { "execute_tool" } else { "chat" };
        let millis = fields.take_number(&["duration_ms"]).unwrap_or(0.0);
        let mut tokens = [
            ["input_tokens", "input_token_count"],
            ["output_tokens", "output_token_count"],
            ["cache_read_tokens", "cached_token_count"],
            ["cache_creation_tokens", "cache_write_token_count"],
            ["reasoning_tokens", "reasoning_token_count"],
        ]
        .map(|names| if is_tool { None } else { fields.take_count(&names) });
        if !is_tool {
            tokens[2] = tokens[2].or_else(|| fields.take_count(&["cached_content_token_count"]));
            tokens[4] = tokens[4].or_else(|| fields.take_count(&["thoughts_token_count"]));
        }
        let total = if is_tool {
            None
        } else {
            fields.take_count(&["total_token_count"])
        };
        let [input, output, read, written, reasoning] = &mut tokens;
        let counted = input.unwrap_or(0).saturating_add(output.unwrap_or(0));
        let excludes_reasoning = match (total, reasoning.unwrap_or(0)) {
            (Some(total), 1..) if total == counted => false,
            (Some(total), thought @ 1..) if total == counted.saturating_add(thought) => true,
            _ => agent.excludes_reasoning,
        };
        if agent.excludes_cached {
            let cached = read.unwrap_or(0).saturating_add(written.unwrap_or(0));
            *input = input.map(|input| input.saturating_add(cached));
        }
        if excludes_reasoning {
            *output = output.map(|output| output.saturating_add(reasoning.unwrap_or(0)));
        }
        Some(Self {
            is_tool,
            provider: fields.take_text(&["provider"]).filter(|_| !is_tool),
            name: match &subject {
                Some(subject) => format!("{operation} {subject}"),
                None => operation.to_owned(),
            },
            subject,
            failed,
            error_type: kind.or(code).filter(|_| failed),
            error: error.filter(|_| failed),
            nanos: nanos(millis),
            tokens,
            cost: fields.take_number(&["cost_usd"]).filter(|_| !is_tool),
            call_id: fields.take_text(&["tool_use_id", "call_id"]),
            response_id: fields.take_text(&["response_id"]).filter(|_| !is_tool),
            content: match is_tool {
                true => [
                    fields.take(&[
                        "tool_input",
                        "tool_parameters",
                        "arguments",
                        "function_args",
                        "tool_args",
                    ]),
                    fields.take(&["output"]),
                ],
                false => [None, None],
            },
        })
    }

    /// Returns the attributes under the conventions' names. A call in one of the agent's own traces
    /// is part of that trace's run, so it gets no id of a run.
    fn attributes(
        &self,
        agent: &Agent,
        service: &str,
        session: Option<&str>,
        is_in_trace: bool,
    ) -> Attributes {
        let mut attributes = Attributes::new();
        let mut set = |meaning: A, value: Option<Value>| {
            if let Some(value) = value {
                attributes.set(meaning.name(), value);
            }
        };
        let text = |text: &str| (!text.is_empty()).then(|| Value::from(text));
        let subject = self.subject.as_deref().and_then(text);
        match self.is_tool {
            true => {
                set(A::Operation, text("execute_tool"));
                set(A::ToolName, subject);
            }
            false => {
                set(A::Operation, text("chat"));
                set(
                    A::Provider,
                    text(self.provider.as_deref().unwrap_or(agent.provider)),
                );
                set(A::RequestModel, subject);
            }
        }
        set(
            A::AgentName,
            text(service).or_else(|| text(agent.prefix.trim_end_matches('.'))),
        );
        set(A::TaskId, session.filter(|_| !is_in_trace).and_then(text));
        set(A::ResponseId, self.response_id.as_deref().and_then(text));
        set(A::CallId, self.call_id.as_deref().and_then(text));
        let counts = [
            A::InputTokens,
            A::OutputTokens,
            A::CacheReadTokens,
            A::CacheWriteTokens,
            A::ReasoningTokens,
        ];
        for (meaning, count) in counts.into_iter().zip(self.tokens) {
            set(meaning, count.map(Value::U64));
        }
        set(A::Cost, self.cost.map(Value::F64));
        let [arguments, result] = self.content.clone();
        set(A::ToolArguments, arguments);
        set(A::ToolResult, result);
        if self.failed {
            set(A::ErrorType, text(self.error_type.as_deref().unwrap_or("_OTHER")));
        }
        if let Some(session) = session {
            attributes.set(SESSION, session);
        }
        attributes
    }
}

/// OpenTelemetry's name of a session.
const SESSION: &str = "session.id";

/// The attributes of an event, each of which is taken once.
struct EventAttributes(Attributes);

impl EventAttributes {
    /// Returns the value under the first of these names; all of them are removed.
    fn take(&mut self, names: &[&str]) -> Option<Value> {
        let found = names.iter().find_map(|name| self.0.get(name)).cloned();
        self.0.retain(|key, _| !names.contains(&key));
        found
    }

    fn take_text(&mut self, names: &[&str]) -> Option<String> {
        self.take(names)
            .map(|value| value.to_string())
            .filter(|text| !text.is_empty())
    }

    /// Returns a number, which may be sent as a string.
    fn take_number(&mut self, names: &[&str]) -> Option<f64> {
        let number: f64 = self.take_text(names)?.trim().parse().ok()?;
        Some(number).filter(|number| number.is_finite() && *number >= 0.0)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is whole, not negative and below 2^53"
    )]
    fn take_count(&mut self, names: &[&str]) -> Option<u64> {
        const MAX: f64 = 9_007_199_254_740_992.0;
        let number = self.take_number(names)?;
        (number.fract() == 0.0 && number <= MAX).then_some(number as u64)
    }
}

/// Returns a hash of an event's contents, by which it is recognized.
fn identity_of(event: &LogEvent, name: &str) -> u128 {
    let attributes = serde_json::to_string(&event.attributes).unwrap_or_default();
    let time = event.timestamp.as_nanos().to_be_bytes();
    hash([name.as_bytes(), &time, attributes.as_bytes()])
}

fn halves(hash: u128) -> [[u8; 8]; 2] {
    let bytes = hash.to_be_bytes();
    let half = |start: usize| {
        let mut half = [0; 8];
        half.copy_from_slice(&bytes[start..start + 8]);
        half
    };
    [half(0), half(8)]
}

/// FNV-1a of 128 bits: it has to be the same in every version, which the standard library's hashes
/// are not.
fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let add = |hash: u128, byte: u8| (hash ^ u128::from(byte)).wrapping_mul(PRIME);
    parts.into_iter().fold(OFFSET, |hash, part| {
        // A terminator of each part, so that two lists never look alike.
        part.iter().copied().chain([0xff]).fold(hash, add)
    })
}

/// Milliseconds as nanoseconds, at most a month.
#[expect(clippy::cast_possible_truncation, reason = "it is at most a month")]
fn nanos(millis: f64) -> i64 {
    const MONTH: f64 = 31.0 * 86_400_000.0;
    (millis.min(MONTH) * 1e6) as i64
}
