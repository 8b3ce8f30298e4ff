//! Streams: earlier events first, then new ones, each once and in order, until the run is over.

use std::collections::HashSet;
use std::thread::sleep;
use std::time::Duration;

use spanscope_layers::genai::{Agent, ToolCall};
use spanscope_model::{TraceStore, block_on};
use spanscope_server::{AuthMode, Limits};
use spanscope_sqlite::{SqliteLayer, SqliteStore};
use spanscope_tests::wait_for;
use tracing_subscriber::layer::SubscriberExt as _;

use super::{Sent, Stream, With, agent, ids, span, store, tool};
use crate::running::{open, open_runs, runs};
use crate::wire::{Ask, Connection};

const ALL: &str = "/traces/t/stream?level=debug";

/// Checks that every item that must be sent once was sent exactly once.
fn assert_once(sent: &[Sent]) {
    let unique: HashSet<_> = sent.iter().map(|sent| &sent.id).collect();
    assert_eq!(unique.len(), sent.len(), "an event came twice");
    assert_eq!(ids(sent).iter().collect::<HashSet<_>>().len(), sent.len());
}

#[test]
fn the_stream_of_a_finished_run_replays_it_and_closes() {
    let open = open();
    store(
        &open.store,
        vec![
            agent(1, "t", 9000, 800),
            tool(1, 2, "calculator", 8900, 100),
            tool(1, 3, "weather", 8700, 100),
        ],
    );
    let sent = Stream::open(&open, ALL, None).all();
    assert_once(&sent);
    assert_eq!(sent.last().unwrap().data, "[DONE]");
    let listed = Ask::get("/traces/t/events?level=debug").to(open.address).json();
    let listed: Vec<_> = listed["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["event_id"].as_str().unwrap().to_owned())
        .collect();
    let mut expected = listed;
    expected.push("[DONE]".to_owned());
    assert_eq!(ids(&sent), expected);
    assert_eq!(
        (expected[0].as_str(), expected[5].as_str()),
        ("run:start", "run:end")
    );

    // A client that returns with an id gets exactly what follows it.
    for (number, after) in sent.iter().enumerate().take(sent.len() - 1) {
        let rest = Stream::open(&open, ALL, Some(&after.id)).all();
        assert_eq!(rest, sent[number + 1..], "after {}", after.id);
    }
    let done = Ask::get(ALL)
        .header("Last-Event-ID", &sent.last().unwrap().id)
        .to(open.address);
    assert_eq!(
        done.status, 204,
        "so that a browser does not come back again and again"
    );
}

#[test]
fn records_of_other_processes_are_followed_until_the_last_span_ends() {
    let open = open();
    // Another process, from the file's point of view.
    let writer = SqliteStore::builder()
        .open(open.folder.path().join("trace_store.db"))
        .unwrap();
    store(&writer, vec![agent(1, "t", 1000, 0).running()]);
    let mut stream = Stream::open(&open, ALL, None);
    assert_eq!(stream.next().unwrap().event_id(), "run:start");
    for number in 2..6 {
        store(&writer, vec![tool(1, number, "calculator", 500, 1)]);
        let expected = [format!("{number:016x}:start"), format!("{number:016x}:end")];
        assert_eq!(
            [stream.next(), stream.next()].map(|sent| sent.unwrap().event_id()),
            expected
        );
    }
    // The root ends, and a span below it is still running: so is the run.
    store(
        &writer,
        vec![tool(1, 9, "late", 400, 0).running(), agent(1, "t", 1000, 700)],
    );
    assert_eq!(stream.next().unwrap().event_id(), format!("{:016x}:start", 9));
    sleep(runs().grace * 2); // the time in which it must not end
    store(&writer, vec![tool(1, 9, "late", 400, 300)]);
    let rest: Vec<_> = ids(&stream.all());
    assert_eq!(
        rest,
        [
            format!("{:016x}:end", 9),
            "run:end".to_owned(),
            "[DONE]".to_owned()
        ]
    );
}

#[test]
fn a_client_that_reconnects_again_and_again_gets_every_event_once_and_in_order() {
    let open = open();
    let path = open.folder.path().join("trace_store.db");
    store(&open.store, vec![agent(1, "t", 1000, 0).running()]);
    let whole = Stream::open(&open, ALL, None);
    let whole = std::thread::spawn(move || whole.all());
    let writing = std::thread::spawn(move || {
        let writer = SqliteStore::builder().open(path).unwrap();
        for number in 2..62 {
            store(&writer, vec![tool(1, number, "calculator", 500, 1)]);
            sleep(Duration::from_millis(20)); // the pace of an agent
        }
        store(&writer, vec![agent(1, "t", 1000, 900)]);
    });
    let mut seen: Vec<Sent> = Vec::new();
    while seen.last().is_none_or(|last| last.data != "[DONE]") {
        let last_id = seen.last().map(|last| last.id.clone());
        let mut stream = Stream::open(&open, ALL, last_id.as_deref());
        for _ in 0..7 {
            match stream.next() {
                Some(sent) => seen.push(sent),
                None => break,
            }
            if seen.last().unwrap().data == "[DONE]" {
                break;
            }
        }
    }
    writing.join().unwrap();
    assert_once(&seen);
    let whole = whole.join().unwrap();
    assert_eq!(ids(&whole).len(), 2 + 2 * 60 + 1);
    let sorted = |sent: &[Sent]| {
        let mut ids = ids(sent);
        ids.sort();
        ids
    };
    assert_eq!(sorted(&seen), sorted(&whole));
    let starts: Vec<_> = ids(&seen)
        .into_iter()
        .filter(|id| id.ends_with(":start"))
        .collect();
    let in_order: Vec<_> = (1..62)
        .map(|number| match number {
            1 => "run:start".to_owned(),
            number => format!("{number:016x}:start"),
        })
        .collect();
    assert_eq!(starts, in_order);
}

#[test]
fn five_clients_of_one_run_get_the_same_events() {
    let open = open();
    store(&open.store, vec![agent(1, "t", 1000, 0).running()]);
    let clients: Vec<_> = (0..5)
        .map(|_| {
            let stream = Stream::open(&open, ALL, None);
            std::thread::spawn(move || stream.all())
        })
        .collect();
    for number in 2..40 {
        store(&open.store, vec![tool(1, number, "calculator", 500, 1)]);
    }
    store(&open.store, vec![agent(1, "t", 1000, 900)]);
    let seen: Vec<Vec<String>> = clients
        .into_iter()
        .map(|client| ids(&client.join().unwrap()))
        .collect();
    assert_eq!(seen[0].len(), 2 + 2 * 38 + 1);
    for other in &seen {
        assert_eq!(*other, seen[0]);
    }
}

#[test]
fn an_abandoned_run_ends_with_an_event_that_says_so() {
    let open = open();
    let (layer, guard) = SqliteLayer::builder()
        .open(open.folder.path().join("trace_store.db"))
        .unwrap();
    let held = tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let agent = Agent::invoke("librarian");
        agent.task("t");
        let tool = agent.in_scope(|| ToolCall::execute("calculator"));
        guard.flush(Duration::from_secs(20)).unwrap();
        (agent, tool)
    });
    // The program ends in the middle of it: its store is closed and its spans are not.
    guard.shutdown().unwrap();
    let sent = Stream::open(&open, ALL, None).all();
    let last = &sent[sent.len() - 2].json()["data"];
    assert_eq!(
        (last["event_type"].as_str(), last["event_id"].as_str()),
        (Some("workflow_failed"), Some("run:end"))
    );
    assert!(last["error"].as_str().unwrap().contains("abandoned"), "{last}");
    let page = Ask::get("/traces?status=abandoned").to(open.address).json();
    assert_eq!(
        (&page["total"], &page["sessions"][0]["status"]),
        (&1.into(), &"abandoned".into())
    );
    drop(held);
}

