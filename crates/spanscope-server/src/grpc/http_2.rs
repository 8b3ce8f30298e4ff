//! Connections over HTTP/2, which their first bytes identify.
//!
//! Everything served over it is calls with one small response, so a connection may be closed when
//! no call begins or ends on it for the maximum time of one call. hyper has no such limit: it waits
//! for a client that never reads its response.

use std::time::Duration;

use hyper::service::Service as _;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;

use crate::activity::Requests;
use crate::connection::{Connection, LEAVE_TIME, server_ended};
use crate::limits::Limits;

/// How a connection over HTTP/2 begins; no request of HTTP/1 does.
const PREFACE: &[u8; 4] = b"PRI ";
/// The interval of checks of a connection that has sent less than that.
const PAUSE: Duration = Duration::from_millis(10);
/// Maximum number of concurrent calls of a connection; exporters have one per signal.
const CALLS: u32 = 64;
/// Flow control windows in bytes: per call, and per connection.
const WINDOWS: [u32; 2] = [256 << 10, 1 << 20];

/// Returns whether a client begins with HTTP/2. `None` if it hangs up, or is silent for this long.
pub(crate) async fn speaks_http_2(stream: &TcpStream, within: Duration) -> Option<bool> {
    let look = async {
        let mut begin = [0; PREFACE.len()];
        loop {
            let length = stream.peek(&mut begin).await.ok()?;
            match begin.get(..length)? {
                [] => return None,
                begin if begin == PREFACE => return Some(true),
                begin if !PREFACE.starts_with(begin) => return Some(false),
                _ => sleep(PAUSE).await,
            }
        }
    };
    timeout(within, look).await.ok().flatten()
}

impl Connection {
    /// Serves HTTP/2 until the client or the server ends, or nothing happens for too long.
    pub(crate) async fn serve_http_2(mut self, stream: TcpStream, leave: &Notify) {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.limits.write_time));
        let routes = TowerToHyperService::new(self.served.http_2.clone());
        let calls = self.activity.changes();
        let activity = self.activity.clone();
        let service = hyper::service::service_fn(move |request| {
            let call = activity.begin();
            let answer = routes.call(request);
            async move { answer.await.map(|answer| call.until_sent(answer)) }
        });
        let [of_call, of_connection] = WINDOWS;
        let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(CALLS)
            .initial_stream_window_size(of_call)
            .initial_connection_window_size(of_connection)
            .serve_connection(TokioIo::new(Box::pin(stream)), service);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            _ = connection.as_mut() => {}
            () = server_ended(&mut self.ends) => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
            () = async {
                tokio::select! {
                    () = leave.notified() => {}
                    () = idle_for_too_long(calls, self.limits) => {}
                }
            } => {
                connection.as_mut().graceful_shutdown();
                let _ = timeout(LEAVE_TIME, connection).await;
            }
        }
    }
}

/// Resolves when no call began or ended for as long as the limits allow.
async fn idle_for_too_long(mut calls: watch::Receiver<Requests>, limits: Limits) {
    loop {
        let allowed = match calls.borrow_and_update().open {
            0 => limits.head_time,
            _ => limits.request_time.saturating_add(limits.write_time),
        };
        match timeout(allowed, calls.changed()).await {
            Ok(Ok(())) => {}
            // The connection ends as well.
            Ok(Err(_)) => std::future::pending().await,
            Err(_) => return,
        }
    }
}
