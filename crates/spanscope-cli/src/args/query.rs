//! The arguments of the commands that query the store, except for the lists of traces and spans.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use spanscope_model::RunStatus;
use spanscope_runs::DetailLevel;

use super::OutputArgs;

/// `tree`.
#[derive(Debug, ClapArgs)]
pub(crate) struct TreeArgs {
    /// A trace id or a span id, TRACE:ROW, or last
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Maximum number of levels; 1 is the root alone
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_depth: Option<u32>,
    /// Show these attributes next to the names
    #[arg(long, value_name = "KEY,KEY", value_delimiter = ',')]
    pub(crate) attributes: Option<Vec<String>>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `span`.
#[derive(Debug, ClapArgs)]
pub(crate) struct SpanArgs {
    /// The span id, TRACE:ROW with a row number of `tree`, or last for the root of the newest trace
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `logs`.
#[derive(Debug, ClapArgs)]
pub(crate) struct LogsArgs {
    /// Only events that match this filter, for example 'level>=warn service=bank order=A*'
    #[arg(value_name = "FILTER", allow_hyphen_values = true)]
    pub(crate) filter_text: Option<String>,
    /// Only events that match this filter; repeatable
    #[arg(long = "where", value_name = "FILTER", allow_hyphen_values = true)]
    pub(crate) conditions: Vec<String>,
    /// Only events of at least this severity: trace, debug, info, warn, error, critical
    #[arg(long, value_name = "LEVEL")]
    pub(crate) severity: Option<String>,
    /// Only events after this time: 30m, 2d, today, 14:03, 2026-11-21, 2026-11-21T14:03:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only events before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Only events with this text in their name, their message or a field (key=value), ignoring
    /// case
    #[arg(long, value_name = "TEXT")]
    pub(crate) grep: Option<String>,
    /// Only events of this service
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Option<String>,
    /// Only events of this category or its subcategories (core includes core::routers)
    #[arg(long, value_name = "NAME")]
    pub(crate) category: Option<String>,
    /// Only events of this trace or span
    #[arg(long, value_name = "ID")]
    pub(crate) trace: Option<String>,
    /// Maximum number of rows; the newest are shown
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 100)]
    pub(crate) limit: u64,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `metrics`.
#[derive(Debug, ClapArgs)]
pub(crate) struct MetricsArgs {
    /// The metric; without it all are listed
    pub(crate) name: Option<String>,
    /// Only measurements after this time: 30m, 2d, today, 14:03, 2026-11-21, 2026-11-21T14:03:00Z
    /// [default: 24h]
    #[arg(long, value_name = "TIME", requires = "name")]
    pub(crate) since: Option<String>,
    /// Only measurements before this time [default: now]
    #[arg(long, value_name = "TIME", requires = "name")]
    pub(crate) until: Option<String>,
    /// The width of a step: 30s, 5m, 1h, 1d, 1w [default: chosen so that the graph fits into a
    /// line]
    #[arg(long, value_name = "STEP", requires = "name")]
    pub(crate) granularity: Option<String>,
    /// Only series with LABEL=VALUE; also !=, =~ and !~ with a regular expression for the whole
    /// value; repeatable
    #[arg(long = "match", value_name = "LABEL=VALUE", requires = "name")]
    pub(crate) matchers: Vec<String>,
    /// Show one value for the whole time range
    #[arg(long, requires = "name", conflicts_with = "granularity")]
    pub(crate) instant: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// The grouping of `usage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum UsageGroup {
    /// The requested model and its provider
    Model,
    /// The calling service
    Service,
    /// The nearest agent above the call
    Agent,
}

/// `usage`.
#[derive(Debug, ClapArgs)]
pub(crate) struct UsageArgs {
    /// Only model calls after this time: 30m, 2d, today, 14:03, 2026-11-21, 2026-11-21T14:03:00Z
    /// [default: 24h]
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only model calls before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// The grouping
    #[arg(long, value_enum, default_value_t = UsageGroup::Model)]
    pub(crate) by: UsageGroup,
    /// A price table
    #[arg(long, value_name = "FILE")]
    pub(crate) prices: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `runs`.
#[derive(Debug, ClapArgs)]
pub(crate) struct RunsArgs {
    /// Only runs that started after this time: 30m, 2d, today, 14:03, 2026-11-21,
    /// 2026-11-21T14:03:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only runs that started before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Only runs of this agent
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: Option<String>,
    /// Only runs of this session (conversation)
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<String>,
    /// Only runs of this user
    #[arg(long, value_name = "ID")]
    pub(crate) user: Option<String>,
    /// Only runs with this status: running, completed, failed, abandoned
    #[arg(long, value_name = "STATUS")]
    pub(crate) status: Option<RunStatus>,
    /// Maximum number of rows; the newest are shown
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 100)]
    pub(crate) limit: u64,
    /// Number of rows to skip
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
    /// The level of detail, each including the previous one: minimal (start, end, messages,
    /// errors), standard (also components, retrievals and tools), detailed (also model calls and
    /// reasoning), debug (everything, with inputs and outputs)
    #[arg(long, value_name = "LEVEL", default_value_t = DetailLevel::Detailed)]
    pub(crate) level: DetailLevel,
    /// Show the statistics
    #[arg(long)]
    pub(crate) summary: bool,
    /// Show where the run spent its time, its errors, and recommendations
    #[arg(long)]
    pub(crate) analysis: bool,
    /// Show the timeline
    #[arg(long)]
    pub(crate) timeline: bool,
    /// Show events as they happen, until the run is over
    #[arg(long)]
    pub(crate) follow: bool,
    /// Mark events with ASCII characters instead of emoji: > started, < ended, ! failed, = answered
    #[arg(long)]
    pub(crate) plain: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `sql`.
#[derive(Debug, ClapArgs)]
pub(crate) struct SqlArgs {
    /// One SELECT statement
    pub(crate) query: String,
    /// Maximum number of rows
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

/// The grouping of `stats`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatsBy {
    /// Count, errors and durations by span name
    Name,
}

/// `stats`.
#[derive(Debug, ClapArgs)]
pub(crate) struct StatsArgs {
    /// Show durations by this grouping instead
    #[arg(long, value_enum)]
    pub(crate) by: Option<StatsBy>,
    /// With --by: only spans that started after this time
    #[arg(long, value_name = "TIME", requires = "by")]
    pub(crate) since: Option<String>,
    /// With --by: only spans that started before this time
    #[arg(long, value_name = "TIME", requires = "by")]
    pub(crate) until: Option<String>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
