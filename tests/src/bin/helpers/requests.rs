//! A server with routes, as the middleware sees it. No socket: what the requests say is what matters.

use std::convert::Infallible;

use http::{Request, Response};
use http_body_util::Full;
use spanscope::Guard;
use spanscope_tower::{RequestMetrics, RequestMetricsLayer};
use tower::{Layer as _, Service, ServiceExt as _, service_fn};

/// What a framework leaves in a request's extensions.
#[derive(Clone)]
struct Route(&'static str);

/// Where requests are routed before the middleware sees them.
fn routed(path: &str) -> Request<()> {
    let mut request = Request::get(path).body(()).unwrap();
    let route = match path.trim_start_matches('/').split_once('/') {
        Some(("v1", rest)) if rest.starts_with("models/") => Some("/v1/models/{id}"),
        Some(("v1", "files")) => Some("/v1/files"),
        _ => None,
    };
    request.extensions_mut().extend(
        route
            .map(|route| {
                let mut extensions = http::Extensions::new();
                extensions.insert(Route(route));
                extensions
            })
            .unwrap_or_default(),
    );
    request
}

type Answer = Response<Full<&'static [u8]>>;

async fn answer(request: Request<()>) -> Result<Answer, Infallible> {
    let status = if request.extensions().get::<Route>().is_some() {
        200
    } else {
        404
    };
    Ok(Response::builder().status(status).body(Full::default()).unwrap())
}

fn layer() -> RequestMetricsLayer {
    RequestMetricsLayer::builder()
        .route_of(|extensions| Some(extensions.get::<Route>()?.0.to_owned()))
        .build()
}

/// 10,000 paths of scanners, between requests for real routes.
pub(crate) fn junk(guard: &Guard) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let service = layer().layer(service_fn(answer));
        ask(&service, "/v1/models/7").await;
        for number in 0..10_000 {
            ask(&service, &format!("/wp-{number}/setup.php")).await;
            if number % 500 == 0 {
                // The queue of the store is bounded, and the disk may be busy.
                guard.flush(spanscope_tests::PATIENCE).unwrap();
            }
        }
        ask(&service, "/v1/models/8").await;
        ask(&service, "/v1/files").await;
    });
    guard.flush(spanscope_tests::PATIENCE).unwrap();
}

async fn ask<S>(service: &RequestMetrics<S>, path: &str)
where
    S: Service<Request<()>, Response = Answer, Error = Infallible> + Clone,
{
    let Ok(response) = service.clone().oneshot(routed(path)).await;
    assert!(response.status().is_success() || path.starts_with("/wp-"));
}