#[test]
fn a_run_that_is_deleted_while_it_is_watched_ends_its_stream() {
    let open = open();
    store(&open.store, vec![agent(1, "t", 1000, 0).running()]);
    let mut stream = Stream::open(&open, ALL, None);
    stream.next().unwrap();
    assert_eq!(Ask::new("DELETE", "/traces/t").to(open.address).status, 200);
    let rest = stream.all();
    assert_eq!(rest[0].json()["event"], "trace_deleted");
    assert_eq!(rest[1].data, "[DONE]");
}

#[test]
fn runs_are_cleaned_up_and_watched_while_they_are_written() {
    let open = open();
    let path = open.folder.path().join("trace_store.db");
    let writing = std::thread::spawn(move || {
        let writer = SqliteStore::builder().open(path).unwrap();
        for number in 2..52_u128 {
            let old = agent(number, &format!("old-{number}"), 7_200_000, 1);
            let new = agent(1000 + number, &format!("new-{number}"), 1000, 1);
            store(&writer, vec![old, new]);
        }
    });
    let mut deleted = 0;
    while !writing.is_finished() {
        let answer = Ask::json("/traces/cleanup", &serde_json::json!({"days": 0.04})).to(open.address);
        assert_eq!(answer.status, 200, "{}", answer.text());
        deleted += answer.json()["deleted"].as_u64().unwrap();
    }
    writing.join().unwrap();
    let answer = Ask::json("/traces/cleanup", &serde_json::json!({"days": 0.04})).to(open.address);
    deleted += answer.json()["deleted"].as_u64().unwrap();
    assert_eq!(deleted, 50);
    assert_eq!(Ask::get("/traces").to(open.address).json()["total"], 50);
}

