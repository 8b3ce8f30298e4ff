//! Panics of `main`, threads, tasks, caught ones and those that abort; and `abort` itself.

use std::panic;
use std::process::abort;

use tracing::Instrument as _;

pub(crate) fn run(scenario: &str) {
    if scenario == "panic-abort-in-hook" {
        // As the standard library does under `panic = "abort"`: the hook prints, then the process
        // aborts.
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            print(info);
            abort();
        }));
    }
    if scenario == "panic-off" {
        let builder = spanscope::Builder::try_from_env().unwrap();
        let _guard = builder.record_panics(false).try_init().unwrap();
        return panic_in_span("doomed");
    }
    let _guard = spanscope::init();
    tracing::info!("recorded before the end");
    match scenario {
        "panic-main" => panic_in_span("doomed"),
        "panic-thread" => {
            let thread = std::thread::Builder::new().name("worker".to_owned());
            let thread = thread.spawn(|| panic_in_span("doomed")).unwrap();
            assert!(thread.join().is_err());
            tracing::info!("after the panic");
        }
        "panic-task" => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .build();
            runtime.unwrap().block_on(async {
                let span = tracing::info_span!("doomed");
                let task = tokio::spawn(async { panic!("as asked") }.instrument(span));
                assert!(task.await.is_err());
            });
            tracing::info!("after the panic");
        }
        "panic-caught" => {
            for _ in 0..3 {
                assert!(panic::catch_unwind(|| panic_in_span("doomed")).is_err());
            }
            tracing::info!("after the panic");
        }
        "panic-abort-in-hook" => panic_in_span("doomed"),
        "panic-not-unwinding" => cannot_unwind(),
        "panic-abort" => {
            let _span = tracing::info_span!("doomed").entered();
            tracing::info!("in the span");
            abort();
        }
        other => panic!("no scenario {other}"),
    }
}

fn panic_in_span(span: &'static str) {
    let _span = tracing::info_span!("request", otel.name = span).entered();
    panic!("as asked");
}

extern "C" fn cannot_unwind() {
    panic_in_span("doomed");
}
