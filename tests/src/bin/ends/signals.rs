//! Programs that get SIGTERM or SIGINT, which they handle themselves or not.

use std::io::BufRead as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use tokio::signal::unix::{SignalKind, signal};

use crate::report;

/// Both signals set the same flag.
fn flag() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    for number in [SIGTERM, SIGINT] {
        signal_hook::flag::register(number, Arc::clone(&flag)).unwrap();
    }
    flag
}

pub(crate) fn run(scenario: &str) {
    match scenario {
        "signal-alone" => {
            let _guard = spanscope::init();
            wait_for_the_end();
        }
        "signal-slow" => {
            // Its end would take an hour, because the test has locked the store.
            let builder = spanscope::Builder::try_from_env().unwrap();
            let _guard = builder
                .shutdown_timeout(Duration::from_secs(3600))
                .try_init()
                .unwrap();
            wait_for_the_end();
        }
        "signal-flush" => {
            let builder = spanscope::Builder::try_from_env().unwrap();
            let _guard = builder.signals(spanscope::Signals::Flush).try_init().unwrap();
            tracing::info!("recorded before the signal");
            report("ready");
            read_a_line();
            tracing::info!("recorded after the signal");
            std::process::exit(7);
        }
        "signal-flag-later" => {
            let _guard = spanscope::init();
            finish_at(&flag());
        }
        "signal-flag-before" => {
            let flag = flag();
            let _guard = spanscope::init();
            finish_at(&flag);
        }
        "signal-tokio" => {
            let _guard = spanscope::init();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let mut term = signal(SignalKind::terminate()).unwrap();
                let mut int = signal(SignalKind::interrupt()).unwrap();
                tracing::info!("recorded before the signal");
                report("ready");
                tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
            });
            tracing::info!("recorded after the signal");
            std::process::exit(7);
        }
        "signal-ignored" => {
            let _guard = spanscope::init();
            tracing::info!("recorded before the signal");
            report("ready");
            read_a_line();
            tracing::info!("recorded after the signal");
            std::process::exit(7);
        }
        "signal-after-guard" => {
            drop(spanscope::init());
            wait_for_the_end();
        }
        other => panic!("no scenario {other}"),
    }
}

fn wait_for_the_end() {
    tracing::info!("recorded before the signal");
    report("ready");
    // The test ends it; the limit applies if the test has died.
    std::thread::sleep(Duration::from_secs(120));
}

fn finish_at(flag: &AtomicBool) {
    tracing::info!("recorded before the signal");
    report("ready");
    while !flag.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(5));
    }
    tracing::info!("recorded after the signal");
    std::process::exit(7);
}

fn read_a_line() {
    std::io::stdin().lock().read_line(&mut String::new()).unwrap();
}
