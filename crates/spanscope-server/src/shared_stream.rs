//! [`SharedStream`]: a connection that can be watched while hyper owns it, to stop the work for
//! clients that have disconnected.
//!
//! hyper either ends a connection whose client has closed its sending side, or ignores that until
//! the response is ready. The first cuts off clients that send everything, close and then read (`nc
//! -N`); with the second, a query continues for a client that has left. So hyper is configured to
//! ignore it, and each request's own service watches the socket. Dropping the service stops its
//! work: a store stops a query that no future awaits.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::service::Service;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::sleep;

/// How long a client that closed its sending side may wait for the head of its response. A program
/// that ended looks the same.
const HALF_CLOSED_TIME: Duration = Duration::from_secs(5);

/// Data that the request does not read yet hides whether the client has left. The socket is checked
/// again after this time.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A TCP connection. Its watchers share its reading side.
pub(crate) struct SharedStream {
    read: Arc<OwnedReadHalf>,
    write: OwnedWriteHalf,
}

impl SharedStream {
    pub(crate) fn new(stream: TcpStream) -> Self {
        let (read, write) = stream.into_split();
        Self {
            read: Arc::new(read),
            write,
        }
    }

    /// Returns a service that abandons a request when this connection's client leaves before the
    /// head of its response is ready.
    pub(crate) fn while_client_waits<S>(&self, service: S) -> WhileClientWaits<S> {
        WhileClientWaits {
            read: Arc::clone(&self.read),
            service,
        }
    }
}

impl AsyncRead for SharedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream: &TcpStream = (*self.read).as_ref();
        loop {
            ready!(stream.poll_read_ready(context))?;
            match stream.try_read_buf(buffer) {
                Ok(_) => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for SharedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.write).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.write).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.write.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_shutdown(context)
    }
}

/// Resolves when the client has reset the connection, or has closed its sending side and waits no
/// longer.
async fn left(read: &OwnedReadHalf) {
    let stream: &TcpStream = read.as_ref();
    loop {
        match stream.peek(&mut [0]).await {
            Ok(0) => return sleep(HALF_CLOSED_TIME).await,
            Ok(_) => sleep(LOOK_AGAIN).await,
            Err(_) => return,
        }
    }
}

/// See [`SharedStream::while_client_waits`].
pub(crate) struct WhileClientWaits<S> {
    read: Arc<OwnedReadHalf>,
    service: S,
}

/// The client left before its response was ready.
#[derive(Debug)]
pub(crate) struct ClientLeft;

impl fmt::Display for ClientLeft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client left before its response was ready")
    }
}

impl Error for ClientLeft {}

impl<S, R> Service<R> for WhileClientWaits<S>
where
    S: Service<R, Error = Infallible>,
    S::Future: Send + 'static,
    S::Response: Send,
{
    type Response = S::Response;
    type Error = ClientLeft;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, ClientLeft>> + Send>>;

    fn call(&self, request: R) -> Self::Future {
        let (read, answer) = (Arc::clone(&self.read), self.service.call(request));
        Box::pin(async move {
            tokio::select! {
                biased;
                answer = answer => answer.map_err(|never| match never {}),
                () = left(&read) => Err(ClientLeft),
            }
        })
    }
}
