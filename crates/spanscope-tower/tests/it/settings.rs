//! Tests of the layer's settings.

use http::Request;
use http_body_util::BodyExt;
use spanscope_tower::{RequestMetricsLayer, RequestMetricsLayerBuilder};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Recorder, answer};

/// Returns the records of requests for these paths.
fn recorded(builder: RequestMetricsLayerBuilder, paths: &[&str]) -> std::sync::Arc<Recorder> {
    let layer = builder.build();
    Recorder::of(async {
        for path in paths {
            let service = layer.layer(service_fn(async |_: Request<()>| answer(200, "")));
            let request = Request::get(*path).body(()).unwrap();
            assert_eq!(service.oneshot(request).await.unwrap().status(), 200);
        }
    })
}

#[test]
fn pages_that_a_framework_serves_about_itself_are_excluded() {
    let paths = [
        "/docs",
        "/docs/oauth2-redirect",
        "/redoc",
        "/openapi.json",
        "/favicon.ico",
        "/static/a.css",
    ];
    let recorder = recorded(RequestMetricsLayer::builder(), &paths);
    assert!(recorder.all().is_empty());
    assert!(recorder.spans().is_empty());
    let near = recorded(RequestMetricsLayer::builder(), &["/docsearch", "/v1/docs"]);
    assert_eq!(near.counted(), ["docsearch 200", "docs 200"]);
}

#[test]
fn excluded_paths_can_be_set() {
    let more = RequestMetricsLayer::builder().exclude("/health");
    let recorder = recorded(more, &["/docs", "/health/live", "/v1/models"]);
    assert_eq!(recorder.counted(), ["models 200"]);
    let none = RequestMetricsLayer::builder().exclude_none();
    let recorder = recorded(none, &["/docs", "/"]);
    assert_eq!(recorder.counted(), ["docs 200", "unknown 200"]);
}

#[test]
fn apis_beyond_the_limit_count_as_other() {
    let paths: Vec<_> = (0..250).map(|n| format!("/bot{n}/x.php")).collect();
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    let counted = recorded(RequestMetricsLayer::builder(), &paths).counted();
    assert_eq!(counted.iter().filter(|one| *one == "other 200").count(), 50);
    let few = RequestMetricsLayer::builder().max_apis(1);
    let recorder = recorded(few, &["/a", "/b", "/a"]);
    assert_eq!(recorder.counted(), ["a 200", "other 200", "a 200"]);
    let known = RequestMetricsLayer::builder().known_apis(["models"]);
    let recorder = recorded(known, &["/wp-login.php", "/v1/models", "/"]);
    assert_eq!(recorder.counted(), ["other 200", "models 200", "unknown 200"]);
}

#[test]
fn a_function_can_choose_the_api_of_a_path() {
    let second = RequestMetricsLayer::builder().api_of(|path| path.split('/').nth(2));
    let recorder = recorded(second, &["/tenant/models/7", "/tenant"]);
    assert_eq!(recorder.counted(), ["models 200", "unknown 200"]);
}

#[test]
fn the_route_is_a_label_and_names_the_span() {
    let routed = RequestMetricsLayer::builder().route_of(|_| Some("/v1/models/{id}".to_owned()));
    let recorder = recorded(routed, &["/v1/models/7"]);
    let labels = &recorder.named("http.server.request.duration")[0].labels;
    assert_eq!(labels["http.route"], "/v1/models/{id}");
    let span = recorder.only_span();
    assert_eq!(span.name, "GET /v1/models/{id}");
    assert_eq!(span.fields["http.route"], "/v1/models/{id}");
}

/// A route in the extensions, as frameworks leave it.
#[derive(Clone)]
struct Route(&'static str);

fn routed() -> RequestMetricsLayerBuilder {
    RequestMetricsLayer::builder().route_of(|extensions| Some(extensions.get::<Route>()?.0.to_owned()))
}

#[test]
fn if_routes_can_be_known_a_path_without_one_is_unknown() {
    let recorder = recorded(routed(), &["/v1/models/7", "/wp-login.php"]);
    assert_eq!(recorder.counted(), ["unknown 200", "unknown 200"]);
    let names: Vec<_> = recorder.spans().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["GET", "GET"]);
}

#[test]
fn a_route_that_begins_with_a_parameter_has_an_unknown_api() {
    for route in [
        "/v1/{*path}",
        "/{tenant}/files",
        "/:tenant/files",
        "/*path",
        "/<id>",
    ] {
        let builder = RequestMetricsLayer::builder().route_of(move |_| Some(route.to_owned()));
        let recorder = recorded(builder, &["/v1/models"]);
        assert_eq!(recorder.counted(), ["unknown 200"], "{route}");
        assert_eq!(recorder.only_span().name, format!("GET {route}"));
    }
}

#[test]
fn a_route_in_the_response_moves_the_request_to_its_api() {
    let recorder = Recorder::of(async {
        let service = routed().build().layer(service_fn(async |_: Request<()>| {
            answer(200, "x").map(|mut response| {
                response.extensions_mut().insert(Route("/v1/models/{id}"));
                response
            })
        }));
        let request = Request::get("/v1/models/7").body(()).unwrap();
        let response = service.oneshot(request).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "x");
    });
    assert_eq!(recorder.counted(), ["models 200"]);
    assert_eq!(recorder.only_span().name, "GET /v1/models/{id}");
    let running: Vec<_> = recorder
        .named("llama_stack_concurrent_requests")
        .iter()
        .map(|one| (one.labels["api"].clone(), one.value))
        .collect();
    let expected = [
        ("unknown", 1.0),
        ("unknown", 0.0),
        ("models", 1.0),
        ("models", 0.0),
    ];
    assert_eq!(running, expected.map(|(api, value)| (api.to_owned(), value)));
}

#[test]
fn https_is_recognized_by_the_request_or_the_server() {
    let recorder = recorded(
        RequestMetricsLayer::builder().https(true),
        &["/a", "http://host/a"],
    );
    let schemes: Vec<_> = recorder
        .named("http.server.request.duration")
        .iter()
        .map(|one| one.labels["url.scheme"].clone())
        .collect();
    assert_eq!(schemes, ["https", "http"]);
}

#[test]
fn without_a_span_everything_is_still_measured() {
    let recorder = recorded(RequestMetricsLayer::builder().span(false), &["/v1/models"]);
    assert_eq!(recorder.counted(), ["models 200"]);
    assert!(recorder.spans().is_empty());
}

#[test]
fn clones_of_a_layer_share_the_number_of_running_requests() {
    let recorder = Recorder::of(async {
        let layer = RequestMetricsLayer::new();
        let waiting = |path: &str| {
            let service = layer.clone().layer(service_fn(async |_: Request<()>| {
                std::future::pending::<()>().await;
                answer(200, "")
            }));
            Box::pin(service.oneshot(Request::get(path).body(()).unwrap()))
        };
        let (mut first, mut second) = (waiting("/v1/models"), waiting("/v1/models"));
        tokio::select! {
            biased;
            _ = &mut first => unreachable!(),
            _ = &mut second => unreachable!(),
            () = std::future::ready(()) => {}
        }
    });
    let values: Vec<_> = recorder
        .named("llama_stack_concurrent_requests")
        .iter()
        .map(|one| one.value)
        .collect();
    assert_eq!(values, [1.0, 2.0, 1.0, 0.0]);
}
