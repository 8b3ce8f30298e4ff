//! A server with routes and a client of it, as the middleware sees them. Without sockets: only the
//! requests' content matters.

use std::convert::Infallible;
use std::io::ErrorKind;

use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use spanscope::Guard;
use spanscope_tower::{ClientLayer, RequestMetrics, RequestMetricsLayer};
use tower::{Layer as _, Service, ServiceExt as _, service_fn};
use tracing::{Instrument as _, info_span};

/// The matched route, which a framework puts into a request's extensions.
#[derive(Clone)]
struct Route(&'static str);

/// Returns a request with its route, which a framework sets before the middleware runs.
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
    let body = Full::new("a model".as_bytes());
    Ok(Response::builder().status(status).body(body).unwrap())
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

/// A client of the server: it reads one response, drops another, gets none, and reads one that is
/// an error.
pub(crate) fn through_a_client() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let order = info_span!("order");
    let work = async {
        let client = ClientLayer::new().layer(layer().layer(service_fn(answer)));
        let ask = async |host: &str, path: &str| {
            let mut request = routed(path);
            *request.uri_mut() = format!("http://{host}{path}").parse().unwrap();
            let Ok(response) = client.clone().oneshot(request).await;
            response.into_body()
        };
        let secret = ask("me:hunter2@shop.example.com", "/v1/models/7?token=hunter2&page=2").await;
        assert_eq!(secret.collect().await.unwrap().to_bytes(), "a model");
        drop(ask("shop.example.com", "/v1/files").await);
        let missing = ask("shop.example.com", "/nowhere").await;
        assert_eq!(missing.collect().await.unwrap().to_bytes(), "a model");
        let broken = service_fn(async |_: Request<()>| {
            Err::<Answer, _>(std::io::Error::new(ErrorKind::ConnectionRefused, "no listener"))
        });
        let broken = ClientLayer::new().layer(broken);
        let request = Request::get("http://gone.example.com/").body(()).unwrap();
        assert!(broken.oneshot(request).await.is_err());
    };
    runtime.block_on(work.instrument(order));
}

async fn ask<S>(service: &RequestMetrics<S>, path: &str)
where
    S: Service<Request<()>, Response = Answer, Error = Infallible> + Clone,
{
    let Ok(response) = service.clone().oneshot(routed(path)).await;
    assert!(response.status().is_success() || path.starts_with("/wp-"));
}
