//! The agent's two tools: a calculator that works, and a weather service that is down.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, header};
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tracing::{Span, error, info, instrument};

use crate::calculator::{self, CalculatorError};
use crate::http::{self, Place};
use crate::wire::{Function, FunctionCall, Tool, ToolCall};

/// How long the weather service may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a tool has no result.
#[derive(Debug)]
pub(crate) enum ToolError {
    /// The model requested a tool that does not exist.
    Unknown(String),
    /// The model left out an argument.
    Argument(&'static str),
    /// The calculator's own error.
    Calculator(CalculatorError),
    /// The weather service is unreachable or its response is invalid.
    Weather {
        /// The requested place.
        city: String,
        /// The cause.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "there is no tool named {name:?}"),
            Self::Argument(name) => write!(f, "the argument {name:?} is missing"),
            Self::Calculator(_) => f.write_str("can't calculate this"),
            Self::Weather { city, .. } => write!(f, "no weather for {city}"),
        }
    }
}

impl Error for ToolError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unknown(_) | Self::Argument(_) => None,
            Self::Calculator(source) => Some(source),
            Self::Weather { source, .. } => Some(&**source),
        }
    }
}

impl ToolError {
    /// A low-cardinality name for the kind of error, as `error.type` needs it.
    fn type_name(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "unknown_tool",
            Self::Argument(_) => "missing_argument",
            Self::Calculator(_) => "calculator",
            Self::Weather { .. } => "weather_unavailable",
        }
    }
}

/// The tools that the agent has.
#[derive(Debug)]
pub(crate) struct Toolbox {
    weather: Place,
    /// Holds the weather service's port without listening on it, so that every connection is
    /// refused and no other program can take the port meanwhile.
    _closed: TcpSocket,
}

impl Toolbox {
    /// Reserves a port on loopback without listening, for the weather service that is down.
    pub(crate) fn new() -> std::io::Result<Self> {
        let closed = TcpSocket::new_v4()?;
        closed.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        Ok(Self {
            weather: closed.local_addr()?.into(),
            _closed: closed,
        })
    }

    /// Returns the tools' definitions for the model.
    pub(crate) fn definitions(&self) -> Vec<Tool> {
        let tool = |name: &str, description: &str, argument: &str| Tool {
            kind: "function".to_owned(),
            function: Function {
                name: name.to_owned(),
                description: description.to_owned(),
                parameters: json!({
                    "type": "object",
                    "properties": { argument: { "type": "string" } },
                    "required": [argument],
                }),
            },
        };
        vec![
            tool("calculator", "Evaluates arithmetic", "expression"),
            tool("weather", "The weather in a city right now", "city"),
        ]
    }

    /// Runs all calls at the same time; the results are in the order of the calls.
    pub(crate) async fn run_all<'a>(
        &self,
        calls: &'a [ToolCall],
    ) -> Vec<(&'a ToolCall, Result<String, ToolError>)> {
        match calls {
            [] => Vec::new(),
            [call] => vec![(call, self.run(call).await)],
            [call, rest @ ..] => {
                let (first, others) = tokio::join!(self.run(call), Box::pin(self.run_all(rest)));
                let mut results = vec![(call, first)];
                results.extend(others);
                results
            }
        }
    }

    #[instrument(
        target = "tool_runtime", name = "execute_tool", skip_all,
        fields(
            otel.name = format!("execute_tool {}", call.function.name),
            gen_ai.operation.name = "execute_tool",
            gen_ai.tool.name = call.function.name,
            gen_ai.tool.type = "function",
            gen_ai.tool.call.id = call.id,
            gen_ai.tool.call.arguments = call.function.arguments,
            gen_ai.tool.call.result,
            error.type,
        )
    )]
    async fn run(&self, call: &ToolCall) -> Result<String, ToolError> {
        let result = self.dispatch(&call.function).await;
        let span = Span::current();
        match &result {
            Ok(text) => {
                span.record("gen_ai.tool.call.result", text.as_str());
                info!(target: "tool_runtime", bytes = text.len(), "the tool has a result");
            }
            Err(failure) => {
                span.record("error.type", failure.type_name());
                // An event at ERROR level makes the span's status `error`.
                error!(target: "tool_runtime", error = failure as &(dyn Error + 'static), "the tool failed");
            }
        }
        result
    }

    async fn dispatch(&self, call: &FunctionCall) -> Result<String, ToolError> {
        let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
        let argument = |name: &'static str| arguments[name].as_str().ok_or(ToolError::Argument(name));
        match call.name.as_str() {
            "calculator" => {
                let value = calculator::evaluate(argument("expression")?).map_err(ToolError::Calculator)?;
                Ok(json!({ "value": value }).to_string())
            }
            "weather" => {
                let city = argument("city")?;
                self.weather(city).await.map_err(|source| ToolError::Weather {
                    city: city.to_owned(),
                    source,
                })
            }
            other => Err(ToolError::Unknown(other.to_owned())),
        }
    }

    #[instrument(
        target = "tool_runtime", name = "GET", skip_all, err,
        fields(
            otel.kind = "client",
            http.request.method = "GET",
            server.address = "127.0.0.1",
            server.port = self.weather.port,
            http.response.status_code,
        )
    )]
    async fn weather(&self, city: &str) -> Result<String, Box<dyn Error + Send + Sync>> {
        let request = Request::builder()
            .method(Method::GET)
            .uri("/v1/weather")
            .header(header::HOST, self.weather.to_string())
            .header("x-city", city)
            .body(Full::<Bytes>::default())?;
        let response = http::send(&self.weather, request, PATIENCE).await?;
        Span::current().record("http.response.status_code", response.status().as_u16());
        let body = response.collect().await?.to_bytes();
        Ok(String::from_utf8(body.to_vec())?)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn call(name: &str, arguments: Value) -> ToolCall {
        ToolCall {
            index: None,
            id: format!("call_{name}"),
            kind: "function".to_owned(),
            function: FunctionCall {
                name: name.to_owned(),
                arguments: arguments.to_string(),
            },
        }
    }

    #[tokio::test]
    async fn one_tool_works_and_the_other_fails_with_its_causes() {
        let calls = [
            call("weather", json!({ "city": "Reykjavik" })),
            call("calculator", json!({ "expression": "6*7" })),
        ];
        let toolbox = Toolbox::new().unwrap();
        let results = toolbox.run_all(&calls).await;
        let names: Vec<_> = results
            .iter()
            .map(|(call, _)| call.function.name.as_str())
            .collect();
        assert_eq!(names, ["weather", "calculator"], "in the order of the calls");
        let failure = results[0].1.as_ref().unwrap_err();
        assert_eq!(failure.to_string(), "no weather for Reykjavik");
        let cause = failure.source().unwrap();
        assert!(cause.to_string().starts_with("can't connect to 127.0.0.1:"));
        assert!(cause.source().unwrap().is::<std::io::Error>());
        assert_eq!(results[1].1.as_ref().unwrap(), r#"{"value":42.0}"#);
    }

    #[tokio::test]
    async fn an_invalid_call_is_an_error() {
        let toolbox = Toolbox::new().unwrap();
        for (call, message) in [
            (call("oracle", json!({})), r#"there is no tool named "oracle""#),
            (
                call("calculator", json!({})),
                r#"the argument "expression" is missing"#,
            ),
            (
                call("calculator", json!({ "expression": "1/0" })),
                "can't calculate this",
            ),
        ] {
            assert_eq!(toolbox.run(&call).await.unwrap_err().to_string(), message);
        }
    }
}
