//! [`logged`]: the server's log of failures of its store.
//!
//! A store that fails refuses every request, often hundreds per second. The log gets one line for a
//! cause at once, then at most one per minute while requests fail for it, and one when all routes
//! that failed within the last minute have succeeded again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use spanscope_core::sync::lock;

use crate::answer::ApiError;

/// The same cause is logged at most this often.
const EVERY: Duration = Duration::from_secs(60);

/// Maximum number of causes that are distinguished. A cause may contain a name that a client chose,
/// so failures with further causes are only counted.
const MAX_CAUSES: usize = 16;

/// Logs the store's failures in responses of these routes. If such layers are nested, only the
/// outermost one logs, so that the routes of one server share a log.
pub(crate) fn logged(routes: Router) -> Router {
    routes.layer(from_fn_with_state(Arc::<Mutex<Reports>>::default(), watch))
}

/// The log of failures of the store, for one route. It is an extension of each request, for
/// responses that fail after they have begun.
#[derive(Debug, Clone)]
pub(crate) struct StoreLog {
    reports: Arc<Mutex<Reports>>,
    route: Option<MatchedPath>,
}

impl StoreLog {
    fn route(&self) -> &str {
        self.route.as_ref().map_or("", MatchedPath::as_str)
    }

    /// Notes the outcome of a request.
    fn note(&self, response: &Response) {
        match response.extensions().get::<ApiError>() {
            Some(error) => self.note_error(error),
            None if response.status().is_success() => self.note_success(),
            None => {}
        }
    }

    /// Notes that a request failed, and logs it if it is the store's failure and due.
    pub(crate) fn note_error(&self, error: &ApiError) {
        let Some(cause) = error.store_failure() else {
            return; // not a failure of the store
        };
        let line = lock(&self.reports).fail(self.route(), cause, Instant::now());
        // Outside of the lock: a subscriber runs code of its user.
        if let Some(Line { requests }) = line {
            tracing::error!(error = cause, requests, "the store could not handle a request");
        }
    }

    /// Notes that a request succeeded, and logs that the failure is over if this request shows it.
    fn note_success(&self) {
        let line = lock(&self.reports).succeed(self.route(), Instant::now());
        if let Some(Line { requests }) = line {
            // A warning, so that a reader of warnings and errors alone learns of the end.
            tracing::warn!(requests, "the store answers requests again");
        }
    }
}

async fn watch(State(reports): State<Arc<Mutex<Reports>>>, mut request: Request, next: Next) -> Response {
    if request.extensions().get::<StoreLog>().is_some() {
        return next.run(request).await;
    }
    let route = request.extensions().get::<MatchedPath>().cloned();
    let log = StoreLog { reports, route };
    request.extensions_mut().insert(log.clone());
    let response = next.run(request).await;
    log.note(&response);
    response
}

/// A line of the log: how many requests failed since the last line or, at the end, in total.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    requests: u64,
}

/// Requests that failed for one cause.
#[derive(Debug)]
struct Failures {
    last_logged: Instant,
    /// Not logged yet.
    requests: u64,
    /// The routes that failed and have not succeeded since, with the time of their last failure.
    /// Others may succeed meanwhile: a store on a full disk is read and not written.
    routes: HashMap<String, Instant>,
}

/// The failures by cause. Digits of a cause are ignored.
#[derive(Debug, Default)]
struct Reports {
    causes: HashMap<String, Failures>,
    /// The number of requests that failed since the last failure was over.
    requests: u64,
    /// Whether this failure was logged, so that its end is logged too.
    is_logged: bool,
}

impl Reports {
    /// Notes a failure; returns whether to log it.
    fn fail(&mut self, route: &str, cause: &str, now: Instant) -> Option<Line> {
        self.requests += 1;
        // A size or a position in a message does not make it another cause.
        let key: String = cause.chars().filter(|char| !char.is_ascii_digit()).collect();
        if !self.causes.contains_key(&key) && self.causes.len() >= MAX_CAUSES {
            self.causes.retain(|_, failures| {
                !failures.routes.is_empty() || now.duration_since(failures.last_logged) < EVERY
            });
            if self.causes.len() >= MAX_CAUSES {
                return None;
            }
        }
        let mut is_new = false;
        let failures = self.causes.entry(key).or_insert_with(|| {
            is_new = true;
            Failures {
                last_logged: now,
                requests: 0,
                routes: HashMap::new(),
            }
        });
        failures.requests += 1;
        match failures.routes.get_mut(route) {
            Some(failed_at) => *failed_at = now,
            None => drop(failures.routes.insert(route.to_owned(), now)),
        }
        if !is_new && now.duration_since(failures.last_logged) < EVERY {
            return None;
        }
        failures.last_logged = now;
        self.is_logged = true;
        let requests = std::mem::take(&mut failures.requests);
        Some(Line { requests })
    }

