//! Sizes, counts and losses of the store, and durations by name.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use spanscope_core::sync::lock;
use spanscope_model::{StoreError, StoreStats, Tenant, Timestamp, TraceStore};

use super::command::Command;
use super::params::{FROM, Range, SINCE, TO};
use super::router::Pages;
use crate::answer::{ApiError, json};
use crate::api::Parameter;
use crate::caller::{Caller, ScopedStore};
use crate::runs::QueryParams;

/// How long numbers are cached. Every page requests them, and the whole store has to be counted.
const KEPT: Duration = Duration::from_secs(5);
/// Maximum number of tenants whose numbers are cached.
const MAX_KEPT: usize = 1000;

/// The cached numbers of each tenant.
#[derive(Default)]
pub(super) struct StatsCache(Mutex<HashMap<Option<Tenant>, (Instant, StoreStats)>>);

impl StatsCache {
    pub(super) async fn of(
        &self,
        tenant: Option<&Tenant>,
        store: &dyn TraceStore,
    ) -> Result<StoreStats, StoreError> {
        let key = tenant.cloned();
        let known = lock(&self.0).get(&key).cloned();
        if let Some((when, stats)) = known
            // The first trace is shown at once.
            && when.elapsed() < KEPT
            && stats.traces > 0
        {
            return Ok(stats);
        }
        let stats = store.statistics().await?;
        let mut known = lock(&self.0);
        if known.len() >= MAX_KEPT {
            known.clear();
        }
        known.insert(key, (Instant::now(), stats.clone()));
        Ok(stats)
    }
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct Store {
    traces: u64,
    spans: u64,
    events: u64,
    points: u64,
    bytes: Option<u64>,
    file: Option<File>,
    oldest: Option<Timestamp>,
    newest: Option<Timestamp>,
    account: Option<Account>,
    services: Vec<Service>,
    retention_s: Option<u64>,
    command: String,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "StoreFile"))]
struct File {
    bytes: u64,
    wal_bytes: u64,
    free_bytes: u64,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Account {
    offered: u64,
    stored: u64,
    dropped: Dropped,
    lost: u64,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Dropped {
    queue_full: u64,
    write_failed: u64,
    shutdown: u64,
    sampled: u64,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "ServiceCount"))]
struct Service {
    service: String,
    spans: u64,
    errors: u64,
}

pub(super) async fn get(
    State(pages): State<Pages>,
    ScopedStore(store): ScopedStore,
    caller: Option<Extension<Caller>>,
    params: QueryParams,
) -> Result<Response, ApiError> {
    params.nothing()?;
    let tenant = match caller {
        Some(Extension(Caller::Tenant(tenant))) => Some(tenant),
        _ => None,
    };
    let stats = pages.stats().of(tenant.as_ref(), &*store).await?;
    json(Store {
        traces: stats.traces,
        spans: stats.spans,
        events: stats.events,
        points: stats.points,
        bytes: stats.file.map(|_| stats.bytes),
        file: stats.file.map(|file| File {
            bytes: file.bytes,
            wal_bytes: file.wal_bytes,
            free_bytes: file.free_bytes,
        }),
        oldest: stats.oldest,
        newest: stats.newest,
        account: stats.account.map(|account| Account {
            offered: account.offered,
            stored: account.stored,
            dropped: Dropped {
                queue_full: account.dropped.queue_full,
                write_failed: account.dropped.write_failed,
                shutdown: account.dropped.shutdown,
                sampled: account.dropped.sampled,
            },
            lost: account.lost,
        }),
        services: stats
            .services
            .into_iter()
            .map(|service| Service {
                service: service.service_name,
                spans: service.spans,
                errors: service.errors,
            })
            .collect(),
        retention_s: store.capabilities().retention.map(|kept| kept.as_secs()),
        command: Command::new("stats").finish(),
    })
    .await
}

pub(super) const NAMES: [Parameter; 3] = [SINCE, FROM, TO];

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct Names {
    names: Vec<Name>,
    command: String,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "NameDurations"))]
struct Name {
    name: String,
    count: u64,
    errors: u64,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    total_ms: f64,
}

/// Maximum number of names; those that took the most time are shown.
const MAX_NAMES: usize = 1000;

pub(super) async fn names(
    ScopedStore(store): ScopedStore,
    params: QueryParams,
) -> Result<Response, ApiError> {
    params.only(&NAMES)?;
    let range = Range::read(&params)?;
    let names = store.name_statistics(range.from, range.to).await?;
    json(Names {
        names: names
            .into_iter()
            .take(MAX_NAMES)
            .map(|name| Name {
                name: name.name,
                count: name.count,
                errors: name.errors,
                p50_ms: name.p50_ms,
                p95_ms: name.p95_ms,
                p99_ms: name.p99_ms,
                total_ms: name.total_ms,
            })
            .collect(),
        command: Command::new("stats")
            .option("--by", Some("name"))
            .range(&params, &range)
            .finish(),
    })
    .await
}
