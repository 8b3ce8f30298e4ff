//! The outcomes of one attempt to send a request. The HTTP and the gRPC client report them; the
//! transport decides whether to retry.

use std::time::Duration;

/// The result of one attempt to send.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// Accepted, with the body of the response.
    Accepted { body: Vec<u8>, is_json: bool },
    /// To be retried, after the time that the collector requested, if any.
    Later {
        reason: String,
        after: Option<Duration>,
        has_answered: bool,
    },
    /// Not to be retried.
    Refused { reason: String },
}
