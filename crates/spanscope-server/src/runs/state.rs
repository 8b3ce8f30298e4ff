//! The shared state of the handlers of agent traces.

use std::sync::Arc;

use axum::extract::FromRef;
use spanscope_model::TraceStore;
use tokio::sync::Semaphore;

use super::RunSettings;
use super::followed::Hub;
use crate::permits::Permits;

/// Maximum number of clients that read a run from the store separately at the same time.
const REPLAYS: usize = 8;

/// The shared state of the handlers.
#[derive(Clone)]
pub(crate) struct Runs {
    pub(super) store: Arc<dyn TraceStore>,
    pub(super) settings: RunSettings,
    pub(super) hub: Arc<Hub>,
    pub(super) permits: Arc<Permits>,
    pub(super) replays: Arc<Semaphore>,
}

impl FromRef<Runs> for Arc<dyn TraceStore> {
    fn from_ref(runs: &Runs) -> Self {
        Arc::clone(&runs.store)
    }
}

impl Runs {
    pub(super) fn new(store: Arc<dyn TraceStore>, settings: RunSettings) -> Self {
        Self {
            store,
            settings,
            hub: Arc::default(),
            permits: Permits::new(settings.streams, settings.tenant_streams),
            replays: Arc::new(Semaphore::new(REPLAYS)),
        }
    }
}
