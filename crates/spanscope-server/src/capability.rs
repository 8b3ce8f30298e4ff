//! What not every store can do, as responses: 501 with a sentence.
//!
//! A store announces what it can do by its [`Capabilities`](spanscope_model::Capabilities), and
//! refuses everything else as unsupported, in a sentence that says what to do instead. That
//! sentence is the response ([`ApiError::unsupported`]), whichever route was requested. The routes
//! that need a capability name it, so that the document has their 501.

use spanscope_model::{NewRecords, TraceStore};

use crate::answer::ApiError;

/// What a route needs and not every store or server has. Without it the response is 501.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// A store that accepts records.
    Writes,
    /// A store that deletes runs.
    Deletes,
    /// A folder for datasets.
    Datasets,
    /// A store with the queries that only pages make.
    #[cfg(feature = "pages")]
    PageQueries,
}

#[cfg(feature = "schema")]
impl Needs {
    /// Why the response is 501.
    pub(crate) const fn missing(self) -> &'static str {
        match self {
            Self::Writes => "This store only reads: it accepts no records, also if they are sent again.",
            Self::Deletes => "This store deletes no runs.",
            Self::Datasets => "This server has no folder for datasets.",
            #[cfg(feature = "pages")]
            Self::PageQueries => "This store does not support the query.",
        }
    }
}

/// Refuses records that the store does not accept, before they are decoded. Senders of OTLP do not
/// repeat a request after 501. Its body was read: a client that is still sending would see a broken
/// connection in place of the response, and repeat the request.
pub(crate) async fn check_writes(store: &dyn TraceStore) -> Result<(), ApiError> {
    if store.capabilities().writes {
        return Ok(());
    }
    // The sentence is the store's. There is nothing to store.
    match store.store(NewRecords::default()).await {
        Err(error) => Err(error.into()),
        Ok(_) => Err(ApiError::unsupported("this store only reads")),
    }
}
