//! The words of the command line, and their help. What they mean is settled in [`resolve`](crate::resolve).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use spanscope_model::RunStatus;
use spanscope_runs::DetailLevel;
use spanscope_server::{AllowedHost, AllowedOrigin};

/// Look at what your program did: traces, spans and logs out of the file that spanscope's layers write.
#[derive(Debug, Parser)]
#[command(
    name = "spanscope",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    after_help = "\
Begin with `spanscope demo`, then `spanscope tree last`, then `spanscope traces`.
Ids may be cut to any beginning of at least 4 digits that fits only one. `last` is the newest trace or run, and TRACE:ROW
is a span by its row in the trace's tree: `spanscope span last:3`.
Tables are cut to the terminal's width; in pipes and files they are whole.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 nothing found."
)]
pub(crate) struct Args {
    /// The store's file [default: $SQLITE_STORE_DIR/trace_store.db, else in the user's data folder]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) db: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a small agent with telemetry, and show what was recorded
    ///
    /// The agent searches passages, calls tools of which one fails, and talks to a model server of its own on the
    /// loopback interface. It needs no network, no model and no key.
    #[command(after_help = "Examples:\n  spanscope demo\n  spanscope demo --db /tmp/demo.db")]
    Demo(DemoArgs),
    /// List recent traces
    #[command(after_help = "\
Examples:
  spanscope traces --since 1h --errors
  spanscope traces 'status=error -name~health gen_ai.request.model=gpt*,llama duration>1.5s'
  spanscope traces --where gen_ai.request.model=llama --where 'gen_ai.usage.output_tokens>500'
  spanscope traces --order-by -duration_ms --limit 5

All terms must hold on one same span of the trace. KEY is a field (name status kind duration start end_time service category
trace span parent level), a number of the trace (trace.duration trace.spans trace.errors trace.tokens), an attribute, or
resource.KEY. VALUE is a text, a number with a unit (250ms, 1.5s), a,b (any of), text* (begins) or * (is there). -KEY=VALUE also
matches what lacks the key, KEY!=VALUE needs it. A word alone is looked for in names, messages and texts.")]
    Traces(ListArgs),
    /// Show a trace, or a span and what is below it, as a tree
    ///
    /// Rows are numbered; `spanscope span TRACE:ROW` shows the span of one. In JSON each span has its `children`, its `row` and its
    /// `depth`; spans deeper than 50 levels follow in the list of the 50th.
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
    /// List spans, a row each
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

Each label set is a line of its own. A bar is the sum of a step of a counter, and the last value of a gauge. Of a histogram
count, mean and percentiles are shown; ~ marks those that are interpolated within buckets. JSON has them as `distribution`,
with `interpolated`.")]
    Metrics(MetricsArgs),
    /// Add up tokens, calls and errors of model calls, and what they cost
    #[command(after_help = "\
Examples:
  spanscope usage
  spanscope usage --since 7d --by agent
  spanscope usage --prices prices.toml

A table of prices (TOML) has a [[model]] for each price: match = \"gpt-4o-mini*\", and for a million tokens input, output,
and maybe cached_read and cached_write. The first that fits a model counts. What has no price is not free.")]
    Usage(UsageArgs),
    /// List runs of agents
    ///
    /// A run is what one request to an agent did: a trace in which an agent, a model, a retrieval or a tool was at work, or
    /// all that says the same `task_id`.
    #[command(after_help = "\
Examples:
  spanscope runs --since 1h --status failed
  spanscope runs --agent librarian --limit 20
  spanscope runs --session conversation-7")]
    Runs(RunsArgs),
    /// Show a run of an agent: what happened when, in numbers, and where its time went
    ///
    /// Without --summary, --analysis or --timeline all three are shown.
    #[command(after_help = "\
Examples:
  spanscope run task-18c5
  spanscope run task-18c5 --analysis
  spanscope run last --follow
  spanscope run task-18c5 --format jsonl --level debug")]
    Run(RunArgs),
    /// Ask with SQL; the file can't be changed by it
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
    /// Write traces in a form that other programs read
    ///
    /// jsonl: a span with its events a line. otlp-json: OpenTelemetry's JSON, a trace a line. chrome: for
    /// chrome://tracing, Perfetto and Speedscope.
    #[command(after_help = "\
Examples:
  spanscope export --to otlp-json --since 1h -o traces.jsonl
  spanscope export 4bf92f35 --to chrome -o trace.json")]
    Export(ExportArgs),
    /// Take in the trace_store.db of a Llama Stack server
    ///
    /// What is in the store already is passed over, so that an import can be repeated.
    #[command(after_help = "Example:\n  spanscope import ~/.llama/distributions/starter/trace_store.db")]
    Import(ImportArgs),
    /// Delete old traces and give their space back
    #[command(
        after_help = "Examples:\n  spanscope cleanup --older-than 7d --dry-run\n  spanscope cleanup --older-than 12h"
    )]
    Cleanup(CleanupArgs),
    /// Make a consistent copy of the store, also while programs write
    #[command(after_help = "Example:\n  spanscope backup traces-backup.db")]
    Backup(BackupArgs),
    /// Put a backup in place of the store, also while programs write
    ///
    /// They go on in the new file. What the store held is lost.
    #[command(after_help = "Example:\n  spanscope restore traces-backup.db")]
    Restore(RestoreArgs),
    /// Follow what is being written, as the console shows it, until Ctrl-C
    #[command(after_help = "Examples:\n  spanscope tail\n  spanscope tail --severity warn --lines 20")]
    Tail(TailArgs),
    /// Answer over HTTP: take in OpenTelemetry's traces, metrics and logs, and serve the telemetry API
    ///
    /// Any OpenTelemetry SDK finds it on its default port. Only this machine can ask, unless there are tokens.
    #[command(after_help = "\
