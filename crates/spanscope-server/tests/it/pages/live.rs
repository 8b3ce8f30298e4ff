//! Server-sent events of pages.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use spanscope_model::{SourceRecords, Timestamp, block_on};
use spanscope_store_tests::made::{of, running, span};

use super::{Filled, filled, new_span};

/// The events of a stream, as they come.
struct Events(BufReader<TcpStream>);

impl Filled {
    fn events(&self, path: &str, headers: &str) -> Events {
        let address = self.server.address;
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let request = format!("GET /ui/api{path} HTTP/1.0\r\nHost: {address}\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream);
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        assert!(line.contains(" 200 "), "{line}");
        while line != "\r\n" {
            line.clear();
            lines.read_line(&mut line).unwrap();
        }
        Events(lines)
    }
}

impl Events {
    /// The id and the data of the next event.
    fn next(&mut self) -> (String, Value) {
        let mut id = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the stream is over");
            if let Some(text) = line.strip_prefix("id: ") {
                id = text.trim().to_owned();
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return (id, serde_json::from_str(data).unwrap());
            }
        }
    }
}

fn spans(spans: Vec<spanscope_model::Span>) -> spanscope_model::NewRecords {
    of(SourceRecords::default().spans(spans.into_iter().map(new_span).collect()))
}

#[test]
fn each_change_of_the_store_is_sent() {
    let open = filled();
    let mut events = open.events("/changes", "");
    let (_, first) = events.next();
    block_on(open.store.store(spans(vec![span(9, 90, 0, "later")]))).unwrap();
    let (_, second) = events.next();
    assert!(second["version"].as_u64() > first["version"].as_u64());
    // The version is that of the list.
    let page = open.get("/traces");
    assert!(page["version"].as_u64() >= second["version"].as_u64());
}

#[test]
fn a_running_trace_is_sent_span_by_span_from_the_cursor_of_its_shape() {
    let open = filled();
    let root = running(span(9, 90, 0, "root"));
    block_on(open.store.store(spans(vec![root.clone()]))).unwrap();
    let trace = root.trace_id;
    let shape = open.get(&format!("/traces/{trace}"));
    let cursor = shape["cursor"].as_str().unwrap();
    let path = format!("/traces/{trace}/live?after={cursor}");
    let mut events = open.events(&path, "");
    let (_, first) = events.next();
    assert_eq!(
        (&first["new"], &first["ended"]),
        (&Value::Array(vec![]), &Value::Array(vec![]))
    );
    assert_ne!(first["state"], "ended");
    block_on(open.store.store(spans(vec![span(9, 91, 90, "chat")]))).unwrap();
    let (id, second) = events.next();
    assert_eq!(second["new"][0]["name"], "chat");
    assert_eq!(second["new"][0]["parent_id"], root.span_id.to_string());
    assert_eq!(second["spans"], 2);
    let mut ended = root.clone();
    ended.end_time = Some(Timestamp::from_nanos(root.start_time.as_nanos() + 5_000_000));
    ended.status = Some(spanscope_model::SpanStatus::Ok);
    ended.state = spanscope_model::SpanState::Ended;
    block_on(open.store.store(spans(vec![ended.clone()]))).unwrap();
    let (_, third) = events.next();
    assert_eq!(third["ended"][0]["span_id"], root.span_id.to_string());
    assert_eq!(
        (&third["state"], third["ended"][0]["dur"].as_i64()),
        (&"ended".into(), Some(5_000_000))
    );
    // A client that reconnects continues after the last event that it received.
    let mut again = open.events(&path, &format!("last-event-id: {id}\r\n"));
    let (_, event) = again.next();
    assert_eq!(event["new"], Value::Array(vec![]));
    assert_eq!(event["ended"].as_array().unwrap().len(), 1);
}

#[test]
fn a_stream_of_an_unknown_trace_is_refused() {
    let open = filled();
    let unknown = "/traces/0000000000000000000000000000dead/live";
    assert_eq!(open.refused(unknown), "404 not_found");
    let known = "/traces/00000000000000000000000000000001/live";
    assert_eq!(open.refused(&format!("{known}?after=1.2")), "400 invalid_input");
    assert_eq!(open.refused(&format!("{known}?since=1h")), "400 invalid_input");
    let headers = "last-event-id: 7\r\n";
    let answer = open.with_headers("GET", &format!("/ui/api{known}"), headers, "");
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert_eq!(open.refused("/changes?x=1"), "400 invalid_input");
}
