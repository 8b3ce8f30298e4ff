//! The requests of programs in use, and the expected results: the bodies of `tests/field`, sent to
//! a real `spanscope serve` and queried with the command.

mod coding_agents;
mod contents;
mod counting;
mod elsewhere;
mod failures;
mod published;
mod resource;
mod spellings;
mod steps;
mod wire;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use spanscope_model::Timestamp;
use spanscope_tests::http::{Answer, send_as_it_is};

use super::support::{Folder, Serve, finished, json_of};

/// Every body was made about this long after 1970, in seconds.
const MADE: i64 = 1_795_969_600;
const SECOND: i64 = 1_000_000_000;

fn path(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/field")
        .join(of)
}

/// A body with its times moved to now, each in its own unit.
fn body(of: &str) -> String {
    body_moved(of, Timestamp::now().as_nanos() - MADE * SECOND)
}

/// Returns a body with its times moved by this number of nanoseconds.
fn body_moved(of: &str, moved: i64) -> String {
    let text = fs::read_to_string(path(of)).unwrap();
    // Times are strings of digits only; ids have letters or another length.
    let parts: Vec<String> = text
        .split('"')
        .map(|part| {
            let by = match part.len() {
                19 => moved,
                16 => moved / 1_000,
                13 => moved / 1_000_000,
                _ => return part.to_owned(),
            };
            match part.parse::<i64>() {
                Ok(time) if part.starts_with("17") || part.starts_with("18") => (time + by).to_string(),
                _ => part.to_owned(),
            }
        })
        .collect();
    parts.join("\"")
}

/// Sends a body of the folder `tests/field` and returns the response.
fn send(server: &Serve, path: &str, of: &str) -> Answer {
    send_bytes(server, path, "application/json", body(of).as_bytes())
}

fn send_bytes(server: &Serve, path: &str, kind: &str, body: &[u8]) -> Answer {
    let headers = format!(
        "Host: {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n",
        server.address(),
        body.len()
    );
    send_as_it_is(server.address(), "POST", path, &headers, body).unwrap()
}

/// Returns the remark to the sender although nothing was left out; may be empty.
fn remark(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    let part = &json_of(answer)["partialSuccess"];
    assert_eq!(part.get("rejectedSpans"), None, "{answer:?}");
    assert_eq!(part.get("rejectedLogRecords"), None, "{answer:?}");
    part["errorMessage"].as_str().unwrap_or_default().to_owned()
}

/// Returns the JSON output of the command.
fn command_json(folder: &Folder, words: &[&str]) -> Json {
    let mut command = folder.command(words);
    command.args(["--format", "json"]);
    serde_json::from_str(&finished(command)).unwrap()
}
