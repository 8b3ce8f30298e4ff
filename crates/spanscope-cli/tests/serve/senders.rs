//! Published instrumentations of models and agents, run against a model server that counts its
//! responses: `usage`, runs and errors must match its counts.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use serde_json::{Value as Json, json};
use spanscope_tests::http::send_as_it_is;

use super::support::{Client, Folder, Serve, finished, json_of};

/// A running `tests/clients/senders/model_server.py`; it ends when this is dropped.
struct ModelServer {
    process: Child,
    port: u16,
}

impl ModelServer {
    fn start() -> Option<Self> {
        let mut command = Client::ModelServer.command()?;
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let port = line.trim().parse().unwrap();
        Some(Self { process, port })
    }

    /// Returns the server's counts, by model: calls, errors, input and output tokens, and cache
    /// reads.
    fn calls(&self) -> BTreeMap<String, [u64; 5]> {
        let address = ([127, 0, 0, 1], self.port).into();
        let answer = send_as_it_is(
            address,
            "GET",
            "/calls",
            "Host: 127.0.0.1\r\nConnection: close\r\n",
            "",
        );
        let mut calls = BTreeMap::new();
        for call in json_of(&answer.unwrap()).as_array().unwrap() {
            let count = |field: &str| call[field].as_u64().unwrap();
            let of: &mut [u64; 5] = calls
                .entry(call["model"].as_str().unwrap().to_owned())
                .or_default();
            let failed = u64::from(call["status"] != 200);
            let more = [1, failed, count("input"), count("output"), count("cache_read")];
            for (sum, more) in of.iter_mut().zip(more) {
                *sum += more;
            }
        }
        calls
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A store that one instrumentation sent to, and the model server's counts.
struct Sent {
    folder: Folder,
    server: Serve,
    calls: BTreeMap<String, [u64; 5]>,
}

impl Sent {
    fn by(client: Client) -> Option<Self> {
        let models = ModelServer::start()?;
        let folder = Folder::new();
        let server = folder.serve();
        let mut command = client.command()?;
        command.args([&format!("http://127.0.0.1:{}", models.port), &server.url()]);
        finished(command);
        let calls = models.calls();
        Some(Self {
            folder,
            server,
            calls,
        })
    }

    fn command_json(&self, words: &[&str]) -> Json {
        let mut command = self.folder.command(words);
        command.args(["--format", "json"]);
        serde_json::from_str(&finished(command)).unwrap()
    }

    /// Returns the command's result, in the format of [`ModelServer::calls`]. The model server
    /// responds as a dated model, which some instrumentations report in place of the requested one.
    fn usage(&self) -> BTreeMap<String, [u64; 5]> {
        let mut usage = BTreeMap::new();
        for row in self.command_json(&["usage"]).as_array().unwrap() {
            assert_eq!(row["provider"], "openai", "{row}");
            let model = row["name"].as_str().unwrap();
            let model = model.strip_suffix("-2026-01-01").unwrap_or(model);
            let cached = format!(
                "SELECT COALESCE(SUM(value), 0) AS cached FROM metrics WHERE metric = '{}'
                 AND attributes ->> '$.model_id' = '{}'",
                spanscope_model::CACHE_METRICS[0],
                row["name"].as_str().unwrap(),
            );
            let count = |field: &str| row[field].as_u64().unwrap();
            let cached = self.command_json(&["sql", &cached])[0]["cached"]
                .as_u64()
                .unwrap();
            let of = [
                count("calls"),
                count("errors"),
                count("input_tokens"),
                count("output_tokens"),
                cached,
            ];
            usage.insert(model.to_owned(), of);
        }
        usage
    }

    /// The events of all runs of a session, or of all runs.
    fn events(&self, session: Option<&str>) -> Vec<Json> {
        let words = match session {
            Some(session) => vec!["runs", "--session", session],
            None => vec!["runs"],
        };
        let mut events = Vec::new();
        for run in self.command_json(&words).as_array().unwrap() {
            let path = format!("/traces/{}/events?level=debug", run["task_id"].as_str().unwrap());
            events.extend(
                json_of(&self.server.get(&path))["events"]
                    .as_array()
                    .unwrap()
                    .clone(),
            );
        }
        events
    }
}

/// The contents of events of one type, each once.
fn contents(events: &[Json], event_type: &str, of: &str) -> BTreeSet<String> {
    events
        .iter()
        .filter(|event| event["event_type"] == event_type)
        .map(|event| {
            let content = event.pointer(of).unwrap_or(&Json::Null);
            content
                .as_str()
                .map_or_else(|| content.to_string(), str::to_owned)
        })
        .collect()
}

fn set<const N: usize>(texts: [&str; N]) -> BTreeSet<String> {
    texts.map(str::to_owned).into()
}

#[test]
fn spans_of_openinference_match_the_model_server() {
    let Some(sent) = Sent::by(Client::OpenInference) else {
        return;
    };
    assert_eq!(sent.usage(), sent.calls);
    assert_eq!(sent.calls["missing"], [1, 1, 0, 0, 0]);
    let events = sent.events(Some("session-openinference"));
    assert_eq!(
        contents(&events, "message_generated", "/outputs/content"),
        set([
            "The answer to: What is the weather in Oslo?",
            "The answer to: Say something",
        ])
    );
    let calls = events
        .iter()
        .filter_map(|event| event.pointer("/outputs/messages/0/tool_calls/0/function"));
    let calls: BTreeSet<String> = calls.map(Json::to_string).collect();
    assert_eq!(
        calls,
        set([&json!({"name": "weather", "arguments": {"city": "Oslo"}}).to_string()])
    );
    let failed = sent.command_json(&["traces", "--errors"]);
    assert_eq!(failed.as_array().unwrap().len(), 1, "{failed}");
    sent.server.stop();
}

#[test]
fn spans_of_pydantic_ai_match_the_model_server() {
    let Some(sent) = Sent::by(Client::PydanticAi) else {
        return;
    };
    assert_eq!(sent.usage(), sent.calls);
    let events = sent.events(Some("session-pydantic"));
    for (event_type, of, is) in [
        (
            "message_generated",
            "/outputs/content",
            "The answer to: What is the weather in Oslo?",
        ),
        ("tool_call_started", "/inputs/arguments/city", "Oslo"),
        ("tool_call_completed", "/outputs/result", "12 degrees, rain"),
    ] {
        assert_eq!(
            contents(&events, event_type, of),
            set([is]),
            "{event_type}: {events:#?}"
        );
    }
    let by_agent = sent.command_json(&["usage", "--by", "agent"]);
    let calls = |agent: &str| {
        let mut rows = by_agent.as_array().unwrap().iter();
        rows.find(|row| row["name"] == agent)
            .map(|row| row["calls"].clone())
    };
    assert_eq!(calls("planner"), Some(2.into()), "{by_agent}");
    assert_eq!(calls("lost"), Some(1.into()), "{by_agent}");
    let failed = sent.command_json(&["runs", "--status", "failed"]);
    let agents: BTreeSet<&str> = failed
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["agent_id"].as_str().unwrap())
        .collect();
    assert_eq!(agents, ["careless", "lost"].into());
    let tools = sent.command_json(&["spans", "--errors", "--where", "gen_ai.tool.name=broken"]);
    assert_eq!(tools.as_array().unwrap().len(), 1, "{tools}");
    sent.server.stop();
}

#[test]
fn spans_of_the_vercel_ai_sdk_match_the_model_server() {
    let Some(sent) = Sent::by(Client::VercelAi) else {
        return;
    };
    assert_eq!(sent.usage(), sent.calls);
    let events = sent.events(Some("session-vercel"));
    for (event_type, of, is) in [
        (
            "message_generated",
            "/outputs/content",
            "The answer to: What is the weather in Oslo?",
        ),
        ("tool_call_started", "/inputs/arguments/city", "Oslo"),
        ("tool_call_completed", "/outputs/result", "12 degrees, rain"),
    ] {
        let found = contents(&events, event_type, of);
        assert!(found.contains(is), "{event_type}: {found:?}");
    }
    let failed = sent.command_json(&["traces", "--errors"]);
    assert_eq!(failed.as_array().unwrap().len(), 1, "{failed}");
    sent.server.stop();
}
