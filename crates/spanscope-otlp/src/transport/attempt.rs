//! The outcomes of one attempt to send a request. A wire reports it, by HTTP or by gRPC; only the
//! transport decides whether there is another attempt.

use std::time::Duration;

/// The result of one attempt to send.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// Accepted, with the body of the response.
    Accepted { body: Vec<u8>, is_json: bool },
    /// To be retried, after this time if the collector named one.
    Later {
        reason: String,
        after: Option<Duration>,
        has_answered: bool,
    },
    /// Never to be tried again.
    Refused { reason: String },
}
