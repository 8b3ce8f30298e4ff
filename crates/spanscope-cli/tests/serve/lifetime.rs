//! The end of `spanscope serve`: acknowledged records are stored, whatever ends it.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::{Value as Json, json};
use spanscope_model::{LogFilter, MetricQuery, SpanFilter, Timestamp, TraceStore as _, Value, block_on};
use spanscope_tests::process::{Signal, end_of, send_signal};
use spanscope_tests::sqlite::assert_intact;
use spanscope_tests::{PATIENCE, wait_for};

use super::support::{Ended, Folder, Serve, ids, increments, logs, one_span, send};

/// The number of acknowledged requests before the server is asked to end.
const SOME: usize = 200;
/// The number of concurrent clients.
const CLIENTS: usize = 4;
const COUNTER: &str = "acknowledged_total";
const STORED: &str = "spanscope: ended, all accepted records are stored\n";
const FORCED: &str = "spanscope: ended at once after a second signal; all acknowledged records are stored\n";
const UNFINISHED: &str =
    "spanscope: ended; some clients did not finish in time, all acknowledged records are stored\n";

#[test]
fn sigterm_and_ctrl_c_end_the_server_after_started_requests_are_finished_and_stored() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = Folder::new();
        let server = folder.serve();
        let (address, clients) = (server.address(), Clients::start(&server));
        let (idle, mut unfinished) = (idle_connection(address), Unfinished::begin(address));
        clients.wait_for_some();

        server.signal(signal);
        wait_for("the port to be closed", || TcpStream::connect(address).err());
        assert_eq!(unfinished.finish(), 200, "the request began before the signal");

        server.end().assert_ended_with(STORED);
        let acknowledged = clients.finish();
        acknowledged.assert_stored(&folder);
        assert!(stored_spans(&folder).contains(&unfinished.span_id));
        assert_intact(&folder.db());
        drop(idle);
    }
}

#[test]
fn a_client_that_never_finishes_delays_the_end_only_for_a_limited_time() {
    let folder = Folder::new();
    let server = folder.serve();
    let unfinished = Unfinished::begin(server.address());
    assert_eq!(server.post("/v1/traces", &one_span(0)).status, 200);
    server.signal(Signal::TERM);
    server.end().assert_ended_with(UNFINISHED);
    assert_eq!(stored_spans(&folder), BTreeSet::from([ids(0).1]));
    drop(unfinished);
}

#[test]
fn a_blocked_stderr_delays_neither_requests_nor_the_end() {
    let folder = Folder::new();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (reads_nothing, mut stderr) = std::io::pipe().unwrap();
    // Fills the pipe.
    stderr.write_all(&[b'\n'; 1 << 16]).unwrap();
    let mut server = folder
        .command(&["serve", "--listen", &address.to_string()])
        .stderr(stderr)
        .spawn()
        .unwrap();
    let answer = wait_for("an answer", || {
        send(address, "POST", "/v1/traces", None, Some(&one_span(0))).ok()
    });
    assert_eq!(answer.status, 200);
    send_signal(&server, Signal::TERM);
    assert_eq!(end_of(&mut server, "spanscope serve").code(), Some(0));
    assert_eq!(stored_spans(&folder), BTreeSet::from([ids(0).1]));
    drop(reads_nothing);
}

#[test]
fn a_second_signal_ends_the_server_at_once() {
    let folder = Folder::new();
    let server = folder.serve();
    let address = server.address();
    let unfinished = Unfinished::begin(address);
    assert_eq!(server.post("/v1/traces", &one_span(0)).status, 200);
    server.signal(Signal::INT);
    wait_for("the port to be closed", || TcpStream::connect(address).err());
    server.signal(Signal::INT);
    server.end().assert_ended_with(FORCED);
    assert_eq!(stored_spans(&folder), BTreeSet::from([ids(0).1]));
    drop(unfinished);
}

