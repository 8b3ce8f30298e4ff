//! [`Server`]: accepts connections for a router, within [`Limits`], until it is stopped.
//!
//! axum's own `serve` has no limit on connections and none on slow heads, so this drives hyper
//! itself (`connection`). The port of HTTP serves HTTP/1.1, which OTLP's exporters and browsers on
//! a loopback address speak; gRPC, which is HTTP/2, has its own port. Connections of both share one
//! limit.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use axum::http::{Method, Uri};
use axum::{Extension, Router};
use spanscope_model::TraceStore;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use crate::answer::ApiError;
use crate::builder::ServerBuilder;
use crate::connection::{Connection, Served};
use crate::limits::{Limits, timed};
use crate::peers::{IDLE_TIME, Peers};
use crate::stream_shutdown::Ends;

/// How many connections may wait to be accepted; tokio's own listeners hold 128. The client of a
/// further one waits a second until it sends its first packet again.
const BACKLOG: u32 = 1024;

/// The pause after a failure to accept, such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// The error of a shutdown that cut off unfinished requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownError {
    /// How long the server waited for them, see [`Limits::shutdown_time`].
    pub waited: Duration,
}

impl std::fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "requests were not finished within {:?} and were cut off",
            self.waited
        )
    }
}

impl std::error::Error for ShutdownError {}

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
/// server.run(async { /* resolves when it is time to end */ }).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    router: Router,
    limits: Limits,
    /// Requests need no token, so only programs on this machine may reach it.
    loopback_only: bool,
}

/// A [`Server`] that has a socket.
#[derive(Debug)]
pub struct BoundServer {
    server: Server,
    listener: TcpListener,
    address: SocketAddr,
    #[cfg(feature = "grpc")]
    grpc: Option<(TcpListener, SocketAddr)>,
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
            // Set before any layer, so that layers see requests without a route as well.
            router: router
                .fallback(async |method: Method, uri: Uri| ApiError::no_such_path(&method, uri.path())),
            limits,
            loopback_only: false,
        }
    }

    /// Returns the server, which refuses to listen on an address that other machines can reach.
    pub(crate) fn loopback_only(self, loopback_only: bool) -> Self {
        Self {
            loopback_only,
            ..self
        }
    }

    /// Changes the routes, to put a layer around all of them. Routes that are merged here have no
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
    /// address and the server accepts requests without a token
    /// ([`AuthMode::Local`](crate::AuthMode)).
    pub async fn bind(self, address: SocketAddr) -> std::io::Result<BoundServer> {
        let (listener, address) = self.listen(address)?;
        Ok(BoundServer {
            server: self,
            listener,
            address,
            #[cfg(feature = "grpc")]
            grpc: None,
        })
    }

    fn listen(&self, address: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
        if self.loopback_only && !address.ip().to_canonical().is_loopback() {
            return Err(std::io::Error::new(
                std::io::ErrorKind::InvalidInput,
                format!(
                    "{address} is not a loopback address, and without tokens any machine could read everything: use AuthMode::Tokens"
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
        let address = listener.local_addr()?;
        Ok((listener, address))
    }
}

impl BoundServer {
    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Receives OTLP over gRPC at a second address, with the checks and limits of HTTP. Returns the
    /// address; with port 0 the system chooses the port.
    ///
    /// # Errors
    /// Fails as [`Server::bind`] does. The server is unchanged then and can run without gRPC.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use spanscope_server::Server;
    /// # async fn run(path: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = spanscope_sqlite::SqliteStore::builder().open(path)?;
    /// let mut server = Server::builder(Arc::new(store)).build().bind("127.0.0.1:4318".parse()?).await?;
    /// if let Err(error) = server.listen_grpc("127.0.0.1:4317".parse()?).await {
    ///     eprintln!("without gRPC: {error}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "grpc")]
    pub async fn listen_grpc(&mut self, address: SocketAddr) -> std::io::Result<SocketAddr> {
        let (listener, address) = self.server.listen(address)?;
        self.grpc = Some((listener, address));
        Ok(address)
    }

    /// Serves requests until `end` resolves, then finishes those that have begun, for at most
    /// [`Limits::shutdown_time`].
    ///
    /// # Errors
    /// Some requests were not finished in time.
    pub async fn run(self, end: impl Future<Output = ()>) -> Result<(), ShutdownError> {
        let limits = self.server.limits;
        let (end_sender, ends) = watch::channel(false);
        let mut listeners = self.listeners(&ends);
        let mut peers = Peers::new(limits.connections);
        let (gone, mut left) = mpsc::unbounded_channel();
        let mut end = std::pin::pin!(end);
        loop {
            tokio::select! {
                biased;
                () = &mut end => break,
                Some(slot) = left.recv() => peers.leave(slot),
                (stream, address, served) = accept(&mut listeners) => peers.arrive(address.ip(), (stream, served)),
                // Connections become idle while others wait.
                () = sleep(IDLE_TIME), if peers.is_full() => {}
            }
            while let Some(entered) = peers.enter() {
                let (stream, served) = entered.connection;
                let connection = Connection {
                    served,
                    limits,
                    activity: entered.activity,
                    ends: ends.clone(),
                };
                let gone = gone.clone();
                tokio::spawn(async move {
                    connection.serve(stream, &entered.leave).await;
                    // The channel is open as long as it has a reader.
                    let _ = gone.send(entered.slot);
                });
            }
            peers.make_room(Instant::now());
        }
        drop((listeners, peers, gone));
        end_sender.send_replace(true);
        let all_left = async { while left.recv().await.is_some() {} };
        let ended = timeout(limits.shutdown_time, all_left).await;
        ended.map_err(|_| ShutdownError {
            waited: limits.shutdown_time,
        })
    }

    /// Returns the sockets, each with its routers.
    fn listeners(self, ends: &watch::Receiver<bool>) -> Vec<Listener> {
        let Server { router, limits, .. } = self.server;
        let router = router.layer(Extension(Ends(ends.clone())));
        let router = timed(router, limits);
        let of = |socket, served| Listener {
            socket,
            served: Arc::new(served),
        };
        #[cfg(feature = "grpc")]
        {
            let grpc_address = self.grpc.as_ref().map(|(_, address)| *address);
            let ports = crate::grpc::Ports::new(router, self.address, grpc_address);
            let grpc = self.grpc.map(|(listener, _)| of(listener, ports.grpc));
            [of(self.listener, ports.http)].into_iter().chain(grpc).collect()
        }
        #[cfg(not(feature = "grpc"))]
        vec![of(self.listener, Served { http_1: router })]
    }
}

/// A socket, and the routers that it serves.
struct Listener {
    socket: TcpListener,
    served: Arc<Served>,
}

/// Accepts the next connection of any of the sockets, in turns.
async fn accept(listeners: &mut [Listener]) -> (TcpStream, SocketAddr, Arc<Served>) {
    listeners.rotate_left(1);
    loop {
        let accepted = poll_fn(|context| {
            let ready = listeners
                .iter()
                .find_map(|listener| match listener.socket.poll_accept(context) {
                    Poll::Ready(accepted) => Some((accepted, Arc::clone(&listener.served))),
                    Poll::Pending => None,
                });
            ready.map_or(Poll::Pending, Poll::Ready)
        });
        match accepted.await {
            (Ok((stream, address)), served) => return (stream, address, served),
            (Err(_), _) => sleep(PAUSE).await,
        }
    }
}