Examples:
  spanscope serve
  spanscope serve --listen 127.0.0.1:0 --db /tmp/traces.db
  spanscope serve --listen 0.0.0.0:4318 --grpc-listen 0.0.0.0:4317 --tokens tokens.txt

A file of tokens has a line `TOKEN TENANT` for each; the tenant * sees everything. Instead of a file, the variable
SPANSCOPE_TOKENS may hold the lines, with ; between them. Senders bring one as `authorization: Bearer TOKEN`.")]
    Serve(ServeArgs),
    /// Print shell completions
    #[command(
        after_help = "Example:\n  spanscope completions bash > ~/.local/share/bash-completion/completions/spanscope"
    )]
    Completions {
        /// For which shell
        shell: Shell,
    },
}

/// How answers are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// One JSON document
    Json,
    /// A JSON object a line
    Jsonl,
}

/// Flags of every command that prints data.
#[derive(Debug, ClapArgs)]
pub(crate) struct OutputArgs {
    /// How to show the answer
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
    /// Short for --format json
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,
    /// Show and read times in UTC instead of local time
    #[arg(long)]
    pub(crate) utc: bool,
}

/// Which traces or spans are meant.
#[derive(Debug, ClapArgs)]
pub(crate) struct FilterArgs {
    /// Only where this filter holds; repeatable, all must hold on one same span. KEY=VALUE, !=, >, >=, <, <=, ~
    /// (contains) and !~ compare an attribute or a field (name, status, duration, service ...); - before a term: it
    /// must not hold; a word alone is looked for in texts; a VALUE in double quotes is a text
    #[arg(long = "where", value_name = "FILTER", allow_hyphen_values = true)]
    pub(crate) conditions: Vec<String>,
    /// Only what began since then: 30m, 2d, 2026-11-21, 2026-11-21T14:03:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only what began before then
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Order by start_time, end_time, duration_ms or trace_id, traces also by span_count; with - in front largest
    /// first; repeatable
    #[arg(long, value_name = "KEY", allow_hyphen_values = true, value_delimiter = ',')]
    pub(crate) order_by: Vec<String>,
    /// Only what ran in this service
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Option<String>,
    /// Only what failed
    #[arg(long)]
    pub(crate) errors: bool,
    /// Pass over so many first
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 0)]
    pub(crate) offset: u64,
}

