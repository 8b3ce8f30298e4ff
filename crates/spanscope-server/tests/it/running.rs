//! The server as `spanscope serve` runs it, over a real store, until it is dropped or stopped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use spanscope_model::{LogFilter, SpanFilter, StoreErrorKind, Tenant, TraceStore, block_on};
use spanscope_server::{AuthMode, BearerTokens, Datasets, Limits, RunSettings, Server};
use spanscope_sqlite::SqliteStore;
use spanscope_tests::wait_for;
use tokio::sync::{oneshot, watch};

use crate::stores::Failing;

pub(crate) const ACME: &str = "token-of-acme-0000001";
pub(crate) const OTHER: &str = "token-of-other-000001";
pub(crate) const ADMIN: &str = "token-of-the-admin-01";

/// The tokens above.
pub(crate) fn tokens() -> AuthMode {
    let list = format!("{ACME} acme\n{OTHER} other\n{ADMIN} *");
    AuthMode::Tokens(BearerTokens::parse(&list).unwrap())
}

pub(crate) fn tenant(name: &str) -> Tenant {
    name.parse().unwrap()
}

/// A server on a separate thread.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    /// The address of its gRPC services.
    #[cfg(feature = "grpc")]
    pub(crate) grpc: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<bool>>,
}

impl Running {
    /// Starts a server over any store.
    pub(crate) fn of(store: Arc<dyn TraceStore>, auth: AuthMode, limits: Limits) -> Self {
        Self::with_runs(store, auth, limits, runs())
    }

    /// Starts a server with these settings of agent traces.
    pub(crate) fn with_runs(
        store: Arc<dyn TraceStore>,
        auth: AuthMode,
        limits: Limits,
        runs: RunSettings,
    ) -> Self {
        Self::in_thread(move || {
            let server = Server::builder(store);
            server.auth(auth).limits(limits).runs(runs).build()
        })
    }

    /// Runs a server that is made on the thread that runs it.
    pub(crate) fn in_thread(server: impl FnOnce() -> Server + Send + 'static) -> Self {
        let (end, ends) = oneshot::channel();
        let (address_sender, address) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let any_port = "127.0.0.1:0".parse().unwrap();
                #[cfg_attr(not(feature = "grpc"), expect(unused_mut, reason = "of one protocol"))]
                let mut server = server().bind(any_port).await.unwrap();
                #[cfg(feature = "grpc")]
                let addresses = [server.address(), server.listen_grpc(any_port).await.unwrap()];
                #[cfg(not(feature = "grpc"))]
                let addresses = [server.address()];
                address_sender.send(addresses).unwrap();
                let ends = async { drop(ends.await) };
                server.run(ends).await.is_ok()
            })
        });
        let addresses = address.recv().unwrap();
        Self {
            address: addresses[0],
            #[cfg(feature = "grpc")]
            grpc: addresses[1],
            end: Some(end),
            thread: Some(thread),
        }
    }

    /// Asks it to end.
    pub(crate) fn begin_shutdown(&mut self) {
        drop(self.end.take());
    }

    /// Whether all requests were finished, once it has ended.
    pub(crate) fn ended(&mut self) -> bool {
        let thread = self.thread.take().unwrap();
        wait_for("the end of the server", || thread.is_finished().then_some(()));
        thread.join().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.begin_shutdown();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A server over a store that responds only when released, and then fails.
pub(crate) struct Held {
    /// Dropped first, or the server's end would wait for the store.
    release_sender: watch::Sender<bool>,
    pub(crate) store: Failing,
    pub(crate) server: Running,
    pub(crate) address: SocketAddr,
}

impl Held {
    pub(crate) fn open(kind: StoreErrorKind, limits: Limits) -> Self {
        let (store, release_sender) = Failing::held(kind);
        let server = Running::of(Arc::new(store.clone()), AuthMode::Local, limits);
        Self {
            release_sender,
            store,
            address: server.address,
            server,
        }
    }

    /// Waits until the store has received this number of queries.
    pub(crate) fn wait_for_queries(&self, times: usize) {
        wait_for("the store to receive queries", || {
            (self.store.query_count() == times).then_some(())
        });
    }

    pub(crate) fn release(&self) {
        self.release_sender.send(true).unwrap();
    }
}

/// A server over a file.
pub(crate) struct Open {
    pub(crate) server: Running,
    pub(crate) address: SocketAddr,
    pub(crate) store: SqliteStore,
    pub(crate) folder: tempfile::TempDir,
}

/// For this machine's programs, within the default limits.
pub(crate) fn open() -> Open {
    open_with(AuthMode::Local, Limits::default())
}

pub(crate) fn open_with(auth: AuthMode, limits: Limits) -> Open {
    open_runs(auth, limits, runs())
}

pub(crate) fn open_runs(auth: AuthMode, limits: Limits, runs: RunSettings) -> Open {
    let folder = tempfile::tempdir().unwrap();
    // Tests send records of 2025, which must not be removed as too old.
    let store = SqliteStore::builder()
        .retention(Duration::from_secs(100 * 365 * 24 * 3600))
        .open(folder.path().join("trace_store.db"))
        .unwrap();
    let served = Arc::new(store.clone());
    let datasets = Datasets::in_folder(folder.path().join("datasets"));
    let server = Running::in_thread(move || {
        let server = Server::builder(served).datasets(datasets);
        server.auth(auth).limits(limits).runs(runs).build()
    });
    Open {
        address: server.address,
        server,
        store,
        folder,
    }
}

/// The contents of a store: spans, events, measurements.
pub(crate) type Counts = (u64, u64, u64);

impl Open {
    pub(crate) fn counts(&self) -> Counts {
        counts(&self.store)
    }

    /// Returns the counts of one tenant.
    pub(crate) fn counts_of(&self, name: &str) -> Counts {
        counts(&*self.store.for_tenant(&tenant(name)))
    }

    /// The names of all spans.
    pub(crate) fn span_names(&self) -> Vec<String> {
        let spans = block_on(self.store.list_spans(SpanFilter::default())).unwrap();
        let mut names: Vec<String> = spans.into_iter().map(|span| span.name).collect();
        names.sort();
        names
    }

    pub(crate) fn messages(&self) -> Vec<String> {
        let logs = block_on(self.store.list_logs(LogFilter::default())).unwrap();
        logs.into_iter().map(|log| log.message).collect()
    }
}

pub(crate) fn counts(store: &dyn TraceStore) -> Counts {
    let stats = block_on(store.statistics()).unwrap();
    (stats.spans, stats.events, stats.points)
}

/// Runs of any age are available, because the tests' times are fixed. Grace periods are short.
pub(crate) fn runs() -> RunSettings {
    let forever = Duration::from_secs(200 * 365 * 86_400);
    RunSettings::default()
        .session_ttl(forever)
        .event_ttl(forever)
        .grace(Duration::from_millis(300))
        .sent_grace(Duration::from_millis(300))
        .rootless_grace(Duration::from_millis(600))
}
