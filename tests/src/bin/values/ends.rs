//! Spans that are held for longer than their work takes.

use std::time::Duration;

use spanscope::SpanExt as _;
use tracing::{Span, info, info_span};

pub(crate) fn of_all_kinds() {
    // A clone of it lives on, and so does a child.
    let request = info_span!(
        "request",
        gen_ai.operation.name = "chat",
        gen_ai.request.model = "m"
    );
    request.in_scope(|| info!("answered"));
    let child = info_span!(parent: &request, "goes on");
    background(1, &child, vec![request]);

    // As a future that several threads poll.
    let polled = info_span!("polled");
    for poll in 0..3 {
        let polled = &polled;
        std::thread::scope(|scope| scope.spawn(|| polled.in_scope(|| info!("poll {poll}"))).join()).unwrap();
    }
    background(2, &info_span!("after the polls"), vec![polled]);

    // This span is ended explicitly, and then entered once more.
    let ended = info_span!("ended");
    ended.in_scope(|| info!("the work"));
    pause();
    ended.end_now();
    ended.in_scope(|| {
        pause();
        info!("after the end");
        ended.end_now();
    });
    drop(ended);

    let never = info_span!("never entered");
    background(3, &info_span!("meanwhile"), Vec::new());
    drop(never);
    info!("last");

    let inner = info_span!("entered twice").in_scope(|| {
        let outer = Span::current();
        let again = outer.clone();
        again.in_scope(|| info!("inside"));
        pause();
        info!("still in it");
        outer
    });
    background(4, &info_span!("after both"), vec![inner]);
}

/// Enters a span, and drops what it holds only after it.
fn background(number: u64, span: &Span, held: Vec<Span>) {
    let work = || {
        span.in_scope(|| {
            pause();
            info!("late {number}");
        });
        drop(held);
    };
    std::thread::scope(|scope| scope.spawn(work).join()).unwrap();
}

/// Long enough that two times differ in every sink's digits; nothing waits for it.
fn pause() {
    std::thread::sleep(Duration::from_millis(3));
}
