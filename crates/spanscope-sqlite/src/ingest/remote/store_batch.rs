//! Stores prepared records in one transaction: what is there already is known again, the rest becomes
//! rows.

use rusqlite::params;
use spanscope_model::{IngestReceipt, TraceId};

use super::batch::{Batch, Overflow};
use super::prepared::{PreparedRecords, Sender};
use super::state::{Account, Call};
use super::totals;
use crate::file::series::NewPoint;
use crate::file::traces::Owner;

/// A span of a sender that was not heard of for so long counts as abandoned. It may be a program that
/// says nothing while a model thinks, so this is long.
const GRACE: i64 = 600_000_000_000;

impl Batch<'_> {
    /// Stores what of these records is not there.
    pub(super) fn store_batch(&mut self, prepared: &PreparedRecords) -> rusqlite::Result<IngestReceipt> {
        let mut taken = IngestReceipt::default();
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
            // Two tenants may send the same, and each has sent it once.
            let digest = match tenant {
                0 => digest.to_vec(),
                tenant => [&tenant.to_be_bytes(), &digest[..]].concat(),
            };
            let is_new = self
                .db
                .prepare_cached("INSERT OR IGNORE INTO _batch (digest, time) VALUES (?1, ?2)")?
                .execute(params![digest, self.now])?;
            if is_new == 0 {
                taken.known = prepared.records;
                return Ok(taken);
            }
        }
        if let Some((sent, continued)) = prepared.continues {
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
        for sender in &prepared.sources {
            self.store_sender(tenant, sender, prepared.follows, &mut taken)?;
        }
        Ok(taken)
    }

    fn store_sender(
        &mut self,
        tenant: i64,
        sender: &Sender,
        follows: bool,
        taken: &mut IngestReceipt,
    ) -> rusqlite::Result<()> {
        let process = self.sender(tenant, &sender.key)?;
        let mut account = Account {
            has_open_spans: follows || sender.spans.iter().any(|span| span.duration.is_none()),
            ..Account::default()
        };
        let called = |batch: &Self, trace_id: TraceId| match follows {
            true => batch.continued(tenant, trace_id),
            false => Ok(trace_id),
        };
        for span in &sender.spans {
            let trace_id = called(self, span.trace_id)?;
            let records = 1 + span.events.len() as u64;
            let stored = self.add_span(process, trace_id, span)?;
            if let Some(stored) = &stored {
                if self.rows.touched(trace_id).is_some_and(|trace| !trace.is_new) {
                    self.calls.may_join(tenant, trace_id);
                }
                if let Some(call) = &span.call {
                    self.calls.push(Call {
                        trace_id,
                        key: stored.key,
                        process,
                        tenant,
                        time: span.start.saturating_add(span.duration.unwrap_or(0)),
                        duration: span.duration.unwrap_or(0),
                        failed: span.status == Some(1),
                        call: call.clone(),
                        expires: span.expires,
                    });
                }
                account.expires = account.expires.max(span.expires);
            }
            let stored = stored.map_or(0, |stored| stored.records);
            account.records += stored;
            taken.known += records.saturating_sub(stored);
        }
        for end in &sender.ends {
            let trace_id = called(self, end.trace_id)?;
            if self.add_end(process, trace_id, end)? {
                account.records += 1;
                account.expires = account.expires.max(end.expires);
            } else {
                taken.known += 1;
            }
        }
        for event in &sender.events {
            let trace_id = event.trace_id.map(|id| called(self, id)).transpose()?;
            self.add_event(process, trace_id, event.span, event)?;
            account.records += 1;
            account.expires = account.expires.max(event.expires);
        }
        for point in &sender.points {
            match totals::grown(self, tenant, process, point)? {
                totals::Grown::By(value) => {
                    let trace = match point.trace.and_then(TraceId::from_bytes) {
                        Some(trace_id) => Some(called(self, trace_id)?.to_bytes()),
                        None => None,
                    };
                    self.add_point(&NewPoint {
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
                    })?;
                    account.records += 1;
                    account.expires = account.expires.max(point.expires);
                }
                totals::Grown::NotAtAll => account.records += 1,
                totals::Grown::Known => taken.known += 1,
                totals::Grown::TooMany => taken.rejected_points += 1,
            }
        }
        taken.stored += account.records;
        let all = self.accounts.entry(process).or_default();
        all.records += account.records;
        all.expires = all.expires.max(account.expires);
        all.has_open_spans |= account.has_open_spans;
        Ok(())
    }

    /// Writes what is left.
    pub(super) fn finish(mut self) -> rusqlite::Result<Overflow> {
        self.rows.flush()?;
        let calls = std::mem::take(&mut self.calls);
        calls.count(&mut self)?;
        self.flush_points()?;
        let mut statement = self.db.prepare_cached(
            "UPDATE _process SET offered = offered + ?2, stored = stored + ?2, seen_at = MAX(seen_at, ?3),
             expires = COALESCE(MAX(expires, ?4), expires, ?4) WHERE id = ?1",
        )?;
        for (process, account) in &self.accounts {
            let records = i64::try_from(account.records).unwrap_or(i64::MAX);
            let seen = if account.has_open_spans {
                self.now + GRACE
            } else {
                self.now
            };
            statement.execute(params![process, records, seen, account.expires])?;
        }
        if self.ahead > 0 {
            self.db
                .prepare_cached("UPDATE _given SET ahead = MAX(ahead, ?1)")?
                .execute([self.ahead])?;
        }
        Ok(Overflow {
            metrics: self.overflowed,
            senders: self.has_too_many_senders,
        })
    }
}