#[test]
fn a_client_that_reads_more_slowly_than_the_run_is_written_is_cut_off_and_can_resume() {
    let mut settings = runs();
    settings.event_buffer_bytes = 64 * 1024;
    let open = open_runs(AuthMode::Local, Limits::default(), settings);
    store(&open.store, vec![agent(1, "t", 1000, 0).running()]);
    let mut slow = Stream::open(&open, ALL, None);
    let mut seen = vec![slow.next().unwrap()];
    // More than the sockets between us hold.
    let filling = "x".repeat(15_000);
    let mut number = 2;
    for _ in 0..60 {
        let spans = (number..number + 20).map(|number| {
            tool(1, number, "calculator", 500, 1).with(&[
                ("gen_ai.tool.call.arguments", &filling),
                ("gen_ai.tool.call.result", &filling),
            ])
        });
        store(&open.store, spans.collect());
        number += 20;
        sleep(Duration::from_millis(30)); // so that it takes many pages
    }
    store(&open.store, vec![agent(1, "t", 1000, 900)]);
    while let Some(sent) = slow.next() {
        seen.push(sent);
    }
    assert!(
        slow.comments
            .iter()
            .any(|comment| comment.starts_with("closed, because")),
        "{:?}",
        slow.comments
    );
    assert_ne!(seen.last().unwrap().data, "[DONE]");
    let mut last = seen.last().unwrap().id.clone();
    while seen.last().unwrap().data != "[DONE]" {
        seen.extend(Stream::open(&open, ALL, Some(&last)).all());
        last = seen.last().unwrap().id.clone();
    }
    assert_once(&seen);
    assert_eq!(seen.len(), 2 + 2 * 1200 + 1);
}

#[test]
fn streams_are_limited_and_a_disconnected_reader_frees_its_permit() {
    let mut settings = runs();
    settings.streams = 1;
    settings.keep_alive = Duration::from_millis(50);
    let open = open_runs(AuthMode::Local, Limits::default(), settings);
    store(&open.store, vec![agent(1, "t", 1000, 0).running()]);
    let mut first = Stream::open(&open, ALL, None);
    first.next().unwrap();
    let refused = Ask::get(ALL).to(open.address);
    assert_eq!((refused.status, refused.code().as_str()), (429, "overloaded"));
    assert!(refused.header("retry-after").is_some());
    drop(first);
    wait_for("the stream of the disconnected reader to end", || {
        let mut connection = Connection::open(open.address);
        connection.send(&Ask::get(ALL).bytes());
        (connection.head().unwrap().status == 200).then_some(())
    });
}

#[test]
fn the_end_of_the_server_ends_its_streams() {
    let mut open = open();
    store(&open.store, vec![agent(1, "t", 1000, 0).running()]);
    let mut stream = Stream::open(&open, ALL, None);
    stream.next().unwrap();
    open.server.begin_shutdown();
    assert!(stream.next().is_none());
    assert!(
        stream
            .comments
            .iter()
            .any(|comment| comment.contains("shutting down")),
        "{:?}",
        stream.comments
    );
    assert!(open.server.ended(), "all were finished");
}

