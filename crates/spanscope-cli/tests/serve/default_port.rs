//! `spanscope serve` without a flag, and programs without an endpoint: they find each other.

use std::net::TcpListener;

use spanscope_tests::skip;

use super::bridged::{assert_same_run, demo};
use super::otel_sdks::expected;
use super::stored::Records;
use super::support::{Client, Folder, Serve, finished, spanscope};

/// Where every OpenTelemetry SDK sends to.
const DEFAULT: &str = "127.0.0.1:4318";

/// The only test that uses the default port, so that tests do not disturb each other.
#[test]
fn programs_and_servers_without_settings_find_each_other() {
    if let Err(error) = TcpListener::bind(DEFAULT) {
        return skip(&format!("{DEFAULT} is not free here: {error}"));
    }
    let folder = Folder::new();
    let mut serve = spanscope(&["serve"]);
    serve.env("SQLITE_STORE_DIR", folder.path());
    let server = Serve::start(serve);
    assert_eq!(server.address().to_string(), DEFAULT);
    super::grpc::at_default_port(&folder, &server);
    let store = folder.store();

    let own = Folder::new();
    finished(demo(&own));
    assert_same_run(&store, &own.store());

    for (client, protocol) in [(Client::Python, "http/protobuf"), (Client::Node, "http/json")] {
        if let Some(sent) = client.run(&["default", protocol, "cumulative"]) {
            let expected = expected(&sent);
            Records::stored(&store, &expected.service).assert_same(&expected);
        }
    }
    server.stop();
}
