//! Ends without a panic or a signal: `process::exit`, leaked guards, guards that are dropped too
//! early, thread-locals.

use std::cell::RefCell;
use std::io::Write as _;

/// Records when its thread's locals are destroyed.
struct SpeaksAtTheEnd(&'static str);

impl Drop for SpeaksAtTheEnd {
    fn drop(&mut self) {
        tracing::info!("destroyed {}", self.0);
    }
}

thread_local! {
    static KEPT: RefCell<Option<SpeaksAtTheEnd>> = const { RefCell::new(None) };
}

fn keep(name: &'static str) {
    KEPT.with(|kept| *kept.borrow_mut() = Some(SpeaksAtTheEnd(name)));
}

pub(crate) fn run(scenario: &str) {
    match scenario {
        "exit-code" => {
            let _guard = spanscope::init();
            tracing::info!("recorded before the end");
            std::process::exit(3);
        }
        "exit-no-wait" => {
            let builder = spanscope::Builder::try_from_env().unwrap();
            let _guard = builder
                .exit_timeout(std::time::Duration::ZERO)
                .try_init()
                .unwrap();
            std::process::exit(3);
        }
        "exit-in-span" => {
            let _guard = spanscope::init();
            let _span = tracing::info_span!("interrupted").entered();
            tracing::info!("recorded before the end");
            std::process::exit(3);
        }
        "exit-on-thread" => {
            let _guard = spanscope::init();
            let thread = std::thread::spawn(|| {
                tracing::info!("recorded before the end");
                std::process::exit(3);
            });
            let _ = thread.join();
        }
        "exit-leaked" => {
            std::mem::forget(spanscope::init());
            tracing::info!("recorded before the end");
        }
        "exit-leaked-locals" => {
            // Created before Spanscope's thread-locals, so destroyed after them.
            keep("at the end of main");
            std::mem::forget(spanscope::init());
            std::thread::spawn(|| {
                keep("before ours");
                tracing::info!("recorded before the end");
            })
            .join()
            .unwrap();
            std::thread::spawn(|| {
                tracing::info!("recorded before the end");
                keep("after ours");
            })
            .join()
            .unwrap();
        }
        "exit-unbound" => {
            let _ = spanscope::init();
            tracing::info!("not kept");
            tracing::info!("nor this");
        }
        "exit-late" => {
            let guard = spanscope::init();
            tracing::info!("recorded before the end");
            drop(guard);
            for _ in 0..3 {
                tracing::info!("recorded after the end");
            }
        }
        // The test does not read stderr until the program has ended.
        "exit-blocked" => {
            let guard = spanscope::init();
            for number in 0..20_000 {
                tracing::info!(number, "a line for a pipe that no program reads");
            }
            // So that the number of unwritten lines does not depend on the machine's speed.
            spanscope_tests::wait_for("the store", || {
                let stats = guard.stats().unwrap();
                (stats.stored == stats.offered).then_some(())
            });
            tracing::info!("a line for a pipe that no program reads");
            std::process::exit(3);
        }
        "exit-hindered" => {
            let _guard = spanscope::init();
            tracing::info!("recorded before");
            crate::report("ready");
            // The test has locked the store meanwhile, and nothing reads the log file.
            std::io::stdin().read_line(&mut String::new()).unwrap();
            for _ in 0..3 {
                tracing::info!("left out");
            }
            std::process::exit(3);
        }
        "exit-hindered-drop" => {
            let guard = spanscope::init();
            for number in 0..20_000 {
                tracing::info!(number, "a line for a pipe that no program reads");
            }
            // The test has locked the store meanwhile, its collector never responds, and stderr is
            // full.
            crate::report("ready");
            std::io::stdin().read_line(&mut String::new()).unwrap();
            let began = std::time::Instant::now();
            drop(guard);
            crate::report(&began.elapsed().as_millis().to_string());
        }
        other => panic!("no scenario {other}"),
    }
    std::io::stdout().flush().unwrap();
}
