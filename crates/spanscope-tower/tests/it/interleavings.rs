//! Whatever is polled, dropped, failed or panicked in whatever order: each request is counted once, as what it was.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use hyper::body::Body;
use spanscope_tower::RequestMetricsLayer;
use tower::{Layer, Service, service_fn};

use crate::support::{PLANNED, Recorder, Script, Step, hush_planned_panics};

/// How the service answers, after it was polled so often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Head(u16),
    Error,
    Panic,
}

struct Answering {
    waits: usize,
    answer: Answer,
    body: Option<Script>,
}

impl Future for Answering {
    type Output = Result<Response<Script>, std::io::Error>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        if self.waits > 0 {
            self.waits -= 1;
            return Poll::Pending;
        }
        match self.answer {
            Answer::Panic => panic!("{PLANNED}"),
            Answer::Error => Poll::Ready(Err(std::io::Error::other("a planned error"))),
            Answer::Head(status) => {
                let body = self.body.take().unwrap_or_default();
                Poll::Ready(Ok(Response::builder().status(status).body(body).unwrap()))
            }
        }
    }
}

/// Polls, and says whether it panicked.
fn poll<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Result<Poll<T>, ()> {
    let mut context = Context::from_waker(Waker::noop());
    catch_unwind(AssertUnwindSafe(|| poll(&mut context))).map_err(|_| ())
}

/// One random request through the layer; gives the status that it has to be counted with.
fn one(random: &mut fastrand::Rng, layer: &RequestMetricsLayer) -> String {
    let mut steps = Vec::new();
    for _ in 0..random.usize(..6) {
        steps.push(match random.u8(..20) {
            0 => Step::Fail,
            1 => Step::Panic,
            2 => Step::Trailers,
            3..9 => Step::Wait,
            _ => Step::Data,
        });
    }
    let answer = match random.u8(..10) {
        0 => Answer::Panic,
        1 => Answer::Error,
        2 => Answer::Head(503),
        3 => Answer::Head(204),
        _ => Answer::Head(200),
    };
    let waits = random.usize(..4);
    let mut answering = Some(Answering {
        waits,
        answer,
        body: Some(Script::of(&steps)),
    });
    let mut service = layer.layer(service_fn(move |_: Request<()>| {
        answering
            .take()
            .ok_or(())
            .unwrap_or_else(|()| unreachable!("called once"))
    }));
    let mut future = Box::pin(service.call(Request::get("/v1/models").body(()).unwrap()));
    // As often as it takes, or not so often.
    let mut response = None;
    for _ in 0..random.usize(..8) {
        match poll(|context| future.as_mut().poll(context)) {
            Err(()) => {
                if random.bool() {
                    // A runtime that polls again what has panicked. The service panics again, and is not counted again.
                    let _ = poll(|context| future.as_mut().poll(context));
                }
                return "500".to_owned();
            }
            Ok(Poll::Ready(Err(_))) => {
                assert!(matches!(
                    poll(|context| future.as_mut().poll(context)),
                    Ok(Poll::Pending)
                ));
                return "500".to_owned();
            }
            Ok(Poll::Ready(Ok(answered))) => {
                response = Some(answered);
                break;
            }
            Ok(Poll::Pending) => {}
        }
    }
    let Some(response) = response else {
        return "499".to_owned();
    };
    if random.bool() {
        drop(future);
    }
    let status = response.status();
    let mut body = Box::pin(response.into_body());
    let mut is_over = status == 204;
    for _ in 0..random.usize(..10) {
        match poll(|context| body.as_mut().poll_frame(context)) {
            Err(()) | Ok(Poll::Ready(Some(Err(_)))) if !is_over => return "500".to_owned(),
            Ok(Poll::Ready(None | Some(Err(_)))) | Err(()) => is_over = true,
            Ok(Poll::Ready(Some(Ok(frame)))) => is_over |= frame.is_trailers(),
            Ok(Poll::Pending) => {}
        }
    }
    status.as_str().to_owned()
}

#[test]
fn random_interleavings_leave_exactly_one_record_each() {
    hush_planned_panics();
    for seed in 0..20 {
        let (subscriber, recorder) = Recorder::subscriber();
        let mut expected = Vec::new();
        tracing::subscriber::with_default(subscriber, || {
            let mut random = fastrand::Rng::with_seed(seed);
            let layer = RequestMetricsLayer::new();
            for _ in 0..300 {
                expected.push(format!("models {}", one(&mut random, &layer)));
            }
        });
        assert_eq!(recorder.counted(), expected, "seed {seed}");
        assert_eq!(recorder.spans().len(), expected.len(), "seed {seed}");
        recorder.assert_idle();
    }
}

#[test]
fn requests_that_overlap_at_random_leave_the_gauges_at_zero() {
    let (subscriber, recorder) = Recorder::subscriber();
    tracing::subscriber::with_default(subscriber, || {
        let mut random = fastrand::Rng::with_seed(7);
        let layer = RequestMetricsLayer::new();
        let mut service = layer.layer(service_fn(async |_: Request<()>| {
            Ok::<_, Infallible>(Response::new(Script::of(&[Step::Data, Step::Wait])))
        }));
        let mut futures = Vec::new();
        let mut bodies = Vec::new();
        for n in 0..5000 {
            match random.u8(..5) {
                0 | 1 => {
                    let path = ["/v1/models", "/v1/tools", "/"][n % 3];
                    futures.push(Box::pin(service.call(Request::get(path).body(()).unwrap())));
                }
                2 if !futures.is_empty() => drop(futures.swap_remove(random.usize(..futures.len()))),
                3 if !futures.is_empty() => {
                    let mut future = futures.swap_remove(random.usize(..futures.len()));
                    let Ok(Poll::Ready(Ok(response))) = poll(|context| future.as_mut().poll(context)) else {
                        panic!("it is ready");
                    };
                    bodies.push(response.into_body());
                }
                4 if !bodies.is_empty() => drop(bodies.swap_remove(random.usize(..bodies.len()))),
                _ => {}
            }
        }
        let running: f64 = recorder
            .gauges()
            .iter()
            .filter(|(name, _)| name.starts_with("llama_stack"))
            .map(|(_, value)| value)
            .sum();
        assert_eq!(running, (futures.len() + bodies.len()) as f64);
    });
    recorder.assert_idle();
}