#[test]
fn a_kill_loses_no_acknowledged_record_and_the_next_server_continues() {
    let folder = Folder::new();
    let server = folder.serve();
    let clients = Clients::start(&server);
    clients.wait_for_some();
    let ended = server.killed();
    assert_eq!(ended.code, None, "it had no time to end: {}", ended.err);
    let acknowledged = clients.finish();

    acknowledged.assert_stored(&folder);
    assert_intact(&folder.db());
    let stored = stored_spans(&folder);
    let server = folder.serve();
    // Clients that lost the response send the same spans again.
    for (number, _) in &acknowledged.spans {
        assert_eq!(server.post("/v1/traces", &one_span(*number)).status, 200);
    }
    assert_eq!(stored_spans(&folder), stored);
    let spans = block_on(folder.store().statistics()).unwrap().spans;
    assert_eq!(spans, stored.len() as u64, "none twice");
    server.stop();
}

impl Ended {
    /// Checks that it ended cleanly, and that this is its only output since it began to serve.
    fn assert_ended_with(&self, last: &str) {
        let output = self.err.split_once("end with Ctrl-C\n").unwrap().1;
        assert_eq!((self.code, output), (Some(0), last));
    }
}

/// Clients that send without a pause until the server is gone.
pub(crate) struct Clients {
    acknowledged: Arc<Mutex<Acknowledged>>,
    /// Whether the server has ended. The clients must stop then, because the server of another test
    /// may listen on its port.
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// The acknowledged records.
#[derive(Debug, Clone, Default)]
pub(crate) struct Acknowledged {
    requests: usize,
    spans: Vec<(u64, String)>,
    logs: BTreeSet<String>,
    points: BTreeSet<i64>,
}

impl Clients {
    fn start(server: &Serve) -> Self {
        Self::start_at(server, 0)
    }

    /// Starts clients that send records with ascending numbers, from `first` on.
    pub(crate) fn start_at(server: &Serve, first: u64) -> Self {
        let address = server.address();
        let acknowledged = Arc::<Mutex<Acknowledged>>::default();
        let next = Arc::new(AtomicU64::new(first));
        let is_over = Arc::<AtomicBool>::default();
        let threads = (0..CLIENTS).map(|_| {
            let (acknowledged, next) = (Arc::clone(&acknowledged), Arc::clone(&next));
            let is_over = Arc::clone(&is_over);
            std::thread::spawn(move || {
                let send = || send_one(address, next.fetch_add(1, Ordering::SeqCst), &acknowledged);
                while !is_over.load(Ordering::SeqCst) && send().is_ok() {}
            })
        });
        Self {
            threads: threads.collect(),
            acknowledged,
            is_over,
        }
    }

    pub(crate) fn wait_for_some(&self) {
        wait_for("some acknowledgements", || {
            (self.acknowledged.lock().unwrap().requests >= SOME).then_some(())
        });
    }

    /// Stops the clients of a server that has ended, and returns the records that it acknowledged.
    pub(crate) fn finish(self) -> Acknowledged {
        self.is_over.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().unwrap();
        }
        self.acknowledged.lock().unwrap().clone()
    }
}

/// Sends a record with this number: a span, a log record, a measurement, and an event of Llama
/// Stack's telemetry API in turn.
fn send_one(address: SocketAddr, number: u64, acknowledged: &Mutex<Acknowledged>) -> std::io::Result<()> {
    let (trace_id, span_id) = ids(number);
    let text = format!("log {number}");
    let value = i64::try_from(number).unwrap() + 1;
    let (path, body, success) = match number % 4 {
        0 => ("/v1/traces", one_span(number), 200),
        1 => ("/v1/logs", logs(&[&text]), 200),
        2 => ("/v1/metrics", increments(COUNTER, &[value]), 200),
        _ => ("/v1/telemetry/events", event(&trace_id, &span_id, &text), 204),
    };
    let answer = send(address, "POST", path, None, Some(&body))?;
    // A server that has ended sends no response. A running one accepts all of these requests.
    assert_eq!(answer.status, success, "{answer:?}");
    let mut acknowledged = acknowledged.lock().unwrap();
    acknowledged.requests += 1;
    match number % 4 {
        0 => acknowledged.spans.push((number, span_id)),
        2 => {
            acknowledged.points.insert(value);
        }
        _ => {
            acknowledged.logs.insert(text);
        }
    }
    Ok(())
}

