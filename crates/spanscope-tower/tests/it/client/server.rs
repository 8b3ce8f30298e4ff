//! A server on the loopback interface with the responses for the tests, and one that sends raw
//! bytes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::endless;

/// `hello hello hello hello hello\n`, compressed with gzip.
pub(crate) const GZIP: [u8; 30] = [
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x57, 0xc8,
    0xc0, 0x4e, 0x72, 0x01, 0x00, 0x68, 0x02, 0x31, 0x66, 0x1e, 0x00, 0x00, 0x00,
];

/// The length of the response of `/big`.
pub(crate) const BIG: usize = 100 * 1024 * 1024;

/// A running server.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    /// The number of received requests.
    pub(crate) requests: Arc<AtomicUsize>,
    /// The bytes of `/big` that it has passed to its connection.
    pub(crate) handed: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let server = Self {
            addr: listener.local_addr().unwrap(),
            requests: Arc::default(),
            handed: Arc::default(),
        };
        let shared = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = shared.clone();
                let service = service_fn(move |request| {
                    let response = server.answer(&request);
                    async move {
                        // `/slow` never responds.
                        match response {
                            Some(response) => Ok::<_, Infallible>(response),
                            None => std::future::pending().await,
                        }
                    }
                });
                let http1 = hyper::server::conn::http1::Builder::new();
                let connection = http1.serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async move { connection.await.map_err(drop) });
            }
        });
        server
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    fn answer(&self, request: &Request<Incoming>) -> Option<Response<BoxBody<Bytes, std::io::Error>>> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let response = Response::builder();
        let (response, body) = match request.uri().path() {
            "/slow" => return None,
            "/headers" => {
                let lines = request.headers().iter();
                let lines = lines.map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()));
                (response, text(lines.collect::<String>()))
            }
            "/limited" => (response.status(429).header("retry-after", "7"), text("wait")),
            "/flaky" if number == 0 => (response.status(503), text("later")),
            "/moved" => (response.status(302).header("location", "/"), text("")),
            "/around" => (response.status(302).header("location", "/around"), text("")),
            "/to-localhost" => {
                let location = format!("http://localhost:{}/headers", self.addr.port());
                (response.status(302).header("location", location), text(""))
            }
            "/gzip" => (response.header("content-encoding", "gzip"), text(GZIP.to_vec())),
            "/stream" => (response, endless().boxed()),
            "/big" => {
                let handed = Arc::clone(&self.handed);
                (response, Big { left: BIG, handed }.boxed())
            }
            path => {
                let status = path
                    .strip_prefix("/status/")
                    .and_then(|status| status.parse().ok());
                (response.status(status.unwrap_or(200_u16)), text("hello"))
            }
        };
        Some(response.body(body).unwrap())
    }
}

fn text(bytes: impl Into<Bytes>) -> BoxBody<Bytes, std::io::Error> {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

/// A long body, generated on demand.
struct Big {
    left: usize,
    handed: Arc<AtomicUsize>,
}

impl Body for Big {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        static CHUNK: [u8; 64 * 1024] = [b'x'; 64 * 1024];
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let len = CHUNK.len().min(self.left);
        self.left -= len;
        self.handed.fetch_add(len, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&CHUNK[..len])))))
    }
}

/// Starts a server that sends `answer` after the first bytes of each connection, and closes it.
pub(crate) async fn raw(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                let _ = stream.write_all(answer).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    addr
}

/// Returns an address that refuses connections.
pub(crate) async fn closed() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    listener.local_addr().unwrap()
}

/// Starts a server that responds to each connection's request with 200 and returns the bytes of
/// the request, which end with `end`, through the channel.
pub(crate) async fn recording(end: &'static [u8]) -> (SocketAddr, mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (sender, received) = mpsc::channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            while !bytes.ends_with(end) && stream.read_buf(&mut bytes).await.is_ok_and(|len| len > 0) {}
            sender.send(bytes).unwrap();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(answer).await.unwrap();
        }
    });
    (addr, received)
}
