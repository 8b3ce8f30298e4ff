//! The token metrics of calls whose spans were sent.
//!
//! They are counted once however many spans of one call report them: the innermost counts. Spans come in any order, so a call that
//! was counted is taken back when one below it comes later.

use std::collections::HashSet;

use rusqlite::params;
use spanscope_model::{CACHE_METRICS, MetricKind, TOKEN_METRICS, TraceId};

use super::batch::Batch;
use super::state::{Call, Calls};
use crate::file::series::{self, Amount, NewPoint, labels_text};
use crate::file::text::without_nul;

/// What `_point.detail` has of a measurement that was read from a span.
const OF_SPAN: &str = r#"{"read_from":"span"}"#;

impl Calls {
    /// Counts those that no other one is below of. All their spans are written.
    pub(super) fn count(self, batch: &mut Batch<'_>) -> rusqlite::Result<()> {
        for ((tenant, trace_id), calls) in self.by_trace {
            let counted = counted(batch, tenant, trace_id)?;
            if calls.is_empty() && counted.len() < 2 {
                continue;
            }
            let Some(trace) = batch.trace_row(tenant, trace_id)? else {
                continue;
            };
            let mut covered: HashSet<i64> = HashSet::new();
            for key in counted.iter().copied().chain(calls.iter().map(|call| call.key)) {
                covered.extend(batch.above(trace, key)?);
            }
            let repeated: Vec<i64> = counted.intersection(&covered).copied().collect();
            if !repeated.is_empty() {
                batch.flush_points()?;
                for key in repeated {
                    series::delete(
                        batch.db,
                        "DELETE FROM _point WHERE trace_hex = ?1 AND span_id = ?2 AND detail = ?3 RETURNING series, time",
                        params![trace_id.to_string(), key, OF_SPAN],
                    )?;
                }
            }
            for call in calls.iter().filter(|call| !covered.contains(&call.key)) {
                measure(batch, call)?;
            }
        }
        Ok(())
    }
}

/// The spans of a trace whose usage was counted here.
fn counted(batch: &Batch<'_>, tenant: i64, trace_id: TraceId) -> rusqlite::Result<HashSet<i64>> {
    batch
        .db
        .prepare_cached(
            "SELECT DISTINCT q.span_id FROM _point q JOIN _process p ON p.id = q.process
             WHERE q.trace_hex = ?1 AND q.detail = ?2 AND p.tenant = ?3",
        )?
        .query_map(params![trace_id.to_string(), OF_SPAN, tenant], |row| row.get(0))?
        .collect()
}

fn measure(batch: &mut Batch<'_>, call: &Call) -> rusqlite::Result<()> {
    let tokens = &call.tokens;
    let labels = [
        ("model_id", without_nul(&tokens.model)),
        ("provider_id", without_nul(&tokens.provider)),
    ];
    let labels = labels_text(
        labels
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (*key, value.as_ref())),
    );
    let [(prompt, _), (completion, _), (total, _)] = TOKEN_METRICS;
    let [cache_read, cache_write] = CACHE_METRICS;
    for (metric, count) in [
        (prompt, tokens.prompt),
        (completion, tokens.completion),
        (total, tokens.total),
        (cache_read, tokens.cache_read),
        (cache_write, tokens.cache_write),
    ] {
        let Some(count) = count else { continue };
        batch.add_point(&NewPoint {
            metric,
            unit: "tokens",
            kind: MetricKind::Counter,
            labels: &labels,
            time: call.time,
            value: Amount::Integer(i64::try_from(count).unwrap_or(i64::MAX)),
            trace: Some(call.trace_id.to_bytes()),
            span: Some(call.key),
            process: call.process,
            expires: call.expires,
            tenant: call.tenant,
            detail: Some(OF_SPAN),
        })?;
    }
    Ok(())
}
