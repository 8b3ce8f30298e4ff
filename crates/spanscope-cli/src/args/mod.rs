//! The arguments of the command line, and their help. [`resolve`](crate::resolve) interprets them.

mod query;
#[cfg(feature = "serve")]
mod serve;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(crate) use query::{
    LogsArgs, MetricsArgs, RunArgs, RunsArgs, SpanArgs, SqlArgs, StatsArgs, StatsBy, TreeArgs, UsageArgs,
    UsageGroup,
};
#[cfg(feature = "serve")]
pub(crate) use serve::{DEFAULT_MIB, DEFAULT_RETENTION, ServeArgs};

/// Show what your program did: traces, spans and logs from the file that Spanscope's layers write.
#[derive(Debug, Parser)]
#[command(
    name = "spanscope",
    version = env!("SPANSCOPE_VERSION"),
    arg_required_else_help = true,
    subcommand_required = true,
    after_help = "\
Begin with `spanscope demo`, then `spanscope tree last`, then `spanscope traces`.

An id may be shortened to its first digits, at least 4, if only one id begins with them. \
`last` is the newest trace or run. TRACE:ROW is the span in a row of the trace's tree: `spanscope span last:3`.

Tables are cut to the width of the terminal, but not in pipes and files.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 nothing found."
)]
pub(crate) struct Args {
    /// The store: a file, or the URL of a server [default: $SPANSCOPE_STORE, else
    /// $SQLITE_STORE_DIR/trace_store.db, else in the user's data folder]
    #[arg(long, visible_alias = "db", value_name = "STORE", global = true)]
    pub(crate) store: Option<OsString>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a small agent with telemetry, and show its trace
    ///
    /// The agent searches passages, calls tools, one of which fails, and talks to its own model
    /// server on the loopback interface. It needs no network, no model and no key.
    #[command(after_help = "Examples:\n  spanscope demo\n  spanscope demo --store /tmp/demo.db")]
    Demo(DemoArgs),
    /// List recent traces
    #[command(after_help = "\
Examples:
  spanscope traces --since 1h --errors
  spanscope traces 'status=error -name~health gen_ai.request.model=gpt*,llama duration>1.5s'
  spanscope traces --where gen_ai.request.model=llama --where 'gen_ai.usage.output_tokens>500'
  spanscope traces --order-by -duration_ms --limit 5

All terms must match the same span of the trace. KEY is a field (name status kind duration start end_time \
service category trace span parent level), a number of the trace (trace.duration trace.spans trace.errors \
trace.tokens), an attribute, or resource.KEY. VALUE is a text, a number with a unit (250ms, 1.5s), several \
values (a,b), a prefix (text*), or * for any value. -KEY=VALUE also matches spans without the key, \
KEY!=VALUE does not. A word alone is searched in names, messages and text attributes.")]
    Traces(ListArgs),
    /// Show a trace, or a span and its descendants, as a tree
    ///
    /// Rows are numbered; `spanscope span TRACE:ROW` shows the span of a row. In JSON each span has
    /// its `children`, its `row` and its `depth`; spans deeper than 50 levels follow in the list of
    /// the 50th.
    #[command(after_help = "\
Examples:
  spanscope tree last
  spanscope tree 4bf92f35 --max-depth 3 --attributes gen_ai.request.model,user.id
  spanscope tree 4bf92f35:3")]
    Tree(TreeArgs),
    /// Show one span with its attributes, events and links
    #[command(
        after_help = "Examples:\n  spanscope span last:3\n  spanscope span 4bf92f35:3 --json\n  spanscope span 00f067aa0ba902b7"
    )]
    Span(SpanArgs),
    /// List spans, one per row
    #[command(after_help = "\
Examples:
  spanscope spans --where name=chat --where 'duration_ms>1000' --order-by -duration_ms
  spanscope spans --errors --since 1d --format jsonl")]
    Spans(ListArgs),
    /// List log events
    #[command(
        after_help = "Examples:\n  spanscope logs --severity warn --since 1h\n  spanscope logs --grep timeout --limit 20\n  spanscope logs 'level>=warn order=A*' --service bank"
    )]
    Logs(LogsArgs),
    /// List metrics, or show one over time
    #[command(after_help = "\
Examples:
  spanscope metrics
  spanscope metrics prompt_tokens --since 24h --granularity 1h
  spanscope metrics prompt_tokens --match 'model_id=~\"llama.*\"' --instant

Each label set is a line. A bar is the sum of a counter within a step, or the last value of a gauge. For a \
histogram, count, mean and percentiles are shown; ~ marks percentiles that are interpolated within buckets. In \
JSON they are in `distribution`, with `interpolated`.")]
    Metrics(MetricsArgs),
    /// Sum tokens, calls and errors of model calls, and their cost
    #[command(after_help = "\
Examples:
  spanscope usage
  spanscope usage --since 7d --by agent
  spanscope usage --prices prices.toml

