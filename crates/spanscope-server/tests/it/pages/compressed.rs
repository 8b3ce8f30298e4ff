//! Responses that are compressed with gzip.

use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;

use spanscope_server::{PageSettings, pages_router};
use spanscope_store_tests::made::trace_id;

use super::{filled_with, large};
use crate::support::Server;
use crate::wire::Ask;

/// Returns the encoding and the text of the response to a client that accepts gzip and sends these
/// headers.
fn response_of(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> (Option<String>, String) {
    let mut ask = Ask::get(path).header("Accept-Encoding", "gzip, br");
    for (name, value) in headers {
        ask = ask.header(name, value);
    }
    let answer = ask.to(address);
    assert_eq!(answer.status, 200);
    let encoding = answer.header("content-encoding").map(ToOwned::to_owned);
    let text = match &encoding {
        None => answer.text(),
        Some(_) => {
            let mut text = String::new();
            let mut decoder = flate2::read::GzDecoder::new(&*answer.body);
            decoder.read_to_string(&mut text).unwrap();
            text
        }
    };
    (encoding, text)
}

const ELSEWHERE: (&str, &str) = ("Host", "traces.example.org");
const HERE: (&str, &str) = ("Host", "localhost:4318");

#[test]
fn responses_are_compressed_for_clients_that_accept_gzip() {
    let open = filled_with(large(12_000), PageSettings::default());
    // A server that other machines reach by its name.
    let pages = pages_router(Arc::clone(&open.store), PageSettings::default());
    let of_all = Server::start(pages);
    let (far, near) = (of_all.address, open.server.address);
    let gzip = Some("gzip".to_owned());
    let of = |limit: u64| format!("/ui/api/traces/{}?limit={limit}", trace_id(7));
    // Short ones are compressed at once, long ones in chunks while they are sent.
    for limit in [1_000, 12_000] {
        let plain = open.with_headers("GET", &of(limit), "accept-encoding: gzip;q=0\r\n", "");
        assert_eq!(plain.header("content-encoding"), None);
        let (encoding, text) = response_of(far, &of(limit), &[ELSEWHERE]);
        assert_eq!(encoding, gzip, "{limit}");
        assert!(
            text == plain.body,
            "{limit}: {} of {} bytes",
            text.len(),
            plain.body.len()
        );
    }
    // Longer than what is compressed at once.
    assert!(response_of(far, &of(12_000), &[ELSEWHERE]).1.len() > 2 * 256 * 1024);
    let small = open.with_headers(
        "GET",
        "/ui/api/id/0000000000000001",
        "accept-encoding: gzip\r\n",
        "",
    );
    assert_eq!((small.status, small.header("content-encoding")), (200, None));
    // Within one machine, a long response takes longer to compress than to send. A proxy may be on
    // another machine.
    assert_eq!(response_of(near, &of(1_000), &[HERE]).0, gzip);
    assert_eq!(response_of(near, &of(12_000), &[HERE]).0, None);
    let forwarded = [HERE, ("X-Forwarded-For", "192.0.2.7")];
    assert_eq!(response_of(near, &of(12_000), &forwarded).0, gzip);
}