#[test]
fn a_span_whose_parent_is_not_stored_yet_is_pending() {
    let open = open();
    let child = tool(1, 5, "calculator", 500, 10).with(&[("task_id", "t")]);
    store(&open.store, vec![child]);
    let mut stream = Stream::open(&open, "/traces/t/stream?level=debug&format=detailed", None);
    let found = std::iter::from_fn(|| stream.next())
        .find(|sent| sent.event_id().ends_with("5:start"))
        .unwrap();
    let data = &found.json()["data"];
    assert_eq!(data["metadata"]["pending"], true, "{data}");
    assert_eq!(data["metadata"]["parent_id"], format!("{:016x}", 1));
    // The root after the spans below it, as programs send it.
    store(&open.store, vec![agent(1, "t", 600, 300)]);
    let rest = stream.all();
    assert_eq!(rest.last().unwrap().data, "[DONE]");
    let again = Stream::open(&open, "/traces/t/stream?level=debug&format=detailed", None).all();
    let again = again
        .iter()
        .find(|sent| sent.event_id().ends_with("5:start"))
        .unwrap()
        .json();
    assert!(again["data"]["metadata"]["pending"].is_null(), "{again}");
    assert_eq!(
        block_on(open.store.list_runs(Default::default())).unwrap().total,
        1
    );
}

#[test]
fn earlier_events_are_sent_once_the_task_is_known() {
    let open = open();
    // Two tasks share the trace, and spans are sent in the order of their ends.
    let first = span(1, 2, 1, "invoke_agent a", 9000, 100)
        .with(&[("gen_ai.operation.name", "invoke_agent"), ("task_id", "other")]);
    let started = span(1, 3, 1, "invoke_agent b", 9000, 0)
        .with(&[("gen_ai.operation.name", "invoke_agent"), ("task_id", "t")])
        .running();
    store(&open.store, vec![first, started]);
    let mut stream = Stream::open(&open, ALL, None);
    assert_eq!(stream.next().unwrap().event_id(), "run:start");
    assert_eq!(stream.next().unwrap().event_id(), format!("{:016x}:start", 3));
    let below =
        |id, parent| span(1, id, parent, "step", 8900, 10).with(&[("gen_ai.operation.name", "execute_tool")]);
    store(&open.store, vec![below(9, 8)]);
    sleep(runs().grace); // it is read, and belongs to no run yet
    store(&open.store, vec![below(8, 3)]);
    let seen: HashSet<String> = (0..4).map(|_| stream.next().unwrap().event_id()).collect();
    let expected = [8, 9]
        .iter()
        .flat_map(|id| ["start", "end"].map(|what| format!("{id:016x}:{what}")));
    assert_eq!(seen, expected.collect());
}

#[test]
fn a_page_that_another_task_has_changed_is_sent_again() {
    let open = open();
    let sibling = span(1, 5, 1, "sibling", 8950, 10).with(&[("gen_ai.operation.name", "execute_tool")]);
    let job = span(1, 2, 1, "invoke_agent", 8900, 100)
        .with(&[("gen_ai.operation.name", "invoke_agent"), ("task_id", "t")]);
    store(&open.store, vec![span(1, 1, 0, "main", 9000, 800), sibling, job]);
    let sent = Stream::open(&open, ALL, None).all();
    let at = ids(&sent)
        .iter()
        .position(|id| *id == format!("{:016x}:end", 5))
        .unwrap();
    let other = span(1, 7, 1, "invoke_agent", 8800, 100)
        .with(&[("gen_ai.operation.name", "invoke_agent"), ("task_id", "u")]);
    store(&open.store, vec![other]);
    let rest = ids(&Stream::open(&open, ALL, Some(&sent[at].id)).all());
    for needed in [
        format!("{:016x}:start", 2),
        format!("{:016x}:end", 2),
        "run:end".to_owned(),
    ] {
        assert!(rest.contains(&needed), "{needed} is lost: {rest:?}");
    }
}

