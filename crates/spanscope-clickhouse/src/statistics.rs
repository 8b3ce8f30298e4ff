//! Counts, sizes, durations by name, and completions.

use std::collections::HashMap;

use serde::Deserialize;
use spanscope_model::{
    Completion, CompletionOf, CompletionQuery, DurationRank, HistogramRange, NameStats, ServiceStats,
    StoreError, StoreStats, Timestamp, TraceFilter, UNCATEGORIZED, Value,
};

use crate::reader::Reader;
use crate::spans::Detail;
use crate::sql::Sql;
use crate::tables::NANOS;

/// Up to this number of durations of a name are kept exactly.
const EXACT: u64 = 256;
/// The error of percentiles beyond that. The contract allows one percent.
const ACCURACY: &str = "0.005";
/// Spans that completions are taken from: the newest.
const NEWEST_SPANS: u64 = 20_000;
/// Longer values complete nothing that a user would type.
const LONGEST_VALUE: usize = 200;

/// Durations: how many, how many failed, their sum, some exact ones, and percentiles of many.
#[derive(Debug, Deserialize)]
struct Durations(u64, u64, f64, Vec<u64>, Vec<Option<f64>>);

impl Durations {
    /// The columns, of the percentiles 50, 95 and 99.
    fn columns(failed: &str) -> String {
        format!(
            "count(), countIf({failed}), toFloat64(sum({NANOS})), \
             if(count() <= {EXACT}, arraySort(groupArray({EXACT})(toUInt64({NANOS}))), []), \
             quantilesDD({ACCURACY}, 0.5, 0.95, 0.99)(toFloat64({NANOS}))"
        )
    }

    /// The nanoseconds that each of the three percentages does not exceed.
    fn percentiles(&self) -> [f64; 3] {
        let Self(count, _, _, exact, many) = self;
        [(50, 0), (95, 1), (99, 2)].map(|(percent, place)| {
            if exact.is_empty() {
                return many.get(place).copied().flatten().unwrap_or(0.0);
            }
            let rank = (count * percent).div_ceil(100).max(1);
            let index = usize::try_from(rank - 1).unwrap_or(usize::MAX);
            #[expect(clippy::cast_precision_loss, reason = "statistics are floats")]
            exact.get(index).map_or(0.0, |nanos| *nanos as f64)
        })
    }
}

impl Reader {
    pub(crate) fn statistics(&self) -> Result<StoreStats, StoreError> {
        let failed = self.tables.traces.failed();
        let sql = Sql::default()
            .column(&format!(
                "SELECT ServiceName, count() AS spans, countIf({failed}), sum(length(Events.Name)) FROM otel_traces WHERE 1"
            ))
            .add(&self.scope_of_spans())
            .push(" GROUP BY ServiceName ORDER BY spans DESC, ServiceName");
        let rows: Vec<(String, u64, u64, u64)> = self.client.rows(&sql)?;
        let mut events: u64 = rows.iter().map(|(.., events)| events).sum();
        let services: Vec<ServiceStats> = rows
            .into_iter()
            .map(|(service_name, spans, errors, _)| {
                ServiceStats::new(service_name).spans(spans).errors(errors)
            })
            .collect();
        let number = |sql: Sql| -> Result<u64, StoreError> {
            Ok(self.client.row::<(u64,)>(&sql)?.map_or(0, |(number,)| number))
        };
        if let Some(logs) = &self.tables.logs {
            let sql = Sql::new("SELECT count() FROM otel_logs WHERE 1").add(&self.scope(&logs.resource));
            events += number(sql)?;
        }
        let mut points = 0;
        for table in &self.tables.metrics {
            let sql = Sql::new("SELECT count() FROM ")
                .column(table.name)
                .push(" WHERE 1")
                .add(&self.scope(&table.resource));
            points += number(sql)?;
        }
        let is_all = self.scope_of_spans().is_empty();
        let traces = match is_all && self.tables.traces.has_times {
            true => Sql::new("SELECT uniqExact(TraceId) FROM otel_traces_trace_id_ts WHERE TraceId != ''"),
            false => Sql::new("SELECT uniqExact(TraceId) FROM otel_traces WHERE TraceId != ''")
                .add(&self.scope_of_spans()),
        };
        let spans = services.iter().map(|service| service.spans).sum();
        let extent = match is_all {
            true => self.extent()?,
            false => {
                let sql = Sql::new(
                    "SELECT count(), toUnixTimestamp64Nano(min(Timestamp)), toUnixTimestamp64Nano(max(Timestamp)) \
                     FROM otel_traces WHERE 1",
                )
                .add(&self.scope_of_spans());
                let found: Option<(u64, i64, i64)> = self.client.row(&sql)?;
                found
                    .filter(|(count, ..)| *count > 0)
                    .map(|(_, oldest, newest)| (oldest, newest))
            }
        };
        let newest = TraceFilter::default().limit(1);
        let newest = self.list_traces(&newest)?.into_iter().next();
        Ok(StoreStats::default()
            .bytes(if self.tenant.is_none() { self.bytes() } else { 0 })
            .traces(number(traces)?)
            .spans(spans)
            .events(events)
            .points(points)
            .oldest(extent.map(|(oldest, _)| Timestamp::from_nanos(oldest)))
            .newest(newest.map(|summary| summary.trace.start_time))
            .services(services))
    }

