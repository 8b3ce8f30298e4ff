//! Tests of the request span.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use spanscope_layers::{Categories, CategoryFilter, Levels};
use spanscope_tower::RequestMetricsLayer;
use tokio_stream::StreamExt;
use tower::{Layer, ServiceExt, service_fn};
use tracing_subscriber::layer::SubscriberExt;

use crate::support::{NoBody, PLANNED, Recorder, Script, Step, answer, block_on, hush_planned_panics};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

async fn ask(request: http::request::Builder, status: u16) {
    let layer = RequestMetricsLayer::builder()
        .client_of(|extensions| extensions.get::<SocketAddr>().copied())
        .build();
    let service = layer.layer(service_fn(move |_: Request<()>| {
        tracing::info_span!("inside").in_scope(|| ());
        std::future::ready(answer(status, "text"))
    }));
    let response = service.oneshot(request.body(()).unwrap()).await.unwrap();
    response.into_body().collect().await.unwrap();
}

#[test]
fn the_span_has_the_names_of_the_conventions() {
    let recorder = Recorder::of(ask(
        Request::post("/v1/inference/chat?api_key=hush")
            .version(http::Version::HTTP_2)
            .extension(SocketAddr::from(([192, 0, 2, 7], 4711)))
            .header("user-agent", "llama-stack-client/0.2")
            .header("authorization", "Bearer hush")
            .header("x-telemetry-service", "my-ai-app")
            .header("x-telemetry-version", "1.0.0"),
        200,
    ));
    let spans = recorder.spans();
    let span = &spans[1];
    assert_eq!(span.name, "POST inference");
    assert_eq!(span.category, "server::request");
    let fields: Vec<_> = span
        .fields
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(
        fields,
        [
            "client.address=192.0.2.7",
            "client.port=4711",
            "http.request.method=POST",
            "http.response.status_code=200",
            "network.protocol.version=2",
            "otel.kind=server",
            "otel.name=POST inference",
            "telemetry.service=my-ai-app",
            "telemetry.version=1.0.0",
            "url.path=/v1/inference/chat",
            "url.scheme=http",
            "user_agent.original=llama-stack-client/0.2",
        ]
    );
    assert_eq!(
        spans[0].parent,
        Some(span.ids.span_id),
        "spans of the service are children"
    );
}

#[test]
fn the_span_is_entered_while_the_body_works_and_while_values_are_dropped() {
    /// Opens a span when it is dropped, as a connection that returns to its pool may.
    struct LetGo;
    impl Drop for LetGo {
        fn drop(&mut self) {
            tracing::info_span!("let go").in_scope(|| ());
        }
    }
    let recorder = Recorder::of(async {
        let layer = RequestMetricsLayer::new();
        let streams = layer.layer(service_fn(async |_: Request<()>| {
            let chunks = tokio_stream::iter(0..2).map(|_| {
                tracing::info_span!("chunk").in_scope(|| ());
                Ok::<_, Infallible>(http_body::Frame::data(hyper::body::Bytes::from_static(b"x")))
            });
            Ok::<_, Infallible>(Response::new(http_body_util::StreamBody::new(chunks)))
        }));
        let request = || Request::get("/v1/models").body(()).unwrap();
        let response = streams.oneshot(request()).await.unwrap();
        response.into_body().collect().await.unwrap();
        let waits = layer.layer(service_fn(async |_: Request<()>| {
            let _held = LetGo;
            std::future::pending::<()>().await;
            answer(200, "")
        }));
        let waiting = tokio::time::timeout(Duration::from_millis(1), waits.oneshot(request()));
        assert!(waiting.await.is_err());
    });
    let spans = recorder.spans();
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["chunk", "chunk", "GET models", "let go", "GET models"]);
    assert!(
        spans[..2]
            .iter()
            .all(|chunk| chunk.parent == Some(spans[2].ids.span_id))
    );
    assert_eq!(spans[3].parent, Some(spans[4].ids.span_id));
}

#[test]
fn every_measurement_has_the_ids_of_the_span() {
    let recorder = Recorder::of(ask(Request::get("/v1/models"), 200));
    let ids = recorder.spans()[1].ids;
    let measured = recorder.all();
    assert_eq!(measured.len(), 7);
    assert!(measured.iter().all(|one| one.span == Some(ids)));
}

#[test]
fn the_span_continues_a_well_formed_trace() {
    let recorder = Recorder::of(ask(
        Request::get("/v1/models")
            .header("traceparent", format!("00-{TRACE}-{PARENT}-01"))
            .header("tracestate", "congo=t61rcWkgMzE")
            .header("tracestate", "rojo=00f067aa0ba902b7"),
        200,
    ));
    let [inside, span] = &recorder.spans()[..] else {
        panic!("two spans")
    };
    assert_eq!(span.ids.trace_id.to_string(), TRACE);
    assert_eq!(
        span.parent.map(|parent| parent.to_string()).as_deref(),
        Some(PARENT)
    );
    assert_eq!(
        span.fields["tracestate"],
        "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"
    );
    assert_eq!(inside.ids.trace_id, span.ids.trace_id);
    let measured = recorder.named("llama_stack_requests_total");
    assert_eq!(measured[0].span, Some(span.ids));
}

