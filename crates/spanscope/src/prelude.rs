//! What most programs that use Spanscope need in scope, to be imported as a whole.
//!
//! The extension traits come without names, so that they collide with nothing. Among them are those
//! of `tracing_subscriber::prelude`, for programs that compose a subscriber by hand.
//!
//! ```
//! use spanscope::prelude::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("trace_store.db");
//! let (store, _store_guard) = SqliteLayer::open(path)?;
//! let (console, _console_guard) = ConsoleLayer::builder().build()?;
//! let subscriber = tracing_subscriber::registry()
//!     .with(CategoryFilter::from_env())
//!     .with(store)
//!     .with(console);
//! let _recording = subscriber.set_default();
//!
//! let span = tracing::info_span!("chat");
//! span.record_attribute("user.tier", "gold");
//! # Ok(())
//! # }
//! ```

#[doc(no_inline)]
pub use spanscope_layers::{Categories, CategoryFilter, Levels, LogBridge, TokenMetricsLayer};
#[cfg(feature = "console")]
#[doc(no_inline)]
pub use spanscope_layers::{ConsoleLayer, LogFileLayer};
#[cfg(feature = "sqlite")]
#[doc(no_inline)]
pub use spanscope_sqlite::SqliteLayer;
#[doc(no_inline)]
pub use tracing_subscriber::prelude::*;

#[doc(no_inline)]
pub use crate::SpanExt as _;
#[doc(no_inline)]
pub use crate::genai;
