//! Connections over HTTP/2, which is told by its first bytes.
//!
//! Everything that is served over it are calls with one small answer, so a connection may be ended when
//! nothing begins or ends on it for the time that one call may take. hyper has no such bound: it waits for
//! a client that never lets its answer be sent.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::service::Service as _;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;

use crate::connection::{Connection, LEAVE_TIME, told};
use crate::limits::Limits;

/// How a connection over HTTP/2 begins; no request of HTTP/1 does.
const PREFACE: &[u8; 4] = b"PRI ";
/// The next look at a connection of which less than that came.
const PAUSE: Duration = Duration::from_millis(10);
/// Calls that a connection may have at one time; exporters have one a signal.
const CALLS: u32 = 64;
/// How much of its messages a client may send before it is taken, in bytes: per call, and per connection.
const WINDOWS: [u32; 2] = [256 << 10, 1 << 20];

/// Whether a client begins to speak HTTP/2. `None` if it hangs up, or says nothing for this long.
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
        let (calls, going_on) = watch::channel(0);
        let service = hyper::service::service_fn(move |request| {
            let call = Call::begin(&calls);
            let answer = routes.call(request);
            async move {
                let answer = answer.await;
                answer.map(|answer| answer.map(|body| CallBody { body, _call: call }))
            }
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
            () = told(&mut self.ends) => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
            () = async {
                tokio::select! {
                    () = leave.notified() => {}
                    () = rest(going_on, self.limits) => {}
                }
            } => {
                connection.as_mut().graceful_shutdown();
                let _ = timeout(LEAVE_TIME, connection).await;
            }
        }
    }
}

/// Resolves when no call began or ended for as long as the limits allow.
async fn rest(mut calls: watch::Receiver<usize>, limits: Limits) {
    loop {
        let allowed = match *calls.borrow_and_update() {
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

/// Counts a call until it is dropped.
struct Call(watch::Sender<usize>);

impl Call {
    fn begin(calls: &watch::Sender<usize>) -> Self {
        calls.send_modify(|calls| *calls += 1);
        Self(calls.clone())
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.send_modify(|calls| *calls -= 1);
    }
}

/// The body of an answer, which ends its call.
struct CallBody {
    body: Body,
    _call: Call,
}

impl HttpBody for CallBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
