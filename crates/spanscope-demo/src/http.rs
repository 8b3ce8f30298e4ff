//! One HTTP request over a new connection, which is all that the agent's clients need.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::Error;

/// A server's host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// A name or an address, an IPv6 address without its brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl From<SocketAddr> for Place {
    fn from(addr: SocketAddr) -> Self {
        Self {
            host: addr.ip().to_string(),
            port: addr.port(),
        }
    }
}

/// As in the header `Host`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Sends a request and returns the response before its body has arrived. Neither the connection nor
/// the response's head may take longer than `timeout`.
pub(crate) async fn send(
    place: &Place,
    request: Request<Full<Bytes>>,
    timeout: Duration,
) -> Result<Response<Incoming>, Error> {
    let stream = within(timeout, TcpStream::connect((place.host.as_str(), place.port)))
        .await?
        .map_err(|source| Error::with(format!("can't connect to {place}"), source))?;
    let exchange = async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends by itself when the sender and the response are dropped. Its errors also fail the
        // response.
        tokio::spawn(connection);
        sender.send_request(request).await
    };
    within(timeout, exchange)
        .await?
        .map_err(Error::because("the HTTP exchange failed"))
}

/// Returns the future's output, or an error if it takes longer than `timeout`.
pub(crate) async fn within<T>(timeout: Duration, future: impl Future<Output = T>) -> Result<T, Error> {
    let in_time = tokio::time::timeout(timeout, future).await;
    in_time.map_err(|_| Error::new(format!("the server was silent for {timeout:?}")))
}