#[test]
fn the_span_keeps_the_callers_sampled_flag() {
    for (flags, is_sampled) in [("01", true), ("00", false), ("02", false)] {
        let request =
            Request::get("/v1/models").header("traceparent", format!("00-{TRACE}-{PARENT}-{flags}"));
        let recorder = Recorder::of(ask(request, 200));
        assert_eq!(recorder.spans()[1].is_sampled, is_sampled, "{flags}");
    }
}

#[test]
fn a_malformed_traceparent_begins_a_new_trace() {
    let upper = TRACE.to_uppercase();
    for header in [
        format!("00-{upper}-{PARENT}-01"),
        format!("00-{TRACE}-{PARENT}"),
        "-".repeat(9000),
    ] {
        let request = Request::get("/v1/models")
            .header("traceparent", &header)
            .header("tracestate", "congo=t61rcWkgMzE");
        let recorder = Recorder::of(ask(request, 200));
        let span = &recorder.spans()[1];
        assert_ne!(span.ids.trace_id.to_string(), TRACE, "{header}");
        assert_eq!(span.parent, None, "{header}");
        assert!(!span.fields.contains_key("tracestate"), "{header}");
    }
}

#[test]
fn headers_are_bounded_and_visible() {
    let recorder = Recorder::of(ask(
        Request::get("/v1/models")
            .header("traceparent", format!("00-{TRACE}-{PARENT}-01"))
            .header("tracestate", format!("long={},", "v".repeat(200)).repeat(4))
            .header("user-agent", "a".repeat(10_000))
            .header("x-telemetry-version", "")
            .header(
                "x-telemetry-service",
                http::HeaderValue::from_bytes(b"caf\xc3\xa9").unwrap(),
            ),
        200,
    ));
    let fields = &recorder.spans()[1].fields;
    assert_eq!(fields["user_agent.original"].len(), 512);
    assert_eq!(fields["tracestate"].len(), 2 * 205 + 1, "whole members");
    assert!(!fields.contains_key("telemetry.service"));
    assert!(!fields.contains_key("telemetry.version"));
}

#[test]
fn an_unknown_method_is_kept_as_the_original() {
    let recorder = Recorder::of(ask(Request::builder().method("BREW").uri("/pot"), 418));
    let span = &recorder.spans()[1];
    assert_eq!(span.name, "HTTP pot");
    assert_eq!(span.fields["http.request.method"], "_OTHER");
    assert_eq!(span.fields["http.request.method_original"], "BREW");
    let labels = &recorder.named("http.server.request.duration")[0].labels;
    assert_eq!(labels["http.request.method"], "_OTHER");
}

#[test]
fn the_name_of_a_path_without_an_api_is_the_method() {
    assert_eq!(Recorder::of(ask(Request::get("/"), 200)).spans()[1].name, "GET");
}

#[test]
fn a_status_of_the_500s_is_an_error_and_one_of_the_400s_is_not() {
    let status = |status| {
        let recorder = Recorder::of(ask(Request::get("/v1/models"), status));
        let mut fields = recorder.spans()[1].fields.clone();
        (fields.remove("otel.status_code"), fields.remove("error.type"))
    };
    assert_eq!(status(200), (None, None));
    assert_eq!(status(404), (None, None));
    assert_eq!(status(502), (Some("error".into()), Some("502".into())));
}

#[test]
fn the_span_has_the_end_of_the_request() {
    hush_planned_panics();
    let recorder = Recorder::of(async {
        let panics = service_fn(async |_: Request<()>| -> Result<Response<NoBody>, Infallible> {
            panic!("{PLANNED}")
        });
        let service = RequestMetricsLayer::new().layer(panics);
        let request = || Request::get("/v1/models").body(()).unwrap();
        assert!(tokio::spawn(service.oneshot(request())).await.is_err());
        let body = || Script::of(&[Step::Data, Step::Fail]);
        let fails = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(body())));
        let response = RequestMetricsLayer::new()
            .layer(fails)
            .oneshot(request())
            .await
            .unwrap();
        assert!(response.into_body().collect().await.is_err());
        let response = RequestMetricsLayer::new()
            .layer(fails)
            .oneshot(request())
            .await
            .unwrap();
        drop(response);
    });
    let ends: Vec<_> = recorder
        .spans()
        .iter()
        .map(|span| {
            let field = |key: &str| span.fields.get(key).cloned().unwrap_or_default();
            [
                field("error.type"),
                field("otel.status_code"),
                field("otel.status_description"),
            ]
        })
        .collect();
    assert_eq!(
        ends,
        [
            ["panic", "error", "the service panicked"],
            ["body_error", "error", "the body ended with an error"],
            ["cancelled", "", ""],
        ]
    );
}

#[test]
fn the_span_is_on_by_default_and_can_be_switched_off_alone() {
    let with_levels = |levels: &str| {
        let (subscriber, recorder) = Recorder::subscriber();
        let filter = CategoryFilter::new(Categories::new(), Levels::new());
        assert!(filter.handle().apply(levels).is_empty());
        tracing::subscriber::with_default(subscriber.with(filter), || {
            block_on(ask(Request::get("/v1/models"), 200));
        });
        assert_eq!(recorder.counted(), ["models 200"], "measured in any case");
        recorder
            .spans()
            .iter()
            .filter(|span| span.name == "GET models")
            .count()
    };
    assert_eq!(with_levels(""), 1);
    assert_eq!(with_levels("server::request=off"), 0);
    assert_eq!(with_levels("server=warn"), 0);
}