    /// Returns when the oldest span or log record began.
    pub(crate) fn oldest(&self) -> Result<Option<Timestamp>, StoreError> {
        let mut oldest: Option<i64> = None;
        let tables = [
            Some(("otel_traces", self.scope_of_spans())),
            self.tables
                .logs
                .as_ref()
                .map(|logs| ("otel_logs", self.scope(&logs.resource))),
        ];
        for (table, scope) in tables.into_iter().flatten() {
            let sql = Sql::new("SELECT count(), toUnixTimestamp64Nano(min(Timestamp)) FROM ")
                .push(table)
                .push(" WHERE 1")
                .add(&scope);
            let found: Option<(u64, i64)> = self.client.row(&sql)?;
            if let Some((1.., time)) = found {
                oldest = Some(oldest.map_or(time, |oldest| oldest.min(time)));
            }
        }
        Ok(oldest.map(Timestamp::from_nanos))
    }

    /// The size of the tables on disk; 0 where the user may not read it.
    fn bytes(&self) -> u64 {
        let sql = Sql::new(
            "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase() \
             AND startsWith(table, 'otel_')",
        );
        let found = self.client.row::<(u64,)>(&sql);
        found.ok().flatten().map_or(0, |(bytes,)| bytes)
    }

    pub(crate) fn name_statistics(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Result<Vec<NameStats>, StoreError> {
        let failed = self.tables.traces.failed();
        let mut sql = Sql::default()
            .column(&format!(
                "SELECT SpanName, tuple({}) FROM otel_traces WHERE 1",
                Durations::columns(&failed)
            ))
            .add(&self.scope_of_spans());
        if let Some(since) = since {
            sql = sql.push(" AND Timestamp >= ").time(since);
        }
        if let Some(until) = until {
            sql = sql.push(" AND Timestamp < ").time(until);
        }
        let rows: Vec<(String, Durations)> = self.client.rows(&sql.push(" GROUP BY SpanName"))?;
        let mut stats: Vec<NameStats> = rows
            .into_iter()
            .map(|(name, durations)| {
                let [p50, p95, p99] = durations.percentiles().map(|nanos| nanos / 1e6);
                NameStats::new(name)
                    .count(durations.0)
                    .errors(durations.1)
                    .p50_ms(p50)
                    .p95_ms(p95)
                    .p99_ms(p99)
                    .total_ms(durations.2 / 1e6)
            })
            .collect();
        stats.sort_by(|a, b| {
            b.total_ms
                .total_cmp(&a.total_ms)
                .then_with(|| a.name.cmp(&b.name))
        });
        Ok(stats)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a duration in nanoseconds is whole and not negative"
    )]
    pub(crate) fn duration_rank(
        &self,
        name: &str,
        since: Timestamp,
        nanos: u64,
    ) -> Result<DurationRank, StoreError> {
        let sql = Sql::default()
            .column(&format!(
                "SELECT tuple({}), countIf(toUInt64({NANOS}) < ",
                Durations::columns("0")
            ))
            .count(nanos)
            .push(") FROM otel_traces WHERE SpanName = ")
            .text(name)
            .push(" AND Timestamp >= ")
            .time(since)
            .add(&self.scope_of_spans());
        let found: Option<(Durations, u64)> = self.client.row(&sql)?;
        let mut rank = DurationRank::default();
        if let Some((durations, faster)) = found {
            let [p50, p95, _] = durations.percentiles();
            rank.count = durations.0;
            rank.faster = faster;
            rank.p50_nanos = p50 as u64;
            rank.p95_nanos = p95 as u64;
        }
        Ok(rank)
    }

