//! Levels that change while the program runs.

use std::sync::atomic::{AtomicBool, Ordering};

use spanscope::{LevelHandle, Threshold};

fn say(when: &str) {
    tracing::debug!(target: "inference", "debug {when}");
    tracing::info!(target: "inference", "info {when}");
    log::debug!(target: "inference::logged", "debug {when}");
    log::info!(target: "inference::logged", "info {when}");
}

/// The same two callsites, which are known to `tracing` before the first change.
pub(crate) fn back_and_forth(levels: &LevelHandle) {
    say("before");
    levels.set("inference", Threshold::Debug).unwrap();
    say("lowered");
    levels.set("inference", Threshold::Error).unwrap();
    say("raised");
    assert!(levels.apply("inference=info").is_empty());
    say("back");
    assert!(levels.set("nosuch", Threshold::Debug).is_err());
    assert_eq!(levels.apply("nosuch=debug, inference=loud").len(), 2);
    say("after bad ones");
}

/// Threads that speak at a level that is always on, while another one's level goes up and down.
pub(crate) fn on_many_threads(levels: &LevelHandle) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let speakers: Vec<_> = (0..4)
            .map(|thread| {
                scope.spawn(move || {
                    for number in 0..500 {
                        tracing::info!(target: "safety", "always {thread}-{number}");
                        tracing::debug!(target: "inference", "sometimes {thread}-{number}");
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                levels.set("inference", Threshold::Debug).unwrap();
                levels.set("inference", Threshold::Info).unwrap();
            }
        });
        for speaker in speakers {
            speaker.join().unwrap();
        }
        is_over.store(true, Ordering::Release);
    });
    levels.set("inference", Threshold::Debug).unwrap();
    tracing::debug!(target: "inference", "debug at last");
}
