//! The web pages: files, answers, sessions, for any content and any client.

mod answers;
mod around;
mod compressed;
mod files;
mod live;
mod sessions;
mod types;

use std::sync::Arc;

use serde_json::Value;
use spanscope_model::{
    Attributes, LogEvent, NewEvent, NewRecords, NewSpan, Severity, SourceRecords, Span, SpanStatus,
    TraceStore, block_on,
};
use spanscope_server::{PageSettings, Server as Builder};
use spanscope_sqlite::SqliteStore;
use spanscope_store_tests::made::{MS, ago, failed, of, span, with};
use spanscope_tests::http::{Answer, ask, send_as_it_is};

use crate::support::Server;

/// A store with an agent's trace, which failed, a plain one, and one of an hour ago.
struct Filled {
    server: Server,
    store: Arc<dyn TraceStore>,
    _folder: tempfile::TempDir,
}

const AGENT: &str = "00000000000000000000000000000001";
const PLAIN: &str = "00000000000000000000000000000002";

fn records() -> NewRecords {
    let root = with(
        span(1, 1, 0, "invoke_agent librarian"),
        &[
            ("gen_ai.operation.name", "invoke_agent"),
            ("gen_ai.agent.name", "librarian"),
            ("session_id", "s-1"),
            ("user.id", "ann"),
        ],
    );
    let mut call = with(
        span(1, 2, 1, "chat tiny"),
        &[
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.request.model", "tiny"),
            ("long", &"é".repeat(20_000)),
            ("__proto__", "<img src=x onerror=alert(1)>"),
        ],
    );
    call.attributes.set("gen_ai.usage.input_tokens", 396);
    call.attributes.set("gen_ai.usage.output_tokens", 29);
    let mut tool = failed(with(
        span(1, 3, 1, "execute_tool weather"),
        &[("gen_ai.operation.name", "execute_tool")],
    ));
    tool.status_message = Some("weather_unavailable: no report for \"Skagen\"".to_owned());
    let mut old = span(3, 6, 0, "old");
    old.start_time = ago(3_700_000);
    old.end_time = Some(ago(3_699_000));
    let plain = vec![span(2, 4, 0, "POST /v1/chat"), span(2, 5, 99, "orphan"), old];
    let mut spans: Vec<NewSpan> = [root, call, tool].map(new_span).into();
    let logged = event(&spans[2].span, "no weather today");
    spans[2].events.push(logged);
    spans[2].events[0].event.name = "exception".to_owned();
    spans[2].events[0].event.attributes = Attributes::from_iter([
        ("exception.type", "WeatherError"),
        ("exception.message", "no report"),
        ("exception.chain", "nothing listens\nport 9"),
    ]);
    spans.extend(plain.into_iter().map(new_span));
    let mut records = SourceRecords::default().spans(spans);
    records.source.service_name = "library".to_owned();
    of(records)
}

fn new_span(span: Span) -> NewSpan {
    NewSpan::new(span)
}

fn event(span: &Span, message: &str) -> NewEvent {
    NewEvent::new(
        LogEvent::new(
            spanscope_model::Timestamp::from_nanos(span.start_time.as_nanos() + 3 * MS),
            Severity::Error,
            message,
        )
        .trace_id(span.trace_id)
        .span_id(span.span_id)
        .target("library")
        .category("tools"),
    )
}

fn filled_with(records: NewRecords, settings: PageSettings) -> Filled {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let store: Arc<dyn TraceStore> = Arc::new(SqliteStore::builder().open(path).unwrap());
    block_on(store.store(records)).unwrap();
    let router = Builder::builder(Arc::clone(&store)).pages(settings).router();
    Filled {
        server: Server::start(router),
        store,
        _folder: folder,
    }
}

fn filled() -> Filled {
    filled_with(
        records(),
        PageSettings::default()
            .store_name("trace_store.db")
            .command_options(" --db x.db"),
    )
}

impl Filled {
    fn ask(&self, path: &str) -> Answer {
        ask(self.server.address, "GET", path, "").unwrap()
    }

    /// Returns the response to a path below `/ui/api`.
    fn get(&self, path: &str) -> Value {
        let answer = self.ask(&format!("/ui/api{path}"));
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        serde_json::from_str(&answer.body).unwrap()
    }

    /// The code of the error, with its status before it.
    fn refused(&self, path: &str) -> String {
        let answer = self.ask(&format!("/ui/api{path}"));
        let error: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        assert!(error["error"]["message"].is_string(), "{path}: {}", answer.body);
        format!("{} {}", answer.status, error["error"]["code"].as_str().unwrap())
    }

    fn with_headers(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let headers = format!("Host: {}\r\n{headers}", self.server.address);
        send_as_it_is(self.server.address, method, path, &headers, body).unwrap()
    }
}

/// Returns the value of `key` in each row.
fn all<'a>(rows: &'a Value, key: &str) -> Vec<&'a str> {
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| row[key].as_str().unwrap_or("-")).collect()
}

/// A trace of many spans in one request.
fn large(spans: i64) -> NewRecords {
    let spans = (1..=spans).map(|number| {
        let mut one = span(7, number, number / 8, "step");
        if number == spans {
            one.status = Some(SpanStatus::Error);
        }
        new_span(one)
    });
    of(SourceRecords::default().spans(spans.collect()))
}
