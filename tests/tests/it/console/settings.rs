//! The sources of settings, their precedence, and the warnings about invalid ones.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use super::{Ended, Program, Store, built, program};

impl Program {
    fn file(self, name: &str, text: &str) -> Self {
        fs::write(self.path(name), text).unwrap();
        self
    }

    /// A settings file, named by the variable.
    fn config(self, text: &str) -> Self {
        let path = self.path("run.yaml");
        self.file("run.yaml", text).env("SPANSCOPE_CONFIG", path)
    }
}

fn shows(ended: &Ended, text: &str) -> bool {
    ended.console.contains(text)
}

fn stores(ended: &Ended) -> bool {
    ended.folder.path().join("store").join("trace_store.db").exists()
}

#[test]
fn an_unknown_sink_is_named_with_the_accepted_ones_and_the_others_work() {
    let ended = program(&["story"])
        .env("TELEMETRY_SINKS", "consol, sqlite ,kafka,")
        .run();
    for name in ["consol", "kafka"] {
        let warning = format!(
            "TELEMETRY_SINKS is \"{name}\": a comma-separated list of these is accepted: console, sqlite"
        );
        assert_eq!(ended.count(&warning), 1, "{}", ended.console);
    }
    assert!(
        !shows(&ended, "[START]"),
        "the console was not named: {}",
        ended.console
    );
    assert_eq!(ended.store().spans.len(), 2);

    let ended = program(&["story"]).env("TELEMETRY_SINKS", "console,kafka").run();
    assert!(
        ended.line("\"kafka\"").contains(" spanscope: "),
        "{}",
        ended.console
    );
    assert!(shows(&ended, "[START] agent_run"));
    assert!(!stores(&ended));
}

#[test]
fn a_store_that_can_not_be_opened_is_reported_on_the_console() {
    let mut program = program(&["story"]);
    fs::write(program.path("occupied"), "a file").unwrap();
    let below = program.path("occupied").join("store");
    program = program.env("SQLITE_STORE_DIR", &below);
    let ended = program.run();
    assert_eq!(ended.count("occupied"), 1, "{}", ended.console);
    assert!(ended.line("occupied").starts_with("WARN "), "{}", ended.console);
    assert!(shows(&ended, "[END] agent_run"));
}

#[test]
fn the_same_store_is_an_error_of_try_init() {
    let program = built(&["story"]);
    fs::write(program.path("occupied"), "a file").unwrap();
    let below = program.path("occupied").join("store");
    let ended = program.env("SQLITE_STORE_DIR", below).run_to_any_end();
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.console.starts_with("error: "), "{}", ended.console);
    assert!(ended.console.contains("occupied"), "{}", ended.console);
}

const FILE: &str = "
telemetry:
  service_name: from-file
  sinks: [sqlite]
logging_config:
  category_levels: { agents: debug, safety: debug, core: debug }
";

#[test]
fn a_settings_file_applies_unless_it_is_overridden() {
    let ended = program(&["levels", "story"]).config(FILE).run();
    assert!(ended.console.is_empty(), "no console: {}", ended.console);
    let store = ended.store();
    assert_eq!(store.span("agent_run").service_name, "from-file");
    assert!(store.messages().contains(&"agents at debug"));
    assert!(!store.messages().contains(&"own at debug"));
}

#[test]
fn the_environment_wins_over_the_file_and_code_over_both() {
    let settings = |program: Program| {
        program
            .config(FILE)
            .env("TELEMETRY_SINKS", "console,sqlite")
            .env("OTEL_SERVICE_NAME", "from-env")
            .env("LLAMA_STACK_LOGGING", "safety=trace,core=warn")
            .env("LLAMA_STACK_LOG_FILE", "/dev/null")
    };
    let ended = settings(program(&["levels", "story"])).run();
    let store = ended.store();
    assert_eq!(store.span("agent_run").service_name, "from-env");
    let messages = store.messages();
    assert!(messages.contains(&"agents at debug"), "the file's");
    assert!(messages.contains(&"field at trace"), "the environment's");
    assert!(!messages.contains(&"core at info"), "the environment's");
    assert!(shows(&ended, "[START] agent_run"));

    let other_db = tempfile::tempdir().unwrap();
    let ended = settings(built(&["levels", "story"]))
        .env("CODE_SINKS", "sqlite")
        .env("CODE_SERVICE", "from-code")
        .env("CODE_LEVELS", "core=debug,agents=error")
        .env("CODE_DB", other_db.path().join("other.db"))
        .run();
    assert!(ended.console.is_empty() && !stores(&ended), "{}", ended.console);
    let store = Store::at(&other_db.path().join("other.db"));
    assert_eq!(store.span("agent_run").service_name, "from-code");
    let messages = store.messages();
    assert!(messages.contains(&"core at debug") && !messages.contains(&"core at trace"));
    assert!(!messages.contains(&"agents at warn"), "code's");
    assert!(messages.contains(&"field at trace"), "the environment's");
}