fn event(trace_id: &str, span_id: &str, message: &str) -> Json {
    json!({"event": {
        "type": "unstructured_log", "trace_id": trace_id, "span_id": span_id, "timestamp": Timestamp::now(),
        "message": message, "severity": "info",
    }})
}

impl Acknowledged {
    pub(crate) fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.spans.extend(other.spans);
        self.logs.extend(other.logs);
        self.points.extend(other.points);
    }

    pub(crate) fn assert_stored(&self, folder: &Folder) {
        let store = folder.store();
        let spans = stored_spans(folder);
        let missing = self.spans.iter().filter(|(_, id)| !spans.contains(id));
        assert_eq!(missing.collect::<Vec<_>>(), [] as [&(u64, String); 0]);
        let filter = LogFilter::default().limit(1_000_000);
        let logs = block_on(store.list_logs(filter)).unwrap();
        let logs: BTreeSet<String> = logs.into_iter().map(|log| log.message).collect();
        assert_eq!(
            self.logs.difference(&logs).collect::<Vec<_>>(),
            [] as [&String; 0]
        );
        let query = MetricQuery::range(COUNTER, Timestamp::from_nanos(0))
            .granularity(None::<spanscope_model::Granularity>);
        let series = block_on(store.query_metrics(query)).unwrap();
        let points = series.into_iter().flat_map(|series| series.values);
        let points: BTreeSet<i64> = points
            .map(|point| match point.value {
                Value::I64(value) => value,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(
            self.points.difference(&points).collect::<Vec<_>>(),
            [] as [&i64; 0]
        );
        for sent in [self.spans.len(), self.logs.len(), self.points.len()] {
            assert!(sent > 0, "records of each kind were sent: {self:?}");
        }
    }
}

fn stored_spans(folder: &Folder) -> BTreeSet<String> {
    let filter = SpanFilter::default().limit(1_000_000);
    let spans = block_on(folder.store().list_spans(filter)).unwrap();
    spans.iter().map(|span| span.span_id.to_string()).collect()
}

/// A connection that is kept open for a next request which never comes, as SDKs do.
fn idle_connection(address: SocketAddr) -> TcpStream {
    let mut stream = connect(address);
    write!(stream, "GET /health HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    assert_eq!(read_status(&mut stream), 200);
    stream
}

/// A request whose handler waits for the rest of its body.
struct Unfinished {
    stream: TcpStream,
    rest: String,
    span_id: String,
}

impl Unfinished {
    fn begin(address: SocketAddr) -> Self {
        // The other clients never reach this number.
        let number = u64::MAX - 1;
        let body = one_span(number).to_string();
        let (first, rest) = body.split_at(body.len() / 2);
        let mut stream = connect(address);
        // `100 Continue` shows that the server has begun to read the body, so the test needs no
        // pause to make sure that the request is open.
        write!(
            stream,
            "POST /v1/traces HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Expect: 100-continue\r\n\r\n",
            body.len()
        )
        .unwrap();
        assert_eq!(read_status(&mut stream), 100);
        stream.write_all(first.as_bytes()).unwrap();
        Self {
            stream,
            rest: rest.to_owned(),
            span_id: ids(number).1,
        }
    }

    /// Sends the rest, and returns the status.
    fn finish(&mut self) -> u16 {
        self.stream.write_all(self.rest.as_bytes()).unwrap();
        let status = read_status(&mut self.stream);
        let mut rest = String::new();
        self.stream.read_to_string(&mut rest).unwrap();
        status
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads the head of a response, and returns its status.
fn read_status(stream: &mut TcpStream) -> u16 {
    let mut lines = BufReader::with_capacity(1, stream).lines();
    let first = lines.next().unwrap().unwrap();
    let head: Vec<String> = lines
        .map(Result::unwrap)
        .take_while(|line| !line.is_empty())
        .collect();
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| panic!("{first}: {head:?}"))
}
