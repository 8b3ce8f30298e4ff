//! Tests of the settings file: its blocks, substitution, and errors.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::time::{Duration, Instant};

use super::*;

const SINKS: [&str; 2] = ["console", "sqlite"];

/// The variables of these tests, which never read the process's own.
fn env(name: &str) -> Option<String> {
    let value = match name {
        "HOME" => "/home/ada",
        "NAME" => "ada",
        "EMPTY" => "",
        "LIST" => " sqlite , console,",
        "LONG" => return Some("y".repeat(100_000)),
        "TRAP" => "${env.NAME} } \" ]\n- x: y",
        _ => return None,
    };
    Some(value.to_owned())
}

fn settings(text: &str) -> Config {
    parse(text, "run.yaml", &SINKS, env).unwrap()
}

/// Returns the message about an invalid text.
fn problem(text: &str) -> String {
    parse(text, "run.yaml", &SINKS, env).unwrap_err().to_string()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> CategoryLevels {
    let own = |(category, level): &(&str, &str)| ((*category).to_owned(), (*level).to_owned());
    pairs.iter().map(own).collect()
}

#[test]
fn all_settings_are_read() {
    let config = settings(
        "telemetry:
  service_name: my-agent
  sinks: [console, sqlite]
  sqlite_db_path: ~/traces/store.db
  otel_exporter_otlp_endpoint: http://collector:4318
logging_config:
  category_levels: { server: debug, core::routers: off, all: 'warn' }
  log_file: logs/agent.log
  sinks:
    console: { style: off, markup: true, sync: true, category_levels: { inference: error } }
    sqlite:
      category_levels:
        all: trace
",
    );
    let expected = Config {
        service_name: Some("my-agent".to_owned()),
        sinks: Some(texts(&SINKS)),
        db_path: Some("/home/ada/traces/store.db".into()),
        otlp_endpoint: Some((
            "run.yaml:5: telemetry.otel_exporter_otlp_endpoint".to_owned(),
            "http://collector:4318".to_owned(),
        )),
        category_levels: pairs(&[("server", "debug"), ("core::routers", "off"), ("all", "warn")]),
        log_file: Some("logs/agent.log".into()),
        console: Some(ConsoleStyle::Off),
        markup: Some(true),
        sync: Some(true),
        sink_levels: vec![
            ("console".to_owned(), pairs(&[("inference", "error")])),
            ("sqlite".to_owned(), pairs(&[("all", "trace")])),
        ],
    };
    assert_eq!(config, expected);
}

#[test]
fn a_list_of_providers_as_in_llama_stacks_guide_is_read() {
    let config = settings(
        r#"
telemetry:
- provider_id: meta-reference
  provider_type: inline::meta-reference
  config:
    service_name: "llama-stack-service"
    sinks: ['console', 'sqlite']
    sqlite_db_path: "/path/to/telemetry.db"
"#,
    );
    assert_eq!(config.service_name.as_deref(), Some("llama-stack-service"));
    assert_eq!(config.sinks, Some(texts(&SINKS)));
    assert_eq!(config.db_path, Some("/path/to/telemetry.db".into()));
}

#[test]
fn a_whole_run_yaml_is_read_and_its_other_blocks_are_ignored() {
    let config = settings(
        r#"
version: 2
image_name: starter
apis: [agents, inference, telemetry]
providers:
  inference:
  - provider_id: ${env.CEREBRAS_API_KEY:+cerebras}
    config: &shared { api_key: "${env.NOT_SET_AT_ALL}", sinks: 5 }
  safety: [*shared]
  ? [a, list]
  : 1
  ? [another]
  : 2
  telemetry:
  - provider_id: ${env.NOT_SET:+off}
    config: { what: ever }
  - provider_id: meta-reference
    provider_type: inline::meta-reference
    config:
      service_name: "${env.OTEL_SERVICE_NAME:=\u200B}"
      sinks: ${env.TELEMETRY_SINKS:=console,sqlite}
      sqlite_db_path: ${env.SQLITE_STORE_DIR:=~/.llama/distributions/starter}/trace_store.db
      otel_exporter_otlp_endpoint: ${env.OTEL_EXPORTER_OTLP_ENDPOINT:=}
models: []
models: [twice]
server: { port: 8321 }
"#,
    );
    let expected = Config {
        sinks: Some(texts(&SINKS)),
        db_path: Some("/home/ada/.llama/distributions/starter/trace_store.db".into()),
        ..Config::default()
    };
    assert_eq!(config, expected);
}

#[test]
fn the_top_level_telemetry_block_has_priority_over_that_of_the_providers() {
    let config = settings(
        "telemetry: { service_name: new }
providers: { telemetry: [ { config: { service_name: older, sinks: sqlite } } ] }",
    );
    assert_eq!(config.service_name.as_deref(), Some("new"));
    assert_eq!(config.sinks, Some(texts(&["sqlite"])));
}

#[test]
fn empty_documents_set_nothing() {
    for text in [
        "",
        "\n# only a comment\n",
        "---\n...\n",
        "~",
        "{}",
        "\u{feff}",
        "telemetry:\nlogging_config:\nproviders:\n",
        "telemetry: { service_name: , sinks: null, sqlite_db_path: '', otel_exporter_otlp_endpoint: ~ }",
        "telemetry: []",
        "logging_config: { category_levels: { server: }, log_file: '${env.EMPTY:=}', sinks: {} }",
        "providers: 5",
    ] {
        assert_eq!(settings(text), Config::default(), "{text:?}");
    }
}

#[test]
fn sinks_are_a_list_or_a_text() {
    for (text, sinks) in [
        ("[]", &[][..]),
        ("sqlite", &["sqlite"]),
        ("' console , sqlite,'", &["console", "sqlite"]),
        ("${env.LIST}", &["sqlite", "console"]),
        ("['${env.UNSET:+console}', sqlite]", &["sqlite"]),
        ("','", &[]),
    ] {
        let config = settings(&format!("telemetry:\n  sinks: {text}"));
        assert_eq!(config.sinks, Some(texts(sinks)), "{text}");
    }
}

#[test]
fn variables_are_substituted_by_llama_stacks_rules() {
    for (text, value) in [
        ("${env.NAME}", Some("ada")),
        ("${env.NAME:=grace}", Some("ada")),
        ("${env.EMPTY:=grace}", Some("grace")),
        ("${env.UNSET:=a:=b}", Some("a:=b")),
        ("${env.UNSET:=}", None),
        ("${env.NAME:+yes}", Some("yes")),
        ("${env.NAME:+}", None),
        ("${env.EMPTY:+yes}", None),
        ("x-${env.NAME}-${env.UNSET:=y}$-{}", Some("x-ada-y$-{}")),
        ("${NAME} $NAME ${", Some("${NAME} $NAME ${")),
        // The value of a variable or a default is always text, whatever it looks like.
        ("${env.TRAP}", Some("${env.NAME} } \" ]\n- x: y")),
        ("${env.UNSET:=${env.NAME}", Some("${env.NAME")),
    ] {
        let config = settings(&format!("telemetry: {{ service_name: '{text}' }}"));
        assert_eq!(config.service_name.as_deref(), value, "{text}");
    }
}

#[test]
fn a_wrong_variable_is_an_error_that_names_it() {
    for (text, message) in [
        ("${env.UNSET}", "the variable UNSET is not set or empty"),
        ("${env.EMPTY}", "write ${env.EMPTY:=default}"),
        ("${env.NAME", "${env.NAME has no closing }"),
        ("${env.NAME:=a", "${env.NAME:=a has no closing }"),
        ("${env.}", "${env.} is not a variable"),
        ("${env.:=x}", "${env.:=x} is not a variable"),
        ("${env.A B}", "${env.A B} is not a variable"),
        ("${env.NAME:-x}", "write ${env.NAME}, ${env.NAME:=default}"),
        ("${env.NAME:}", "${env.NAME:} is not a variable"),
        ("${env.NAME:é}", "${env.NAME:é} is not a variable"),
    ] {
        let message_of = problem(&format!("telemetry:\n  service_name: '{text}'"));
        assert!(
            message_of.starts_with("run.yaml:2: telemetry.service_name: "),
            "{message_of}"
        );
        assert!(message_of.contains(message), "{message_of}");
    }
}

#[test]
fn unknown_keys_are_reported_with_their_position_and_the_accepted_ones() {
    for (text, message) in [
        (
            "telemetry:\n  sinks: [console, sqlit]",
            "run.yaml:2: telemetry.sinks is \"sqlit\": did you mean sqlite? These are accepted: console, sqlite",
        ),
        (
            "telemetry:\n  sinks: console,kafka",
            "run.yaml:2: telemetry.sinks is \"kafka\": these are accepted: console, sqlite",
        ),
        (
            "telemetry:\n\n  servce_name: x",
            "run.yaml:3: a key of telemetry is \"servce_name\": did you mean service_name? \
             These are accepted: service_name, sinks, sqlite_db_path, otel_exporter_otlp_endpoint",
        ),
        (
            "telemetry: [ { confg: {} } ]",
            "run.yaml:1: a key of telemetry[0] is \"confg\": did you mean config? \
             These are accepted: provider_id, provider_type, config",
        ),
        (
            "telemetry: [ { provider_type: remote::other } ]",
            "run.yaml:1: telemetry[0].provider_type is \"remote::other\": these are accepted: inline::meta-reference",
        ),
        (
            "logging_config: { Category_Level: {} }",
            "run.yaml:1: a key of logging_config is \"Category_Level\": did you mean category_levels? \
             These are accepted: category_levels, log_file, sinks",
        ),
        (
            "logging_config: { sinks: { consol: {} } }",
            "run.yaml:1: logging_config.sinks.consol is \"consol\": did you mean console? \
             These are accepted: console, sqlite, log_file, otel_trace, otel_log",
        ),
        (
            "logging_config: { sinks: { console: { levels: {} } } }",
            "run.yaml:1: a key of logging_config.sinks.console is \"levels\": these are accepted: category_levels, markup, style, sync",
        ),
    ] {
        assert_eq!(problem(text), message);
    }
    let long = problem(&format!("telemetry: {{ {}: x }}", "k".repeat(900)));
    assert!(long.len() < 300, "{long}");
}

#[test]
fn a_value_of_the_wrong_kind_is_an_error_that_says_which() {
    for (text, message) in [
        (
            "telemetry:\n  sinks: { console: on }",
            "run.yaml:2: telemetry.sinks: this is a mapping; expected is a list of sinks, or a text with commas",
        ),
        (
            "telemetry: { sinks: 5 }",
            "run.yaml:1: telemetry.sinks is \"5\": these are accepted: console, sqlite",
        ),
        (
            "telemetry:\n  sinks:\n  - [console]",
            "run.yaml:3: telemetry.sinks[0]: this is a list; expected is a text",
        ),
        (
            "telemetry: { service_name: [a] }",
            "run.yaml:1: telemetry.service_name: this is a list; expected is a text",
        ),
        (
            "telemetry: console",
            "run.yaml:1: telemetry: this is a text; expected is a mapping of keys to values",
        ),
        (
            "telemetry: [sqlite]",
            "run.yaml:1: telemetry[0]: this is a text; expected is a mapping of keys to values",
        ),
        (
            "logging_config: { category_levels: server=debug }",
            "run.yaml:1: logging_config.category_levels: this is a text; expected is a mapping of keys to values",
        ),
        (
            "logging_config: { category_levels: { server: [debug] } }",
            "run.yaml:1: logging_config.category_levels.server: this is a list; expected is a text",
        ),
        (
            "telemetry: { [a]: b }",
            "run.yaml:1: telemetry.?: this key is not a string",
        ),
        (
            "just words",
            "run.yaml:1: this is a text; expected is a mapping of keys to values",
        ),
        (
            "- telemetry",
            "run.yaml:1: this is a list; expected is a mapping of keys to values",
        ),
    ] {
        assert_eq!(problem(text), message);
    }
}

#[test]
fn a_repeated_key_in_our_blocks_is_an_error() {
    for (text, message) in [
        (
            "telemetry:\n  sinks: sqlite\n  sinks: console",
            "run.yaml:3: telemetry.sinks: ",
        ),
        ("telemetry:\nx:\ntelemetry:", "run.yaml:3: telemetry: "),
        (
            "logging_config: { category_levels: { core: a, core: b } }",
            "run.yaml:1: logging_config.category_levels.core: ",
        ),
    ] {
        assert_eq!(problem(text), format!("{message}this key is repeated"));
    }
}

#[test]
fn an_unknown_home_folder_is_an_error() {
    let parse = |env: fn(&str) -> Option<String>| {
        parse("logging_config: { log_file: ~/x.log }", "run.yaml", &SINKS, env)
    };
    assert!(
        parse(|_| None)
            .unwrap_err()
            .to_string()
            .contains("~ stands for HOME")
    );
    let config = parse(|name| (name == "USERPROFILE").then(|| "/users/ada".to_owned())).unwrap();
    assert_eq!(config.log_file, Some("/users/ada/x.log".into()));
    let config = settings("telemetry: { sqlite_db_path: '~' }\nlogging_config: { log_file: ~ada/x }");
    assert_eq!(
        (config.db_path, config.log_file),
        (Some("/home/ada".into()), Some("~ada/x".into()))
    );
}

#[test]
fn invalid_yaml_is_an_error_that_names_the_line() {
    for text in [
        "telemetry:\n  sinks: [console",
        "telemetry:\n  'x",
        "telemetry:\n\tsinks: console",
        "telemetry:\n  sinks: sqlite\n wrong: x",
        "a: b: c",
        "@",
        "telemetry: *nowhere",
        "telemetry: &a { service_name: *a }",
        "{}\n---\n{}",
        "\0",
    ] {
        let message = problem(text);
        assert!(message.starts_with("run.yaml:"), "{text:?}: {message}");
        assert!(!message.contains("run.yaml:0"), "{text:?}: {message}");
    }
    assert!(problem("telemetry: [").contains("this is not YAML: "));
}

#[test]
fn hostile_documents_are_read_in_bounded_time() {
    let start = Instant::now();
    let mut bomb = "a0: &a0 [x, x]\n".to_owned();
    for level in 1..60 {
        let below = level - 1;
        bomb.push_str(&format!("a{level}: &a{level} [*a{below}, *a{below}]\n"));
    }
    assert!(problem(&bomb).contains("more than 100 aliases"));
    // A few aliases to something large are harmless, and are resolved normally.
    let names = "sqlite, ".repeat(100_000);
    let text = format!(
        "x: &x {{ sinks: [{names}] }}\ntelemetry: [{}]",
        "{ config: *x }, ".repeat(9)
    );
    assert_eq!(settings(&text).sinks.map(|sinks| sinks.len()), Some(100_000));
    for nested in [
        "[".repeat(500_000),
        "{a: ".repeat(200_000),
        "- ".repeat(500_000),
        "? ".repeat(500_000),
        "[{a: ".repeat(60),
        (0..2000).map(|depth| " ".repeat(depth) + "a:\n").collect(),
    ] {
        problem(&nested);
    }
    for long in ["x: ", "telemetry: { a: ", "'", "&a ", "!", "# ", "a: |\n "] {
        let _ = parse(&(long.to_owned() + &"y".repeat(1 << 20)), "x", &SINKS, env);
    }
    let grown = problem(&("telemetry:\n  service_name: ".to_owned() + &"${env.LONG}".repeat(90_000)));
    assert!(grown.contains("longer than 1 MiB"), "{grown}");
    let patience = Duration::from_secs(60);
    assert!(start.elapsed() < patience, "{:?}", start.elapsed());
}

#[test]
fn levels_may_be_shared_by_an_alias() {
    let config = settings(
        "logging_config:
  category_levels: &levels { server: debug }
  sinks: { console: { category_levels: *levels } }",
    );
    assert_eq!(
        config.sink_levels,
        [("console".to_owned(), config.category_levels)]
    );
}

#[test]
fn a_file_that_can_not_be_read_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("latin.yaml"), b"telemetry:\n  service_name: caf\xe9").unwrap();
    fs::write(path("large.yaml"), "#".repeat(10 << 20)).unwrap();
    fs::write(path("wrong.yaml"), "telemetry: { sinks: x }").unwrap();
    fs::write(path("right.yaml"), "telemetry: { sinks: sqlite }").unwrap();
    for (name, message) in [
        ("missing.yaml", ": can't read the file: "),
        ("", ": can't read the file: "),
        ("latin.yaml", ": the file is not UTF-8 from byte 30 on"),
        ("large.yaml", ": the file is longer than 1 MiB"),
        ("wrong.yaml", ":1: telemetry.sinks is \"x\""),
    ] {
        let error = read(&path(name), &SINKS, env).unwrap_err().to_string();
        let expected = format!("{}{message}", path(name).display());
        assert!(error.starts_with(&expected), "{error}");
    }
    let config = read(&path("right.yaml"), &SINKS, env).unwrap();
    assert_eq!(config.sinks, Some(texts(&["sqlite"])));
}
