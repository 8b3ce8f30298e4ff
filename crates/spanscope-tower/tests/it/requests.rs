//! Tests how each end of a request is counted, with services and without a server.

use std::convert::Infallible;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body, Bytes};
use spanscope_model::MetricKind;
use spanscope_tower::{RequestMetrics, RequestMetricsLayer};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{NoBody, PLANNED, Recorder, Script, Step, answer, block_on, hush_planned_panics};

fn get(path: &str) -> Request<()> {
    Request::get(path).body(()).unwrap()
}

fn around<S>(service: S) -> RequestMetrics<S> {
    RequestMetricsLayer::new().layer(service)
}

async fn read(body: impl Body) {
    let _ = body.collect().await;
}

/// Returns the records of one request to a service with this response, whose body is read to its
/// end.
fn recorded_of<B: Body + Clone>(method: &str, response: Response<B>) -> std::sync::Arc<Recorder> {
    let request = Request::builder()
        .method(method)
        .uri("/v1/models")
        .body(())
        .unwrap();
    Recorder::of(async move {
        let service = around(service_fn(async |_: Request<()>| {
            Ok::<_, Infallible>(response.clone())
        }));
        read(service.oneshot(request).await.unwrap().into_body()).await;
    })
}

#[test]
fn a_response_is_measured_with_its_names_labels_and_units() {
    let recorder = recorded_of(
        "POST",
        Response::builder().status(404).body(NoBody::default()).unwrap(),
    );
    let reported: Vec<_> = recorder
        .all()
        .into_iter()
        .map(|one| {
            let labels: Vec<_> = one
                .labels
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            let value = if one.kind == MetricKind::Histogram {
                assert!((0.0..1.0).contains(&one.value));
                String::from("-")
            } else {
                one.value.to_string()
            };
            format!(
                "{} {} {value} {} {}",
                one.name,
                one.kind,
                one.unit,
                labels.join(",")
            )
        })
        .collect();
    assert_eq!(
        reported,
        [
            "llama_stack_concurrent_requests gauge 1 requests api=models",
            "http.server.active_requests gauge 1 {request} http.request.method=POST,url.scheme=http",
            "llama_stack_concurrent_requests gauge 0 requests api=models",
            "http.server.active_requests gauge 0 {request} http.request.method=POST,url.scheme=http",
            "llama_stack_requests_total counter 1 requests api=models,status=404",
            "llama_stack_request_duration_seconds histogram - seconds api=models,status=404",
            "http.server.request.duration histogram - s http.request.method=POST,\
             http.response.status_code=404,network.protocol.version=1.1,url.scheme=http",
        ]
    );
}

#[test]
fn a_status_of_500_and_above_is_an_error_of_the_server() {
    let recorder = recorded_of(
        "GET",
        Response::builder().status(503).body(NoBody::default()).unwrap(),
    );
    assert_eq!(recorder.counted(), ["models 503"]);
    assert_eq!(recorder.standard(), [(Some("503".into()), Some("503".into()))]);
}

#[test]
fn an_error_of_the_service_counts_as_500() {
    let recorder = Recorder::of(async {
        let service = around(service_fn(async |_: Request<()>| {
            Err::<Response<NoBody>, _>(io::Error::other("no database"))
        }));
        let error = service.oneshot(get("/v1/models")).await.unwrap_err();
        assert_eq!(error.to_string(), "no database");
    });
    assert_eq!(recorder.counted(), ["models 500"]);
    assert_eq!(recorder.standard(), [(None, Some("service_error".into()))]);
    recorder.assert_idle();
}

#[test]
fn a_panic_counts_as_500_and_reaches_the_caller() {
    hush_planned_panics();
    let recorder = Recorder::of(async {
        // In the future.
        let service = around(service_fn(
            async |_: Request<()>| -> Result<Response<NoBody>, Infallible> { panic!("{PLANNED}") },
        ));
        let future = service.oneshot(get("/v1/models"));
        assert!(tokio::spawn(future).await.unwrap_err().is_panic());
        // In `call` itself.
        let mut service = around(service_fn(
            |_: Request<()>| -> std::future::Ready<Result<Response<NoBody>, Infallible>> {
                panic!("{PLANNED}")
            },
        ));
        assert!(catch_unwind(AssertUnwindSafe(|| service.call(get("/v1/tools")))).is_err());
    });
    assert_eq!(recorder.counted(), ["models 500", "tools 500"]);
    assert_eq!(recorder.standard(), vec![(None, Some("panic".into())); 2]);
    recorder.assert_idle();
}

