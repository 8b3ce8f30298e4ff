//! `rig-core` and the agents of `rig-agent`: the spans `chat`, `chat_streaming`, `execute_tool` and
//! `invoke_agent`.
//!
//! `invoke_agent` repeats the sum of its calls. The spans of a streamed agent are below it; those
//! of a non-streaming agent are its siblings, so that only its own attributes show that its sum is
//! not a call's.

use std::io;

use futures_util::StreamExt;
use rig_agent::Agent;
use rig_agent::client::AgentClientExt;
use rig_agent::completion::Prompt;
use rig_agent::streaming::StreamingPrompt;
use rig_core::client::CompletionClient;
use rig_core::completion::CompletionModel;
use rig_core::providers::openai::CompletionsClient;
use rig_core::tool::PortableTool;
use serde::Deserialize;
use serde_json::{Value, json};
use spanscope_layers::metrics::{AGENT_DURATION, TOOL_DURATION};
use tracing::{Instrument, info_span};

use super::support::{MODEL, ModelServer, QUESTION, SYSTEM, block_on_outside, client, measure, usage_of};

fn rig(server: &ModelServer) -> CompletionsClient {
    CompletionsClient::builder()
        .api_key("no key")
        .base_url(server.base_url())
        .http_client(client())
        .build()
        .unwrap()
}

fn conversation(question: &str) -> Vec<Value> {
    vec![
        json!({ "role": "system", "content": SYSTEM }),
        json!({ "role": "user", "content": question }),
    ]
}

#[test]
fn a_whole_completion_counts_what_the_server_reported() {
    let server = ModelServer::start();
    let measured = measure(async {
        let model = rig(&server).completion_model(MODEL);
        let request = model.completion_request(QUESTION).preamble(SYSTEM.to_owned());
        request.send().await.unwrap();
    });
    let answer = block_on_outside(server.ask(&json!({ "model": MODEL, "messages": conversation(QUESTION) })));
    measured.assert_counted("openai", &[usage_of(&answer)]);
}

#[test]
fn a_streamed_completion_counts_what_the_server_reported() {
    let server = ModelServer::start();
    let measured = measure(async {
        let model = rig(&server).completion_model(MODEL);
        let request = model.completion_request(QUESTION).preamble(SYSTEM.to_owned());
        let mut stream = request.stream().await.unwrap();
        while let Some(piece) = stream.next().await {
            piece.unwrap();
        }
    });
    let answer = block_on_outside(server.ask(&json!({ "model": MODEL, "messages": conversation(QUESTION) })));
    measured.assert_counted("openai", &[usage_of(&answer)]);
}

/// Makes the model call [`Weather`].
pub(crate) const WEATHER: &str = "What is the weather in Paris?";

#[derive(Debug)]
pub(crate) struct Weather;

#[derive(Debug, Deserialize)]
pub(crate) struct WeatherArgs {
    city: String,
}

pub(crate) fn forecast(city: &str) -> Value {
    json!({ "sky": format!("sunny in {city}") })
}

impl PortableTool for Weather {
    const NAME: &'static str = "weather";
    type Args = WeatherArgs;
    type Output = Value;
    type Error = io::Error;

    fn description(&self) -> String {
        "The weather of a city".to_owned()
    }

    fn parameters(&self) -> Value {
        json!({
            "type": "object",
            "properties": { "city": { "type": "string" } },
            "required": ["city"],
        })
    }

    async fn call(&self, arguments: WeatherArgs) -> io::Result<Value> {
        match arguments.city.as_str() {
            "Atlantis" => Err(io::Error::other("sunken")),
            city => Ok(forecast(city)),
        }
    }
}

fn forecaster(server: &ModelServer) -> Agent {
    forecaster_with_content(server, false)
}

/// The same agent, which can also record its content.
pub(crate) fn forecaster_with_content(server: &ModelServer, content: bool) -> Agent {
    rig(server)
        .agent(MODEL)
        .name("forecaster")
        .preamble(SYSTEM)
        .tool(Weather)
        .record_content_telemetry(content)
        .build()
}

/// Sends the forecaster's two calls without the crate, and returns their usage.
pub(crate) async fn usage_without_rig(server: &ModelServer) -> [[i64; 3]; 2] {
    let tool = json!({
        "name": Weather::NAME,
        "description": Weather.description(),
        "parameters": Weather.parameters(),
    });
    let tools = json!([{ "type": "function", "function": tool }]);
    let mut messages = conversation(WEATHER);
    let first = server
        .ask(&json!({ "model": MODEL, "messages": messages, "tools": tools }))
        .await;
    let tool_request = &first["choices"][0]["message"];
    messages.push(tool_request.clone());
    messages.push(json!({
        "role": "tool",
        "tool_call_id": tool_request["tool_calls"][0]["id"],
        "content": forecast("Paris").to_string(),
    }));
    let second = server
        .ask(&json!({ "model": MODEL, "messages": messages, "tools": tools }))
        .await;
    [usage_of(&first), usage_of(&second)]
}

#[test]
fn an_agent_counts_each_of_its_calls_and_not_their_sum() {
    let server = ModelServer::start();
    let measured = measure(async {
        let answer = forecaster(&server).prompt(WEATHER).max_turns(3).await.unwrap();
        assert!(answer.contains("sunny in Paris"), "{answer}");
    });
    let calls = block_on_outside(usage_without_rig(&server));
    measured.assert_counted("openai", &calls);
    measured.assert_one_labelled(AGENT_DURATION, "gen_ai.agent.name", "forecaster");
    measured.assert_one_labelled(TOOL_DURATION, "gen_ai.tool.name", Weather::NAME);
}

#[test]
fn a_streamed_agent_counts_each_of_its_calls_and_not_their_sum() {
    let server = ModelServer::start();
    let measured = measure(async {
        let mut stream = forecaster(&server).stream_prompt(WEATHER).max_turns(3).await;
        while let Some(item) = stream.next().await {
            item.unwrap();
        }
    });
    let calls = block_on_outside(usage_without_rig(&server));
    measured.assert_counted("openai", &calls);
    measured.assert_one_labelled(AGENT_DURATION, "gen_ai.agent.name", "forecaster");
    measured.assert_one_labelled(TOOL_DURATION, "gen_ai.tool.name", Weather::NAME);
}

#[test]
fn an_agent_in_a_span_of_its_user_counts_the_same() {
    let server = ModelServer::start();
    let measured = measure(async {
        let answer = async { forecaster(&server).prompt(WEATHER).max_turns(3).await.unwrap() };
        // The crate then opens no span for the agent.
        answer.instrument(info_span!("of the user")).await;
    });
    let calls = block_on_outside(usage_without_rig(&server));
    measured.assert_counted("openai", &calls);
}

#[test]
fn a_tool_that_fails_is_timed_with_its_error() {
    let server = ModelServer::start();
    let measured = measure(async {
        let question = "What is the weather in Atlantis?";
        forecaster(&server).prompt(question).max_turns(3).await.unwrap();
    });
    measured.assert_one_labelled(TOOL_DURATION, "error.type", "other");
}
