//! Bodies that are compressed incorrectly, are too large, or are larger than they look.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, ZlibEncoder};
use prost::Message as _;
use spanscope_server::Limits;

use super::{JSON, PROTOBUF, TRACES, gzip, send, span, status_of, text, traces, zlib, zstd_of};
use crate::running::{Open, open, open_with};
use crate::wire::{Answer, Ask, Connection};
use spanscope_server::AuthMode::Local;

const MIB: usize = 1 << 20;

fn packed(body: Vec<u8>) -> Ask {
    Ask::post(TRACES, PROTOBUF, body).header("Content-Encoding", "gzip")
}

/// A request with one span, padded to about this number of bytes that compress badly or very well.
fn large(name: &str, bytes: usize) -> Vec<u8> {
    let mut span = span(name);
    span.attributes = vec![text("padding", &"x".repeat(bytes))];
    traces(vec![span]).encode_to_vec()
}

#[test]
fn an_invalid_gzip_body_is_refused_and_not_stored() {
    let open = open();
    let body = traces(vec![span("packed")]).encode_to_vec();
    let right = gzip(&body);
    let with = |change: fn(&mut Vec<u8>)| {
        let mut wrong = right.clone();
        change(&mut wrong);
        wrong
    };
    let deflate = |zlib: bool| {
        if zlib {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&body).unwrap();
            return encoder.finish().unwrap();
        }
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&body).unwrap();
        encoder.finish().unwrap()
    };
    let cases = [
        ("empty", Vec::new()),
        ("plain", body.clone()),
        ("cut off in the head", right[..5].to_vec()),
        ("cut off in the middle", right[..right.len() / 2].to_vec()),
        ("without its sum", right[..right.len() - 8].to_vec()),
        ("cut off by a byte", right[..right.len() - 1].to_vec()),
        ("garbage behind it", [&right[..], b"garbage"].concat()),
        ("zeros behind it", [&right[..], &[0; 512]].concat()),
        (
            "half of another one behind it",
            [&right[..], &right[..9]].concat(),
        ),
        (
            "another sum",
            with(|body| {
                let end = body.len() - 6;
                body[end] ^= 1
            }),
        ),
        (
            "another length",
            with(|body| {
                let end = body.len() - 1;
                body[end] ^= 1
            }),
        ),
        ("zlib", deflate(true)),
        ("deflate", deflate(false)),
        ("twice packed", gzip(&right)),
    ];
    for (what, body) in cases {
        let answer = packed(body).to(open.address);
        let status = status_of(&answer);
        assert_eq!(
            (answer.status, status.code),
            (400, 3),
            "{what}: {}",
            status.message
        );
        assert_eq!(open.counts(), (0, 0, 0), "{what}");
    }
    // Several members are one body.
    let (begin, end) = body.split_at(body.len() / 2);
    let answer = packed([gzip(begin), gzip(b""), gzip(end)].concat()).to(open.address);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(open.span_names(), ["packed"]);
}

