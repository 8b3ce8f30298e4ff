//! [`Server`]: accepts connections for a router, within [`Limits`], until it is told to end.
//!
//! axum's own `serve` has no limit on connections and none on slow heads, so this drives hyper itself. HTTP/1.1 alone: it is what
//! OTLP's exporters and browsers on a loopback address speak.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;

use crate::answer::ApiError;
use crate::limits::{Limits, timed};

/// After a failure to accept, such as too many open files, the next try comes so much later.
const PAUSE: Duration = Duration::from_millis(50);

/// A router on a socket.
///
/// ```
/// use spanscope_server::{Limits, Server};
///
/// # async fn run() -> std::io::Result<()> {
/// let app = axum::Router::new().route("/", axum::routing::get(async || "hello"));
/// let server = Server::bind("127.0.0.1:0".parse().unwrap(), Limits::default()).await?;
/// println!("http://{}", server.address());
/// server.run(app, async { /* resolves when it is time to end */ }).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
}

/// Tells answers that go on by themselves that the server ends; among the extensions of every request.
#[derive(Debug, Clone)]
pub(crate) struct Ends(watch::Receiver<bool>);

impl Ends {
    /// Becomes true when the server ends.
    pub(crate) fn receiver(&self) -> watch::Receiver<bool> {
        self.0.clone()
    }
}

impl Server {
    /// Takes an address; with port 0 the system chooses one.
    ///
    /// # Errors
    /// The address is taken, or is none of this machine.
    pub async fn bind(address: SocketAddr, limits: Limits) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            limits,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until `end` resolves, then those that have begun, for at most [`Limits::shutdown_time`]. Answers whether
    /// all of them were finished.
    pub async fn run(self, router: Router, end: impl Future<Output = ()>) -> bool {
        let limits = self.limits;
        let (ends, told) = watch::channel(false);
        let router = router
            .fallback(async || ApiError::no_such_path())
            .layer(Extension(Ends(told)));
        let router = timed(router, limits);
        let places = Arc::new(Semaphore::new(limits.connections));
        let open = GracefulShutdown::new();
        let mut end = std::pin::pin!(end);
        loop {
            let (stream, place) = tokio::select! {
                biased;
                () = &mut end => break,
                accepted = accept(&self.listener, &places) => accepted,
            };
            // The answer to a small question is not to wait for more to send.
            let _ = stream.set_nodelay(true);
            let mut stream = TimeoutStream::new(stream);
            stream.set_write_timeout(Some(limits.write_time));
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits.head_time)
                // Who has sent all and says so may still read.
                .half_close(true)
                .serve_connection(
                    TokioIo::new(Box::pin(stream)),
                    TowerToHyperService::new(router.clone()),
                );
            let connection = open.watch(connection);
            tokio::spawn(async move {
                // A client that breaks off has nobody to be told.
                let _ = connection.await;
                drop(place);
            });
        }
        drop(self.listener);
        ends.send_replace(true);
        timeout(limits.shutdown_time, open.shutdown()).await.is_ok()
    }
}

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else {
            // The semaphore is never closed.
            std::future::pending::<()>().await;
            continue;
        };
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(_) => sleep(PAUSE).await,
        }
    }
}