#[test]
fn a_file_that_code_names_replaces_the_one_that_the_variable_names() {
    let program = built(&["story"]).config("telemetry: { service_name: of-variable }");
    let path = program.path("code.yaml");
    let ended = program
        .file("code.yaml", "telemetry: { service_name: of-code }")
        .env("CODE_CONFIG", path)
        .run();
    assert_eq!(ended.store().span("agent_run").service_name, "of-code");
}

#[test]
fn the_file_sets_the_paths_of_the_store_and_of_the_log_file() {
    let program = program(&["story"]);
    let text = format!(
        "telemetry: {{ sqlite_db_path: '{}' }}\nlogging_config: {{ log_file: '{}' }}",
        program.path("elsewhere/mine.db").display(),
        program.path("logs/agent.log").display()
    );
    let ended = program.without("SQLITE_STORE_DIR").config(&text).run();
    assert_eq!(
        Store::at(&ended.folder.path().join("elsewhere/mine.db"))
            .spans
            .len(),
        2
    );
    assert!(ended.read("logs/agent.log").contains("[END] agent_run"));
}

#[test]
fn a_sink_of_the_file_has_its_own_levels() {
    let ended = program(&["levels"])
        .config("logging_config: { sinks: { console: { category_levels: { all: warn } } } }")
        .run();
    assert!(shows(&ended, "own at warn") && !shows(&ended, "own at info"));
    let store = ended.store();
    assert!(store.messages().contains(&"own at info") && !store.messages().contains(&"own at debug"));

    let ended = program(&["levels"])
        .config("logging_config: { sinks: { sqlite: { category_levels: { agents: debug } } } }")
        .run();
    assert!(!shows(&ended, "agents at debug") && shows(&ended, "agents at info"));
    assert!(ended.store().messages().contains(&"agents at debug"));
}

#[test]
fn the_environment_overrides_the_files_levels_of_a_sink() {
    let ended = program(&["levels"])
        .config("logging_config: { sinks: { console: { category_levels: { agents: error } } } }")
        .env("LLAMA_STACK_LOGGING", "agents=debug")
        .run();
    assert!(
        shows(&ended, "agents at debug") && !shows(&ended, "agents at trace"),
        "{}",
        ended.console
    );
}

#[test]
fn the_log_file_can_have_its_own_levels() {
    let program = program(&["levels"]);
    let path = program.path("agent.log");
    let ended = program
        .env("LLAMA_STACK_LOG_FILE", path)
        .config("logging_config: { sinks: { log_file: { category_levels: { all: warn } } } }")
        .run();
    let file = ended.read("agent.log");
    assert!(
        file.contains("own at warn") && !file.contains("own at info"),
        "{file}"
    );
    assert!(shows(&ended, "own at info"), "{}", ended.console);
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_file_is_ignored() {
    let config = "telemetry:\n  service_nam: agent\n";
    let ended = program(&["story"]).config(config).run();
    let warning = "run.yaml:2: a key of telemetry is \"service_nam\": did you mean service_name? These are accepted: \
                service_name, sinks, sqlite_db_path";
    assert_eq!(ended.count(warning), 1, "{}", ended.console);
    assert!(shows(&ended, "[END] agent_run"));
    assert_eq!(ended.store().span("agent_run").service_name, "console");

    let ended = built(&["story"]).config(config).run_to_any_end();
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.console.contains(warning), "{}", ended.console);
}

