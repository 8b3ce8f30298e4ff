//! OTLP over gRPC: the SDK for Rust, whose exporters speak it, and the flags of the port.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use opentelemetry_otlp::{Compression, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use spanscope_model::{LogFilter, SpanFilter, SqlStore as _, TraceStore as _, block_on};
use spanscope_tests::terminal::run_piped;
use tonic::metadata::MetadataMap;

use super::support::{Folder, Serve, spanscope};

/// Sends a span, a log line and a counter, and returns the exporters' errors.
fn export(url: Option<&str>, token: Option<&'static str>, name: &'static str) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    macro_rules! exporter {
        ($exporter:ident) => {{
            let mut headers = MetadataMap::new();
            if let Some(token) = token {
                headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
            }
            let mut exporter = opentelemetry_otlp::$exporter::builder()
                .with_tonic()
                .with_timeout(Duration::from_secs(20))
                .with_compression(Compression::Gzip)
                .with_metadata(headers);
            if let Some(url) = url {
                exporter = exporter.with_endpoint(url);
            }
            exporter.build().unwrap()
        }};
    }
    let resource = Resource::builder_empty().with_service_name("rust-sdk").build();
    let tracers = SdkTracerProvider::builder()
        .with_resource(resource.clone())
        .with_batch_exporter(exporter!(SpanExporter))
        .build();
    let loggers = SdkLoggerProvider::builder()
        .with_resource(resource.clone())
        .with_batch_exporter(exporter!(LogExporter))
        .build();
    let meters = SdkMeterProvider::builder()
        .with_resource(resource)
        .with_periodic_exporter(exporter!(MetricExporter))
        .build();

    let mut span = tracers.tracer("t").start(name);
    span.set_attribute(KeyValue::new("attempt", 1));
    span.end();
    let logger = loggers.logger("l");
    let mut record = logger.create_log_record();
    record.set_severity_number(Severity::Warn);
    record.set_body(AnyValue::from(name));
    logger.emit(record);
    meters.meter("m").u64_counter("app.requests").build().add(3, &[]);

    [tracers.shutdown(), loggers.shutdown(), meters.shutdown()]
        .into_iter()
        .filter_map(|result| result.err().map(|error| error.to_string()))
        .collect()
}

fn assert_stored(folder: &Folder, name: &str) {
    let store = folder.store();
    let spans = block_on(store.list_spans(SpanFilter::default())).unwrap();
    let span = spans.iter().find(|span| span.name == name).unwrap();
    assert_eq!(span.attributes.get("attempt").unwrap().to_string(), "1");
    let logs = block_on(store.list_logs(LogFilter::default())).unwrap();
    assert!(logs.iter().any(|log| log.message == name), "{logs:?}");
    let points = store
        .sql("SELECT value FROM metrics WHERE metric = 'app.requests'", 9)
        .unwrap();
    assert_eq!(points.rows.len(), 1, "{points:?}");
}

/// The defaults of both sides, for the one test that uses the default ports.
#[cfg(feature = "otlp")]
pub(crate) fn at_default_port(folder: &Folder, server: &Serve) {
    if !server.serves_grpc() {
        return spanscope_tests::skip("another program has port 4317 here");
    }
    assert_eq!(server.grpc_url(), "http://127.0.0.1:4317");
    assert_eq!(export(None, None, "by default"), Vec::<String>::new());
    assert_stored(folder, "by default");
}

#[test]
fn the_sdk_for_rust_sends_over_grpc_and_all_is_stored() {
    let folder = Folder::new();
    let server = folder.serve_with_grpc();
    assert_eq!(
        export(Some(&server.grpc_url()), None, "from the SDK"),
        Vec::<String>::new()
    );
    assert_stored(&folder, "from the SDK");
    server.stop();
}

#[test]
fn grpc_requests_need_a_token() {
    let folder = Folder::new();
    let tokens = folder.file("tokens.txt", "of-acme-0123456789 acme\n");
    let words = ["serve", "--listen", "127.0.0.1:0", "--grpc-listen", "0.0.0.0:0"];
    let mut command = folder.command(&words);
    command.arg("--tokens").arg(tokens);
    let server = Serve::start(command);
    let url = server.grpc_url().replace("0.0.0.0", "127.0.0.1");
    let failed = export(Some(&url), None, "without a token");
    assert!(!failed.is_empty());
    assert_eq!(
        export(Some(&url), Some("of-acme-0123456789"), "with a token"),
        Vec::<String>::new()
    );
    assert_stored(&folder, "with a token");
    let spans = block_on(folder.store().list_spans(SpanFilter::default())).unwrap();
    assert_eq!(spans.len(), 1);
    server.stop();
}

#[test]
fn a_grpc_port_that_is_in_use_is_reported_and_http_still_works() {
    let folder = Folder::new();
    let first = folder.serve_with_grpc();
    let taken = first.grpc_url();
    let taken = taken.trim_start_matches("http://");
    let other = Folder::new();
    let second = Serve::start(other.command(&["serve", "--listen", "127.0.0.1:0", "--grpc-listen", taken]));
    assert!(!second.serves_grpc());
    assert_eq!(second.get("/ready").status, 200);
    first.stop();
    let ended = second.killed();
    for word in ["OTLP over gRPC is off", taken, "--grpc-listen"] {
        assert!(ended.err.contains(word), "{}", ended.err);
    }
}

#[test]
fn grpc_listens_if_requested_and_by_default() {
    let folder = Folder::new();
    // A separate address for HTTP: gRPC must be enabled then.
    let server = folder.serve();
    assert!(!server.serves_grpc());
    server.stop();
    let refused = |words: &[&str]| {
        let ended = run_piped(folder.command(words));
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    };
    let (code, err) = refused(&["serve", "--listen", "127.0.0.1:0", "--grpc-listen", "0.0.0.0:0"]);
    assert_eq!(code, Some(2), "{err}");
    assert!(
        err.contains("0.0.0.0:0 can be reached from other machines"),
        "{err}"
    );
    let (code, err) = refused(&["serve", "--grpc-listen", "localhost"]);
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("127.0.0.1:4317, or off"), "{err}");
    let (code, err) = refused(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--grpc-listen",
        "192.0.2.1:4317",
        "--tokens",
        "x",
    ]);
    assert_ne!(code, Some(0), "{err}");
    let help = run_piped(spanscope(&["serve", "--help"])).stdout;
    assert!(String::from_utf8(help).unwrap().contains("--grpc-listen"));
}
