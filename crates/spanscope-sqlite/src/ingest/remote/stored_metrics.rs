//! Counters of stored records, for a [`MetricSink`]: spans by service, kind and status, tokens by
//! service, model and direction.
//!
//! A transaction counts its records in [`StoredCounts`], which are passed to the sink after the
//! commit, so only stored records are counted. Retention and cleanups delete rows and change no
//! counter. A later transaction may subtract a counted call (`tokens.rs`). As a counter can't
//! decrease, the amount is withheld from later increments.
//!
//! Bounds: a transaction has at most one label set for each span or measurement that it counts, and
//! two for each call that it subtracts; the sink decides how many it keeps.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use spanscope_core::capture::{Clock, RawValue};
use spanscope_core::metrics::{Measurement, MetricSink, Number};
use spanscope_model::semconv::SpanCall;
use spanscope_model::{MetricKind, SpanStatus, TOKEN_METRICS, TraceId};

use super::batch::Batch;
use super::tokens::OF_SPAN;
use crate::file::rows::kind_of;
use crate::file::series::{Amount, MODEL_LABELS, NewPoint, PROVIDER_LABELS};

const SPANS: &str = "spanscope_stored_spans_total";
const TOKENS: &str = "spanscope_stored_tokens_total";
/// Maximum number of counters with a pending subtraction. Beyond it, subtracted calls stay counted.
const MAX_WITHHELD: usize = 10_000;

/// The sink that receives the counters.
#[derive(Clone)]
pub(crate) struct StoredMetricSink(pub(crate) Arc<dyn MetricSink>);

impl fmt::Debug for StoredMetricSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredMetricSink").finish_non_exhaustive()
    }
}

/// A counter with its labels.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Series {
    name: &'static str,
    labels: Vec<(&'static str, String)>,
}

/// Records the counts of committed transactions.
#[derive(Debug)]
pub(super) struct StoredMetrics {
    sink: StoredMetricSink,
    withheld: HashMap<Series, i64>,
    /// The row id of the last measurement in the file before this store started to count. Calls up
    /// to it were not counted.
    last_point: i64,
}

impl StoredMetrics {
    pub(super) fn new(sink: StoredMetricSink) -> Self {
        Self {
            sink,
            withheld: HashMap::new(),
            last_point: i64::MAX,
        }
    }

    /// Starts to count in a file that was just opened.
    pub(super) fn begin(&mut self, db: &Connection) -> rusqlite::Result<()> {
        self.last_point = db.query_row("SELECT COALESCE(MAX(id), 0) FROM _point", [], |row| row.get(0))?;
        Ok(())
    }

    /// Creates empty counts for a new transaction.
    pub(super) fn counts(&self) -> StoredCounts {
        StoredCounts {
            last_point: self.last_point,
            spans: HashMap::new(),
            tokens: HashMap::new(),
        }
    }

    /// Records the counts of one committed transaction.
    pub(super) fn record(&mut self, committed: HashMap<Series, i64>) {
        for (series, by) in committed {
            let due = by - self.withheld.remove(&series).unwrap_or(0);
            if due < 0 {
                if self.withheld.len() < MAX_WITHHELD {
                    self.withheld.insert(series, -due);
                }
                continue;
            }
            let labels: Vec<(&str, RawValue<'_>)> = series
                .labels
                .iter()
                .map(|(key, value)| (*key, RawValue::Text(value, None)))
                .collect();
            self.sink.0.record(&Measurement {
                name: series.name,
                value: Number::I64(due),
                unit: if series.name == SPANS { "spans" } else { "tokens" },
                kind: MetricKind::Counter,
                labels: &labels,
                span: None,
                time: Clock::global().now(),
                is_event: false,
            });
        }
    }
}

/// The counts of one transaction.
#[derive(Debug)]
pub(super) struct StoredCounts {
    last_point: i64,
    /// By process, kind, and whether they failed.
    spans: HashMap<(i64, i64, bool), i64>,
    tokens: HashMap<TokenLabels, i64>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TokenLabels {
    process: i64,
    direction: &'static str,
    model: String,
    provider: String,
}

impl StoredCounts {
    /// Counts a span whose start and end are stored.
    pub(super) fn add_span(&mut self, process: i64, kind: i64, status: Option<i64>) {
        let failed = status == Some(1);
        *self.spans.entry((process, kind, failed)).or_default() += 1;
    }

    /// Counts the tokens of a measurement, if its metric counts input or output tokens.
    pub(super) fn add_point(&mut self, point: &NewPoint<'_>) {
        let (Some(direction), MetricKind::Counter) = (direction_of(point.metric), point.kind) else {
            return;
        };
        // A count of tokens is an integer, as in `store/usage.rs`.
        let Amount::Integer(count @ 1..) = point.value else {
            return;
        };
        let labels: HashMap<String, String> = serde_json::from_str(point.labels).unwrap_or_default();
        let label = |names: &[&str]| {
            let found = names.iter().find_map(|name| labels.get(*name));
            found.cloned().unwrap_or_default()
        };
        let labels = TokenLabels {
            process: point.process,
            direction,
            model: label(&MODEL_LABELS),
            provider: label(&PROVIDER_LABELS),
        };
        self.add_tokens(labels, count);
    }

