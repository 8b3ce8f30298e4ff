//! Programs that fork after `init`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fork::{Fork, fork, waitpid};

/// Runs work in a child process and waits for its end.
fn in_child(work: impl FnOnce()) {
    match fork().unwrap() {
        Fork::Child => {
            work();
            std::process::exit(0);
        }
        Fork::Parent(child) => {
            waitpid(child).unwrap();
        }
    }
}

pub(crate) fn run(scenario: &str) {
    // A loaded machine may need longer than a user would wait.
    let builder = spanscope::Builder::try_from_env()
        .unwrap()
        .exit_timeout(spanscope_tests::PATIENCE)
        .shutdown_timeout(spanscope_tests::PATIENCE);
    let guard = builder.try_init().unwrap();
    let root = tracing::info_span!("open at the fork").entered();
    tracing::info!("before the fork");
    match scenario {
        "fork-once" => in_child(|| {
            tracing::info_span!("of the child").in_scope(|| tracing::info!("in the child"));
            // And once more: a child of a child.
            in_child(|| tracing::info!("in the grandchild"));
        }),
        "fork-drop" => {
            if let Fork::Child = fork().unwrap() {
                tracing::info!("in the child");
                drop((root, guard));
                return;
            }
        }
        "fork-silent" => {
            // Records nothing, and must not end its parent's sinks.
            in_child(|| ());
            drop(guard);
            return;
        }
        "fork-busy" => {
            let is_over = Arc::new(AtomicBool::new(false));
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    let is_over = Arc::clone(&is_over);
                    std::thread::spawn(move || {
                        while !is_over.load(Ordering::Relaxed) {
                            tracing::debug_span!("busy").in_scope(|| tracing::debug!("of a busy thread"));
                            std::thread::sleep(Duration::from_micros(50));
                        }
                    })
                })
                .collect();
            for _ in 0..20 {
                in_child(|| tracing::info!("in the child"));
            }
            is_over.store(true, Ordering::Relaxed);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
        other => panic!("no scenario {other}"),
    }
    tracing::info!("after the fork");
}