/// `traces` and `spans`.
#[derive(Debug, ClapArgs)]
pub(crate) struct ListArgs {
    /// Only where this holds, for example 'status=error -name~health duration>1.5s'
    #[arg(value_name = "FILTER", allow_hyphen_values = true)]
    pub(crate) filter_text: Option<String>,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// At most so many
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

/// `tree`.
#[derive(Debug, ClapArgs)]
pub(crate) struct TreeArgs {
    /// A trace id or a span id, TRACE:ROW, or last
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Show so many levels; 1 is the root alone
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_depth: Option<u32>,
    /// Show these attributes beside the names
    #[arg(long, value_name = "KEY,KEY", value_delimiter = ',')]
    pub(crate) attributes: Option<Vec<String>>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `span`.
#[derive(Debug, ClapArgs)]
pub(crate) struct SpanArgs {
    /// The span id, TRACE:ROW as `tree` numbers the rows, or last for the root of the newest trace
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `logs`.
#[derive(Debug, ClapArgs)]
pub(crate) struct LogsArgs {
    /// Only where this holds, for example 'level>=warn service=bank order=A*'
    #[arg(value_name = "FILTER", allow_hyphen_values = true)]
    pub(crate) filter_text: Option<String>,
    /// Only where this filter holds on the event; repeatable
    #[arg(long = "where", value_name = "FILTER", allow_hyphen_values = true)]
    pub(crate) conditions: Vec<String>,
    /// Only events at least this serious: trace, debug, info, warn, error, critical
    #[arg(long, value_name = "LEVEL")]
    pub(crate) severity: Option<String>,
    /// Only events since then: 30m, 2d, 2026-11-21, 2026-11-21T14:03:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only events before then
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Only events with this text in their name, their message or a field (key=value), upper and lower case alike
    #[arg(long, value_name = "TEXT")]
    pub(crate) grep: Option<String>,
    /// Only events of this service
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Option<String>,
    /// Only events of this category
    #[arg(long, value_name = "NAME")]
    pub(crate) category: Option<String>,
    /// Only events of this trace or span
    #[arg(long, value_name = "ID")]
    pub(crate) trace: Option<String>,
    /// At most so many, the newest
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 100)]
    pub(crate) limit: u64,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `metrics`.
#[derive(Debug, ClapArgs)]
pub(crate) struct MetricsArgs {
    /// The metric; all are listed if not given
    pub(crate) name: Option<String>,
    /// What was measured since then: 30m, 2d, 2026-11-21, 2026-11-21T14:03:00Z [default: 24h]
    #[arg(long, value_name = "TIME", requires = "name")]
    pub(crate) since: Option<String>,
    /// What was measured before then [default: now]
    #[arg(long, value_name = "TIME", requires = "name")]
    pub(crate) until: Option<String>,
    /// The width of a step: 30s, 5m, 1h, 1d, 1w [default: what fits into a line]
    #[arg(long, value_name = "STEP", requires = "name")]
    pub(crate) granularity: Option<String>,
    /// Only where LABEL=VALUE holds; also !=, =~ and !~ with a regular expression for the whole value; repeatable
    #[arg(long = "match", value_name = "LABEL=VALUE", requires = "name")]
    pub(crate) matchers: Vec<String>,
    /// Show one value for all of the time
    #[arg(long, requires = "name", conflicts_with = "granularity")]
    pub(crate) instant: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What `usage` adds up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum UsageGroup {
    /// The model that was asked for, and who runs it
    Model,
    /// The service that asked
    Service,
    /// The nearest agent around the call
    Agent,
}

/// `usage`.
#[derive(Debug, ClapArgs)]
pub(crate) struct UsageArgs {
    /// What was measured since then: 30m, 2d, 2026-11-21, 2026-11-21T14:03:00Z [default: 24h]
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// What was measured before then
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// What to add up by
    #[arg(long, value_enum, default_value_t = UsageGroup::Model)]
    pub(crate) by: UsageGroup,
    /// A table of prices
    #[arg(long, value_name = "FILE")]
    pub(crate) prices: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `runs`.
#[derive(Debug, ClapArgs)]
pub(crate) struct RunsArgs {
    /// Only those that began since then: 30m, 2d, 2026-11-21, 2026-11-21T14:03:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only those that began before then
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Only those of this agent
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: Option<String>,
    /// Only those of this session, which is one conversation
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<String>,
    /// Only those that this user asked for
    #[arg(long, value_name = "ID")]
    pub(crate) user: Option<String>,
    /// Only those that are so far: running, completed, failed, abandoned
    #[arg(long, value_name = "STATUS")]
    pub(crate) status: Option<RunStatus>,
    /// At most so many, the newest
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 100)]
    pub(crate) limit: u64,
    /// Pass over so many first
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 0)]
    pub(crate) offset: u64,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `run`.
#[derive(Debug, ClapArgs)]
pub(crate) struct RunArgs {
    /// The run's task id, the id of its trace, or last
    pub(crate) id: String,
    /// How much is shown, each more than the one before: minimal (beginning, end, answers, errors), standard (components,
    /// retrievals and tools too), detailed (model calls and thinking too), debug (with all that went in and out)
    #[arg(long, value_name = "LEVEL", default_value_t = DetailLevel::Detailed)]
    pub(crate) level: DetailLevel,
    /// Show the numbers
    #[arg(long)]
    pub(crate) summary: bool,
    /// Show where the time went, what failed, and what could be done
    #[arg(long)]
    pub(crate) analysis: bool,
    /// Show what happened when
    #[arg(long)]
    pub(crate) timeline: bool,
    /// Show what happens as it happens, until the run is over
    #[arg(long)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `sql`.
#[derive(Debug, ClapArgs)]
pub(crate) struct SqlArgs {
    /// One SELECT statement
    pub(crate) query: String,
    /// At most so many rows
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        default_value_t = 10_000
    )]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What `stats` can be told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatsBy {
    /// Count, errors and durations by span name
    Name,
}

/// `stats`.
#[derive(Debug, ClapArgs)]
pub(crate) struct StatsArgs {
    /// Show durations by this instead
    #[arg(long, value_enum)]
    pub(crate) by: Option<StatsBy>,
    /// With --by: only spans since then
    #[arg(long, value_name = "TIME", requires = "by")]
    pub(crate) since: Option<String>,
    /// With --by: only spans that began before then
    #[arg(long, value_name = "TIME", requires = "by")]
    pub(crate) until: Option<String>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// The forms of `export`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportTo {
    /// A span with its events a line
    Jsonl,
    /// OpenTelemetry's JSON, a trace a line
    OtlpJson,
    /// Trace Event Format for timeline viewers
    Chrome,
}

/// `export`.
#[derive(Debug, ClapArgs)]
pub(crate) struct ExportArgs {
    /// Only these traces; last is the newest
    #[arg(value_name = "ID", conflicts_with_all = ["conditions", "since", "until", "order_by", "service", "errors", "offset", "limit"])]
    pub(crate) ids: Vec<String>,
    /// In which form
    #[arg(long, value_enum)]
    pub(crate) to: ExportTo,
    /// Write to this file instead of stdout
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// At most so many traces; all if not given
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) limit: Option<u64>,
    /// Read times in UTC instead of local time
    #[arg(long)]
    pub(crate) utc: bool,
}

