//! Kills `spanscope serve` repeatedly while clients send. Acknowledged records are stored once, and
//! the account is exact.
//!
//! A run of all tests kills it a few times; `SPANSCOPE_DRILL_SECONDS` sets a longer duration.

use std::time::{Duration, Instant};

use spanscope_model::{TraceStore as _, block_on};
use spanscope_tests::sqlite::assert_intact;

use super::lifetime::{Acknowledged, Clients};
use super::support::Folder;

/// The minimum number of kills: by default, and if the variable is set.
const KILLS: [u64; 2] = [2, 10];

#[test]
fn a_server_that_is_killed_again_and_again_loses_nothing_that_it_acknowledged() {
    let folder = Folder::new();
    let seconds = std::env::var("SPANSCOPE_DRILL_SECONDS").map_or(0, |text| text.parse().unwrap());
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut all = Acknowledged::default();
    let mut kills = 0;
    while kills < KILLS[usize::from(seconds > 0)] || (Instant::now() < until) {
        let server = folder.serve();
        // Each round has its own numbers, which are ids.
        let clients = Clients::start_at(&server, kills * 1_000_000);
        clients.wait_for_some();
        let ended = server.killed();
        assert_eq!(ended.code, None, "it had no time to end: {}", ended.err);
        all.add(clients.finish());
        kills += 1;

        assert_intact(&folder.db());
        all.assert_stored(&folder);
        let stats = block_on(folder.store().statistics()).unwrap();
        let account = stats.account.unwrap();
        let rows = stats.spans + stats.events + stats.points;
        assert_eq!(
            (account.offered, account.stored, account.dropped.total()),
            (rows, rows, 0),
            "kill {kills}: the account is exact"
        );
    }
}
