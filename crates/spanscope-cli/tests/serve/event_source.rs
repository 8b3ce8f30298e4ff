//! A real `EventSource` follows a run while another program writes it, through a network that
//! breaks off repeatedly: it reconnects by itself, and gets everything once and in order.

use std::collections::{BTreeSet, HashSet};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use spanscope_layers::genai::{Agent, ModelCall, Retrieval, ToolCall, Usage};
use spanscope_tests::{PATIENCE, store_at, wait_for};

use super::support::{Client, Folder, Serve, json_of};

const TASK: &str = "followed";
/// The duration of a model call or of a tool.
const STEP: Duration = Duration::from_millis(40);
/// The client reads what it received within this time.
const READ: Duration = Duration::from_millis(50);
/// The cuts, one per connection. The client reconnects after one second, as the server requests,
/// and after three seconds if it has not received that request.
const CUTS: [Cut; 9] = [
    // In the head of the response.
    Cut::after(0, 40),
    // Before any event, after the frame with the time to wait.
    Cut::after(1, 2),
    // In the first event, which must not be counted.
    Cut::after(2, 1),
    // Exactly after two events.
    Cut::after(3, 2),
    // In the id of an event, in its data, in its first byte.
    Cut::after(4, 8),
    Cut::after(2, 150),
    Cut::after(3, 3),
    // Late in the stream, twice.
    Cut::after(12, 2),
    Cut::after(9, 60),
];

#[test]
fn an_event_source_that_is_cut_off_nine_times_gets_every_event_of_a_live_run_once() {
    if !Client::EventSource.is_here() {
        return;
    }
    let folder = Folder::new();
    let server = folder.serve();
    let proxy = Proxy::start(server.address(), &CUTS);
    let writer = Writer::start(&folder, &proxy);
    // A run that is not stored yet is not found, and an `EventSource` gives up then.
    wait_for("the run to be stored", || {
        (server.get(&path("")).status == 200).then_some(())
    });

    let received = Received::by(&proxy, "close");
    let steps = writer.finish();
    received.assert_reconnected(&proxy);
    received.assert_same_as(&events(&server));
    assert_eq!(received.messages.len(), messages_of(steps));
    server.stop();
}

#[test]
fn a_run_that_is_over_is_replayed_to_an_event_source_that_is_cut_off_nine_times() {
    if !Client::EventSource.is_here() {
        return;
    }
    let folder = Folder::new();
    let steps = Writer::write(&folder, || 20);
    let server = folder.serve();
    let proxy = Proxy::start(server.address(), &CUTS);
    let received = Received::by(&proxy, "close");
    received.assert_reconnected(&proxy);
    received.assert_same_as(&events(&server));
    assert_eq!(received.messages.len(), messages_of(steps));
    server.stop();
}

#[test]
fn an_event_source_that_does_not_know_done_is_stopped_from_reconnecting() {
    if !Client::EventSource.is_here() {
        return;
    }
    let folder = Folder::new();
    Writer::write(&folder, || 2);
    let server = folder.serve();
    let proxy = Proxy::start(server.address(), &[]);
    let received = Received::by(&proxy, "stay");
    received.assert_same_as(&events(&server));
    // It reconnected once, after the stream's end, with the id of the final message.
    assert_eq!(
        received.errors(),
        [
            &json!({"error": null, "closed": false}),
            &json!({"error": 204, "closed": true})
        ]
    );
    let last = received.messages.last().unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(proxy.requested_ids(), [None, Some(last)]);
    server.stop();
}

/// The number of messages: the start and the end of a model call, of a tool, and of a retrieval by
/// the tool, in each step; those of the run; the agent's message; the final message.
fn messages_of(steps: usize) -> usize {
    2 * 3 * steps + 2 + 1 + 1
}

fn path(rest: &str) -> String {
    format!("/traces/{TASK}{rest}")
}

/// Returns all events of the run.
fn events(server: &Serve) -> Vec<Json> {
    let answer = json_of(&server.get(&path("/events?level=debug&limit=10000")));
    assert_eq!(
        (&answer["count"], answer["total"].as_u64() > Some(0)),
        (&answer["total"], true)
    );
    answer["events"].as_array().unwrap().clone()
}

/// The messages that an `EventSource` received.
struct Received {
    lines: Vec<Json>,
    messages: Vec<Json>,
}

impl Received {
    fn by(proxy: &Proxy, at_the_end: &str) -> Self {
        let url = format!("http://{}{}", proxy.address, path("/stream?level=debug"));
        let lines = Client::EventSource.run_for_lines(&[&url, at_the_end]).unwrap();
        let messages = lines
            .iter()
            .filter(|line| line.get("id").is_some())
            .cloned()
            .collect();
        Self { lines, messages }
    }

