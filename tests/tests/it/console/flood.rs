//! A callsite that floods hides nothing else, and the console reports what it left out.

use rusqlite::Connection;

use super::{Ended, account, built, program};

const LINES: u64 = 150_000;
const CALM: u64 = 10;

/// Returns the sum of the numbers in summary lines.
fn held_back(ended: &Ended) -> u64 {
    let lines = ended.console.lines();
    let summaries = lines.filter(|line| line.contains("more of this within"));
    summaries
        .map(|line| {
            assert!(
                line.starts_with("WARN ") && line.contains("were held back: the same again"),
                "{line}"
            );
            let number = line.split_once("… ").unwrap().1.split(' ').next().unwrap();
            number.replace(',', "").parse::<u64>().unwrap()
        })
        .sum()
}

#[test]
fn a_flood_shows_its_beginning_and_the_number_of_further_lines() {
    let ended = built(&["flood", "flush", "stats", "store-stats"])
        .env("CODE_QUEUE", (128 << 20).to_string())
        .run();
    let shown = ended.count("the same again number=") as u64;
    assert!((100..5_000).contains(&shown), "{shown}");
    assert_eq!(shown + held_back(&ended), LINES);
    assert_eq!(
        ended.count(": calm ") as u64,
        CALM,
        "other callsites are shown: {}",
        ended.console
    );
    assert_eq!(
        account(&ended.stdout, "console"),
        [LINES + CALM, LINES + CALM, 0, 0],
        "lines that are held back and reported are not lost"
    );
    assert_eq!(
        account(&ended.stdout, "store"),
        [LINES + CALM, LINES + CALM, 0, 0]
    );
    let db = Connection::open(ended.folder.path().join("store/trace_store.db")).unwrap();
    let stored: i64 = db
        .query_row("SELECT COUNT(*) FROM logs", [], |row| row.get(0))
        .unwrap();
    assert_eq!(stored, (LINES + CALM) as i64, "the store has every event");
}

#[test]
fn every_line_of_a_flood_is_accounted_for_with_the_queues_that_init_sets_up() {
    let ended = program(&["flood", "flush", "stats", "store-stats"]).run();
    for sink in ["console", "store"] {
        let [offered, stored, full, failed] = account(&ended.stdout, sink);
        assert_eq!(offered, LINES + CALM, "{sink}");
        assert_eq!(offered, stored + full + failed, "{sink}");
    }
    let [_, _, lost, _] = account(&ended.stdout, "console");
    let shown = ended.count("the same again number=") + ended.count(": calm ");
    assert_eq!(shown as u64 + held_back(&ended) + lost, LINES + CALM);
}

#[test]
fn without_the_limit_every_line_is_shown() {
    let ended = built(&["lines"])
        .env("CODE_SHAPE", "unlimited")
        .env("CODE_QUEUE", (128 << 20).to_string())
        .run();
    assert_eq!(ended.count(": line number="), 20_000);
    assert_eq!(ended.console.lines().count(), 20_000);
}

#[test]
fn json_has_the_number_of_lines_that_were_held_back() {
    let ended = built(&["lines"])
        .env("CODE_SHAPE", "json")
        .env("CODE_QUEUE", (128 << 20).to_string())
        .run();
    let (mut shown, mut held_back) = (0, 0);
    for line in ended.console.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        match entry["kind"].as_str() {
            Some("event") => shown += 1,
            Some("held_back") => held_back += entry["held_back"].as_u64().unwrap(),
            _ => panic!("{line}"),
        }
    }
    assert!((100..5_000).contains(&shown), "{shown}");
    assert_eq!(shown + held_back, 20_000);
}