#[test]
fn a_request_dropped_before_its_response_counts_as_499() {
    let recorder = Recorder::of(async {
        let mut service = around(service_fn(async |_: Request<()>| {
            std::future::pending::<Result<Response<NoBody>, Infallible>>().await
        }));
        // By a timeout around it.
        let slow = tokio::time::timeout(Duration::from_millis(5), service.call(get("/v1/models")));
        assert!(slow.await.is_err());
        // Before it was ever polled.
        drop(service.call(get("/v1/tools")));
    });
    assert_eq!(recorder.counted(), ["models 499", "tools 499"]);
    assert_eq!(recorder.standard(), vec![(None, Some("cancelled".into())); 2]);
    recorder.assert_idle();
}

#[test]
fn a_request_that_is_dropped_by_another_panic_counts_as_499() {
    hush_planned_panics();
    let recorder = Recorder::of(async {
        let mut service = around(service_fn(async |_: Request<()>| {
            std::future::pending::<Result<Response<NoBody>, Infallible>>().await
        }));
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _dropped_while_unwinding = service.call(get("/v1/models"));
            panic!("{PLANNED}");
        }));
        assert!(panicked.is_err());
    });
    assert_eq!(recorder.counted(), ["models 499"]);
}

#[test]
fn a_streamed_body_is_timed_to_its_end() {
    let recorder = Recorder::of(async {
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let mut body = Some(receiver);
        let mut service = around(service_fn(move |_: Request<()>| {
            let stream = tokio_stream::wrappers::ReceiverStream::new(body.take().unwrap());
            std::future::ready(Ok::<_, Infallible>(Response::new(
                http_body_util::StreamBody::new(stream),
            )))
        }));
        let response = service.call(get("/v1/inference/chat")).await.unwrap();
        let reader = tokio::spawn(read(response.into_body()));
        for _ in 0..3 {
            // Not a wait: this is the time that the chunks are apart, which is measured.
            tokio::time::sleep(Duration::from_millis(10)).await;
            let frame = hyper::body::Frame::data(Bytes::from_static(b"data: token\n\n"));
            sender.send(Ok::<_, Infallible>(frame)).await.unwrap();
        }
        drop(sender);
        reader.await.unwrap();
    });
    assert_eq!(recorder.counted(), ["inference 200"]);
    assert_eq!(recorder.standard(), [(Some("200".into()), None)]);
    let seconds = recorder.named("llama_stack_request_duration_seconds")[0].value;
    assert!((0.03..5.0).contains(&seconds), "{seconds}");
    recorder.assert_idle();
}

#[test]
fn a_request_runs_as_long_as_its_body() {
    let (subscriber, recorder) = Recorder::subscriber();
    tracing::subscriber::with_default(subscriber, || {
        block_on(async {
            let body = || Script::of(&[Step::Data]);
            let service = around(service_fn(async |_: Request<()>| {
                Ok::<_, Infallible>(Response::new(body()))
            }));
            let response = service.oneshot(get("/v1/models")).await.unwrap();
            let running = recorder.gauges();
            assert!(running.values().all(|value| *value == 1.0), "{running:#?}");
            assert_eq!(recorder.counted(), [""; 0]);
            read(response.into_body()).await;
        });
    });
    assert_eq!(recorder.counted(), ["models 200"]);
    recorder.assert_idle();
}

/// Polls a body this number of times, drops it, and returns what was counted.
fn polled(steps: &[Step], length: Option<&str>, polls: usize) -> (Vec<String>, Option<String>) {
    hush_planned_panics();
    let recorder = Recorder::of(async {
        let mut response = Response::new(Script::of(steps));
        if let Some(length) = length {
            response
                .headers_mut()
                .insert("content-length", length.parse().unwrap());
        }
        let mut response = Some(response);
        let mut service = around(service_fn(move |_: Request<()>| {
            std::future::ready(Ok::<_, Infallible>(response.take().unwrap()))
        }));
        let mut body = Box::pin(service.call(get("/v1/models")).await.unwrap().into_body());
        for _ in 0..polls {
            let _ = catch_unwind(AssertUnwindSafe(|| {
                let mut context = std::task::Context::from_waker(std::task::Waker::noop());
                let _ = body.as_mut().poll_frame(&mut context);
            }));
        }
    });
    recorder.assert_idle();
    (recorder.counted(), recorder.standard()[0].1.clone())
}

