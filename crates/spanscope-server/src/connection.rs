//! [`Connection`]: drives hyper for one client, with a bound for each thing that it may let the server wait for.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;

use crate::limits::Limits;
use crate::shared_stream::SharedStream;

/// How long a connection that has to make room for another client's may go on with its request.
pub(crate) const LEAVE_TIME: Duration = Duration::from_secs(2);

/// What the connections of a port are served with.
#[derive(Debug)]
pub(crate) struct Served {
    /// HTTP/1.
    pub(crate) http_1: Router,
    /// HTTP/2.
    #[cfg(feature = "grpc")]
    pub(crate) http_2: Router,
}

/// One connection, from its first request to its last.
pub(crate) struct Connection {
    pub(crate) served: Arc<Served>,
    pub(crate) limits: Limits,
    /// Becomes true when the server ends.
    pub(crate) ends: watch::Receiver<bool>,
}

impl Connection {
    pub(crate) async fn serve(self, stream: TcpStream, leave: &Notify) {
        // The answer to a small question is not to wait for more to send.
        let _ = stream.set_nodelay(true);
        #[cfg(feature = "grpc")]
        {
            let mut ends = self.ends.clone();
            tokio::select! {
                is_http_2 = crate::grpc::speaks_http_2(&stream, self.limits.head_time) => match is_http_2 {
                    Some(true) => return self.serve_http_2(stream, leave).await,
                    Some(false) => {}
                    None => return,
                },
                () = told(&mut ends) => return,
                () = leave.notified() => return,
            }
        }
        self.serve_http_1(stream, leave).await;
    }

    async fn serve_http_1(mut self, stream: TcpStream, leave: &Notify) {
        let stream = SharedStream::new(stream);
        let service = TowerToHyperService::new(self.served.http_1.clone());
        let service = stream.while_client_waits(service);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.limits.write_time));
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head_time)
            // Who has sent all and says so may still read.
            .half_close(true)
            .serve_connection(TokioIo::new(Box::pin(stream)), service);
        let mut connection = std::pin::pin!(connection);
        // A client that breaks off has nobody to be told.
        tokio::select! {
            _ = connection.as_mut() => {}
            () = told(&mut self.ends) => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
            () = leave.notified() => {
                connection.as_mut().graceful_shutdown();
                let _ = timeout(LEAVE_TIME, connection).await;
            }
        }
    }
}

/// Resolves when the server ends.
pub(crate) async fn told(ends: &mut watch::Receiver<bool>) {
    let _ = ends.wait_for(|ends| *ends).await;
}