    fn add_tokens(&mut self, labels: TokenLabels, count: i64) {
        let sum = self.tokens.entry(labels).or_default();
        *sum = sum.saturating_add(count);
    }

    /// Returns the counts to record, by service name. The caller holds the transaction.
    fn by_service(self, db: &Connection) -> rusqlite::Result<HashMap<Series, i64>> {
        let mut services = Services {
            db,
            known: HashMap::new(),
        };
        let mut all: HashMap<Series, i64> = HashMap::new();
        let mut add = |name, mut labels: Vec<(&'static str, String)>, count| {
            labels.retain(|(_, value)| !value.is_empty());
            *all.entry(Series { name, labels }).or_default() += count;
        };
        for ((process, kind, failed), count) in self.spans {
            let status = match failed {
                true => SpanStatus::Error,
                false => SpanStatus::Ok,
            };
            let mut labels = services.labels(process)?;
            labels.push(("kind", kind_of(kind).to_string()));
            labels.push(("status", status.to_string()));
            add(SPANS, labels, count);
        }
        for (tokens, count) in self.tokens {
            let mut labels = services.labels(tokens.process)?;
            labels.push(("model", tokens.model));
            labels.push(("provider", tokens.provider));
            labels.push(("direction", tokens.direction.to_owned()));
            add(TOKENS, labels, count);
        }
        Ok(all)
    }
}

/// Returns the direction of a metric of input or output tokens. `None` for others: cached tokens
/// are a part of the input, and a total is the sum.
fn direction_of(metric: &str) -> Option<&'static str> {
    let [(input, _), (output, _), _] = TOKEN_METRICS;
    match metric {
        metric if metric == input => Some("input"),
        metric if metric == output => Some("output"),
        _ => None,
    }
}

/// Looks up the services of processes, once for each process.
struct Services<'db> {
    db: &'db Connection,
    known: HashMap<i64, Vec<(&'static str, String)>>,
}

impl Services<'_> {
    /// Returns the labels that identify a process's service: its tenant and its name.
    fn labels(&mut self, process: i64) -> rusqlite::Result<Vec<(&'static str, String)>> {
        if let Some(labels) = self.known.get(&process) {
            return Ok(labels.clone());
        }
        let found: Option<(Option<String>, Option<String>)> = self
            .db
            .prepare_cached(
                "SELECT CASE WHEN p.tenant <> 0 THEN t.name END, p.service_name FROM _process p
                 LEFT JOIN _tenant t ON t.id = p.tenant WHERE p.id = ?1",
            )?
            .query_row([process], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (tenant, service) = found.unwrap_or_default();
        let labels = vec![
            ("tenant", tenant.unwrap_or_default()),
            ("service", service.unwrap_or_default()),
        ];
        Ok(self.known.entry(process).or_insert(labels).clone())
    }
}

impl Batch<'_> {
    /// Returns the counts of this transaction, to be recorded when it is committed.
    pub(super) fn stored_by_service(&mut self) -> rusqlite::Result<HashMap<Series, i64>> {
        match self.stored.take() {
            Some(stored) => stored.by_service(self.db),
            None => Ok(HashMap::new()),
        }
    }

    /// Subtracts the tokens of a call that was counted since this store started to count. Its
    /// measurements must still be stored.
    pub(super) fn take_back_tokens(
        &mut self,
        trace: i64,
        trace_id: TraceId,
        key: i64,
    ) -> rusqlite::Result<()> {
        let Some(last_point) = self.stored.as_ref().map(|stored| stored.last_point) else {
            return Ok(());
        };
        let process: Option<i64> = self
            .db
            .prepare_cached(
                "SELECT process FROM _point WHERE trace_hex = ?1 AND span_id = ?2 AND detail = ?3 AND id > ?4 LIMIT 1",
            )?
            .query_row(params![trace_id.to_string(), key, OF_SPAN, last_point], |row| row.get(0))
            .optional()?;
        let Some(process) = process else {
            return Ok(());
        };
        let Some(call) = SpanCall::of(self.attributes_of(trace, key)?.raw()) else {
            return Ok(());
        };
        for (direction, count) in [
            ("input", call.facts.usage.input),
            ("output", call.facts.usage.output),
        ] {
            let count = i64::try_from(count.unwrap_or(0)).unwrap_or(i64::MAX);
            let labels = TokenLabels {
                process,
                direction,
                model: call.model.clone(),
                provider: call.provider.clone(),
            };
            if let Some(stored) = &mut self.stored {
                stored.add_tokens(labels, -count);
            }
        }
        Ok(())
    }
}
