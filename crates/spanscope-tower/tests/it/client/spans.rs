//! Tests of the span and the measurements of a client's request.

use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use spanscope_layers::{Categories, CategoryFilter, Levels};
use spanscope_tower::{ClientLayer, RequestMetricsLayer, ResendCount, UrlTemplate};
use tower::{Layer, ServiceExt, service_fn};
use tracing_subscriber::layer::SubscriberExt;

use crate::support::{
    Measured, NoBody, PLANNED, Recorder, Script, Step, answer, block_on, hush_planned_panics,
};

/// Sends a request through the layer to a service that responds with this status, and reads the
/// response.
async fn send(layer: &ClientLayer, request: http::request::Builder, status: u16) {
    let service = layer.layer(service_fn(move |_: Request<()>| {
        tracing::info_span!("inside").in_scope(|| ());
        std::future::ready(answer(status, "text"))
    }));
    let response = service.oneshot(request.body(()).unwrap()).await.unwrap();
    response.into_body().collect().await.unwrap();
}

fn durations(recorder: &Recorder) -> Vec<Measured> {
    recorder.named("http.client.request.duration")
}

#[test]
fn the_span_has_the_names_of_the_conventions() {
    let request = Request::post("https://api.example.com/v1/chat?model=x")
        .header("authorization", "Bearer hush")
        .header("cookie", "hush");
    let recorder = Recorder::of(send(&ClientLayer::new(), request, 200));
    let spans = recorder.spans();
    let span = &spans[1];
    assert_eq!(
        (span.name.as_str(), span.category.as_str()),
        ("POST", "client::request")
    );
    let fields: Vec<_> = span
        .fields
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(
        fields,
        [
            "http.request.method=POST",
            "http.response.status_code=200",
            "network.protocol.version=1.1",
            "otel.kind=client",
            "otel.name=POST",
            "server.address=api.example.com",
            "server.port=443",
            "url.full=https://api.example.com/v1/chat?model=x",
        ]
    );
    assert_eq!(
        spans[0].parent,
        Some(span.ids.span_id),
        "spans of the service are children"
    );
}

#[test]
fn metrics_have_the_labels_of_the_conventions_and_the_ids_of_the_span() {
    let request = Request::get("https://api.example.com:8443/v1/models");
    let recorder = Recorder::of(send(&ClientLayer::new(), request, 503));
    let measured = recorder.all();
    let seen: Vec<_> = measured
        .iter()
        .map(|one| {
            let labels = one.labels.iter().map(|(key, value)| format!("{key}={value}"));
            (
                one.name.as_str(),
                one.unit.as_str(),
                labels.collect::<Vec<_>>().join(" "),
            )
        })
        .collect();
    let to = "http.request.method=GET";
    let server = "server.address=api.example.com server.port=8443 url.scheme=https";
    assert_eq!(
        seen,
        [
            (
                "http.client.active_requests",
                "{request}",
                format!("{to} {server}")
            ),
            (
                "http.client.active_requests",
                "{request}",
                format!("{to} {server}")
            ),
            (
                "http.client.request.duration",
                "s",
                format!(
                    "error.type=503 {to} http.response.status_code=503 network.protocol.version=1.1 {server}"
                )
            ),
        ]
    );
    assert_eq!([measured[0].value, measured[1].value], [1.0, 0.0]);
    let ids = recorder.spans()[1].ids;
    assert!(measured.iter().all(|one| one.span == Some(ids)));
}

#[test]
fn the_name_of_the_span_has_the_template_that_the_user_sets() {
    let named = |layer: ClientLayer, request: http::request::Builder| {
        let recorder = Recorder::of(send(&layer, request, 200));
        let span = &recorder.spans()[1];
        (span.name.clone(), span.fields.get("url.template").cloned())
    };
    let users = || {
        ClientLayer::builder()
            .template_of(|request| {
                assert_eq!((request.host(), request.method().as_str()), (Some("api"), "GET"));
                request
                    .path()
                    .starts_with("/users/")
                    .then(|| "/users/{id}".to_owned())
            })
            .build()
    };
    let template = || Some("/users/{id}".to_owned());
    let get = || Request::get("http://api/users/7");
    assert_eq!(named(ClientLayer::new(), get()), ("GET".into(), None));
    assert_eq!(named(users(), get()), ("GET /users/{id}".into(), template()));
    assert_eq!(named(users(), Request::get("http://api/x")), ("GET".into(), None));
    let extended = get().extension(UrlTemplate::new("/people/{name}"));
    assert_eq!(
        named(users(), extended),
        ("GET /people/{name}".into(), Some("/people/{name}".into()))
    );
    assert_eq!(
        named(
            ClientLayer::new(),
            Request::builder().method("BREW").uri("http://pot/")
        ),
        ("HTTP".into(), None)
    );
}

