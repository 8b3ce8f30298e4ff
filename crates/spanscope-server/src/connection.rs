//! [`Connection`]: drives hyper for one client, with a limit for everything that a client can make
//! the server wait for.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;

use crate::activity::Activity;
use crate::limits::Limits;
use crate::shared_stream::SharedStream;

/// How long a connection that has to make room for another client's may continue its request.
pub(crate) const LEAVE_TIME: Duration = Duration::from_secs(2);

/// The routers that the connections of a port share.
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
    /// Counts its open requests.
    pub(crate) activity: Activity,
    /// Becomes true when the server ends.
    pub(crate) ends: watch::Receiver<bool>,
}

impl Connection {
    pub(crate) async fn serve(self, stream: TcpStream, leave: &Notify) {
        // A small response must not wait for more data to send.
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
                () = server_ended(&mut ends) => return,
                () = leave.notified() => return,
            }
        }
        self.serve_http_1(stream, leave).await;
    }

    async fn serve_http_1(mut self, stream: TcpStream, leave: &Notify) {
        let stream = SharedStream::new(stream);
        let routes = TowerToHyperService::new(self.served.http_1.clone());
        let activity = self.activity.clone();
        let service = service_fn(move |request| {
            let open = activity.begin();
            let answer = routes.call(request);
            async move { answer.await.map(|answer| open.until_sent(answer)) }
        });
        let service = stream.while_client_waits(service);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.limits.write_time));
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head_time)
            // A client that has finished sending may still read.
            .half_close(true)
            .serve_connection(TokioIo::new(Box::pin(stream)), service);
        let mut connection = std::pin::pin!(connection);
        // There is no reader for an error of a broken connection.
        tokio::select! {
            _ = connection.as_mut() => {}
            () = server_ended(&mut self.ends) => {
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
pub(crate) async fn server_ended(ends: &mut watch::Receiver<bool>) {
    let _ = ends.wait_for(|ends| *ends).await;
}
