//! Stores prepared records in one transaction, and skips those that are already stored.

use std::collections::HashMap;

use rusqlite::params;
use spanscope_model::TraceId;

use super::batch::{Batch, Overflow};
use super::prepared::{PreparedRecords, Sender};
use super::receipt::Taken;
use super::responses::Origin;
use super::seen_points::SeenPoints;
use super::state::{Account, Call};
use super::stored_metrics::Series;
use super::totals;
use crate::file::series::NewPoint;
use crate::file::traces::Owner;

/// Open spans of a sender count as abandoned after this time without records. It is long, because
/// the sender may be waiting for a slow model.
const GRACE: i64 = 600_000_000_000;

impl Batch<'_> {
    /// Stores the new records among these.
    pub(super) fn store_batch(&mut self, prepared: &PreparedRecords) -> rusqlite::Result<Taken> {
        let mut taken = Taken::default();
        let (owner, tenant) = match &prepared.tenant {
            None => (Owner::Anyone, 0),
            Some(tenant) => {
                let row = self.tenant(tenant.as_str())?;
                (Owner::Tenant(row), row)
            }
        };
        self.rows.set_owner(owner)?;
        self.met.clear();
        if let Some(digest) = &prepared.digest {
            // The digest includes the tenant, because two tenants may send the same batch.
            let digest = match tenant {
                0 => digest.to_vec(),
                tenant => [&tenant.to_be_bytes(), &digest[..]].concat(),
            };
            let is_new = self
                .db
                .prepare_cached("INSERT OR IGNORE INTO _batch (digest, time) VALUES (?1, ?2)")?
                .execute(params![digest, self.now])?;
            if is_new == 0 {
                taken.receipt.known = prepared.records;
                return Ok(taken);
            }
        }
        if let Some((sent, continued)) = prepared.trace_alias {
            self.db
                .prepare_cached(
                    "INSERT OR REPLACE INTO _continued (tenant, trace_id, continues, time) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![
                    tenant,
                    sent.to_string(),
                    continued.to_string(),
                    self.now
                ])?;
        }
        if self.is_import {
            self.look_for_events(tenant, prepared)?;
        }
        let mut seen_points = SeenPoints::default();
        for sender in &prepared.sources {
            self.store_sender(
                tenant,
                sender,
                prepared.resolve_aliases,
                &mut seen_points,
                &mut taken,
            )?;
        }
        Ok(taken)
    }

    fn store_sender(
        &mut self,
        tenant: i64,
        sender: &Sender,
        resolve_aliases: bool,
        seen_points: &mut SeenPoints,
        taken: &mut Taken,
    ) -> rusqlite::Result<()> {
        let process = self.sender(tenant, &sender.key)?;
        let origin = Origin::of(&sender.key);
        let mut account = Account {
            has_open_spans: resolve_aliases || sender.spans.iter().any(|span| span.duration.is_none()),
            ..Account::default()
        };
        let called = |batch: &Self, trace_id: TraceId| match resolve_aliases {
            true => batch.continued(tenant, trace_id),
            false => Ok(trace_id),
        };
        for span in &sender.spans {
            let trace_id = called(self, span.trace_id)?;
            let records = 1 + span.events.len() as u64;
            let stored = self.add_span(process, trace_id, span)?;
            if let Some(stored) = &stored
                && stored.has_span
            {
                if self.rows.touched(trace_id).is_some_and(|trace| !trace.is_new) {
                    self.calls.may_join(tenant, trace_id);
                }
                if let Some(call) = &span.call {
                    self.calls.push(Call {
                        trace_id,
                        key: stored.key,
                        process,
                        tenant,
                        origin,
                        time: span.start.saturating_add(span.duration.unwrap_or(0)),
                        duration: span.duration.unwrap_or(0),
                        failed: span.status == Some(1),
                        is_root: span.parent.is_none(),
                        call: call.clone(),
                        expires: span.expires,
                    });
                }
                account.expires = account.expires.max(span.expires);
                taken.spans += 1;
                if self.is_import {
                    taken.traces.push(trace_id);
                }
            }
            let (stored, is_span) =
                stored.map_or((0, 0), |stored| (stored.records, u64::from(stored.has_span)));
            account.records += stored;
            taken.events += stored.saturating_sub(is_span);
            taken.receipt.known += records.saturating_sub(stored);
        }
        for end in &sender.ends {
            let trace_id = called(self, end.trace_id)?;
            if self.add_end(process, trace_id, end)? {
                account.records += 1;
                account.expires = account.expires.max(end.expires);
            } else {
                taken.receipt.known += 1;
            }
        }
        for event in &sender.events {
            if self.is_import && self.was_there(event) {
                taken.receipt.known += 1;
                continue;
            }
            let trace_id = event.trace_id.map(|id| called(self, id)).transpose()?;
            self.add_event(process, trace_id, event.span, event)?;
            account.records += 1;
            taken.events += 1;
            account.expires = account.expires.max(event.expires);
        }
        for point in &sender.points {
            match totals::grown(self, tenant, process, point)? {
                totals::Grown::By(value) => {
                    let trace = match point.trace.and_then(TraceId::from_bytes) {
                        Some(trace_id) => Some(called(self, trace_id)?.to_bytes()),
                        None => None,
                    };
                    let new = NewPoint {
                        metric: &point.metric,
                        unit: &point.unit,
                        kind: point.kind,
                        labels: &point.labels,
                        time: point.time,
                        value,
                        trace,
                        span: point.span,
                        process,
                        expires: self.expiry(point.time, point.expires),
                        tenant,
                        detail: point.detail.as_deref(),
                    };
                    if self.is_import && point.since.is_none() && seen_points.is_known(self, &new)? {
                        taken.receipt.known += 1;
                        continue;
                    }
                    self.add_point(&new)?;
                    account.records += 1;
                    taken.points += 1;
                    account.expires = account.expires.max(point.expires);
                }
                totals::Grown::NotAtAll => account.records += 1,
                totals::Grown::Known => taken.receipt.known += 1,
                totals::Grown::TooMany => taken.receipt.rejected_points += 1,
            }
        }
        taken.receipt.stored += account.records;
        let all = self.accounts.entry(process).or_default();
        all.records += account.records;
        all.expires = all.expires.max(account.expires);
        all.has_open_spans |= account.has_open_spans;
        Ok(())
    }

    /// Writes the remaining rows. Returns the exceeded limits, and the counts of stored records if
    /// they are counted.
    pub(super) fn finish(mut self) -> rusqlite::Result<(Overflow, HashMap<Series, i64>)> {
        self.rows.flush()?;
        let calls = std::mem::take(&mut self.calls);
        calls.count(&mut self)?;
        self.flush_points()?;
        // A sender that an import has added may start to send. The import itself is not activity.
        let mut statement = self.db.prepare_cached(
            "UPDATE _process SET offered = offered + ?2, stored = stored + ?2,
             seen_at = CASE WHEN ?5 THEN seen_at ELSE MAX(seen_at, ?3) END,
             ended_at = CASE WHEN ?5 THEN ended_at END,
             expires = COALESCE(MAX(expires, ?4), expires, ?4) WHERE id = ?1",
        )?;
        for (process, account) in &self.accounts {
            let records = i64::try_from(account.records).unwrap_or(i64::MAX);
            let seen = if account.has_open_spans {
                self.now + GRACE
            } else {
                self.now
            };
            statement.execute(params![process, records, seen, account.expires, self.is_import])?;
        }
        if self.ahead > 0 {
            self.db
                .prepare_cached("UPDATE _given SET ahead = MAX(ahead, ?1)")?
                .execute([self.ahead])?;
        }
        let stored = self.stored_by_service()?;
        let overflow = Overflow {
            metrics: self.overflowed,
            senders: self.has_too_many_senders,
        };
        Ok((overflow, stored))
    }
}
