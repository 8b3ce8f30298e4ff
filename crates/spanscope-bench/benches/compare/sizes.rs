//! How much is measured: enough for valid numbers, or just enough for a smoke test.

/// The sizes of one run.
#[derive(Debug, Clone)]
pub(crate) struct Sizes {
    /// How often the subjects on the calling thread are restarted.
    pub(crate) generations: usize,
    /// Measured rounds of each of them.
    pub(crate) rounds: usize,
    /// Traces in one short burst on the calling thread, ten spans each.
    pub(crate) burst_traces: usize,
    /// Events in one round of the disabled callsite.
    pub(crate) disabled_events: u64,
    /// Events in one round of a filter that lets them through.
    pub(crate) filtered_events: u64,
    /// Spans in one round of the token metrics.
    pub(crate) measured_spans: u64,
    /// Requests in one round of the middleware.
    pub(crate) requests: u64,
    /// How long the flood to a slow receiver lasts.
    pub(crate) flood: std::time::Duration,
    /// Events in one round of a console; they fit into its queue.
    pub(crate) console_events: u64,
    /// Traces of the sustained run, ten spans each.
    pub(crate) sustained_traces: usize,
    /// How often the sustained run is repeated.
    pub(crate) sustained_rounds: usize,
    /// How many programs are killed at each rate.
    pub(crate) kills: u32,
    /// How long the first of them lives; each further one lives longer.
    pub(crate) killed_after: std::time::Duration,
    /// Spans of the one large tree.
    pub(crate) tree_spans: usize,
    /// Spans that the one-commit-a-span peer stores.
    pub(crate) commit_spans: usize,
    /// How often each query of the store is run.
    pub(crate) questions: usize,
    /// Measurements that the store and its peer are queried for.
    pub(crate) metric_points: usize,
    /// Requests that the server receives, of 512 spans each.
    pub(crate) received_requests: usize,
    /// How often each query is sent to the server.
    pub(crate) served_questions: usize,
    /// Spans of the two large traces that the web pages show.
    pub(crate) page_spans: [usize; 2],
    /// How often each page is opened, and each key pressed.
    pub(crate) page_rounds: usize,
    /// Steps in which the rows of a trace are scrolled to their end and back.
    pub(crate) page_steps: usize,
    /// Spans in the tables of a collector.
    pub(crate) collected_spans: u64,
    /// How often each query about them is sent.
    pub(crate) collected_questions: usize,
    /// Listed agent runs, of 20 spans each.
    pub(crate) listed_runs: usize,
    /// Clients that watch one run.
    pub(crate) watchers: usize,
    /// Spans of that run.
    pub(crate) watched_spans: u64,
}

impl Sizes {
    pub(crate) const FULL: Self = Self {
        generations: 7,
        rounds: 7,
        burst_traces: 200,
        disabled_events: 5_000_000,
        filtered_events: 500_000,
        measured_spans: 50_000,
        requests: 10_000,
        flood: std::time::Duration::from_secs(30),
        console_events: 10_000,
        sustained_traces: 100_000,
        sustained_rounds: 3,
        kills: 5,
        killed_after: std::time::Duration::from_secs(6),
        tree_spans: 10_000,
        commit_spans: 2_000,
        questions: 15,
        metric_points: 1_000_000,
        received_requests: 1_200,
        served_questions: 1_500,
        page_spans: [10_000, 100_000],
        page_rounds: 9,
        page_steps: 240,
        collected_spans: 10_000_000,
        collected_questions: 100,
        listed_runs: 50_000,
        watchers: 500,
        watched_spans: 10_000,
    };

    /// For smoke runs: the numbers mean nothing.
    pub(crate) const QUICK: Self = Self {
        generations: 1,
        rounds: 3,
        burst_traces: 10,
        disabled_events: 10_000,
        filtered_events: 1_000,
        measured_spans: 500,
        requests: 100,
        flood: std::time::Duration::from_secs(1),
        console_events: 500,
        sustained_traces: 500,
        sustained_rounds: 1,
        kills: 1,
        killed_after: std::time::Duration::from_millis(500),
        tree_spans: 200,
        commit_spans: 20,
        questions: 2,
        metric_points: 20_000,
        received_requests: 20,
        served_questions: 20,
        page_spans: [1_000, 5_000],
        page_rounds: 2,
        page_steps: 12,
        collected_spans: 20_000,
        collected_questions: 3,
        listed_runs: 500,
        watchers: 10,
        watched_spans: 500,
    };
}
