//! Waits for changes of the tables.
//!
//! A server notifies no client, so one thread looks at the sizes of the tables once a second while
//! any caller waits. Where the user may not read them, a wait ends after its interval.

use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use futures_channel::oneshot;
use spanscope_core::sync::lock;
use spanscope_core::threads;
use spanscope_model::{StoreError, StoreErrorKind, StoreFuture};

use crate::client::Client;
use crate::sql::Sql;

const PAUSE: Duration = Duration::from_secs(1);
/// A wait ends after this many looks, though nothing was seen: callers read again anyway.
const MAX_LOOKS: u32 = 5;

#[derive(Debug, Default)]
pub(crate) struct Watch(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Grows with every change that was seen; 0 before the first look.
    version: u64,
    waiting: Vec<Waiting>,
    is_watched: bool,
}

#[derive(Debug)]
struct Waiting {
    give: oneshot::Sender<u64>,
    looks: u32,
}

impl Watch {
    /// Resolves when the tables may have changed since `seen` was returned, and after some seconds.
    pub(crate) fn wait_for_change(&self, client: &Arc<Client>, seen: u64) -> StoreFuture<'static, u64> {
        let mut state = lock(&self.0);
        if !state.is_watched {
            // Nothing was looked at until now, so anything may have changed.
            state.version += 1;
            state.is_watched = true;
            let (shared, client) = (Arc::clone(&self.0), Arc::clone(client));
            if let Err(error) = threads::spawn("spanscope-clickhouse-watch", move || watch(&shared, &client))
            {
                state.is_watched = false;
                let error = StoreError::new(
                    StoreErrorKind::Unavailable,
                    "a thread of the store can't be started",
                )
                .with_source(error);
                return Box::pin(async { Err(error) });
            }
        }
        if seen != state.version {
            let version = state.version;
            return Box::pin(async move { Ok(version) });
        }
        let (give, get) = oneshot::channel();
        state.waiting.push(Waiting { give, looks: 0 });
        Box::pin(async move { Ok(get.await.unwrap_or(seen)) })
    }
}

fn watch(shared: &Mutex<State>, client: &Client) {
    let mut size = size(client);
    loop {
        sleep(PAUSE);
        let now = self::size(client);
        let mut state = lock(shared);
        if now != size {
            state.version += 1;
            size = now;
            let version = state.version;
            for waiting in std::mem::take(&mut state.waiting) {
                let _ = waiting.give.send(version);
            }
        }
        let version = state.version;
        let (over, waiting): (Vec<Waiting>, Vec<Waiting>) = std::mem::take(&mut state.waiting)
            .into_iter()
            .filter(|waiting| !waiting.give.is_canceled())
            .map(|waiting| Waiting {
                looks: waiting.looks + 1,
                ..waiting
            })
            .partition(|waiting| waiting.looks >= MAX_LOOKS);
        for waiting in over {
            let _ = waiting.give.send(version);
        }
        state.waiting = waiting;
        if state.waiting.is_empty() {
            state.is_watched = false;
            return;
        }
    }
}

/// What changes when rows are added; `None` where it can't be read.
fn size(client: &Client) -> Option<(u64, u64)> {
    let sql = Sql::new(
        "SELECT sum(rows), toUInt64(toUnixTimestamp(max(modification_time))) FROM system.parts \
         WHERE active AND database = currentDatabase() AND startsWith(table, 'otel_')",
    );
    client.row(&sql).ok().flatten()
}
