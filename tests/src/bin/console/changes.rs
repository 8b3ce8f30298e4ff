//! Levels that change while the program runs.

use std::sync::atomic::{AtomicBool, Ordering};

use spanscope::{LevelFilter, LevelHandle};

fn log_at_both_levels(when: &str) {
    tracing::debug!(target: "inference", "debug {when}");
    tracing::info!(target: "inference", "info {when}");
    log::debug!(target: "inference::logged", "debug {when}");
    log::info!(target: "inference::logged", "info {when}");
}

/// The same two callsites, which `tracing` has registered before the first change.
pub(crate) fn back_and_forth(levels: &LevelHandle) {
    log_at_both_levels("before");
    levels.set("inference", LevelFilter::Debug).unwrap();
    log_at_both_levels("lowered");
    levels.set("inference", LevelFilter::Error).unwrap();
    log_at_both_levels("raised");
    assert!(levels.apply("inference=info").is_empty());
    log_at_both_levels("back");
    assert!(levels.set("nosuch", LevelFilter::Debug).is_err());
    assert_eq!(levels.apply("nosuch=debug, inference=loud").len(), 2);
    log_at_both_levels("after bad ones");
}

/// Threads that log at a level that is always on, while another one's level changes.
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
                levels.set("inference", LevelFilter::Debug).unwrap();
                levels.set("inference", LevelFilter::Info).unwrap();
            }
        });
        for speaker in speakers {
            speaker.join().unwrap();
        }
        is_over.store(true, Ordering::Release);
    });
    levels.set("inference", LevelFilter::Debug).unwrap();
    tracing::debug!(target: "inference", "debug at last");
}