#[test]
fn a_status_of_400_and_above_is_an_error_of_the_request() {
    let layer = ClientLayer::new();
    for (status, is_error) in [(200, false), (302, false), (404, true), (500, true)] {
        let recorder = Recorder::of(send(&layer, Request::get("http://api/"), status));
        let fields = &recorder.spans()[1].fields;
        let error = is_error.then(|| status.to_string());
        assert_eq!(fields.get("error.type"), error.as_ref(), "{status}");
        assert_eq!(fields.get("otel.status_code").is_some(), is_error, "{status}");
        assert_eq!(
            fields.get("otel.status_description"),
            None,
            "the status code is sufficient"
        );
        assert_eq!(durations(&recorder)[0].labels.get("error.type"), error.as_ref());
    }
}

#[test]
fn credentials_and_secrets_of_the_url_and_headers_are_nowhere() {
    let request = Request::get("http://me:hunter2@api/x?api_key=hunter2&sig=hunter2&key=hunter2&page=2")
        .header("authorization", "Bearer hunter2")
        .header("proxy-authorization", "Basic hunter2")
        .header("x-api-key", "hunter2");
    let recorder = Recorder::of(async {
        let layer = ClientLayer::new();
        let fails = layer.layer(service_fn(async |_: Request<()>| {
            Err::<Response<NoBody>, _>(std::io::Error::other(
                "no route to http://me:hunter2@api/x?api_key=hunter2",
            ))
        }));
        assert!(fails.oneshot(request.body(()).unwrap()).await.is_err());
    });
    let span = recorder.only_span();
    assert_eq!(
        span.fields["url.full"],
        "http://[masked]@api/x?api_key=[masked]&sig=[masked]&key=[masked]&page=2"
    );
    assert_eq!(
        span.fields["otel.status_description"],
        "no route to http://[masked]@api/x?api_key=[masked]"
    );
    let everything = format!("{span:?} {:?}", recorder.all());
    assert!(!everything.contains("hunter2"), "{everything}");
}

#[test]
fn a_dropped_body_is_recorded_and_is_not_an_error() {
    let recorder = Recorder::of(async {
        let layer = ClientLayer::new();
        let stream = service_fn(async |_: Request<()>| {
            Ok::<_, std::io::Error>(Response::new(Script::of(&[Step::Data, Step::Data])))
        });
        let request = || Request::get("http://api/").body(()).unwrap();
        // The body is not read.
        drop(layer.layer(stream).oneshot(request()).await.unwrap());
        let mut response = layer.layer(stream).oneshot(request()).await.unwrap();
        assert!(response.body_mut().frame().await.unwrap().is_ok());
        drop(response);
        let response = layer.layer(stream).oneshot(request()).await.unwrap();
        response.into_body().collect().await.unwrap();
    });
    let ends: Vec<_> = recorder
        .spans()
        .iter()
        .map(|span| {
            let field = |key: &str| span.fields.get(key).cloned();
            (
                field("spanscope.body_dropped"),
                field("error.type"),
                field("otel.status_code"),
            )
        })
        .collect();
    let dropped = (Some("true".to_owned()), None, None);
    assert_eq!(ends, [dropped.clone(), dropped, (None, None, None)]);
    let errors = durations(&recorder);
    assert!(errors.iter().all(|one| !one.labels.contains_key("error.type")));
    recorder.assert_idle();
}

#[test]
fn a_request_dropped_before_its_response_was_cancelled() {
    let recorder = Recorder::of(async {
        let service = ClientLayer::new().layer(service_fn(async |_: Request<()>| {
            std::future::pending::<Result<Response<NoBody>, std::io::Error>>().await
        }));
        let call = service.oneshot(Request::get("http://api/").body(()).unwrap());
        assert!(
            tokio::time::timeout(Duration::from_millis(5), call)
                .await
                .is_err()
        );
    });
    let fields = recorder.only_span().fields;
    assert_eq!(fields["error.type"], "cancelled");
    assert_eq!(fields["otel.status_code"], "error");
    assert_eq!(durations(&recorder)[0].labels["error.type"], "cancelled");
    recorder.assert_idle();
}

#[test]
fn a_client_that_panics_ends_its_request() {
    hush_planned_panics();
    let recorder = Recorder::of(async {
        let service = ClientLayer::new().layer(service_fn(
            async |_: Request<()>| -> Result<Response<NoBody>, std::io::Error> { panic!("{PLANNED}") },
        ));
        let call = service.oneshot(Request::get("http://api/").body(()).unwrap());
        assert!(tokio::spawn(call).await.is_err());
    });
    assert_eq!(recorder.only_span().fields["error.type"], "panic");
    recorder.assert_idle();
}

