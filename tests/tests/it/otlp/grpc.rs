//! OTLP over gRPC against a tonic server, as collectors in Rust are: the effect of its responses.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use spanscope_otlp::{Compression, OtlpLayerBuilder, Protocol, Signal, SignalStats};
use spanscope_tests::{PATIENCE, burst};
use tonic::codec::CompressionEncoding;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{alone, to};

type Behaviour = dyn Fn(usize) -> Result<ExportTraceServiceResponse, Status> + Send + Sync;

#[derive(Clone)]
struct Traces {
    behaviour: Arc<Behaviour>,
    came: Arc<AtomicUsize>,
    taken: Arc<Mutex<usize>>,
    headers: Arc<Mutex<Vec<String>>>,
}

#[tonic::async_trait]
impl TraceService for Traces {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let before = self.came.fetch_add(1, Ordering::SeqCst);
        let header = request
            .metadata()
            .get("x-tenant")
            .and_then(|value| value.to_str().ok());
        self.headers.lock().unwrap().extend(header.map(ToOwned::to_owned));
        let answer = (self.behaviour)(before)?;
        let resources = request.into_inner().resource_spans;
        let scopes = resources.iter().flat_map(|resource| &resource.scope_spans);
        *self.taken.lock().unwrap() += scopes.map(|scope| scope.spans.len()).sum::<usize>();
        Ok(Response::new(answer))
    }
}

/// A server that ends with the test.
struct Collector {
    traces: Traces,
    url: String,
    _runtime: tokio::runtime::Runtime,
}

impl Collector {
    fn start(
        identity: Option<Identity>,
        behaviour: impl Fn(usize) -> Result<ExportTraceServiceResponse, Status> + Send + Sync + 'static,
    ) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let traces = Traces {
            behaviour: Arc::new(behaviour),
            came: Arc::default(),
            taken: Arc::default(),
            headers: Arc::default(),
        };
        let scheme = if identity.is_some() { "https" } else { "http" };
        let _entered = runtime.enter();
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("{scheme}://{}", incoming.local_addr().unwrap());
        let mut server = Server::builder();
        if let Some(identity) = identity {
            server = server
                .tls_config(ServerTlsConfig::new().identity(identity))
                .unwrap();
        }
        let service = TraceServiceServer::new(traces.clone()).accept_compressed(CompressionEncoding::Gzip);
        drop(runtime.spawn(server.add_service(service).serve_with_incoming(incoming)));
        drop(_entered);
        Self {
            traces,
            url,
            _runtime: runtime,
        }
    }

    fn settings(&self) -> OtlpLayerBuilder {
        to(&self.url)
            .send(Signal::Metrics, false)
            .send(Signal::Logs, false)
            .protocol(Protocol::Grpc)
            .export_timeout(Duration::from_secs(20))
    }
}

fn taken() -> Result<ExportTraceServiceResponse, Status> {
    Ok(ExportTraceServiceResponse::default())
}

/// Sends ten spans.
fn send(settings: OtlpLayerBuilder) -> SignalStats {
    let (dispatch, guard) = alone(settings);
    tracing::dispatcher::with_default(&dispatch, || burst(1));
    guard.flush(PATIENCE).unwrap();
    guard.stats().spans
}

#[test]
fn retryable_status_codes_are_retried_and_others_are_not() {
    for code in [
        Code::Cancelled,
        Code::DeadlineExceeded,
        Code::Aborted,
        Code::OutOfRange,
        Code::Unavailable,
        Code::DataLoss,
    ] {
        let collector = Collector::start(None, move |before| match before {
            0 => Err(Status::new(code, "later")),
            _ => taken(),
        });
        let stats = send(collector.settings());
        assert_eq!(
            (stats.exported, stats.lost.total(), stats.retries),
            (10, 0, 1),
            "{code:?}"
        );
    }
    for code in [
        Code::InvalidArgument,
        Code::Unauthenticated,
        Code::PermissionDenied,
        Code::Unimplemented,
        Code::Internal,
        Code::Unknown,
        Code::ResourceExhausted, // without a time to come again
    ] {
        let collector = Collector::start(None, move |_| Err(Status::new(code, "no")));
        let stats = send(collector.settings());
        assert_eq!((stats.lost.export_failed, stats.retries), (10, 0), "{code:?}");
    }
}

#[test]
fn the_requested_retry_delay_is_respected() {
    let times: Arc<Mutex<Vec<std::time::Instant>>> = Arc::default();
    let seen = Arc::clone(&times);
    let collector = Collector::start(None, move |before| {
        seen.lock().unwrap().push(std::time::Instant::now());
        if before > 0 {
            return taken();
        }
        let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(1)));
        Err(Status::with_error_details(
            Code::ResourceExhausted,
            "full",
            details,
        ))
    });
    assert_eq!(send(collector.settings()).exported, 10);
    let times = times.lock().unwrap();
    assert!(times[1] - times[0] >= Duration::from_secs(1));
}

#[test]
fn rejected_records_of_a_request_are_counted() {
    let collector = Collector::start(None, |_| {
        Ok(ExportTraceServiceResponse {
            partial_success: Some(ExportTracePartialSuccess {
                rejected_spans: 3,
                error_message: "too old".to_owned(),
            }),
        })
    });
    let stats = send(collector.settings());
    assert_eq!((stats.exported, stats.lost.rejected, stats.retries), (7, 3, 0));
}

#[test]
fn gzip_and_headers_are_on_the_wire() {
    let collector = Collector::start(None, |_| taken());
    let settings = collector
        .settings()
        .compression(Compression::Gzip)
        .header("x-tenant", "acme");
    assert_eq!(send(settings).exported, 10);
    assert_eq!(*collector.traces.taken.lock().unwrap(), 10);
    assert_eq!(*collector.traces.headers.lock().unwrap(), ["acme"]);
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused() {
    let signed = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let identity = Identity::from_pem(signed.cert.pem(), signed.signing_key.serialize_pem());
    let collector = Collector::start(Some(identity), |_| taken());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, signed.cert.pem()).unwrap();
    let once = || collector.settings().export_timeout(Duration::from_millis(100));
    assert_eq!(send(once()).lost.export_failed, 10);
    assert_eq!(send(once().certificate(&file)).exported, 10);
}

#[test]
fn it_works_within_runtimes_of_the_program() {
    let collector = Collector::start(None, |_| taken());
    for runtime in [
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap(),
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap(),
    ] {
        runtime.block_on(async {
            let (dispatch, guard) = alone(collector.settings());
            tracing::dispatcher::with_default(&dispatch, || burst(1));
            guard.flush(PATIENCE).unwrap();
            assert_eq!(guard.stats().spans.exported, 10);
            tracing::dispatcher::with_default(&dispatch, || burst(1));
            // The last owner of everything, after its threads have ended. That is not visible
            // outside the bridge, and either order has to work: the pause makes the order that once
            // failed the likely one.
            guard.shutdown().unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
            drop(guard);
        });
    }
    assert_eq!(*collector.traces.taken.lock().unwrap(), 40);
}