#[test]
fn an_invalid_level_in_the_file_is_reported_with_its_position() {
    let ended = program(&["story"])
        .config("logging_config: { category_levels: { agents: loud, safety: debug } }")
        .run();
    let warning = "logging_config.category_levels: `agents=loud`: unknown level `loud`";
    assert_eq!(ended.count(warning), 1, "{}", ended.console);
}

#[test]
fn a_missing_file_is_reported() {
    let ended = program(&["story"])
        .env("SPANSCOPE_CONFIG", OsStr::new("/nowhere/run.yaml"))
        .run();
    assert_eq!(ended.count("/nowhere/run.yaml"), 1, "{}", ended.console);
    assert!(shows(&ended, "[END] agent_run"));
}

#[test]
fn invalid_levels_in_code_and_unknown_sinks_are_errors_of_try_init() {
    for (setter, value, warning) in [
        ("CODE_LEVELS", "agents=loud", "levels: `agents=loud`"),
        ("CODE_DIRECTIVES", "sqlx=loud", "directives: `sqlx=loud`"),
        (
            "CODE_LEVELS_OF_console",
            "nosuch=debug",
            "sink_levels: `nosuch=debug`",
        ),
        ("CODE_SINKS", "console,kafka", "sinks is \"kafka\""),
        ("TELEMETRY_SINKS", "kafka", "TELEMETRY_SINKS is \"kafka\""),
    ] {
        let ended = built(&["story"]).env(setter, value).run_to_any_end();
        assert_eq!(ended.status.code(), Some(1), "{setter}");
        assert!(
            ended.console.starts_with(&format!("error: {warning}")),
            "{}",
            ended.console
        );
    }
}

#[test]
fn paths_need_not_be_utf_8() {
    let program = program(&["story"]);
    let name = OsStr::from_bytes(b"caf\xe9");
    let folder = program.folder.path().join(name);
    let ended = program
        .env("SQLITE_STORE_DIR", &folder)
        .env("LLAMA_STACK_LOG_FILE", folder.join("agent.log"))
        .run();
    assert!(!shows(&ended, " spanscope: "), "{}", ended.console);
    assert_eq!(Store::at(&folder.join("trace_store.db")).spans.len(), 2);
    assert!(
        fs::read_to_string(folder.join("agent.log"))
            .unwrap()
            .contains("[END] agent_run")
    );
}

#[test]
fn blank_variables_count_as_unset() {
    let mut program = program(&["story"]);
    for name in [
        "TELEMETRY_SINKS",
        "OTEL_SERVICE_NAME",
        "LLAMA_STACK_LOGGING",
        "LLAMA_STACK_LOG_FILE",
        "LLAMA_STACK_LOG_WIDTH",
        "RUST_LOG",
        "SPANSCOPE_CONFIG",
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    ] {
        program = program.env(name, " ");
    }
    let ended = program.run();
    assert!(!shows(&ended, " spanscope: "), "{}", ended.console);
    assert!(shows(&ended, "[END] agent_run"));
    assert_eq!(ended.store().spans.len(), 2);
}

#[test]
fn one_limit_of_values_applies_to_every_sink() {
    for sinks in ["console,sqlite", "console", "sqlite"] {
        let program = program(&["story"])
            .env("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "8")
            .env("TELEMETRY_SINKS", sinks);
        let log = program.path("agent.log");
        let ended = program.env("LLAMA_STACK_LOG_FILE", log).run();
        let text = ended.read("agent.log") + &ended.console;
        assert!(
            text.contains("[0, 1, 2") && !text.contains("38, 39"),
            "{sinks}: {text}"
        );
    }
}

#[test]
fn a_limit_that_is_not_a_number_is_reported() {
    let ended = program(&["story"])
        .env("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "many")
        .run();
    let warning = "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT is \"many\": write a number of bytes";
    assert_eq!(ended.count(warning), 1, "{}", ended.console);
    assert!(shows(&ended, "[END] agent_run"));
}

#[test]
fn a_second_init_is_refused_and_the_first_stays() {
    let ended = program(&["story", "init-again", "story"]).run();
    assert_eq!(
        ended.count("spanscope: no telemetry: a global tracing subscriber is set already"),
        1
    );
    assert_eq!(ended.count("[END] agent_run"), 2);
    assert_eq!(ended.store().spans.len(), 4);
}
