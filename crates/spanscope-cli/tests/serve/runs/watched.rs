//! Running runs: to their end, to a failure, or until their program is killed.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use spanscope_layers::genai::{Agent, ToolCall};
use spanscope_tests::process::{Signal, send_signal};
use spanscope_tests::{PATIENCE, store_at, wait_for};

use super::{OF_A_RUN, get, run_of, texts, watch};
use crate::support::{Folder, json_of};

/// A program that is in the middle of a run: this test's own executable, which writes into the file
/// until it is killed.
struct Program(Child);

/// The variable with the file that such a program writes to.
const PROGRAM: &str = "SPANSCOPE_TEST_RUN_OF";

impl Program {
    /// Starts it, and waits until it reports that its work so far is stored.
    fn start(folder: &Folder, test: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env(PROGRAM, folder.db())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let program = Self(child);
        // The test's own lines come first, and its name on the same one.
        assert!(
            lines.map(Result::unwrap).any(|line| line.ends_with("stored")),
            "it ended before"
        );
        program
    }

    /// Runs the program if this process was started as one.
    fn run_if_started() -> bool {
        let Some(db) = std::env::var_os(PROGRAM) else {
            return false;
        };
        let (dispatch, guard) = store_at(Path::new(&db));
        tracing::dispatcher::with_default(&dispatch, || {
            let agent = Agent::invoke("librarian");
            agent.task("killed").session("s-1").user("ada");
            agent.in_scope(|| drop(ToolCall::execute("calculator")));
            let _tool = agent.in_scope(|| ToolCall::execute("weather"));
            guard.flush(PATIENCE).unwrap();
            println!("stored");
            // The test kills it; the limit applies if the test has died.
            std::thread::sleep(2 * PATIENCE);
        });
        true
    }

    fn kill(mut self) {
        send_signal(&self.0, Signal::KILL);
        assert!(!self.0.wait().unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_run_is_running_until_its_program_is_killed_and_then_abandoned() {
    /// A program that was silent for this long counts as dead.
    const SILENCE: Duration = Duration::from_secs(15);
    if Program::run_if_started() {
        return;
    }
    let folder = Folder::new();
    let server = folder.serve();
    let program = Program::start(
        &folder,
        "runs::watched::a_run_is_running_until_its_program_is_killed_and_then_abandoned",
    );

    let run = get(&server, "/traces/killed");
    assert_eq!(
        (&run["status"], &run["completed_at"]),
        (&json!("running"), &Json::Null)
    );
    let (watched, other) = (
        watch(server.address(), "killed"),
        watch(server.address(), "killed"),
    );
    for route in OF_A_RUN.iter().filter(|route| **route != "/stream") {
        get(&server, &format!("/traces/killed{route}"));
    }
    assert_eq!(
        get(&server, "/traces?status=running")["sessions"][0]["task_id"],
        "killed"
    );
    for status in ["completed", "failed", "abandoned"] {
        assert_eq!(
            get(&server, &format!("/traces?status={status}"))["total"],
            0,
            "{status}"
        );
    }
    let before = get(&server, "/traces/killed/events?level=debug");
    let before = before["events"].as_array().unwrap();
    let types = [
        "workflow_started",
        "tool_call_started",
        "tool_call_completed",
        "tool_call_started",
    ];
    assert_eq!(texts(before, "event_type"), types);

    program.kill();
    let killed = Instant::now();
    let list = wait_for("the run to be abandoned", || {
        let list = json_of(&server.get("/traces?status=abandoned"));
        (list["total"] == 1).then_some(list)
    });
    assert!(
        killed.elapsed() < SILENCE + Duration::from_secs(5),
        "{:?}",
        killed.elapsed()
    );
    let run = &list["sessions"][0];
    assert_eq!(
        (&run["task_id"], &run["status"], &run["completed_at"]),
        (&json!("killed"), &json!("abandoned"), &Json::Null)
    );
    assert_eq!(get(&server, "/traces")["sessions"], list["sessions"]);
    assert_eq!(get(&server, "/traces?status=running")["total"], 0);

    // For the clients that followed the run from the beginning, and for a new one.
    let late = watch(server.address(), "killed");
    for received in [watched, other, late].map(|watching| watching.join().unwrap()) {
        let (last, events) = received.split_last().unwrap();
        assert_eq!(events, before);
        assert_eq!(
            (&last["event_id"], &last["event_type"]),
            (&json!("run:end"), &json!("workflow_failed"))
        );
        assert!(last["error"].as_str().unwrap().starts_with("abandoned"), "{last}");
        assert_eq!(last["metadata"]["state"], "abandoned");
    }
    for (route, field) in [("", "status"), ("/summary", "status")] {
        assert_eq!(
            get(&server, &format!("/traces/killed{route}"))[field],
            "abandoned",
            "{route}"
        );
    }
    server.stop();
}

#[test]
fn a_followed_run_completes_or_fails_as_its_agent_does() {
    let folder = Folder::new();
    let server = folder.serve();
    for (task, status, last_type) in [
        ("well", "completed", "workflow_completed"),
        ("badly", "failed", "workflow_failed"),
    ] {
        let (dispatch, guard) = store_at(&folder.db());
        let watched = tracing::dispatcher::with_default(&dispatch, || {
            let agent = run_of(task);
            guard.flush(PATIENCE).unwrap();
            let running = get(&server, &format!("/traces/{task}"));
            assert_eq!(running["status"], "running");
            let watched = watch(server.address(), task);
            if status == "failed" {
                let tool = agent.in_scope(|| ToolCall::execute("weather"));
                tool.failed("timeout", &"no answer");
                agent.failed("gave_up", &"no weather, no answer");
            } else {
                agent.output_messages(r#"[{"role":"assistant","parts":[{"type":"text","content":"42"}]}]"#);
            }
            watched
        });
        guard.flush(PATIENCE).unwrap();
        drop(guard);
        let received = watched.join().unwrap();
        let listed = get(&server, &format!("/traces/{task}/events?level=debug"));
        assert_eq!(json!(received), listed["events"], "{task}");
        let last = received.last().unwrap();
        assert_eq!(
            (&last["event_type"], &last["metadata"]["state"]),
            (&json!(last_type), &json!(status))
        );
        let run = get(&server, &format!("/traces/{task}"));
        assert_eq!(run["status"], status);
        assert_eq!(get(&server, &format!("/traces/{task}/summary"))["status"], status);
        let list = get(&server, &format!("/traces?status={status}"));
        assert_eq!(
            (&list["total"], &list["sessions"][0]["task_id"]),
            (&json!(1), &json!(task))
        );
        if status == "failed" {
            assert_eq!(
                (&run["error"], &last["error"]),
                (&json!("no weather, no answer"), &json!("no weather, no answer"))
            );
            let errors = get(&server, "/traces/badly/analysis")["errors"].clone();
            assert!(errors.to_string().contains("no answer"), "{errors}");
        } else {
            assert_eq!(last["outputs"]["messages"][0]["parts"][0]["content"], "42");
        }
    }
    server.stop();
}
