//! A store with a few traces in it, and the command.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use spanscope_sqlite::SqliteLayer;
use tempfile::TempDir;
use tracing::{Level, error, info, info_span, span, warn};
use tracing_subscriber::layer::SubscriberExt;

/// A temporary folder, and the store in it.
pub(crate) struct Store {
    folder: TempDir,
}

/// The output of the command.
pub(crate) struct CommandResult {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Store {
    /// A folder without a store.
    pub(crate) fn none() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// A store with a successful order, with two model calls and four events, and a hostile order
    /// that failed.
    pub(crate) fn filled() -> Self {
        let store = Self::none();
        let (layer, guard) = SqliteLayer::builder()
            .service_name("shop")
            .open(store.path())
            .unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            order();
            hostile_order();
        });
        drop(guard);
        store
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("trace_store.db")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command on this store, 80 columns wide.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, words: &[S]) -> Command {
        let mut command = spanscope();
        command.args(words).arg("--db").arg(self.path());
        command
    }

    pub(crate) fn run<S: AsRef<OsStr>>(&self, words: &[S]) -> CommandResult {
        result_of(self.command(words).output().unwrap())
    }

    /// Returns the output of a successful command.
    pub(crate) fn out<S: AsRef<OsStr>>(&self, words: &[S]) -> String {
        let result = self.run(words);
        assert_eq!(result.code, 0, "{}", result.err);
        result.out
    }

    pub(crate) fn json<S: AsRef<OsStr>>(&self, words: &[S]) -> Value {
        let mut command = self.command(words);
        let result = result_of(command.arg("--json").output().unwrap());
        assert_eq!(result.code, 0, "{}", result.err);
        serde_json::from_str(&result.out).unwrap()
    }

    /// Returns the id of the trace whose root has this name.
    pub(crate) fn trace(&self, root: &str) -> String {
        let traces = self.json(&["traces"]);
        let trace = traces
            .as_array()
            .unwrap()
            .iter()
            .find(|trace| trace["root_name"] == root)
            .unwrap();
        trace["trace_id"].as_str().unwrap().to_owned()
    }

    /// The id of a span with this name.
    pub(crate) fn span(&self, name: &str) -> String {
        let spans = self.json(&["spans", "--where", &format!("name={name}")]);
        spans[0]["span_id"].as_str().unwrap().to_owned()
    }
}

/// The command without a store, with fixed width and without variables for colours.
pub(crate) fn spanscope() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spanscope"));
    command
        .env_remove("SPANSCOPE_STORE")
        .env_remove("SPANSCOPE_STORE_PASSWORD")
        .env_remove("SPANSCOPE_STORE_PASSWORD_FILE")
        .env_remove("FORCE_COLOR")
        .env_remove("CLICOLOR_FORCE")
        .env_remove("NO_COLOR");
    command.env("COLUMNS", "80").stdin(Stdio::null());
    command
}

pub(crate) fn result_of(output: Output) -> CommandResult {
    CommandResult {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

pub(crate) fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

pub(crate) fn exists(path: &Path) -> bool {
    path.try_exists().unwrap()
}

fn order() {
    let root = info_span!("order", user = "ann", items = 5, code = "5");
    let _root = root.enter();
    info!(items = 5, "order taken");
    for (model, input) in [("llama", 100), ("mini", 20)] {
        let call = info_span!(
            "chat",
            otel.kind = "client",
            gen_ai.operation.name = "chat",
            gen_ai.request.model = model,
            gen_ai.usage.input_tokens = input,
            gen_ai.usage.output_tokens = 7,
        );
        call.in_scope(|| info!("asked {model}"));
    }
    span!(Level::DEBUG, "pay").in_scope(|| warn!(retry = 1, "the bank is slow"));
}

fn hostile_order() {
    let root = info_span!(
        "bad order",
        note = "red \x1b[31m and \u{202e}backwards",
        long = "x".repeat(3000)
    );
    root.in_scope(|| error!("no \x1b[2J such item"));
}
