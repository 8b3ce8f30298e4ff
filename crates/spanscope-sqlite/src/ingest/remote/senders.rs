//! Who sent records and where in a program they come from: rows that many records share, looked up once.

use std::collections::hash_map::Entry;

use rusqlite::{OptionalExtension, params};

use super::batch::Batch;
use super::prepared::{Place, SenderKey};
use crate::file::callsites::callsite_row;
use crate::file::processes::tenant_row;
use crate::file::text::without_nul;

/// A file keeps so many places of programs apart. What comes from further ones has its name in its own row, and no target:
/// a program that names its spans by what they work on must not fill the file with places.
const MAX_PLACES: usize = 20_000;
/// So many senders of a tenant are kept apart; what further ones send is stored as sent by nobody in particular.
const MAX_SENDERS: i64 = 10_000;
/// What the sender is that stands for those beyond.
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

    /// The row of a sender, which is made if it is not there.
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
        let make = |resource: &str, scope: &str| {
            self.db
                .prepare_cached(
                    "INSERT INTO _process (service_name, pid, started_at, seen_at, tenant, resource, scope)
                     VALUES (?1, 0, ?2, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![service_name, self.now, tenant, resource, scope])?;
            Ok::<_, rusqlite::Error>(self.db.last_insert_rowid())
        };
        let row = match find(&key.resource, &key.scope)? {
            Some(row) => row,
            None => {
                let senders: i64 = self
                    .db
                    .prepare_cached(
                        "SELECT count(*) FROM _process WHERE tenant = ?1 AND resource IS NOT NULL",
                    )?
                    .query_row([tenant], |row| row.get(0))?;
                if senders < MAX_SENDERS {
                    make(&key.resource, &key.scope)?
                } else {
                    let nobody = SenderKey {
                        service_name: String::new(),
                        resource: OVERFLOW.to_owned(),
                        scope: "{}".to_owned(),
                    };
                    if *key == nobody {
                        make(&key.resource, "{}")?
                    } else {
                        self.sender(tenant, &nobody)?
                    }
                }
            }
        };
        self.state.senders.insert(wanted, row);
        Ok(row)
    }

    /// The row of a place, and the name that is to stand in the row of what comes from there.
    pub(super) fn place<'p>(&mut self, place: &'p Place) -> rusqlite::Result<(i64, Option<&'p str>)> {
        if let Some(row) = self.state.places.get(place) {
            return Ok((*row, None));
        }
        if self.state.places.len() >= MAX_PLACES {
            let general = Place {
                name: String::new(),
                target: String::new(),
                ..place.clone()
            };
            let row = match self.state.places.get(&general) {
                Some(row) => *row,
                None => callsite_row(self.db, "", "", general.level, &general.category)?,
            };
            return Ok((row, (!place.name.is_empty()).then_some(&place.name)));
        }
        let row = callsite_row(self.db, &place.name, &place.target, place.level, &place.category)?;
        self.state.places.insert(place.clone(), row);
        Ok((row, None))
    }

    /// How many streams of totals a sender has.
    pub(super) fn streams_of(&mut self, process: i64) -> rusqlite::Result<&mut usize> {
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