/// `import`.
#[derive(Debug, ClapArgs)]
pub(crate) struct ImportArgs {
    /// The file to read; it is not changed
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Where OpenTelemetry's SDKs send to over HTTP if they are told nothing.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4318);
/// Where they send to over gRPC.
#[cfg(feature = "grpc")]
const DEFAULT_GRPC_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4317);

/// Where `serve` takes OTLP over gRPC.
#[cfg(feature = "grpc")]
#[derive(Debug, Clone, Copy)]
pub(crate) enum GrpcListen {
    Off,
    At(SocketAddr),
}

#[cfg(feature = "grpc")]
impl std::str::FromStr for GrpcListen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            _ => text
                .parse()
                .map(Self::At)
                .map_err(|_| "write an IP address and a port, such as 127.0.0.1:4317, or off".to_owned()),
        }
    }
}

impl ServeArgs {
    /// The address of gRPC, if it is to be taken.
    #[cfg(feature = "grpc")]
    pub(crate) fn grpc_address(&self) -> Option<SocketAddr> {
        match self.grpc_listen {
            Some(GrpcListen::At(address)) => Some(address),
            Some(GrpcListen::Off) => None,
            None => (self.listen == DEFAULT_LISTEN).then_some(DEFAULT_GRPC_LISTEN),
        }
    }

