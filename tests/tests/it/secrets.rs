//! Secrets never leave a program by any sink, however they were recorded; values that only look
//! like secrets do.

use std::path::Path;
use std::process::Command;

use spanscope_tests::program_without_settings;
use spanscope_tests::receiver::Receiver;
use spanscope_tests::terminal::run_piped;

/// No output may contain this.
const SECRET: &[u8] = b"hunter2";

/// The values of a span and its events that are not secrets.
const KEPT: [&str; 5] = ["kept-1", "kept-2", "kept-3", "kept-4", "kept-5"];

fn drill(name: &str, folder: &Path) -> Command {
    let mut command = program_without_settings(env!("CARGO_BIN_EXE_drills"));
    command
        .arg(name)
        .env("SQLITE_STORE_DIR", folder)
        .env("LLAMA_STACK_LOG_WIDTH", "10000");
    command
}

fn contains(text: &[u8], what: &[u8]) -> bool {
    text.windows(what.len()).any(|part| part == what)
}

/// Panics if the text contains a secret, and shows the text around it.
fn assert_masked(place: &str, text: &[u8], kept: &[&str]) {
    if let Some(at) = text.windows(SECRET.len()).position(|part| part == SECRET) {
        let around = &text[at.saturating_sub(120)..text.len().min(at + 40)];
        panic!("{place}: {}", String::from_utf8_lossy(around));
    }
    assert!(contains(text, b"[masked: 7 characters]"), "{place} has no mask");
    for kept in kept {
        assert!(contains(text, kept.as_bytes()), "{place} has lost {kept}");
    }
}

/// The file of a store and its log.
fn bytes_of_store(folder: &Path) -> Vec<u8> {
    ["", "-wal"]
        .iter()
        .filter_map(|end| std::fs::read(folder.join(format!("trace_store.db{end}"))).ok())
        .flatten()
        .collect()
}

#[test]
fn no_sink_shows_a_secret_and_each_shows_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("program.log");
    let receiver = Receiver::start();
    let mut command = drill("secrets", folder.path());
    command
        .env(
            "TELEMETRY_SINKS",
            "console,sqlite,otel_trace,otel_metric,otel_log",
        )
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url())
        .env(
            "OTEL_RESOURCE_ATTRIBUTES",
            "team=red,deploy.token=hunter2,db.dsn=postgres://ann:hunter2@db/x",
        )
        .env("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
        .env("LLAMA_STACK_LOG_FILE", &log);
    let ended = run_piped(command);
    assert!(
        ended.status.success(),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    assert_masked("the console", &ended.stderr, &KEPT);
    assert_masked("the log file", &std::fs::read(&log).unwrap(), &KEPT);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&log).unwrap().permissions().mode();
        assert_eq!(
            mode & 0o777,
            0o600,
            "only the owner may read the log file: {mode:o}"
        );
    }
    let mut in_file = KEPT.to_vec();
    in_file.push("kept-6");
    assert_masked("the store", &bytes_of_store(folder.path()), &in_file);
    for (path, kept) in [
        ("/v1/traces", &KEPT[..]),
        ("/v1/logs", &KEPT[4..]),
        ("/v1/metrics", &["kept-6"]),
    ] {
        let requests = receiver.requests();
        let bodies = requests.iter().filter(|request| request.path == path);
        let bytes: Vec<u8> = bodies.flat_map(|request| request.body.clone()).collect();
        assert_masked(path, &bytes, kept);
        assert!(contains(&bytes, b"team"), "{path} has no resource");
    }
}
