//! The OTLP collector `rotel`, which forwards what it receives to one of these [`Receiver`]s.
//!
//! It is in the PyPI package `rotel` (the wheel for CPython 3.11 has the program, which needs
//! Debian's `libpython3.11`). Without it the tests are skipped with a message, and fail if
//! `SPANSCOPE_NO_SKIP` is set.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::receiver::{Receiver, Reply};

/// A running collector; it is stopped when this is dropped.
pub struct Rotel {
    child: Child,
    /// Its address for OTLP over HTTP.
    pub http: SocketAddr,
    /// Its address for OTLP over gRPC.
    pub grpc: SocketAddr,
    /// The receiver that it forwards to.
    pub receiver: Receiver,
}

const PROGRAM: &str = "rotel-agent";

/// Whether it can be run.
#[must_use]
pub fn is_here() -> bool {
    crate::tool_is_here(PROGRAM, "PyPI's package `rotel` has it, and `.ci/run` unpacks it")
}

impl Rotel {
    /// Starts one that forwards without a delay.
    #[must_use]
    pub fn start() -> Self {
        let receiver = Receiver::with(|_, _| Reply::OK);
        let (child, http, grpc) = crate::wait_for("rotel to start", || {
            // It can't choose ports by itself, and another program may take one in between.
            let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let (http, grpc) = (port(), port());
            let mut command = Command::new(PROGRAM);
            for (name, _) in std::env::vars_os() {
                if name.to_string_lossy().starts_with("ROTEL_") {
                    command.env_remove(name);
                }
            }
            let mut child = command
                .arg("start")
                .args(["--otlp-http-endpoint", &http.to_string()])
                .args(["--otlp-grpc-endpoint", &grpc.to_string()])
                .args(["--exporter", "otlp", "--otlp-exporter-protocol", "http"])
                .args(["--otlp-exporter-endpoint", &receiver.url(), "--disable-batching"])
                .args(["--otlp-exporter-retry-max-elapsed-time", "2s"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let listens = crate::wait_for("rotel to listen or to end", || {
                if TcpStream::connect(http).is_ok() && TcpStream::connect(grpc).is_ok() {
                    return Some(true);
                }
                child.try_wait().unwrap().map(|_| false)
            });
            listens.then_some((child, http, grpc))
        });
        Self {
            child,
            http,
            grpc,
            receiver,
        }
    }
}

impl Drop for Rotel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
