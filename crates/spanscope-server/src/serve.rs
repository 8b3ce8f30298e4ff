//! [`Server`]: accepts connections for a router, within [`Limits`], until it is told to end.
//!
//! axum's own `serve` has no limit on connections and none on slow heads, so this drives hyper itself. HTTP/1.1 alone: it is what
//! OTLP's exporters and browsers on a loopback address speak.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, Uri};
use axum::{Extension, Router};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use spanscope_model::TraceStore;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;

use crate::answer::ApiError;
use crate::builder::ServerBuilder;
use crate::ends::Ends;
use crate::limits::{Limits, timed};
use crate::peers::Peers;

/// How many connections may wait to be accepted. Of more that come at once each waits a second, until
/// its first packet is sent again; tokio's own listeners hold 128.
const BACKLOG: u32 = 1024;

/// After a failure to accept, such as too many open files, the next try comes so much later.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a connection that has to make room for another client's may go on with its request.
const LEAVE_TIME: Duration = Duration::from_secs(2);

/// Everything that this crate serves, within [`Limits`].
///
/// ```
/// use std::sync::Arc;
///
/// use spanscope_server::{Limits, Server};
/// use spanscope_sqlite::SqliteStore;
///
/// # async fn run(path: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
/// let store = SqliteStore::builder().open(path)?;
/// let server = Server::builder(Arc::new(store))
///     .limits(Limits::default().connections(100))
///     .build()
///     .bind("127.0.0.1:0".parse()?)
///     .await?;
/// println!("http://{}", server.address());
/// server.run(async { /* resolves when it is time to end */ }).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    router: Router,
    limits: Limits,
    /// Requests need no token, so only programs of this machine may reach it.
    loopback_only: bool,
}

/// A [`Server`] that has a socket.
#[derive(Debug)]
pub struct BoundServer {
    server: Server,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Begins to configure a server that reads and writes this store.
    pub fn builder(store: Arc<dyn TraceStore>) -> ServerBuilder {
        ServerBuilder::new(store)
    }

    /// A server of any routes, within the limits of connections and times.
    ///
    /// ```
    /// use spanscope_server::{Limits, Server};
    ///
    /// let routes = axum::Router::new().route("/", axum::routing::get(async || "hello"));
    /// let server = Server::from_router(routes, Limits::default());
    /// ```
    #[must_use]
    pub fn from_router(router: Router, limits: Limits) -> Self {
        Self {
            router,
            limits,
            loopback_only: false,
        }
    }

    /// The same server, which refuses to listen on an address that other machines reach.
    pub(crate) fn loopback_only(self, loopback_only: bool) -> Self {
        Self {
            loopback_only,
            ..self
        }
    }

    /// Changes the routes, to put a layer around all of them. Routes that are merged here are behind no
    /// check of the caller: they need a layer of [`with_tokens`](crate::with_tokens) or
    /// [`local_only`](crate::local_only).
    #[must_use]
    pub fn map_router(self, change: impl FnOnce(Router) -> Router) -> Self {
        Self {
            router: change(self.router),
            ..self
        }
    }

    /// Listens on an address; with port 0 the system chooses a port.
    ///
    /// # Errors
    /// The address is in use, or is not one of this machine; invalid input, if it is not a loopback
    /// address and the server accepts requests without a token ([`AuthMode::Local`](crate::AuthMode)).
    pub async fn bind(self, address: SocketAddr) -> std::io::Result<BoundServer> {
        if self.loopback_only && !address.ip().to_canonical().is_loopback() {
            return Err(std::io::Error::new(
                std::io::ErrorKind::InvalidInput,
                format!(
                    "{address} is no loopback address, and without tokens any machine could read all: give AuthMode::Tokens"
                ),
            ));
        }
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // As tokio's listeners do: a server that is started again gets its port.
        #[cfg(not(windows))]
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        Ok(BoundServer {
            server: self,
            address: listener.local_addr()?,
            listener,
        })
    }
}

impl BoundServer {
    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves requests until `end` resolves, then finishes those that have begun, for at most [`Limits::shutdown_time`]. Returns
    /// whether all of them were finished.
    pub async fn run(self, end: impl Future<Output = ()>) -> bool {
        let Server { router, limits, .. } = self.server;
        let (ends, told) = watch::channel(false);
        let router = router
            .fallback(async |method: Method, uri: Uri| ApiError::no_such_path(&method, uri.path()))
            .layer(Extension(Ends(told.clone())));
        let router = timed(router, limits);
        let mut peers = Peers::new(limits.connections);
        let (gone, mut left) = mpsc::unbounded_channel();
        let mut end = std::pin::pin!(end);
        loop {
            tokio::select! {
                biased;
                () = &mut end => break,
                Some(place) = left.recv() => peers.leave(place),
                (stream, address) = accept(&self.listener) => peers.arrive(address.ip(), stream),
            }
            while let Some(entered) = peers.enter() {
                let connection = Connection {
                    router: router.clone(),
                    limits,
                    ends: told.clone(),
                };
                let gone = gone.clone();
                tokio::spawn(async move {
                    connection.serve(entered.connection, &entered.leave).await;
                    // The channel is open as long as anything reads the places.
                    let _ = gone.send(entered.place);
                });
            }
            peers.make_room();
        }
        drop((self.listener, peers, gone));
        ends.send_replace(true);
        let all_left = async { while left.recv().await.is_some() {} };
        timeout(limits.shutdown_time, all_left).await.is_ok()
    }
}

/// One connection, from its first request to its last.
struct Connection {
    router: Router,
    limits: Limits,
    ends: watch::Receiver<bool>,
}

impl Connection {
    async fn serve(mut self, stream: TcpStream, leave: &Notify) {
        // The answer to a small question is not to wait for more to send.
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.limits.write_time));
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head_time)
            // Who has sent all and says so may still read.
            .half_close(true)
            .serve_connection(
                TokioIo::new(Box::pin(stream)),
                TowerToHyperService::new(self.router),
            );
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
async fn told(ends: &mut watch::Receiver<bool>) {
    let _ = ends.wait_for(|ends| *ends).await;
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(_) => sleep(PAUSE).await,
        }
    }
}