    /// Notes a success. Returns whether to log that the failure is over.
    fn succeed(&mut self, route: &str, now: Instant) -> Option<Line> {
        if self.requests == 0 {
            return None;
        }
        for failures in self.causes.values_mut() {
            failures.routes.remove(route);
            // A route that no client requests again must not keep the end from being logged.
            failures
                .routes
                .retain(|_, failed_at| now.duration_since(*failed_at) < EVERY);
        }
        if self.causes.values().any(|failures| !failures.routes.is_empty()) {
            return None;
        }
        let requests = std::mem::take(&mut self.requests);
        std::mem::take(&mut self.is_logged).then_some(Line { requests })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = "/data/trace_store.db can't be written now: the disk is full";

    fn line(requests: u64) -> Option<Line> {
        Some(Line { requests })
    }

    #[test]
    fn a_cause_is_logged_at_once_then_each_minute_and_its_end_once() {
        let mut reports = Reports::default();
        let start = Instant::now();
        assert_eq!(reports.succeed("/v1/traces", start), None, "nothing has failed");
        assert_eq!(reports.fail("/v1/traces", FULL, start), line(1));
        for second in 1..60 {
            let now = start + Duration::from_secs(second);
            assert_eq!(reports.fail("/v1/traces", FULL, now), None);
        }
        let other = "/data/trace_store.db can't be written now: locked";
        assert_eq!(reports.fail("/v1/traces", other, start), line(1), "another cause");
        assert_eq!(reports.fail("/v1/traces", FULL, start + EVERY), line(60));
        assert_eq!(reports.succeed("/v1/traces", start + EVERY), line(62));
        assert_eq!(reports.succeed("/v1/traces", start + EVERY), None);
    }

    #[test]
    fn messages_that_differ_in_numbers_are_one_cause() {
        let mut reports = Reports::default();
        let start = Instant::now();
        assert!(reports.fail("/", "cut to 81920 bytes", start).is_some());
        assert!(reports.fail("/", "cut to 4096 bytes", start).is_none());
    }

    #[test]
    fn a_failure_is_over_when_every_route_that_failed_recently_has_succeeded() {
        let mut reports = Reports::default();
        let start = Instant::now();
        reports.fail("/v1/traces", FULL, start);
        reports.fail("/v1/logs", FULL, start);
        assert_eq!(reports.succeed("/traces", start), None, "reads never failed");
        assert_eq!(reports.succeed("/v1/logs", start), None);
        assert_eq!(reports.succeed("/v1/traces", start), line(2));

        reports.fail("/v1/traces", FULL, start + EVERY);
        assert_eq!(reports.succeed("/ready", start + EVERY), None);
        assert_eq!(
            reports.succeed("/ready", start + 2 * EVERY),
            line(1),
            "no client requests the other route again"
        );
    }

    #[test]
    fn a_failure_that_comes_and_goes_is_logged_once_a_minute() {
        let mut reports = Reports::default();
        let start = Instant::now();
        let mut lines = 0;
        for tenth in 0..1_200 {
            let now = start + Duration::from_millis(100) * tenth;
            lines += i32::from(reports.fail("/v1/traces", FULL, now).is_some());
            lines += i32::from(reports.succeed("/v1/traces", now).is_some());
        }
        assert_eq!(lines, 4, "two minutes");
    }

    #[test]
    fn the_number_of_causes_is_bounded() {
        let mut reports = Reports::default();
        let start = Instant::now();
        let cause = |number: u32| format!("can't write {}", "x".repeat(number as usize));
        let lines = (0..1_000).filter(|number| reports.fail("/", &cause(*number), start).is_some());
        assert_eq!(lines.count(), MAX_CAUSES);
        assert_eq!(reports.causes.len(), MAX_CAUSES);
        assert_eq!(reports.succeed("/", start), line(1_000));
        let later = start + EVERY;
        assert_eq!(
            reports.fail("/", "another", later),
            line(1),
            "there is room again"
        );
    }
}
