//! Rows of senders and callsites, which many records share and which are looked up once.

use std::collections::hash_map::Entry;

use rusqlite::{Connection, OptionalExtension, params};

use super::batch::Batch;
use super::prepared::{Callsite, SenderKey};
use super::state::{CallsitesInFile, Senders};
use crate::file::callsites::{callsite_row, find_callsite};
use crate::file::processes::tenant_row;
use crate::file::text::without_nul;

/// Maximum number of callsites in a file: a program that names its spans by their input must not
/// fill the file with them. Records of further callsites have their name in their own row, and no
/// target. The names of all callsites may take a 16th of the file's limit (their index takes as
/// much again).
const MAX_CALLSITES: usize = 20_000;
/// Maximum number of senders of a tenant. The rows of senders and their streams take at most a 16th
/// of the file's limit per tenant (the index takes as much again), and an 8th for all tenants.
/// Records of further senders are stored under one anonymous sender.
const MAX_SENDERS: usize = 10_000;
/// The size of a stream of totals.
const STREAM_BYTES: usize = 64;
/// Maximum number of streams of one sender.
const MAX_STREAMS: usize = 10_000;
/// The resource of the anonymous sender.
const OVERFLOW: &str = r#"{"otel.resource.overflow":true}"#;

impl Batch<'_> {
    pub(super) fn tenant(&mut self, name: &str) -> rusqlite::Result<i64> {
        if let Some(row) = self.state.tenants.get(name) {
            return Ok(*row);
        }
        let row = tenant_row(self.db, name)?;
        self.state.tenants.insert(name.to_owned(), row);
        Ok(row)
    }

    /// Returns the row of a sender, and creates it if it is missing.
    pub(super) fn sender(&mut self, tenant: i64, key: &SenderKey) -> rusqlite::Result<i64> {
        let wanted = (tenant, key.clone());
        if let Some(row) = self.state.senders.get(&wanted) {
            return Ok(*row);
        }
        let service_name = without_nul(&key.service_name);
        let find = |resource: &str, scope: &str| {
            self.db
                .prepare_cached(
                    "SELECT id FROM _process WHERE tenant = ?1 AND resource = ?2 AND scope = ?3 AND service_name = ?4",
                )?
                .query_row(params![tenant, resource, scope, service_name], |row| {
                    row.get::<_, i64>(0)
                })
                .optional()
        };
        let (db, now) = (self.db, self.now);
        // The sender of imported records does not send to this store.
        let ended_at = self.is_import.then_some(now);
        let make = |resource: &str, scope: &str| {
            db.prepare_cached(
                "INSERT INTO _process (service_name, pid, started_at, seen_at, ended_at, tenant, resource, scope)
                     VALUES (?1, 0, ?2, ?2, ?6, ?3, ?4, ?5)",
            )?
            .execute(params![service_name, now, tenant, resource, scope, ended_at])?;
            Ok::<_, rusqlite::Error>(db.last_insert_rowid())
        };
        let row = match find(&key.resource, &key.scope)? {
            Some(row) => row,
            None => {
                let bytes = key.resource.len() + key.scope.len();
                if self.senders_of(tenant)?.count < MAX_SENDERS && self.has_sender_room(tenant, bytes)? {
                    self.senders_of(tenant)?.count += 1;
                    make(&key.resource, &key.scope)?
                } else {
                    let unnamed = SenderKey {
                        service_name: String::new(),
                        resource: OVERFLOW.to_owned(),
                        scope: "{}".to_owned(),
                    };
                    if *key == unnamed {
                        make(&key.resource, "{}")?
                    } else {
                        self.has_too_many_senders = true;
                        self.sender(tenant, &unnamed)?
                    }
                }
            }
        };
        self.state.senders.insert(wanted, row);
        Ok(row)
    }

    /// Returns the number of a tenant's senders, and the size of their rows. They are counted once
    /// a minute, because counting them at each new sender would cost more the more there are.
    fn senders_of(&mut self, tenant: i64) -> rusqlite::Result<&mut Senders> {
        match self.state.senders_of.entry(tenant) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => Ok(entry.insert(count_senders(self.db, Some(tenant))?)),
        }
    }

    /// Takes `bytes` of a tenant's share for senders, if they are available.
    fn has_sender_room(&mut self, tenant: i64, bytes: usize) -> rusqlite::Result<bool> {
        let max_bytes = self.max_sender_bytes;
        let all = match self.state.all_senders {
            Some(all) => all,
            None => count_senders(self.db, None)?.bytes,
        };
        let theirs = self.senders_of(tenant)?;
        let has_room = theirs.bytes + bytes <= max_bytes && all + bytes <= max_bytes.saturating_mul(2);
        if has_room {
            theirs.bytes += bytes;
        }
        self.state.all_senders = Some(all + if has_room { bytes } else { 0 });
        Ok(has_room)
    }

    /// Returns whether one more stream of totals of a sender is accepted, and counts it.
    pub(super) fn has_stream_room(&mut self, tenant: i64, process: i64) -> rusqlite::Result<bool> {
        if *self.streams_of(process)? >= MAX_STREAMS || !self.has_sender_room(tenant, STREAM_BYTES)? {
            return Ok(false);
        }
        *self.streams_of(process)? += 1;
        Ok(true)
    }

    /// Returns the row of a callsite. If the file accepts no more callsites, it is the row of a
    /// callsite without a name, and the name for the record's own row is returned too.
    pub(super) fn callsite<'p>(
        &mut self,
        callsite: &'p Callsite,
    ) -> rusqlite::Result<(i64, Option<&'p str>)> {
        if let Some(row) = self.state.callsites.get(callsite) {
            return Ok((*row, None));
        }
        let found = find_callsite(
            self.db,
            &callsite.name,
            &callsite.target,
            callsite.level,
            &callsite.category,
        )?;
        let row = match found {
            Some(row) => row,
            None if self.has_callsite_room(callsite)? => callsite_row(
                self.db,
                &callsite.name,
                &callsite.target,
                callsite.level,
                &callsite.category,
            )?,
            None => {
                let row = callsite_row(self.db, "", "", callsite.level, &callsite.category)?;
                return Ok((row, (!callsite.name.is_empty()).then_some(&callsite.name)));
            }
        };
        if self.state.callsites.len() < MAX_CALLSITES {
            self.state.callsites.insert(callsite.clone(), row);
        }
        Ok((row, None))
    }

    /// Returns whether the file accepts one more callsite, and counts it.
    fn has_callsite_room(&mut self, callsite: &Callsite) -> rusqlite::Result<bool> {
        let bytes = callsite.name.len() + callsite.target.len();
        let mut there = match self.state.callsites_in_file {
            Some(there) => there,
            None => self.db.query_row(
                "SELECT count(*), COALESCE(sum(octet_length(name) + octet_length(target)), 0) FROM _callsite",
                [],
                |row| {
                    Ok(CallsitesInFile {
                        count: row.get::<_, i64>(0)?.try_into().unwrap_or(0),
                        bytes: row.get::<_, i64>(1)?.try_into().unwrap_or(0),
                    })
                },
            )?,
        };
        let has_room = there.count < MAX_CALLSITES && there.bytes + bytes <= self.max_sender_bytes;
        if has_room {
            there.count += 1;
            there.bytes += bytes;
        }
        self.state.callsites_in_file = Some(there);
        Ok(has_room)
    }

    /// Returns the number of a sender's streams of totals.
    fn streams_of(&mut self, process: i64) -> rusqlite::Result<&mut usize> {
        match self.state.streams.entry(process) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let count: i64 = self
                    .db
                    .prepare_cached("SELECT count(*) FROM _total WHERE process = ?1")?
                    .query_row([process], |row| row.get(0))?;
                Ok(entry.insert(usize::try_from(count).unwrap_or(0)))
            }
        }
    }
}

/// Counts the senders of a tenant, or of all.
fn count_senders(db: &Connection, tenant: Option<i64>) -> rusqlite::Result<Senders> {
    let which = match tenant {
        Some(_) => "tenant = ?1",
        None => "?1 IS NULL",
    };
    db.prepare_cached(&format!(
        "SELECT count(*), COALESCE(sum(octet_length(resource) + octet_length(scope)), 0)
         + {STREAM_BYTES} * (SELECT count(*) FROM _total JOIN _process ON _process.id = process WHERE {which})
         FROM _process WHERE {which} AND scope IS NOT NULL"
    ))?
    .query_row([tenant], |row| {
        Ok(Senders {
            count: row.get::<_, i64>(0)?.try_into().unwrap_or(0),
            bytes: row.get::<_, i64>(1)?.try_into().unwrap_or(0),
        })
    })
}