    fn errors(&self) -> Vec<&Json> {
        self.lines
            .iter()
            .filter(|line| line.get("error").is_some())
            .collect()
    }

    /// Checks that it reconnected after each cut with the id of its last event.
    fn assert_reconnected(&self, proxy: &Proxy) {
        let broken = json!({"error": null, "closed": false});
        assert_eq!(self.errors(), vec![&broken; CUTS.len()]);
        let mut expected = vec![None];
        let mut last = None;
        for line in &self.lines {
            match line["id"].as_str() {
                Some(id) => last = Some(id.to_owned()),
                None if line.get("error").is_some() => expected.push(last.clone()),
                None => {}
            }
        }
        assert_eq!(proxy.requested_ids(), expected);
        // In the middle of the stream, and not only in its first page.
        let different: HashSet<&Option<String>> = expected.iter().collect();
        assert!(different.len() > CUTS.len() / 2, "{expected:?}");
    }

    /// Checks that every event was received once, from the start of the run to its end, and steps
    /// in the order of their starts.
    fn assert_same_as(&self, events: &[Json]) {
        let (done, messages) = self.messages.split_last().unwrap();
        assert_eq!(done["data"], "[DONE]");
        let ids: HashSet<&Json> = self.messages.iter().map(|message| &message["id"]).collect();
        assert_eq!(ids.len(), self.messages.len(), "an id was received twice");
        let received: Vec<Json> = messages
            .iter()
            .map(|message| serde_json::from_str(message["data"].as_str().unwrap()).unwrap())
            .inspect(|data: &Json| assert_eq!(data["event"], "trace"))
            .map(|mut data| data["data"].take())
            .collect();

        let id = |event: &Json| event["event_id"].as_str().unwrap().to_owned();
        let received_ids: BTreeSet<String> = received.iter().map(id).collect();
        assert_eq!(received_ids.len(), received.len(), "an event was received twice");
        assert_eq!(received_ids, events.iter().map(id).collect());
        assert_eq!(
            (id(&received[0]), id(&received[received.len() - 1])),
            ("run:start".to_owned(), "run:end".to_owned())
        );

        let starts: Vec<&str> = received
            .iter()
            .filter(|event| event["event_id"].as_str().unwrap().ends_with(":start"))
            .map(|event| event["timestamp"].as_str().unwrap())
            .collect();
        assert!(starts.is_sorted(), "{starts:#?}");
        // A step's name and inputs may become known after its start. Its end is final; `runs.rs`
        // checks the same for the run itself.
        let ends = received[..received.len() - 1]
            .iter()
            .filter(|event| !id(event).ends_with(":start"));
        for event in ends {
            assert!(events.contains(event), "{event:#}");
            let began = id(event).replace(":end", ":start");
            let place = |id: &str| received.iter().position(|event| event["event_id"] == id);
            assert!(place(&began) <= place(&id(event)), "{event:#}");
        }
    }
}

/// A thread that writes the run into the served file: a third process, besides the server and the
/// client.
struct Writer(JoinHandle<usize>);

impl Writer {
    /// Runs steps until all planned cuts were made, so that each cut is during the run.
    fn start(folder: &Folder, proxy: &Proxy) -> Self {
        let (db, cuts) = (folder.db(), Arc::clone(&proxy.cuts));
        let deadline = Instant::now() + PATIENCE;
        Self(std::thread::spawn(move || {
            write(&db, || {
                match cuts.lock().unwrap().is_empty() || Instant::now() > deadline {
                    true => 0,
                    false => usize::MAX,
                }
            })
        }))
    }

    fn write(folder: &Folder, steps: impl Fn() -> usize) -> usize {
        write(&folder.db(), steps)
    }

    /// Waits for the end of the run, and returns its number of steps.
    fn finish(self) -> usize {
        self.0.join().unwrap()
    }
}

/// Runs an agent for a number of steps, which is read before each of them.
fn write(db: &std::path::Path, steps: impl Fn() -> usize) -> usize {
    let (dispatch, guard) = store_at(db);
    let taken = tracing::dispatcher::with_default(&dispatch, || {
        let agent = Agent::invoke("librarian");
        agent
            .task(TASK)
            .input_messages(&message_json("user", "What do you know about lines?"));
        let mut taken = 0;
        while taken < steps() {
            agent.in_scope(|| step(taken));
            taken += 1;
        }
        agent.output_messages(&message_json("assistant", "Nothing that was not said."));
        taken
    });
    guard.flush(PATIENCE).unwrap();
    taken
}

