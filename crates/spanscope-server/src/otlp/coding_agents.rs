//! Coding agents that tell of their calls in log events alone: Claude Code, Codex, the Gemini CLI.
//!
//! They send no spans by default, and usage, runs and errors are read from spans. So each event that tells of a
//! call of a model or of a tool also becomes a span, in a trace of its session, with the conventions' names. The
//! event stays what it is, and is logged in that span. Events of a trace are left alone: there the agent sends
//! its spans itself, which tell the same.
//!
//! Ids are made of what an event says, so one that is sent again is the same span, in any process and after a
//! restart. The number that some agents count their events by is no part of them: it begins anew.

use spanscope_model::semconv::SemanticAttribute as A;
use spanscope_model::{
    Attributes, LogEvent, NewSpan, Span, SpanId, SpanKind, SpanState, SpanStatus, Timestamp, TraceId,
    UNCATEGORIZED, Value, wire,
};

/// An agent and what its events tell.
struct Agent {
    /// Goes before the names of its events.
    prefix: &'static str,
    /// The scope of events whose names lack it; empty where none do.
    scope: &'static str,
    /// Who runs its models, as OpenTelemetry spells it.
    provider: &'static str,
    /// Its counts of input are without what was read from a cache and written to one.
    excludes_cached: bool,
    /// Its counts of output are without reasoning.
    excludes_reasoning: bool,
    events: &'static [(&'static str, Told)],
}

/// What an event tells.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    /// A call of a model that ended.
    Call,
    /// A request to a model, whose end another event tells unless it failed.
    Request,
    /// A step of an answer, of which the last one tells what the call used.
    Chunk,
    /// A run of a tool.
    Tool,
}

/// <https://code.claude.com/docs/en/monitoring-usage>, <https://developers.openai.com/codex/config-advanced>,
/// <https://github.com/google-gemini/gemini-cli/blob/main/docs/cli/telemetry.md>, <https://github.com/QwenLM/qwen-code>.
const AGENTS: [Agent; 4] = [
    Agent {
        prefix: "claude_code.",
        scope: "com.anthropic.claude_code",
        provider: "anthropic",
        excludes_cached: true,
        excludes_reasoning: false,
        events: &[
            ("api_request", Told::Call),
            ("api_error", Told::Call),
            ("tool_result", Told::Tool),
        ],
    },
    Agent {
        prefix: "codex.",
        scope: "",
        provider: "openai",
        excludes_cached: false,
        excludes_reasoning: false,
        events: &[
            ("sse_event", Told::Chunk),
            ("api_request", Told::Request),
            ("tool_result", Told::Tool),
        ],
    },
    Agent {
        prefix: "gemini_cli.",
        scope: "",
        provider: "gcp.gemini",
        excludes_cached: false,
        excludes_reasoning: true,
        events: GEMINI,
    },
    // A descendant of the Gemini CLI.
    Agent {
        prefix: "qwen-code.",
        scope: "",
        provider: "",
        excludes_cached: false,
        excludes_reasoning: true,
        events: GEMINI,
    },
];

const GEMINI: &[(&str, Told)] = &[
    ("api_response", Told::Call),
    ("api_error", Told::Call),
    ("tool_call", Told::Tool),
];

/// Gives an event of a coding agent the ids of its session, and returns the span that it tells of, if it does.
pub(super) fn span_of(event: &mut LogEvent, service: &str) -> Option<NewSpan> {
    let (agent, name) = agent_of(event)?;
    if event.trace_id.is_some() {
        return None;
    }
    let name = name.to_owned();
    let mut said = Said(event.attributes.clone());
    let session = said.take_text(&["session.id", "conversation.id", "session_id"]);
    let told = agent.events.iter().find(|(known, _)| *known == name);
    let identity = identity_of(event, &name);
    let of_session = |session: &String| hash([agent.prefix, service, session.as_str()].map(str::as_bytes));
    event.trace_id = session
        .as_ref()
        .map(of_session)
        .or_else(|| told.map(|_| identity))
        .and_then(|hash| TraceId::from_bytes(hash.to_be_bytes()));
    let call = Call::read(&mut said, agent, told?.1, &name)?;
    let trace_id = event.trace_id?;
    let [half, _] = halves(identity);
    let span_id = SpanId::from_bytes(half)?;
    event.span_id = Some(span_id);
    let mut attributes = call.attributes(agent, service, session.as_deref());
    if let Some(user) = said.take_text(&["user.id", "user.account_uuid", "user.account_id"]) {
        attributes.set(A::UserId.names()[1].name, user);
    }
    // Names of the event alone.
    said.0
        .retain(|key, _| key != wire::EVENT_NAME && key != "event.kind");
    for (key, value) in said.0.iter() {
        attributes.set(key, value.clone());
    }
    attributes.set(wire::READ_FROM, format!("{}{name}", agent.prefix));
    let start = event.timestamp.as_nanos().saturating_sub(call.nanos);
    let span = Span {
        // No span of the session is sent, so none is stored: as long as steps come, more may.
        parent_span_id: SpanId::from_bytes(halves(hash([trace_id.to_bytes().as_slice()]))[0]),
        end_time: Some(event.timestamp),
        attributes,
        status: Some(if call.failed {
            SpanStatus::Error
        } else {
            SpanStatus::Ok
        }),
        status_message: call.error,
        kind: if call.is_tool {
            SpanKind::Internal
        } else {
            SpanKind::Client
        },
        state: SpanState::Ended,
        target: (!event.target.is_empty()).then(|| event.target.clone()),
        category: Some(UNCATEGORIZED.to_owned()),
        ..Span::new(trace_id, span_id, call.name, Timestamp::from_nanos(start))
    };
    Some(NewSpan {
        span,
        events: Vec::new(),
        expires: None,
    })
}