/// Uses nearly all of the memory for bodies, so that a leak would show.
fn all_memory_is_free(open: &Open, limits: Limits) {
    let answer =
        Ask::post(TRACES, PROTOBUF, large("free", limits.buffered_bytes - 64 * 1024)).to(open.address);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// This many MiB of zeros, compressed to a thousandth.
fn zeros(mib: usize) -> Vec<u8> {
    gzip(&vec![0; MIB]).repeat(mib)
}

#[test]
fn a_decompression_bomb_is_refused_before_it_fills_the_memory() {
    let mut limits = Limits::default();
    limits.body_bytes = 8 * MIB;
    limits.decompressed_bytes = 8 * MIB;
    limits.buffered_bytes = 16 * MIB;
    let open = open_with(Local, limits);
    let bomb = zeros(1024);
    assert!(bomb.len() < 8 * MIB);
    for kind in [PROTOBUF, JSON] {
        let answer = Ask::post(TRACES, kind, bomb.clone())
            .header("Content-Encoding", "gzip")
            .to(open.address);
        assert_eq!(answer.status, 413);
        let status = status_of(&answer);
        assert_eq!(status.code, 3);
        assert!(
            status.message.contains(&(8 * MIB).to_string()),
            "{}",
            status.message
        );
    }
    limits.buffered_bytes = 8 * MIB; // for the largest body that is accepted
    all_memory_is_free(&open, limits);
}

#[test]
fn decompressed_bodies_count_in_the_memory_limit() {
    let mut limits = Limits::default();
    limits.buffered_bytes = 4 * MIB;
    let open = open_with(Local, limits);
    // The limit of a body allows this length, but the memory for all bodies does not suffice.
    let bomb = zeros(60);
    assert!(bomb.len() < MIB);
    let answer = packed(bomb).to(open.address);
    assert_eq!((answer.status, status_of(&answer).code), (429, 8));
    assert_eq!(answer.header("retry-after"), Some("1"));
    let half = packed(gzip(&large("half", 3 * MIB))).to(open.address);
    assert_eq!(half.status, 200, "{}", half.text());
    all_memory_is_free(&open, limits);
}

fn head(length: &str) -> String {
    format!("POST {TRACES} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {PROTOBUF}\r\n{length}\r\n")
}

fn too_large(answer: &Answer, limit: usize) {
    let status = status_of(answer);
    assert_eq!((answer.status, status.code), (413, 3));
    assert!(status.message.contains(&limit.to_string()), "{}", status.message);
}

#[test]
fn a_body_that_declares_too_large_a_length_is_refused_unread() {
    let limits = Limits::default();
    let open = open_with(Local, limits);
    for length in ["100000000", "16777217", "9223372036854775808"] {
        let mut connection = Connection::open(open.address);
        connection.send(head(&format!("Content-Length: {length}\r\n")).as_bytes());
        // Not a byte of it was sent.
        too_large(&connection.answer(), limits.body_bytes);
        assert!(connection.is_ended(), "what follows would be the body");
    }
    // A client that still sends it gets the reason of the refusal.
    let answer = Ask::post(TRACES, PROTOBUF, vec![0; 100_000_000]).to(open.address);
    too_large(&answer, limits.body_bytes);
    // A client that asks first is refused at once.
    let mut connection = Connection::open(open.address);
    connection.send(head("Content-Length: 100000000\r\nExpect: 100-continue\r\n").as_bytes());
    too_large(&connection.answer(), limits.body_bytes);
    assert_eq!(send(&traces(vec![span("after")])).to(open.address).status, 200);
    assert_eq!(open.span_names(), ["after"]);
}

#[test]
fn an_invalid_length_is_refused() {
    let open = open();
    for (length, status) in [
        ("Content-Length: -1\r\n", 400),
        ("Content-Length: x\r\n", 400),
        ("Content-Length: 18446744073709551616\r\n", 400),
        ("Content-Length: 18446744073709551615\r\n", 431), // what hyper keeps for itself
        ("Content-Length: 5\r\nContent-Length: 6\r\n", 400),
        ("Transfer-Encoding: x\r\n", 400),
        ("Transfer-Encoding: chunked, x\r\n", 400),
    ] {
        let mut connection = Connection::open(open.address);
        connection.send(head(length).as_bytes());
        assert_eq!(connection.answer().status, status, "{length}");
        assert!(connection.is_ended(), "{length}");
    }
}

/// Sends a body in chunks, as long as the server accepts them.
fn in_chunks(open: &Open, body: &[u8]) -> Answer {
    let mut connection = Connection::open(open.address);
    connection.send(head("Transfer-Encoding: chunked\r\n").as_bytes());
    for chunk in body.chunks(MIB) {
        connection.send(format!("{:x}\r\n", chunk.len()).as_bytes());
        connection.send(chunk);
        connection.send(b"\r\n");
    }
    connection.send(b"0\r\n\r\n");
    connection.answer()
}

#[test]
fn a_body_without_a_length_is_refused_at_the_limit() {
    let mut limits = Limits::default();
    limits.body_bytes = 4 * MIB;
    limits.buffered_bytes = 8 * MIB;
    let open = open_with(Local, limits);
    too_large(&in_chunks(&open, &vec![0; 100 * MIB]), limits.body_bytes);
    let just_right = large("chunks", 4 * MIB - 200);
    assert!((4 * MIB - 200..4 * MIB).contains(&just_right.len()));
    assert_eq!(in_chunks(&open, &just_right).status, 200);
    too_large(&in_chunks(&open, &large("beyond", 4 * MIB)), limits.body_bytes);
    assert_eq!(open.span_names(), ["chunks"]);
    limits.buffered_bytes = 4 * MIB;
    all_memory_is_free(&open, limits);
}

#[test]
fn invalid_chunks_are_refused() {
    let open = open();
    let whole = traces(vec![span("chunked")]).encode_to_vec();
    let chunk = [format!("{:x}\r\n", whole.len()).as_bytes(), &whole, b"\r\n"].concat();
    for wrong in [
        [&chunk[..], b"xyz\r\n"].concat(),
        [&chunk[..], b"ffffffffffffffffff\r\n"].concat(),
        [&chunk[..], b"-1\r\n"].concat(),
        b"3\r\nabcdef\r\n".to_vec(),
    ] {
        let mut connection = Connection::open(open.address);
        connection.send(head("Transfer-Encoding: chunked\r\n").as_bytes());
        connection.send(&wrong);
        let answer = connection.answer();
        assert_eq!((answer.status, status_of(&answer).code), (400, 3));
        assert!(connection.is_ended());
    }
    assert_eq!(open.counts(), (0, 0, 0));
}

/// Made by the reference encoder (`zstd -9 --check`) of a request with forty spans in JSON.
const FORTY_SPANS: &[u8] = include_bytes!("forty_spans.json.zst");

fn zstd(kind: &str, body: impl Into<Vec<u8>>) -> Ask {
    Ask::post(TRACES, kind, body).header("Content-Encoding", "zstd")
}

#[test]
fn zstd_is_read_and_invalid_zstd_is_refused() {
    let open = open();
    let right = FORTY_SPANS;
    let mut another_sum = right.to_vec();
    *another_sum.last_mut().unwrap() ^= 1;
    for (what, wrong) in [
        ("empty", Vec::new()),
        ("plain", b"{}".to_vec()),
        ("gzip", gzip(b"{}")),
        ("the first bytes", right[..3].to_vec()),
        ("cut off in the middle", right[..right.len() / 2].to_vec()),
        ("without its sum", right[..right.len() - 4].to_vec()),
        ("another sum", another_sum),
        ("garbage behind it", [right, b"garbage"].concat()),
        (
            "half of another one behind it",
            [right, &right[..right.len() / 2]].concat(),
        ),
    ] {
        let answer = zstd(JSON, wrong).to(open.address);
        let status = status_of(&answer);
        assert_eq!(
            (answer.status, status.code),
            (400, 3),
            "{what}: {}",
            status.message
        );
        assert_eq!(open.counts(), (0, 0, 0), "{what}");
    }
    assert_eq!(zstd(JSON, right).to(open.address).status, 200);
    assert_eq!(open.counts().0, 40);
    // Several frames are one body.
    let body = traces(vec![span("in two frames")]).encode_to_vec();
    let (begin, end) = body.split_at(20);
    let frames = [zstd_of(begin), zstd_of(end)].concat();
    assert_eq!(zstd(PROTOBUF, frames).to(open.address).status, 200);
    assert_eq!(open.counts().0, 41);
}

#[test]
fn the_decompressed_size_and_the_window_of_zstd_are_limited() {
    let limits = Limits::default().decompressed_bytes(MIB);
    let open = open_with(Local, limits);
    assert_eq!(
        zstd(PROTOBUF, zstd_of(&large("fits", MIB / 2)))
            .to(open.address)
            .status,
        200
    );
    let bomb = zstd_of(&large("bomb", 40 * MIB));
    assert!(bomb.len() < MIB, "{}", bomb.len());
    assert_eq!(zstd(PROTOBUF, bomb).to(open.address).status, 413);
    // A frame with a window of 128 MiB, as `zstd --long=27` writes it.
    let wide = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3, 0x01, 0x00, 0x00];
    let answer = zstd(PROTOBUF, wide).to(open.address);
    let status = status_of(&answer);
    assert_eq!((answer.status, status.code), (400, 3));
    assert!(status.message.contains("8388608"), "{}", status.message);
    assert_eq!(open.counts().0, 1);
}

