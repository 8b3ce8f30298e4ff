//! Polls, drops, failures and panics in any order: each request is counted once, with its actual
//! outcome.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use hyper::body::Body;
use spanscope_tower::{ClientLayer, RequestMetricsLayer};
use tower::{Layer, Service, service_fn};

use crate::support::{PLANNED, Recorder, Script, Step, hush_planned_panics};

/// How the service responds.
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

/// Polls, and returns whether it panicked.
fn poll<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Result<Poll<T>, ()> {
    let mut context = Context::from_waker(Waker::noop());
    catch_unwind(AssertUnwindSafe(|| poll(&mut context))).map_err(|_| ())
}

/// A service that responds once, as configured.
struct Once(Option<Answering>);

impl Service<Request<()>> for Once {
    type Response = Response<Script>;
    type Error = std::io::Error;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), std::io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Answering {
        self.0.take().expect("it is called once")
    }
}

/// The outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Panicked,
    ServiceError,
    BodyError(u16),
    /// Dropped before the head.
    Cancelled,
    /// Dropped before the end of the body.
    Dropped(u16),
    Complete(u16),
}

impl Outcome {
    /// Returns the server counter's label.
    fn status(self) -> String {
        match self {
            Self::Panicked | Self::ServiceError | Self::BodyError(_) => "500".to_owned(),
            Self::Cancelled => "499".to_owned(),
            Self::Dropped(status) | Self::Complete(status) => status.to_string(),
        }
    }

    /// Returns the client span's `error.type` and `spanscope.body_dropped`.
    fn of_client(self) -> (Option<String>, bool) {
        let error = match self {
            Self::Panicked => Some("panic".to_owned()),
            Self::BodyError(status) | Self::Dropped(status) | Self::Complete(status) if status >= 400 => {
                Some(status.to_string())
            }
            Self::ServiceError | Self::BodyError(_) => Some("std::io::error::Error".to_owned()),
            Self::Cancelled => Some("cancelled".to_owned()),
            Self::Dropped(_) | Self::Complete(_) => None,
        };
        (error, matches!(self, Self::Dropped(_)))
    }
}

/// One random request through the layer.
fn one<L, B>(random: &mut fastrand::Rng, layer: &L) -> Outcome
where
    L: Layer<Once>,
    L::Service: Service<Request<()>, Response = Response<B>, Error = std::io::Error>,
    B: Body<Error = std::io::Error>,
{
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
    let mut service = layer.layer(Once(Some(Answering {
        waits,
        answer,
        body: Some(Script::of(&steps)),
    })));
    let mut future = Box::pin(service.call(Request::get("http://api/v1/models").body(()).unwrap()));
    // A random number of polls, which may be too few for a response.
    let mut response = None;
    for _ in 0..random.usize(..8) {
        match poll(|context| future.as_mut().poll(context)) {
            Err(()) => {
                if random.bool() {
                    // A runtime that polls again after a panic. The service panics again, and is
                    // not counted again.
                    let _ = poll(|context| future.as_mut().poll(context));
                }
                return Outcome::Panicked;
            }
            Ok(Poll::Ready(Err(_))) => {
                assert!(matches!(
                    poll(|context| future.as_mut().poll(context)),
                    Ok(Poll::Pending)
                ));
                return Outcome::ServiceError;
            }
            Ok(Poll::Ready(Ok(answered))) => {
                response = Some(answered);
                break;
            }
            Ok(Poll::Pending) => {}
        }
    }
    let Some(response) = response else {
        return Outcome::Cancelled;
    };
    if random.bool() {
        drop(future);
    }
    let status = response.status().as_u16();
    let mut body = Box::pin(response.into_body());
    let mut is_over = status == 204;
    for _ in 0..random.usize(..10) {
        match poll(|context| body.as_mut().poll_frame(context)) {
            Err(()) if !is_over => return Outcome::Panicked,
            Ok(Poll::Ready(Some(Err(_)))) if !is_over => return Outcome::BodyError(status),
            Ok(Poll::Ready(None | Some(Err(_)))) | Err(()) => is_over = true,
            Ok(Poll::Ready(Some(Ok(frame)))) => is_over |= frame.is_trailers(),
            Ok(Poll::Pending) => {}
        }
    }
    if is_over {
        Outcome::Complete(status)
    } else {
        Outcome::Dropped(status)
    }
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
                expected.push(format!("models {}", one(&mut random, &layer).status()));
            }
        });
        assert_eq!(recorder.counted(), expected, "seed {seed}");
        assert_eq!(recorder.spans().len(), expected.len(), "seed {seed}");
        recorder.assert_idle();
    }
}

#[test]
fn random_interleavings_of_a_client_leave_exactly_one_record_each() {
    hush_planned_panics();
    for seed in 0..20 {
        let (subscriber, recorder) = Recorder::subscriber();
        let mut expected = Vec::new();
        tracing::subscriber::with_default(subscriber, || {
            let mut random = fastrand::Rng::with_seed(seed);
            let layer = ClientLayer::new();
            for _ in 0..300 {
                expected.push(one(&mut random, &layer).of_client());
            }
        });
        let spans = recorder.spans();
        let seen: Vec<_> = spans
            .iter()
            .map(|span| {
                let fields = &span.fields;
                let is_dropped = fields.contains_key("spanscope.body_dropped");
                (fields.get("error.type").cloned(), is_dropped)
            })
            .collect();
        assert_eq!(seen, expected, "seed {seed}");
        let measured = recorder.named("http.client.request.duration");
        let errors: Vec<_> = measured
            .iter()
            .map(|one| one.labels.get("error.type").cloned())
            .collect();
        let expected: Vec<_> = expected.into_iter().map(|(error, _)| error).collect();
        assert_eq!(errors, expected, "seed {seed}");
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