fn step(number: usize) {
    let call = ModelCall::chat("spanscope-tests", "tiny");
    call.input_messages(&message_json(
        "user",
        &format!("question {number}, with a line\nand ünïcode"),
    ));
    sleep(STEP);
    call.output_messages(&message_json("assistant", "data: [DONE]\n\n"))
        .usage(Usage::new(7, 3));
    drop(call);
    let tool = ToolCall::execute("search");
    tool.arguments(&json!({ "number": number }).to_string());
    tool.in_scope(|| {
        let retrieval = Retrieval::new("books");
        retrieval.query("lines").top_k(2);
        sleep(STEP);
        retrieval.documents(r#"[{"id":"a"},{"id":"b"}]"#);
    });
    sleep(STEP);
    tool.result("two of them");
}

fn message_json(role: &str, text: &str) -> String {
    json!([{"role": role, "parts": [{"type": "text", "content": text}]}]).to_string()
}

/// Where a response is cut off: `further` bytes after the text of a frame. The first two of these
/// bytes are the end of the frame.
#[derive(Debug, Clone, Copy)]
struct Cut {
    frames: usize,
    further: usize,
}

impl Cut {
    const fn after(frames: usize, further: usize) -> Self {
        Self { frames, further }
    }

    /// Returns the byte position of the cut, if it is in the data so far.
    fn place(self, answer: &[u8]) -> Option<usize> {
        // Only the end of a frame has two consecutive line feeds: neither the head of the response
        // nor the bytes between its chunks do.
        let mut ends = (0..answer.len()).filter(|at| answer[*at..].starts_with(b"\n\n"));
        let after = match self.frames.checked_sub(1) {
            None => 0,
            Some(last) => ends.nth(last)?,
        };
        Some(after + self.further).filter(|place| *place <= answer.len())
    }
}

/// Forwards data between a client and a server, and cuts the first connections off.
struct Proxy {
    address: SocketAddr,
    /// The remaining cuts.
    cuts: Arc<Mutex<Vec<Cut>>>,
    /// The ids in the client's requests.
    requested_ids: Arc<Mutex<Vec<Option<String>>>>,
}

impl Proxy {
    fn start(server: SocketAddr, cuts: &[Cut]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let cuts = Arc::new(Mutex::new(cuts.iter().rev().copied().collect::<Vec<_>>()));
        let requested_ids = Arc::<Mutex<Vec<_>>>::default();
        let proxy = Self {
            address,
            cuts: Arc::clone(&cuts),
            requested_ids: Arc::clone(&requested_ids),
        };
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(server).unwrap());
                let (to_server, from_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let requested_ids = Arc::clone(&requested_ids);
                std::thread::spawn(move || forward_requests(from_client, to_server, &requested_ids));
                // One connection at a time, as the client has it.
                forward_response(server, client, &cuts);
            }
        });
        proxy
    }

    fn requested_ids(&self) -> Vec<Option<String>> {
        self.requested_ids.lock().unwrap().clone()
    }
}

fn forward_requests(
    mut client: TcpStream,
    mut server: TcpStream,
    requested_ids: &Mutex<Vec<Option<String>>>,
) {
    let mut head = Vec::new();
    let mut piece = [0; 4096];
    // A client that is gone, or was cut off, sends nothing more.
    while let Ok(length @ 1..) = client.read(&mut piece) {
        head.extend_from_slice(&piece[..length]);
        if head.ends_with(b"\r\n\r\n") {
            let text = String::from_utf8(std::mem::take(&mut head)).unwrap();
            let id = text.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("last-event-id")
                    .then(|| value.to_owned())
            });
            requested_ids.lock().unwrap().push(id);
        }
        if server.write_all(&piece[..length]).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
}

fn forward_response(mut server: TcpStream, mut client: TcpStream, cuts: &Mutex<Vec<Cut>>) {
    let mut answer = Vec::new();
    let mut forwarded = 0;
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = server.read(&mut piece) {
        answer.extend_from_slice(&piece[..length]);
        let mut cuts = cuts.lock().unwrap();
        let place = cuts.last().and_then(|cut| cut.place(&answer));
        let end = place.unwrap_or(answer.len());
        if client.write_all(&answer[forwarded..end]).is_err() {
            break;
        }
        forwarded = end;
        if place.is_some() {
            cuts.pop();
            // The client's `fetch` discards received data that was not read yet when its connection
            // breaks off.
            sleep(READ);
            break;
        }
    }
    for stream in [client, server] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}
