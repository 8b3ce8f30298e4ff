//! Stores for the pages: the demo's, and traces of any size over OTLP.

use serde_json::Value as Json;
use spanscope_tests::large_trace;
pub(crate) use spanscope_tests::large_trace::{LARGE, resource};
use spanscope_tests::terminal::run_piped;

use super::support::{Folder, Serve};

/// A store with the records of `spanscope demo`, and its server.
pub(crate) fn demo() -> (Folder, Serve) {
    let folder = Folder::new();
    let ran = run_piped(folder.command(&["demo"]));
    assert!(ran.status.success(), "{ran:?}");
    let server = folder.serve();
    (folder, server)
}

/// A store without a span, and its server.
pub(crate) fn empty() -> (Folder, Serve) {
    let folder = Folder::new();
    let server = folder.serve();
    (folder, server)
}

/// Sends the [large trace](spanscope_tests::large_trace) of this number of spans.
pub(crate) fn large(server: &Serve, spans: usize) {
    for request in large_trace::requests(LARGE, spans) {
        send(server, &request);
    }
}

/// Sends spans, which must all be accepted.
pub(crate) fn send(server: &Serve, traces: &Json) {
    let answer = server.post("/v1/traces", traces);
    assert_eq!(answer.status, 200, "{answer:?}");
}