#[test]
fn two_layers_make_one_span_and_count_once() {
    let recorder = Recorder::of(async {
        let layer = ClientLayer::new();
        let twice = layer.layer(ClientLayer::new().layer(service_fn(async |request: Request<()>| {
            assert_eq!(request.headers().get_all("traceparent").iter().count(), 1);
            answer(200, "text")
        })));
        let response = twice.oneshot(Request::get("http://api/").body(()).unwrap()).await;
        response.unwrap().into_body().collect().await.unwrap();
    });
    assert_eq!(recorder.only_span().name, "GET");
    assert_eq!(durations(&recorder).len(), 1);
    assert_eq!(recorder.named("http.client.active_requests").len(), 2);
    recorder.assert_idle();
}

#[test]
fn an_attempt_has_the_number_that_the_user_sets() {
    let layer = ClientLayer::new();
    let count = |request| {
        let recorder = Recorder::of(send(&layer, request, 200));
        recorder.spans()[1]
            .fields
            .get("http.request.resend_count")
            .cloned()
    };
    assert_eq!(count(Request::get("http://api/")), None);
    assert_eq!(
        count(Request::get("http://api/").extension(ResendCount(2))).as_deref(),
        Some("2")
    );
}

#[test]
fn servers_beyond_the_limit_share_one_series() {
    let layer = ClientLayer::builder().max_hosts(2).build();
    let recorder = Recorder::of(async {
        for site in 0..5 {
            send(&layer, Request::get(format!("http://site{site}/")), 200).await;
        }
    });
    let servers: Vec<_> = durations(&recorder)
        .iter()
        .map(|one| one.labels["server.address"].clone())
        .collect();
    assert_eq!(servers, ["site0", "site1", "other", "other", "other"]);
    let named = recorder
        .spans()
        .iter()
        .filter(|span| span.fields.get("server.address").is_some_and(|it| it == "site4"))
        .count();
    assert_eq!(named, 1, "spans name every site");
    recorder.assert_idle();
}

#[test]
fn without_a_span_the_layer_measures_and_propagates_the_current_span() {
    let (subscriber, recorder) = Recorder::subscriber();
    tracing::subscriber::with_default(subscriber, || {
        block_on(async {
            let layer = ClientLayer::builder().span(false).build();
            let service = layer.layer(service_fn(async |request: Request<()>| {
                assert!(request.headers().contains_key("traceparent"));
                answer(200, "text")
            }));
            let outer = tracing::info_span!("outer");
            let call = service.oneshot(Request::get("http://api/").body(()).unwrap());
            let response = tracing::Instrument::instrument(call, outer).await;
            response.unwrap().into_body().collect().await.unwrap();
        });
    });
    assert_eq!(recorder.only_span().name, "outer");
    assert_eq!(durations(&recorder).len(), 1);
}

#[test]
fn with_its_span_switched_off_a_request_is_measured_and_propagates_the_outer_span() {
    let (subscriber, recorder) = Recorder::subscriber();
    let filter = CategoryFilter::new(Categories::new(), Levels::new());
    assert!(filter.handle().apply("client=off").is_empty());
    let (sender, received) = std::sync::mpsc::channel();
    tracing::subscriber::with_default(subscriber.with(filter), || {
        block_on(async {
            let service = ClientLayer::new().layer(service_fn(move |request: Request<()>| {
                sender
                    .send(request.headers()["traceparent"].to_str().unwrap().to_owned())
                    .unwrap();
                std::future::ready(answer(200, "text"))
            }));
            let outer = tracing::error_span!(target: "server::handler", "outer");
            let call = service.oneshot(Request::get("http://api/").body(()).unwrap());
            let response = tracing::Instrument::instrument(call, outer).await;
            response.unwrap().into_body().collect().await.unwrap();
        });
    });
    let span = recorder.only_span();
    assert_eq!(span.name, "outer");
    assert!(received.recv().unwrap().contains(&span.ids.span_id.to_string()));
    assert_eq!(durations(&recorder).len(), 1);
    recorder.assert_idle();
}

#[test]
fn a_request_that_a_server_in_the_same_process_forwards_has_its_own_span() {
    let recorder = Recorder::of(async {
        let behind = ClientLayer::new().layer(service_fn(async |_: Request<()>| answer(200, "text")));
        // Forwards the request as it arrived, with its extensions.
        let proxy =
            RequestMetricsLayer::new().layer(service_fn(move |request| behind.clone().oneshot(request)));
        let client = ClientLayer::new().layer(proxy);
        let response = client
            .oneshot(Request::get("http://api/v1/models").body(()).unwrap())
            .await;
        response.unwrap().into_body().collect().await.unwrap();
    });
    let spans = recorder.spans();
    let kinds: Vec<_> = spans
        .iter()
        .map(|span| span.fields["otel.kind"].as_str())
        .collect();
    assert_eq!(kinds, ["client", "server", "client"]);
    assert_eq!(spans[0].parent, Some(spans[1].ids.span_id));
    recorder.assert_idle();
}
