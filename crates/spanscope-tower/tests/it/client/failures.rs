//! Tests how errors of services of any type are reported.

use std::fmt;

use http::{Request, Response};
use http_body_util::BodyExt;
use spanscope_tower::ClientLayer;
use tower::{BoxError, Layer, ServiceExt, service_fn};

use crate::support::{NoBody, Recorder, Script, Step};

#[derive(Debug)]
struct Outer(std::io::Error);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no answer")
    }
}

impl std::error::Error for Outer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

fn outer(kind: std::io::ErrorKind) -> Outer {
    Outer(std::io::Error::new(kind, "the cause"))
}

/// Returns `error.type` and description of a request that fails with this error.
fn reported<E: fmt::Display + 'static>(layer: &ClientLayer, error: E) -> (String, String) {
    let mut error = Some(error);
    let recorder = Recorder::of(async {
        let service = layer.layer(service_fn(|_: Request<()>| {
            std::future::ready(Err::<Response<NoBody>, E>(error.take().unwrap()))
        }));
        let request = Request::get("http://api/").body(()).unwrap();
        assert!(service.oneshot(request).await.is_err());
    });
    let fields = recorder.only_span().fields;
    assert_eq!(fields["otel.status_code"], "error");
    let measured = recorder.named("http.client.request.duration");
    assert_eq!(measured[0].labels["error.type"], fields["error.type"]);
    recorder.assert_idle();
    (
        fields["error.type"].clone(),
        fields["otel.status_description"].clone(),
    )
}

#[test]
fn an_error_is_named_by_its_sources() {
    use std::io::ErrorKind::{ConnectionRefused, Other, TimedOut};
    let plain = ClientLayer::new();
    let text = |kind: &str, description: &str| (kind.to_owned(), description.to_owned());
    let refused = std::io::Error::new(ConnectionRefused, "refused");
    assert_eq!(reported(&plain, refused), text("connection_refused", "refused"));
    let boxed: BoxError = Box::new(outer(TimedOut));
    assert_eq!(reported(&plain, boxed), text("timeout", "no answer: the cause"));
    let unknown: BoxError = Box::new(outer(Other));
    assert_eq!(reported(&plain, unknown), text("_OTHER", "no answer: the cause"));
    // Of another type only its name and its text are known, unless the user names the type.
    let (kind, description) = reported(&plain, outer(ConnectionRefused));
    assert!(kind.ends_with("::Outer"), "{kind}");
    assert_eq!(description, "no answer");
    let inspecting = ClientLayer::builder().inspect_error::<Outer>().build();
    let inspected = reported(&inspecting, outer(ConnectionRefused));
    assert_eq!(inspected, text("connection_refused", "no answer: the cause"));
    let boxed: BoxError = Box::new(outer(Other));
    assert!(reported(&inspecting, boxed).0.ends_with("::Outer"));
}

#[test]
fn a_body_that_fails_is_an_error_with_its_reason() {
    let recorder = Recorder::of(async {
        let service = ClientLayer::new().layer(service_fn(async |_: Request<()>| {
            Ok::<_, std::io::Error>(Response::new(Script::of(&[Step::Data, Step::Fail])))
        }));
        let request = Request::get("http://api/").body(()).unwrap();
        let response = service.oneshot(request).await.unwrap();
        assert!(response.into_body().collect().await.is_err());
    });
    let fields = recorder.only_span().fields;
    assert_eq!(fields["error.type"], "std::io::error::Error");
    assert_eq!(fields["otel.status_description"], "a planned error");
    assert_eq!(fields["http.response.status_code"], "200");
    assert!(!fields.contains_key("spanscope.body_dropped"));
    recorder.assert_idle();
}

#[test]
fn an_error_of_a_timeout_has_its_type_and_its_text() {
    let recorder = Recorder::of(async {
        let never = service_fn(async |_: Request<()>| {
            std::future::pending::<Result<Response<NoBody>, std::io::Error>>().await
        });
        let timed = tower::timeout::Timeout::new(never, std::time::Duration::from_millis(5));
        let layer = ClientLayer::builder()
            .inspect_error::<tower::timeout::error::Elapsed>()
            .build();
        let request = Request::get("http://api/").body(()).unwrap();
        assert!(layer.layer(timed).oneshot(request).await.is_err());
    });
    let fields = recorder.only_span().fields;
    assert_eq!(fields["error.type"], "tower::timeout::error::Elapsed");
    assert_eq!(fields["otel.status_description"], "request timed out");
}
