//! One HTTP request over a connection of its own, which is all that the demo's clients need.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Why there is no response.
#[derive(Debug)]
pub(super) enum HttpError {
    /// Nobody answers at this address.
    Connect(SocketAddr, io::Error),
    /// The request could not be written, or the response not be read.
    Exchange(hyper::Error),
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(addr, _) => write!(f, "can't connect to {addr}"),
            Self::Exchange(_) => f.write_str("the HTTP exchange failed"),
        }
    }
}

impl std::error::Error for HttpError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connect(_, source) => Some(source),
            Self::Exchange(source) => Some(source),
        }
    }
}

/// Sends a request; the response's body is still on its way.
pub(super) async fn send(
    addr: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, HttpError> {
    let stream = TcpStream::connect(addr)
        .await
        .map_err(|source| HttpError::Connect(addr, source))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(HttpError::Exchange)?;
    // Ends by itself when the sender and the response are gone. What goes wrong in it also fails the response.
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(HttpError::Exchange)
}