A price table is a TOML file with a [[model]] for each price. Its keys are match (such as \"gpt-4o-mini*\"), and \
the price of a million tokens as input, output and optionally cached_read and cached_write. The first [[model]] \
that matches applies. For a model without a price, \
the cost that the program reported is shown, if it reported one.")]
    Usage(UsageArgs),
    /// List agent runs
    ///
    /// A run is the work of an agent for one request: all spans with the same `task_id` or, without
    /// one, a trace with a span of an agent, a model call, a retrieval or a tool.
    #[command(after_help = "\
Examples:
  spanscope runs --since 1h --status failed
  spanscope runs --agent librarian --limit 20
  spanscope runs --session conversation-7")]
    Runs(RunsArgs),
    /// Show an agent run: timeline, statistics and analysis
    ///
    /// Without --summary, --analysis or --timeline all three are shown.
    #[command(after_help = "\
Examples:
  spanscope run task-18c5
  spanscope run task-18c5 --analysis
  spanscope run last --follow
  spanscope run task-18c5 --format jsonl --level debug")]
    Run(RunArgs),
    /// Query with SQL, read-only
    ///
    /// The tables are traces, spans, span_events, logs and metrics.
    #[command(after_help = "\
Examples:
  spanscope sql \"SELECT name, count(*), avg(duration_ms) FROM spans GROUP BY name\"
  spanscope sql \"SELECT * FROM traces WHERE timestamp > datetime('now', '-1 hour')\" --json")]
    Sql(SqlArgs),
    /// Show size, counts and losses of the store, or durations by span name
    #[command(after_help = "Examples:\n  spanscope stats\n  spanscope stats --by name --since 1d")]
    Stats(StatsArgs),
    /// Export records in a format that other programs read
    ///
    /// jsonl: a span with its events per line. otlp-json: OpenTelemetry's JSON, a request per line.
    /// chrome: for chrome://tracing, Perfetto and Speedscope. parquet: a folder with a file for each
    /// of the SQL views spans, logs and metrics. Without ids and conditions everything is exported,
    /// including events and measurements outside traces; `import` reads the first two formats.
    #[command(after_help = "\
Examples:
  spanscope export --to otlp-json --since 1h -o traces.jsonl
  spanscope export 4bf92f35 --to chrome -o trace.json
  spanscope export --to parquet -o traces")]
    Export(ExportArgs),
    /// Import exported or externally recorded data
    ///
    /// Reads a trace_store.db (of Spanscope or of a Llama Stack server), the output of `export --to
    /// jsonl` and `--to otlp-json`, and OTLP in JSON as the collector's file exporter writes it;
    /// JSON may be compressed with gzip. An unreadable line is reported, and the others are
    /// imported. Records that are stored already are skipped, so an import can be repeated.
    #[command(after_help = "\
Examples:
  spanscope import ~/.llama/distributions/starter/trace_store.db
  spanscope import traces.jsonl
  ssh server spanscope export --to jsonl | spanscope import -")]
    Import(ImportArgs),
    /// Delete old traces and free their space
    #[command(
        after_help = "Examples:\n  spanscope cleanup --older-than 7d --dry-run\n  spanscope cleanup --older-than 12h"
    )]
    Cleanup(CleanupArgs),
    /// Make a consistent copy of the store, even while programs write
    #[command(after_help = "Example:\n  spanscope backup traces-backup.db")]
    Backup(BackupArgs),
    /// Replace the store with a backup, even while programs write
    ///
    /// Programs continue in the new file. The store's current contents are lost.
    #[command(after_help = "Example:\n  spanscope restore traces-backup.db")]
    Restore(RestoreArgs),
    /// Show new records as they are written, like the console, until Ctrl-C
    #[command(after_help = "Examples:\n  spanscope tail\n  spanscope tail --severity warn --lines 20")]
    Tail(TailArgs),
    /// Serve over HTTP: receive OpenTelemetry's traces, metrics and logs, and offer the telemetry
    /// API
    ///
    /// OpenTelemetry SDKs use its ports by default. Only this machine has access, unless there are
    /// tokens.
    #[command(after_help = "\
Examples:
  spanscope serve
  spanscope serve --listen 127.0.0.1:0 --store /tmp/traces.db
  spanscope serve --listen 0.0.0.0:4318 --grpc-listen 0.0.0.0:4317 --tokens tokens.txt

A token file has a line `TOKEN TENANT` for each token; the tenant * can read everything. Instead of a file, the \
variable SPANSCOPE_TOKENS may contain the lines, separated by ;. Requests need the header \
`authorization: Bearer TOKEN`.")]
    #[cfg(feature = "serve")]
    Serve(ServeArgs),
    /// Not in this build: install the command with the feature `serve`
    #[cfg(not(feature = "serve"))]
    Serve {
        #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
        _arguments: Vec<String>,
    },
    /// Print shell completions
    #[command(
        after_help = "Example:\n  spanscope completions bash > ~/.local/share/bash-completion/completions/spanscope"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// The format of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// One JSON document
    Json,
    /// One JSON object per line
    Jsonl,
}