    /// Every address that is to be listened on.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let addresses = std::iter::once(self.listen);
        #[cfg(feature = "grpc")]
        let addresses = addresses.chain(self.grpc_address());
        addresses.collect()
    }
}

/// `serve`.
#[derive(Debug, ClapArgs)]
pub(crate) struct ServeArgs {
    /// The address to listen on; port 0 lets the system choose
    #[arg(long, value_name = "ADDRESS", default_value_t = DEFAULT_LISTEN)]
    pub(crate) listen: SocketAddr,
    /// The address to take OTLP over gRPC at, or `off`; port 0 lets the system choose. By default
    /// 127.0.0.1:4317 where --listen has its default, else off
    #[cfg(feature = "grpc")]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) grpc_listen: Option<GrpcListen>,
    /// A file of tokens; without tokens only programs of this machine are answered
    #[arg(long, value_name = "FILE")]
    pub(crate) tokens: Option<PathBuf>,
    /// Let web pages of this origin send and ask, such as http://localhost:3000; may be given several times
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) allow_origin: Vec<AllowedOrigin>,
    /// Answer without tokens to this name too, such as host.docker.internal; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) allow_host: Vec<AllowedHost>,
    /// How long traces, events and measurements are kept: 12h, 7d, 2w
    #[arg(long, value_name = "AGE", default_value = "7d")]
    pub(crate) retention: String,
    /// How long runs of agents are answered after their end
    #[arg(long, value_name = "AGE", default_value = "7d")]
    pub(crate) session_ttl: String,
    /// How long the events of a run are answered after its end; its summary is for longer
    #[arg(long, value_name = "AGE", default_value = "3d")]
    pub(crate) event_ttl: String,
    /// How long a run that is watched live waits for more after its last span, where spans of it were sent: SDKs send
    /// in batches, by default every 5 s, so a slower schedule (OTEL_BSP_SCHEDULE_DELAY) needs more
    #[arg(long, value_name = "AGE", default_value = "8s")]
    pub(crate) run_grace: String,
    /// How large the file may grow, in MiB; beyond it the oldest traces go
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_size: u32,
    /// The folder that spans are exported into as datasets; the folder `datasets` beside the file by
    /// default
    #[arg(long, value_name = "FOLDER")]
    pub(crate) datasets: Option<PathBuf>,
    /// How large all datasets together may grow, in MiB; an export beyond is refused
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    pub(crate) max_datasets: u32,
    /// How large the datasets of one tenant may grow, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    pub(crate) max_tenant_datasets: u32,
}

/// `cleanup`.
#[derive(Debug, ClapArgs)]
pub(crate) struct CleanupArgs {
    /// Delete traces whose last sign of life is older than this: 12h, 7d, 2w
    #[arg(long, value_name = "AGE")]
    pub(crate) older_than: String,
    /// Only say what would be deleted
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
    /// Only events at least this serious, and only spans that are or that failed
    #[arg(long, value_name = "LEVEL")]
    pub(crate) severity: Option<String>,
    /// Show the last so many lines first
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 10)]
    pub(crate) lines: u64,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