/// The agent that an event is of, and its name without what goes before it. Some name the event in its body.
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

/// What an event says about a call or a tool.
struct Call {
    is_tool: bool,
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
    content: [Option<Value>; 2],
}

impl Call {
    /// `None` where the event only belongs to a call that another one tells.
    fn read(said: &mut Said, agent: &Agent, told: Told, name: &str) -> Option<Self> {
        let error = said.take_text(&["error", "error.message", "error_message"]);
        let code = said.take_text(&["status_code", "http.response.status_code"]);
        let kind = said.take_text(&["error_type", "error.type"]);
        let is_bad = |code: &String| code.parse::<u32>().is_ok_and(|code| code >= 400);
        let succeeded = said.take_text(&["success"]);
        let says_no = succeeded.is_some_and(|word| word.eq_ignore_ascii_case("false"));
        let says_error = error
            .as_deref()
            .is_some_and(|error| !matches!(error, "" | "undefined"));
        let failed = says_no || says_error || name.ends_with("_error") || code.as_ref().is_some_and(is_bad);
        match told {
            Told::Request if !failed => return None,
            Told::Chunk => {
                let kind = said.0.get("event.kind").and_then(Value::as_str);
                let is_last = matches!(kind, Some("response.completed" | "response.failed"));
                if !is_last {
                    return None;
                }
            }
            _ => {}
        }
        let is_tool = told == Told::Tool;
        let subject = match is_tool {
            true => said.take_text(&["tool_name", "function_name"]),
            false => said.take_text(&["model", A::RequestModel.name()]),
        };
        let operation = if is_tool { "execute_tool" } else { "chat" };
        let millis = said.take_number(&["duration_ms"]).unwrap_or(0.0);
        let mut tokens = [
            ["input_tokens", "input_token_count"],
            ["output_tokens", "output_token_count"],
            ["cache_read_tokens", "cached_token_count"],
            ["cache_creation_tokens", "cache_write_token_count"],
            ["reasoning_tokens", "reasoning_token_count"],
        ]
        .map(|names| if is_tool { None } else { said.take_count(&names) });
        if !is_tool {
            tokens[2] = tokens[2].or_else(|| said.take_count(&["cached_content_token_count"]));
            tokens[4] = tokens[4].or_else(|| said.take_count(&["thoughts_token_count"]));
        }
        let [input, output, read, written, reasoning] = &mut tokens;
        if agent.excludes_cached {
            let cached = read.unwrap_or(0).saturating_add(written.unwrap_or(0));
            *input = input.map(|input| input.saturating_add(cached));
        }
        if agent.excludes_reasoning {
            *output = output.map(|output| output.saturating_add(reasoning.unwrap_or(0)));
        }
        Some(Self {
            is_tool,
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
            cost: said.take_number(&["cost_usd"]).filter(|_| !is_tool),
            call_id: said.take_text(&["tool_use_id", "call_id"]),
            content: match is_tool {
                true => [
                    said.take(&["tool_input", "tool_parameters", "arguments", "function_args"]),
                    said.take(&["output"]),
                ],
                false => [None, None],
            },
        })
    }

    /// The same in the conventions' names.
    fn attributes(&self, agent: &Agent, service: &str, session: Option<&str>) -> Attributes {
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
                set(A::Provider, text(agent.provider));
                set(A::RequestModel, subject);
            }
        }
        set(
            A::AgentName,
            text(service).or_else(|| text(agent.prefix.trim_end_matches('.'))),
        );
        set(A::TaskId, session.and_then(text));
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

/// The attributes of an event, of which each is taken once.
struct Said(Attributes);

impl Said {
    /// The value under the first of these names; all of them are taken.
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

    /// A number, also where it is written as a text.
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

/// A hash of what an event says, by which it is known again.
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

/// FNV-1a of 128 bits: it has to be the same in every version, which hashes of the standard library are not.
fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let add = |hash: u128, byte: u8| (hash ^ u128::from(byte)).wrapping_mul(PRIME);
    parts.into_iter().fold(OFFSET, |hash, part| {
        // What ends a part, so that two never look like one.
        part.iter().copied().chain([0xff]).fold(hash, add)
    })
}

/// Milliseconds as nanoseconds, at most a month.
#[expect(clippy::cast_possible_truncation, reason = "it is at most a month")]
fn nanos(millis: f64) -> i64 {
    const MONTH: f64 = 31.0 * 86_400_000.0;
    (millis.min(MONTH) * 1e6) as i64
}