    pub(crate) fn completions(&self, query: &CompletionQuery) -> Result<Vec<Completion>, StoreError> {
        let Some(from) = self.begin_of_newest(NEWEST_SPANS)? else {
            return Ok(Vec::new());
        };
        let since = Sql::new(" FROM otel_traces WHERE Timestamp >= ")
            .time(Timestamp::from_nanos(from))
            .add(&self.scope_of_spans());
        let mut texts: Vec<(String, u64)> = match query.of {
            CompletionOf::Name | CompletionOf::Service => {
                let column = match query.of {
                    CompletionOf::Name => "SELECT SpanName, count()",
                    _ => "SELECT ServiceName, count()",
                };
                let sql = Sql::new(column).add(&since).push(" GROUP BY 1");
                self.client.rows(&sql)?
            }
            CompletionOf::Key | CompletionOf::Value | CompletionOf::Category => {
                self.texts_of_attributes(query, &since)?
            }
        };
        let part = query.part.to_ascii_lowercase();
        texts.retain(|(text, _)| !text.is_empty() && text.to_ascii_lowercase().contains(&part));
        texts.sort_by(|a, b| {
            let begins = |text: &str| text.to_ascii_lowercase().starts_with(&part);
            let by_beginning = begins(&b.0).cmp(&begins(&a.0));
            by_beginning
                .then_with(|| b.1.cmp(&a.1))
                .then_with(|| a.0.cmp(&b.0))
        });
        texts.truncate(usize::try_from(query.limit).unwrap_or(usize::MAX));
        // Stored values have no types; a question decides how it compares them.
        let completion = |(text, count)| Completion::new(text, 's', count);
        Ok(texts.into_iter().map(completion).collect())
    }

    fn texts_of_attributes(
        &self,
        query: &CompletionQuery,
        since: &Sql,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        let sql = Sql::new("SELECT ")
            .add(&crate::spans::columns(self, Detail::default()))
            .add(since)
            .push(" ORDER BY Timestamp DESC LIMIT ")
            .count(NEWEST_SPANS);
        let mut counts: HashMap<String, u64> = HashMap::new();
        for span in self.spans(&sql)? {
            let mut add = |text: String| *counts.entry(text).or_default() += 1;
            let attributes = &span.span.attributes;
            match query.of {
                CompletionOf::Category => {
                    add(span.span.category.as_deref().unwrap_or(UNCATEGORIZED).to_owned());
                }
                CompletionOf::Value => match attributes.get(&query.key) {
                    None | Some(Value::Json(_)) => {}
                    Some(value) => {
                        let text = value.to_string();
                        if text.len() <= LONGEST_VALUE {
                            add(text);
                        }
                    }
                },
                _ => attributes.iter().for_each(|(key, _)| add(key.to_owned())),
            }
        }
        Ok(counts.into_iter().collect())
    }
}

/// The bucket of a time; `None` outside of the range.
pub(crate) fn bucket_of(range: HistogramRange, time: Timestamp) -> Option<usize> {
    let since = time
        .as_nanos()
        .checked_sub(range.from.as_nanos())
        .filter(|since| *since >= 0)?;
    let bucket = usize::try_from(since / range.step_nanos()).ok()?;
    (bucket < range.buckets as usize && time < range.to).then_some(bucket)
}

pub(crate) fn check_range(range: HistogramRange) -> Result<(), StoreError> {
    if range.from >= range.to {
        return Err(StoreError::invalid(format!(
            "the histogram would begin at {} and end at {}: give an end after the start",
            range.from, range.to
        )));
    }
    if !(1..=HistogramRange::MAX_BUCKETS).contains(&range.buckets) {
        return Err(StoreError::invalid(format!(
            "a histogram has 1 to {} buckets, not {}",
            HistogramRange::MAX_BUCKETS,
            range.buckets
        )));
    }
    Ok(())
}
