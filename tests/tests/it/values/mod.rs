//! What is captured of a span or an event is the same on every sink: the program `values` runs with the
//! console, the store and a collector, and each of them is asked.

mod ends;

use serde_json::Value as Json;
use spanscope_model::{LogEvent, LogFilter, Span, SpanFilter, TraceStore as _, block_on};
use spanscope_sqlite::SqliteStore;
use spanscope_tests::receiver::Receiver;
use spanscope_tests::terminal::run_piped;

/// What every sink has of a program that has ended.
struct Sinks {
    spans: Vec<Span>,
    logs: Vec<LogEvent>,
    /// Of the console, an object a line.
    lines: Vec<Json>,
    receiver: Receiver,
}

impl Sinks {
    /// Runs `values SUBJECT`.
    fn of(subject: &str) -> Self {
        Self::with(subject, &[])
    }

    /// Runs it with these variables.
    fn with(subject: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let receiver = Receiver::start();
        let mut command = spanscope_tests::program_without_settings(env!("CARGO_BIN_EXE_values"));
        command
            .arg(subject)
            .env(
                "TELEMETRY_SINKS",
                "console,sqlite,otel_trace,otel_metric,otel_log",
            )
            .env("SQLITE_STORE_DIR", folder.path())
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url())
            .envs(variables.iter().copied());
        let ended = run_piped(command);
        let console = String::from_utf8(ended.stderr).unwrap();
        assert!(ended.status.success(), "{:?}: {console}", ended.status);
        let store = SqliteStore::open(folder.path().join("trace_store.db")).unwrap();
        let (spans, logs) = (
            SpanFilter {
                limit: 10_000,
                ..SpanFilter::default()
            },
            LogFilter {
                limit: 10_000,
                ..LogFilter::default()
            },
        );
        Self {
            spans: block_on(store.list_spans(spans)).unwrap(),
            logs: block_on(store.list_logs(logs)).unwrap(),
            lines: console
                .lines()
                .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
                .collect(),
            receiver,
        }
    }

    fn stored_span(&self, name: &str) -> &Span {
        let mut spans = self.spans.iter().filter(|span| span.name == name);
        let span = spans
            .next()
            .unwrap_or_else(|| panic!("no {name}: {:?}", self.spans));
        assert!(spans.next().is_none(), "two {name}");
        span
    }

    /// The console's line of this kind for a span.
    fn span_line(&self, kind: &str, name: &str) -> &Json {
        let mut lines = self.lines.iter();
        let line = lines.find(|line| line["kind"] == kind && line["name"] == name);
        line.unwrap_or_else(|| panic!("no {kind} of {name}: {:?}", self.lines))
    }

    fn sent_span(&self, name: &str) -> opentelemetry_proto::tonic::trace::v1::Span {
        let spans: Vec<_> = self
            .receiver
            .spans()
            .into_iter()
            .filter(|span| span.it.name == name)
            .collect();
        assert_eq!(spans.len(), 1, "{name}");
        spans[0].it.clone()
    }
}