#[test]
fn the_stream_of_a_finished_run_ends_while_others_of_its_trace_continue() {
    let open = open();
    let job = |id, task: &str| {
        span(1, id, 1, "invoke_agent", 9000, 10)
            .with(&[("gen_ai.operation.name", "invoke_agent"), ("task_id", task)])
    };
    store(
        &open.store,
        vec![span(1, 1, 0, "main", 9100, 0).running(), job(2, "t"), job(3, "u")],
    );
    let path = open.folder.path().join("trace_store.db");
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let writing = std::thread::spawn(move || {
        let writer = SqliteStore::builder().open(path).unwrap();
        let mut id = 10;
        while stopped.recv_timeout(Duration::from_millis(20)).is_err() {
            store(&writer, vec![span(1, id, 3, "step", 100, 1)]);
            id += 1;
            assert!(id < 3000, "the stream did not end");
        }
    });
    let sent = Stream::open(&open, ALL, None).all();
    assert_eq!(sent.last().unwrap().data, "[DONE]");
    stop.send(()).unwrap();
    writing.join().unwrap();
}

#[test]
fn a_client_without_visible_events_gets_keep_alives() {
    let mut settings = runs();
    settings.keep_alive = Duration::from_millis(300);
    let open = open_runs(AuthMode::Local, Limits::default(), settings);
    store(&open.store, vec![agent(1, "t", 1000, 0).running()]);
    let mut stream = Stream::open(&open, "/traces/t/stream?level=minimal", None);
    stream.next().unwrap();
    // None of it is visible at this level of detail, but each span changes the run.
    for number in 2..40 {
        store(&open.store, vec![tool(1, number, "calculator", 500, 1)]);
        sleep(Duration::from_millis(50)); // longer than two keep-alives together
    }
    store(&open.store, vec![agent(1, "t", 1000, 900)]);
    while stream.next().is_some() {}
    assert!(
        stream
            .comments
            .iter()
            .filter(|comment| *comment == "nothing new")
            .count()
            >= 2,
        "{:?}",
        stream.comments
    );
}

#[test]
fn the_id_of_another_run_skips_nothing() {
    let open = open();
    store(
        &open.store,
        vec![agent(1, "t", 9000, 800), tool(1, 2, "calculator", 8900, 100)],
    );
    store(
        &open.store,
        vec![agent(2, "u", 9000, 800), tool(2, 9, "calculator", 8900, 100)],
    );
    let of_other = Stream::open(&open, "/traces/u/stream?level=debug", None).all();
    let all = ids(&Stream::open(&open, ALL, None).all());
    for sent in &of_other[1..3] {
        assert_eq!(
            ids(&Stream::open(&open, ALL, Some(&sent.id)).all()),
            all,
            "{}",
            sent.id
        );
    }
}

#[test]
fn a_reader_of_earlier_records_is_never_cut_off() {
    const STEPS: u64 = 12_000;
    let mut settings = runs();
    // Less than a page: nothing that is read first is kept for long.
    settings.event_buffer_bytes = 64 * 1024;
    let open = open_runs(AuthMode::Local, Limits::default(), settings);
    store(&open.store, vec![agent(1, "t", 60_000, 0).running()]);
    for first in (0..STEPS).step_by(2_000) {
        let steps = (first..first + 2_000).map(|step| tool(1, 100 + step, "calculator", 50_000, 1));
        store(&open.store, steps.collect());
    }
    let path = open.folder.path().join("trace_store.db");
    let mut stream = Stream::open(&open, ALL, None);
    let mut sent = vec![stream.next().unwrap()];
    // The program continues meanwhile.
    let writer = SqliteStore::builder().open(path).unwrap();
    for number in 2..12 {
        store(&writer, vec![tool(1, number, "weather", 500, 1)]);
        sent.extend((0..1_000).map_while(|_| stream.next()));
    }
    store(&writer, vec![agent(1, "t", 60_000, 59_900)]);
    sent.extend(std::iter::from_fn(|| stream.next()));
    assert_eq!(stream.comments, Vec::<String>::new());
    assert_once(&sent);
    // The start and the end of each step and of the run, and the final message.
    assert_eq!(sent.len() as u64, 2 * (STEPS + 10) + 3);
    assert_eq!(sent.last().unwrap().data, "[DONE]");
}
