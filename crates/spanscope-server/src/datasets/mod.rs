//! [`Datasets`]: spans of any store as lines of JSON, a file per dataset, in a folder of the
//! server.
//!
//! An export is complete or absent. Its rows are appended while it runs and removed unless its
//! response is sent, so a request that timed out, whose client left, or that was refused halfway
//! leaves nothing, and retrying it stores no row twice.
//!
//! This module does not interpret spans, and no response contains a path.

mod file;
mod rows;
mod space;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use spanscope_core::sync::lock;
use spanscope_model::filter::Filter;
use spanscope_model::{Condition, ConditionOp, Tenant, TraceFilter, TraceId, TraceStore};

use self::file::{Appending, file_of, folder_of};
use self::space::Space;
use crate::answer::ApiError;

/// Default maximum size of one tenant's datasets, in bytes (256 MiB): [`Datasets::tenant_bytes`].
pub const DEFAULT_TENANT_DATASET_BYTES: u64 = 256 << 20;
/// Default maximum size of all datasets of a folder, in bytes (1 GiB): [`Datasets::max_bytes`].
pub const DEFAULT_DATASET_BYTES: u64 = 1 << 30;

/// Rows are written in pieces of about this many bytes.
const PIECE: usize = 256 << 10;

/// The folder that `POST /v1/telemetry/spans/export` writes datasets into, and their maximum size.
/// The size of a file is rounded up to whole blocks of 4 KiB.
///
/// ```
/// use spanscope_server::Datasets;
///
/// let datasets = Datasets::in_folder("/var/lib/spanscope/datasets").max_bytes(10 << 30);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "datasets are written by the server that is given them"]
pub struct Datasets {
    folder: PathBuf,
    tenant_bytes: u64,
    max_bytes: u64,
}

impl Datasets {
    /// Stores datasets in this folder, which is created with the first one.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            tenant_bytes: DEFAULT_TENANT_DATASET_BYTES,
            max_bytes: DEFAULT_DATASET_BYTES,
        }
    }

    /// Sets the maximum size of one tenant's datasets in bytes; further exports are refused. An
    /// administrator's exports only count in [`max_bytes`](Self::max_bytes). Default:
    /// [`DEFAULT_TENANT_DATASET_BYTES`].
    pub fn tenant_bytes(mut self, bytes: u64) -> Self {
        self.tenant_bytes = bytes;
        self
    }

    /// Sets the maximum size of all datasets of the folder in bytes; further exports are refused.
    /// Default: [`DEFAULT_DATASET_BYTES`].
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }
}

/// An export: which spans, which of their attributes, into which dataset.
pub(crate) struct Export {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) filter: Filter,
    pub(crate) attributes: Vec<String>,
    pub(crate) dataset_id: String,
    pub(crate) max_depth: Option<u32>,
}

/// Writes datasets; one for all requests of a server.
#[derive(Debug)]
pub(crate) struct DatasetWriter {
    settings: Datasets,
    space: Arc<Space>,
    /// A lock per folder. Exports to one folder run in order, because each depends on the folder's
    /// size.
    folders: Mutex<HashMap<PathBuf, Weak<tokio::sync::Mutex<()>>>>,
}

impl DatasetWriter {
    pub(crate) fn new(settings: Datasets) -> Self {
        Self {
            space: Arc::new(Space::new(settings.folder.clone(), settings.max_bytes)),
            settings,
            folders: Mutex::default(),
        }
    }

    /// Appends the spans that [`query_spans`](TraceStore::query_spans) returns to a dataset, and
    /// returns the number of rows. The spans are read trace by trace, so few are in memory at once.
    pub(crate) async fn export(
        &self,
        store: &dyn TraceStore,
        tenant: Option<&Tenant>,
        export: Export,
    ) -> Result<u64, ApiError> {
        let (folder, own_bytes) = match tenant {
            Some(tenant) => (
                self.settings.folder.join(folder_of(tenant)?),
                self.settings.tenant_bytes,
            ),
            None => (self.settings.folder.clone(), u64::MAX),
        };
        let file = file_of(&folder, &export.dataset_id)?;
        let turn = self.turn(&folder);
        let _turn = turn.lock().await;
        let chosen = TraceFilter::default()
            .conditions(export.conditions)
            .filter(export.filter)
            .limit(u64::MAX);
        let mut traces: Vec<TraceId> = Vec::new();
        let mut known = HashSet::new();
        for found in store.list_traces(chosen).await? {
            let id = found.trace.trace_id;
            // Two tenants may use one id: an administrator gets both under it.
            if known.insert(id) {
                traces.push(id);
            }
        }
        let space = Arc::clone(&self.space);
        let mut appending = blocking(move || Appending::begin(&file, space, own_bytes)).await?;
        let mut rows = 0;
        let mut piece = String::new();
        for trace in traces {
            let only = |id: TraceId| Condition::new("trace_id", ConditionOp::Eq, id.to_string());
            let spans = store
                .query_spans(
                    vec![only(trace)],
                    Filter::default(),
                    export.attributes.clone(),
                    export.max_depth,
                )
                .await?;
            for span in &spans {
                rows::push(&mut piece, span);
            }
            rows += spans.len() as u64;
            if piece.len() >= PIECE {
                appending = written(appending, std::mem::take(&mut piece)).await?;
            }
        }
        if !piece.is_empty() {
            appending = written(appending, piece).await?;
        }
        // No await follows: the rows are only kept together with the response.
        appending.keep();
        Ok(rows)
    }

    fn turn(&self, folder: &Path) -> Arc<tokio::sync::Mutex<()>> {
        let mut folders = lock(&self.folders);
        if let Some(turn) = folders.get(folder).and_then(Weak::upgrade) {
            return turn;
        }
        folders.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        folders.insert(folder.to_owned(), Arc::downgrade(&turn));
        turn
    }
}

async fn written(mut appending: Appending, piece: String) -> Result<Appending, ApiError> {
    blocking(move || {
        appending.append(piece.as_bytes())?;
        Ok(appending)
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(_) => Err(ApiError::shutting_down()),
    }
}
