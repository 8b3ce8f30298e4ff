//! Web pages that show a store: their HTML, the files of `spanscope-ui`, and the JSON that they
//! request.
//!
//! ```text
//! GET /ui/...              -> shell: one HTML for every page, which names the modules of this one
//! GET /ui/assets/DIGEST/.. -> assets: files of spanscope-ui, compressed once, cached by browsers
//! GET /ui/api/...          -> session (who is the caller?) -> query -> ScopedStore -> JSON
//! ```
//!
//! The JSON changes with the pages; other programs use the telemetry API. No HTML contains stored
//! data, and handlers read no store but [`ScopedStore`](crate::caller::ScopedStore).

mod around;
mod assets;
mod attributes;
mod command;
mod complete;
mod compression;
mod filter;
mod headers;
mod live;
mod logs;
mod params;
mod router;
mod session;
mod shape;
mod shell;
mod span;
mod spans;
mod stats;
mod status;
mod traces;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use spanscope_model::PriceTable;

pub use self::router::pages_router;
pub(crate) use self::router::served;
#[cfg(feature = "schema")]
pub(crate) use self::router::{API, api};
use crate::bearer::BearerTokens;

/// How the web pages are served.
///
/// ```
/// use spanscope_server::PageSettings;
///
/// let settings = PageSettings::default().store_name("trace_store.db");
/// ```
#[derive(Clone, Default)]
pub struct PageSettings {
    prices: Option<Arc<PriceTable>>,
    store_name: Option<String>,
    command_options: String,
    tokens: Option<BearerTokens>,
    folder: Option<PathBuf>,
}

impl fmt::Debug for PageSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageSettings")
            .field("prices", &self.prices)
            .field("store_name", &self.store_name)
            .field("command_options", &self.command_options)
            .field("tokens", &self.tokens)
            .field("folder", &self.folder)
            .finish()
    }
}

impl PageSettings {
    /// Sets the prices from which costs are computed. Default: none, and costs are those that
    /// programs reported.
    #[must_use]
    pub fn prices(mut self, prices: PriceTable) -> Self {
        self.prices = Some(Arc::new(prices));
        self
    }

    /// Sets the name of the store that pages show. Default: none.
    #[must_use]
    pub fn store_name(mut self, name: impl Into<String>) -> Self {
        self.store_name = Some(name.into());
        self
    }

    /// Sets the options that a command of `spanscope` needs to read this store, such as `--db
    /// FILE`. The pages show them to callers who see everything. Default: none.
    #[must_use]
    pub fn command_options(mut self, options: impl Into<String>) -> Self {
        self.command_options = options.into();
        self
    }

    /// Requires one of these tokens for all data of the store: in the header `authorization`, or by
    /// a session that a browser begins with it on the page `sign-in`. Default: none, and a request
    /// is handled for its [`Caller`](crate::Caller).
    #[must_use]
    pub fn tokens(mut self, tokens: BearerTokens) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// Serves the files of a folder in place of the embedded ones, and reads them again for each
    /// request, for the development of the pages. Default: none.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }
}
