//! [`Activity`]: whether a connection has an open request, and how long it has had none.
//!
//! hyper does not report it. So each connection's service counts: a request is open from its head
//! until the last part of its response was passed to the connection.

use std::time::Instant;

use axum::body::Body;
use axum::response::Response;
use tokio::sync::watch;

use crate::held_body::HeldBody;

/// Counts a connection's open requests. Clones share the count.
#[derive(Debug, Clone)]
pub(crate) struct Activity(watch::Sender<Requests>);

/// The requests of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Requests {
    /// How many are open.
    pub(crate) open: usize,
    /// When the last one began or ended; before the first one, when the connection began.
    changed: Instant,
}

impl Activity {
    /// Creates the state of a new connection without requests.
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Requests {
            open: 0,
            changed: Instant::now(),
        }))
    }

    /// Notes the start of a request. It is open until the response, which owns the result, is sent
    /// or dropped.
    pub(crate) fn begin(&self) -> OpenRequest {
        self.change(1);
        OpenRequest(self.clone())
    }

    /// Returns the time since which no request has been open; `None` if one is open.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let requests = *self.0.borrow();
        (requests.open == 0).then_some(requests.changed)
    }

    /// Returns a receiver that is notified of each request that begins or ends.
    #[cfg(feature = "grpc")]
    pub(crate) fn changes(&self) -> watch::Receiver<Requests> {
        self.0.subscribe()
    }

    fn change(&self, by: isize) {
        self.0.send_modify(|requests| {
            requests.open = requests.open.saturating_add_signed(by);
            requests.changed = Instant::now();
        });
    }
}

/// Counts a request until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenRequest(Activity);

impl OpenRequest {
    /// Returns the response, whose end is the end of the request.
    pub(crate) fn until_sent(self, answer: Response) -> Response {
        answer.map(|body| Body::new(HeldBody::new(body, self)))
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.change(-1);
    }
}