/// Flags of every command that prints data.
#[derive(Debug, ClapArgs)]
pub(crate) struct OutputArgs {
    /// The output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
    /// Short for --format json
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,
    /// Show and read times in UTC instead of local time
    #[arg(long)]
    pub(crate) utc: bool,
}

/// Selects traces or spans.
#[derive(Debug, ClapArgs)]
pub(crate) struct FilterArgs {
    /// Only records that match this filter; repeatable, all filters must match the same span. A
    /// comparison has the form KEY=VALUE, or one of != > >= < <= ~ (contains) !~ in place of the =;
    /// KEY is an attribute or a field (name, status, duration, service ...). A leading - negates a
    /// term; a word alone is searched in all texts; a VALUE in double quotes is compared as text
    #[arg(long = "where", value_name = "FILTER", allow_hyphen_values = true)]
    pub(crate) conditions: Vec<String>,
    /// Only records that started after this time: 30m, 2d, today, 14:03, 2026-11-21,
    /// 2026-11-21T14:03:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only records that started before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Order by start_time, end_time, duration_ms or trace_id, traces also by span_count; with a
    /// leading - in descending order; repeatable
    #[arg(long, value_name = "KEY", allow_hyphen_values = true, value_delimiter = ',')]
    pub(crate) order_by: Vec<String>,
    /// Only records of this service
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Option<String>,
    /// Only failed records
    #[arg(long)]
    pub(crate) errors: bool,
    /// Number of rows to skip
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 0)]
    pub(crate) offset: u64,
}

/// `traces` and `spans`.
#[derive(Debug, ClapArgs)]
pub(crate) struct ListArgs {
    /// Only records that match this filter, for example 'status=error -name~health duration>1.5s'
    #[arg(value_name = "FILTER", allow_hyphen_values = true)]
    pub(crate) filter_text: Option<String>,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Maximum number of rows
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 100)]
    pub(crate) limit: u64,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `demo`.
#[derive(Debug, ClapArgs)]
pub(crate) struct DemoArgs {
    /// Show times in UTC instead of local time
    #[arg(long)]
    pub(crate) utc: bool,
    /// Only serve the demo's model: print its base URL, and serve until stdin ends
    // Hidden: it is for tests that need an OpenAI-compatible server in another process.
    #[arg(long, hide = true)]
    pub(crate) serve_model: bool,
}

/// The formats of `export`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportTo {
    /// One record per line: a span with its events, an event outside spans, or a measurement
    Jsonl,
    /// OpenTelemetry's JSON, a request per line, as the collector's file exporter writes it
    OtlpJson,
    /// Trace Event Format for timeline viewers: only spans and events of traces
    Chrome,
    /// A folder of Parquet files for DuckDB, Polars and Spark: spans, logs and metrics, with the
    /// columns of the SQL views. Needs the feature `parquet` of the command
    Parquet,
}

/// `export`.
#[derive(Debug, ClapArgs)]
pub(crate) struct ExportArgs {
    /// Only these traces; last is the newest
    #[arg(value_name = "ID", conflicts_with_all = ["conditions", "since", "until", "order_by", "service", "errors", "offset", "limit"])]
    pub(crate) ids: Vec<String>,
    /// The format
    #[arg(long, value_enum)]
    pub(crate) to: ExportTo,
    /// Write to this file instead of stdout; for parquet the folder to write to
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Maximum number of traces; all without it
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) limit: Option<u64>,
    /// Read times in UTC instead of local time
    #[arg(long)]
    pub(crate) utc: bool,
}

/// `import`.
#[derive(Debug, ClapArgs)]
pub(crate) struct ImportArgs {
    /// The file to read, which is not changed; - reads standard input
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `cleanup`.
#[derive(Debug, ClapArgs)]
pub(crate) struct CleanupArgs {
    /// Delete traces without activity for longer than this: 12h, 7d, 2w
    #[arg(long, value_name = "AGE")]
    pub(crate) older_than: String,
    /// Only report what would be deleted
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `backup`.
#[derive(Debug, ClapArgs)]
pub(crate) struct BackupArgs {
    /// The file to write
    pub(crate) file: PathBuf,
}

/// `restore`.
#[derive(Debug, ClapArgs)]
pub(crate) struct RestoreArgs {
    /// The backup
    pub(crate) file: PathBuf,
}

/// `tail`.
#[derive(Debug, ClapArgs)]
pub(crate) struct TailArgs {
    /// Only events of at least this severity, and spans that have at least this level or failed
    #[arg(long, value_name = "LEVEL")]
    pub(crate) severity: Option<String>,
    /// Show the last lines first, up to this number
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 10)]
    pub(crate) lines: u64,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
