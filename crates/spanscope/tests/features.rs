//! A program that is built without some of the sinks. `.ci/run` builds these tests with several
//! sets of features.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

use spanscope::InitErrorKind;

/// Every sink, the feature it needs, and whether it is built in.
const SINKS: [(&str, &str, bool); 5] = [
    ("console", "console", cfg!(feature = "console")),
    ("sqlite", "sqlite", cfg!(feature = "sqlite")),
    ("otel_trace", "otlp", cfg!(feature = "otlp")),
    ("otel_metric", "otlp", cfg!(feature = "otlp")),
    ("otel_log", "otlp", cfg!(feature = "otlp")),
];

/// Runs `program` below in a separate process.
fn run(variables: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["program", "--exact", "--ignored", "--nocapture"])
        .env_remove("TELEMETRY_SINKS")
        .env_remove("SPANSCOPE_CONFIG")
        .env("SQLITE_STORE_DIR", folder.path())
        .env("NO_COLOR", "1");
    if !cfg!(feature = "sqlite") {
        command.env_remove("SQLITE_STORE_DIR");
    }
    command.envs(variables.iter().copied()).output().unwrap()
}

fn stderr(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
#[ignore = "a program that other tests run"]
fn program() {
    let _guard = spanscope::init();
    tracing::info!("the program goes on");
}

#[test]
fn a_missing_sink_in_code_is_an_error_that_names_the_feature() {
    for (sink, feature, _) in SINKS.into_iter().filter(|(_, _, is_there)| !is_there) {
        let built = spanscope::builder().sinks(&[sink]).unwrap().try_init();
        let error = built.unwrap_err();
        let InitErrorKind::Setting { input, accepted, .. } = error.kind() else {
            panic!("{error}");
        };
        assert_eq!(input, sink);
        assert!(
            accepted.contains(&format!("feature `{feature}` of the crate `spanscope`")),
            "{accepted}"
        );
    }
}

#[test]
fn the_default_sinks_are_those_that_are_built_in() {
    let printed = stderr(&run(&[]));
    assert!(!printed.contains("switch on the feature"), "{printed}");
    assert_eq!(
        printed.contains("the program goes on"),
        cfg!(feature = "console"),
        "{printed}"
    );
}

#[test]
fn variables_of_missing_sinks_are_reported_with_the_feature() {
    let folder = std::env::temp_dir();
    let folder = folder.to_str().unwrap();
    let mut cases: Vec<(&str, &str, &str)> = SINKS
        .into_iter()
        .filter(|(_, _, is_there)| !is_there)
        .map(|(sink, feature, _)| ("TELEMETRY_SINKS", sink, feature))
        .collect();
    if !cfg!(feature = "console") {
        cases.push(("SPANSCOPE_CONSOLE", "json", "console"));
        cases.push(("SPANSCOPE_CONSOLE_LEVELS", "all=warn", "console"));
        cases.push(("LLAMA_STACK_LOG_FILE", "agent.log", "console"));
    }
    if !cfg!(feature = "sqlite") {
        cases.push(("SQLITE_STORE_DIR", folder, "sqlite"));
    }
    for (variable, value, feature) in cases {
        let printed = stderr(&run(&[(variable, value)]));
        let fix = format!("switch on the feature `{feature}` of the crate `spanscope`");
        // The console wraps its lines.
        let printed = printed.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(printed.contains(&fix), "{variable}={value}: {printed}");
    }
}