/// As the SDK for Python sends it where OTEL_EXPORTER_OTLP_COMPRESSION is deflate, and without the
/// head of zlib (<https://github.com/mlflow/mlflow/pull/19024>).
#[test]
fn deflate_is_read_with_and_without_a_zlib_header_and_invalid_deflate_is_refused() {
    let open = open_with(Local, Limits::default().decompressed_bytes(MIB));
    let deflate = |body: Vec<u8>| Ask::post(TRACES, PROTOBUF, body).header("Content-Encoding", "deflate");
    let of = |name: &str| traces(vec![span(name)]).encode_to_vec();
    let zlib_of = zlib(&of("with a head"));
    assert_eq!(deflate(zlib_of.clone()).to(open.address).status, 200);
    let raw = zlib(&of("without"));
    assert_eq!(
        deflate(raw[2..raw.len() - 4].to_vec()).to(open.address).status,
        200
    );
    assert_eq!(open.span_names(), ["with a head", "without"]);
    let mut another_sum = zlib_of.clone();
    *another_sum.last_mut().unwrap() ^= 1;
    for (what, wrong) in [
        ("empty", Vec::new()),
        ("plain", of("plain")),
        ("gzip", gzip(&of("gzip"))),
        ("cut off in the middle", zlib_of[..zlib_of.len() / 2].to_vec()),
        ("without its sum", zlib_of[..zlib_of.len() - 4].to_vec()),
        ("another sum", another_sum),
    ] {
        let answer = deflate(wrong).to(open.address);
        let status = status_of(&answer);
        assert_eq!(
            (answer.status, status.code),
            (400, 3),
            "{what}: {}",
            status.message
        );
        assert!(
            status.message.contains("the body is not valid deflate"),
            "{what}: {}",
            status.message
        );
    }
    let bomb = zlib(&large("bomb", 40 * MIB));
    assert!(bomb.len() < MIB, "{}", bomb.len());
    assert_eq!(deflate(bomb).to(open.address).status, 413);
    assert_eq!(open.counts().0, 2);
}

#[test]
fn a_list_of_encodings_may_contain_one_compression() {
    let open = open();
    let body = traces(vec![span("x")]).encode_to_vec();
    for (names, status) in [
        ("x-gzip", 200),
        ("gzip, identity", 200),
        ("GZIP", 200),
        ("gzip, gzip", 415),
        ("br", 415),
    ] {
        let ask = Ask::post(TRACES, PROTOBUF, gzip(&body)).header("Content-Encoding", names);
        assert_eq!(ask.to(open.address).status, status, "{names}");
    }
    for kind in ["application/protobuf", "Application/X-Protobuf; messageType=x"] {
        let answer = Ask::post(TRACES, kind, body.clone()).to(open.address);
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some(PROTOBUF)),
            "{kind}"
        );
    }
}