#[test]
fn every_end_of_a_body_is_one_end_of_the_request() {
    use Step::{Data, Fail, Panic, Trailers, Wait};
    let one =
        |status: &str, error: Option<&str>| (vec![format!("models {status}")], error.map(ToOwned::to_owned));
    // Polled to its end, and once more.
    assert_eq!(polled(&[Data, Wait, Data], None, 4), one("200", None));
    assert_eq!(polled(&[Data, Wait, Data], None, 5), one("200", None));
    // A server stops polling after trailers, and after the announced length.
    assert_eq!(polled(&[Data, Trailers], None, 2), one("200", None));
    assert_eq!(polled(&[Data, Data], Some("8"), 2), one("200", None));
    assert_eq!(polled(&[Data], Some("0"), 0), one("200", None));
    // Cut off.
    assert_eq!(polled(&[Data, Data], None, 0), one("200", Some("cancelled")));
    assert_eq!(polled(&[Data, Data], None, 1), one("200", Some("cancelled")));
    assert_eq!(polled(&[Data, Wait], None, 2), one("200", Some("cancelled")));
    assert_eq!(polled(&[Data, Data], Some("9"), 2), one("200", Some("cancelled")));
    assert_eq!(
        polled(&[Data], Some("no number"), 1),
        one("200", Some("cancelled"))
    );
    // Failed, and polled again.
    assert_eq!(polled(&[Data, Fail], None, 2), one("500", Some("body_error")));
    assert_eq!(
        polled(&[Data, Fail, Data], None, 3),
        one("500", Some("body_error"))
    );
    assert_eq!(polled(&[Data, Panic], None, 2), one("500", Some("panic")));
    assert_eq!(polled(&[Panic, Data], None, 2), one("500", Some("panic")));
}

#[test]
fn requests_without_a_response_body_end_with_the_head() {
    let full = || Full::new(Bytes::from_static(b"never sent"));
    for (method, status) in [
        ("HEAD", 200),
        ("GET", 101),
        ("GET", 204),
        ("GET", 304),
        ("CONNECT", 200),
    ] {
        let recorder = Recorder::of(async {
            let service = around(service_fn(async |_: Request<()>| {
                Ok::<_, Infallible>(Response::builder().status(status).body(full()).unwrap())
            }));
            let request = Request::builder()
                .method(method)
                .uri("/v1/models")
                .body(())
                .unwrap();
            // Held, as a server does with a connection that becomes a tunnel, and never polled.
            let response = service.oneshot(request).await.unwrap();
            std::mem::forget(response.into_body());
        });
        assert_eq!(
            recorder.counted(),
            [format!("models {status}")],
            "{method} {status}"
        );
        assert_eq!(recorder.standard()[0].1, None, "{method} {status}");
        recorder.assert_idle();
    }
    let recorder = recorded_of("GET", Response::new(Empty::<Bytes>::new()));
    assert_eq!(recorder.counted(), ["models 200"]);
}

#[test]
fn a_measured_body_has_the_size_and_the_data_of_the_inner_body() {
    block_on(async {
        let service = around(service_fn(async |_: Request<()>| answer(200, "hello")));
        let body = service.oneshot(get("/v1/models")).await.unwrap().into_body();
        assert_eq!(body.size_hint().exact(), Some(5));
        assert!(!body.is_end_stream());
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
    });
}

#[test]
fn a_service_that_is_not_ready_is_not_measured() {
    #[derive(Clone)]
    struct Busy;
    impl Service<Request<()>> for Busy {
        type Response = Response<NoBody>;
        type Error = io::Error;
        type Future = std::future::Ready<Result<Self::Response, io::Error>>;

        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Err(io::Error::other("busy")))
        }

        fn call(&mut self, _: Request<()>) -> Self::Future {
            unreachable!("it was not ready")
        }
    }
    let recorder = Recorder::of(async {
        assert!(around(Busy).oneshot(get("/v1/models")).await.is_err());
    });
    assert!(recorder.all().is_empty());
}

#[test]
fn without_a_subscriber_everything_is_passed_on() {
    block_on(async {
        let service = around(service_fn(async |_: Request<()>| answer(201, "made")));
        let response = service.oneshot(get("/v1/models")).await.unwrap();
        assert_eq!(response.status(), 201);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "made");
    });
}
