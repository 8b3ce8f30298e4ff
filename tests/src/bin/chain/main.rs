//! Three programs for a test: `chain front` serves HTTP with axum and calls `chain middle` by gRPC,
//! which calls a tool of `chain tools`, an MCP server on its standard input and output. Each starts
//! the next one, prints its address if it has one, and runs until its standard input ends.
//!
//! None of them reads or writes a `traceparent` itself.
#![expect(clippy::unwrap_used, reason = "a test program fails by panicking")]

mod front;
mod middle;
mod tools;

use std::env::{args, current_exe};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

fn main() {
    let part = args().nth(1).unwrap();
    // The tools' standard output is the protocol's: no sink may write to it. The variables choose
    // the sinks.
    let builder = spanscope::Builder::try_from_env().unwrap().service_name(&part);
    let guard = builder.try_init().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    match part.as_str() {
        "front" => runtime.block_on(front::serve()),
        "middle" => runtime.block_on(middle::serve()),
        "tools" => runtime.block_on(tools::serve()),
        other => panic!("no part {other}"),
    }
    drop(runtime);
    drop(guard);
}

/// Prints the address for the program that started this one.
fn print_address(address: SocketAddr) {
    println!("http://{address}");
}

/// Returns when the program that started this one closes its stdin.
async fn input_has_ended() {
    let (over, is_over) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().lines().count();
        let _ = over.send(());
    });
    let _ = is_over.await;
}

/// Another part, with its address.
struct Part {
    child: Child,
    url: String,
}

impl Part {
    fn start(part: &str) -> Self {
        let mut child = Command::new(current_exe().unwrap())
            .arg(part)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut url).unwrap();
        let url = url.trim_end().to_owned();
        Self { child, url }
    }

    /// Waits until it has stored its records.
    fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}
