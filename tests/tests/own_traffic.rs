//! A separate binary, because the dispatcher is global: only then what hyper, h2, tonic and ureq
//! log on the exporters' threads could reach a layer at all.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use spanscope_otlp::{OtlpLayer, Protocol};
use spanscope_tests::receiver::Receiver;
use tracing::{info, info_span};
use tracing_subscriber::layer::SubscriberExt as _;

#[test]
fn the_exporters_own_traffic_makes_no_spans() {
    tracing_log::LogTracer::init().unwrap(); // ureq speaks through `log`
    let receiver = Receiver::start();
    let bridge = |protocol| {
        let settings = OtlpLayer::builder().endpoint(receiver.url()).protocol(protocol);
        let settings = settings.timeout(Duration::from_millis(300));
        settings.export_timeout(Duration::from_millis(500))
    };
    let (http, http_guard) = bridge(Protocol::HttpProtobuf).build().unwrap();
    // Without a gRPC response the exporter only logs more.
    let (grpc, grpc_guard) = bridge(Protocol::Grpc).build().unwrap();
    // Every level is enabled.
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(http).with(grpc)).unwrap();
    info_span!("mine").in_scope(|| info!("mine too"));
    for guard in [&http_guard, &grpc_guard] {
        let _ = guard.flush(Duration::from_secs(20));
        let stats = guard.stats();
        assert_eq!((stats.spans.offered, stats.logs.offered), (1, 1), "{stats:?}");
    }
    assert_eq!(receiver.spans().len(), 1);
    // The same from any other thread is recorded.
    tracing::trace!(target: "h2", "said elsewhere");
    assert_eq!(grpc_guard.stats().logs.offered, 2);
}
