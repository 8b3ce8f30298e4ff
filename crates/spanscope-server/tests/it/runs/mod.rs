//! Agent traces over HTTP: responses about runs, and streams while they are running.

mod answers;
mod helper;
mod live;
mod refusals;
mod unusual;

use spanscope_model::{
    NewRecords, NewSpan, SourceRecords, Span, SpanId, SpanState, SpanStatus, Timestamp, TraceId, TraceStore,
    block_on,
};

use crate::running::Open;
use crate::wire::{Ask, Connection};

pub(super) const MS: i64 = 1_000_000;

pub(super) fn trace_id(number: u128) -> TraceId {
    TraceId::from_bytes(number.to_be_bytes()).unwrap()
}

pub(super) fn span_id(number: u64) -> SpanId {
    SpanId::from_bytes(number.to_be_bytes()).unwrap()
}

pub(super) fn ago(ms: i64) -> Timestamp {
    Timestamp::from_nanos(Timestamp::now().as_nanos() - ms * MS)
}

/// A span that started this many milliseconds ago with this duration; parent 0 means none.
pub(super) fn span(trace: u128, id: u64, parent: u64, name: &str, began: i64, took: i64) -> Span {
    let start = ago(began);
    Span::new(trace_id(trace), span_id(id), name, start)
        .parent_span_id((parent != 0).then(|| span_id(parent)))
        .end_time(Timestamp::from_nanos(start.as_nanos() + took * MS))
        .status(SpanStatus::Ok)
        .state(SpanState::Ended)
}

pub(super) trait With: Sized {
    fn with(self, attributes: &[(&str, &str)]) -> Self;
    fn running(self) -> Self;
    fn failed(self, why: &str) -> Self;
}

impl With for Span {
    fn with(mut self, attributes: &[(&str, &str)]) -> Self {
        for (key, value) in attributes {
            self.attributes.set(*key, *value);
        }
        self
    }

    fn running(mut self) -> Self {
        self.end_time = None;
        self.status = None;
        self.state(SpanState::Running)
    }

    fn failed(self, why: &str) -> Self {
        self.status(SpanStatus::Error).status_message(why.to_owned())
    }
}

/// The root of a run.
pub(super) fn agent(trace: u128, task: &str, began: i64, took: i64) -> Span {
    span(trace, 1, 0, "invoke_agent librarian", began, took).with(&[
        ("gen_ai.operation.name", "invoke_agent"),
        ("gen_ai.agent.name", "librarian"),
        ("task_id", task),
        ("session_id", "s-1"),
        ("user_id", "ada"),
    ])
}

pub(super) fn tool(trace: u128, id: u64, name: &str, began: i64, took: i64) -> Span {
    span(trace, id, 1, &format!("execute_tool {name}"), began, took).with(&[
        ("gen_ai.operation.name", "execute_tool"),
        ("gen_ai.tool.name", name),
    ])
}

pub(super) fn store(db: &dyn TraceStore, spans: Vec<Span>) {
    let spans = spans.into_iter().map(NewSpan::new);
    let records = NewRecords::default().sources(vec![SourceRecords::default().spans(spans.collect())]);
    block_on(db.store(records)).unwrap();
}

/// One event of a stream.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sent {
    pub(super) id: String,
    pub(super) data: String,
}

impl Sent {
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {}", self.data))
    }

    /// Returns its id in its run; `[DONE]` for the final message.
    pub(super) fn event_id(&self) -> String {
        match self.data.as_str() {
            "[DONE]" => "[DONE]".to_owned(),
            _ => self.json()["data"]["event_id"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        }
    }
}

/// A client of a stream.
pub(super) struct Stream {
    pub(super) connection: Connection,
    text: String,
    pub(super) comments: Vec<String>,
}

impl Stream {
    pub(super) fn open(open: &Open, path: &str, last_id: Option<&str>) -> Self {
        let mut ask = Ask::get(path);
        if let Some(id) = last_id {
            ask = ask.header("Last-Event-ID", id);
        }
        Self::ask(open, &ask)
    }

    pub(super) fn ask(open: &Open, ask: &Ask) -> Self {
        let mut connection = Connection::open(open.address);
        connection.send(&ask.bytes());
        let head = connection.head().unwrap();
        assert_eq!(head.status, 200, "{head:?}");
        assert!(
            head.header("content-type")
                .unwrap()
                .starts_with("text/event-stream")
        );
        Self {
            connection,
            text: String::new(),
            comments: Vec::new(),
        }
    }

    /// Returns the next event; `None` when the stream has ended.
    pub(super) fn next(&mut self) -> Option<Sent> {
        loop {
            while let Some((frame, rest)) = self.text.split_once("\n\n") {
                let (frame, rest) = (frame.to_owned(), rest.to_owned());
                self.text = rest;
                let mut sent = Sent {
                    id: String::new(),
                    data: String::new(),
                };
                for line in frame.lines() {
                    match line.split_once(": ") {
                        Some(("id", id)) => sent.id = id.to_owned(),
                        Some(("data", data)) => sent.data = data.to_owned(),
                        Some(("", comment)) => self.comments.push(comment.to_owned()),
                        Some(("retry", _)) => {}
                        _ => panic!("{line:?}"),
                    }
                }
                if !sent.data.is_empty() {
                    return Some(sent);
                }
            }
            let chunk = self.connection.chunk()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    pub(super) fn all(mut self) -> Vec<Sent> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

pub(super) fn ids(sent: &[Sent]) -> Vec<String> {
    sent.iter().map(Sent::event_id).collect()
}
