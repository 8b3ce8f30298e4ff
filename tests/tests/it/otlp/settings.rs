//! Settings that change the requests (headers, protocol, TLS), and invalid settings.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use spanscope_otlp::{Compression, OtlpError, OtlpLayer, OtlpLayerBuilder, Protocol, Signal};
use spanscope_tests::receiver::Receiver;
use spanscope_tests::{PATIENCE, burst};
use tracing_subscriber::Registry;

use super::{alone, to};

fn traces_only(url: &str) -> OtlpLayerBuilder {
    to(url).send(Signal::Metrics, false).send(Signal::Logs, false)
}

fn send_through(settings: OtlpLayerBuilder) -> (u64, u64) {
    let (dispatch, guard) = alone(
        settings
            .timeout(Duration::from_secs(5))
            .export_timeout(Duration::from_millis(200)),
    );
    tracing::dispatcher::with_default(&dispatch, || burst(1));
    let _ = guard.flush(PATIENCE);
    let stats = guard.stats().spans;
    (stats.exported, stats.lost.total())
}

#[test]
fn protocol_compression_and_headers_are_on_the_wire() {
    for (protocol, compression, kind) in [
        (
            Protocol::HttpProtobuf,
            Compression::None,
            "application/x-protobuf",
        ),
        (
            Protocol::HttpProtobuf,
            Compression::Gzip,
            "application/x-protobuf",
        ),
        (Protocol::HttpJson, Compression::Gzip, "application/json"),
    ] {
        let receiver = Receiver::start();
        let settings = traces_only(&receiver.url())
            .protocol(protocol)
            .compression(compression)
            .header("authorization", "Bearer hunter2");
        assert_eq!(send_through(settings), (10, 0));
        let request = receiver.requests().remove(0);
        assert_eq!(request.path, "/v1/traces");
        assert_eq!(request.headers["content-type"], kind);
        assert_eq!(request.headers["authorization"], "Bearer hunter2");
        let encoding = request.headers.get("content-encoding").map(String::as_str);
        assert_eq!(encoding, (compression == Compression::Gzip).then_some("gzip"));
        assert!(request.headers["user-agent"].starts_with("spanscope-otlp/"));
    }
}

#[test]
fn variables_of_the_process_apply_only_if_they_are_read() {
    let receiver = Receiver::start();
    let url = receiver.url();
    let get = move |name: &str| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("http://unused.invalid".to_owned()),
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" => Some(format!("{url}/own/path")),
        "OTEL_EXPORTER_OTLP_HEADERS" => Some("x-tenant=acme".to_owned()),
        "OTEL_RESOURCE_ATTRIBUTES" => Some("deployment.environment.name=test".to_owned()),
        _ => None,
    };
    let settings = OtlpLayer::builder()
        .send(Signal::Metrics, false)
        .send(Signal::Logs, false);
    let (settings, problems) = settings.env_from(&get);
    assert!(problems.is_empty());
    assert_eq!(send_through(settings), (10, 0));
    let request = receiver.requests().remove(0);
    assert_eq!(
        (request.path.as_str(), request.headers["x-tenant"].as_str()),
        ("/own/path", "acme")
    );
}

fn wrong(settings: OtlpLayerBuilder) -> OtlpError {
    settings.build::<Registry>().err().unwrap()
}

#[test]
fn invalid_settings_are_refused_at_the_start() {
    for url in ["localhost:4318", "ftp://host", "http://host:99999", "no url"] {
        let error = wrong(traces_only(url));
        let setting = error.bad_setting().unwrap();
        assert_eq!(setting.place, "endpoint");
        assert!(error.to_string().contains("http://localhost:4318"), "{error}");
    }
    let error = wrong(traces_only("http://host").header("bad name", "hunter2"));
    assert!(!error.to_string().contains("hunter2"), "{error}");
    let error = wrong(traces_only("http://host").header("authorization", "hunter2\n"));
    assert!(
        !error.to_string().contains("hunter2") && error.to_string().contains("authorization"),
        "{error}"
    );
}

/// A private certificate authority, the files that it issued, and the server's certificate.
struct Pki {
    folder: tempfile::TempDir,
    roots: RootCertStore,
    server: (CertificateDer<'static>, PrivateKeyDer<'static>),
}

impl Pki {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let signed = |names: &[&str]| {
            let key = KeyPair::generate().unwrap();
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let params = CertificateParams::new(names).unwrap();
            (params.signed_by(&key, &authority).unwrap(), key)
        };
        let (server, server_key) = signed(&["127.0.0.1", "localhost"]);
        let (client, client_key) = signed(&["client"]);
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
        write("ca.pem", authority.pem());
        write("client.pem", client.pem());
        write("client.key", client_key.serialize_pem());
        write("empty.pem", "nothing here".to_owned());
        let server_key = PrivateKeyDer::try_from(server_key.serialize_der()).unwrap();
        Self {
            folder,
            roots,
            server: (server.der().clone(), server_key),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn receiver(&self, requires_client_certificate: bool) -> Receiver {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if requires_client_certificate {
            let roots = Arc::new(self.roots.clone());
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                .build()
                .unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let (certificate, key) = (self.server.0.clone(), self.server.1.clone_key());
        Receiver::tls(Arc::new(
            builder.with_single_cert(vec![certificate], key).unwrap(),
        ))
    }
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused() {
    let (pki, stranger) = (Pki::new(), Pki::new());
    let receiver = pki.receiver(false);
    assert_eq!(
        send_through(traces_only(&receiver.url())),
        (0, 10),
        "not by the system's authorities"
    );
    let settings = traces_only(&receiver.url()).certificate(stranger.file("ca.pem"));
    assert_eq!(send_through(settings), (0, 10), "not by another one");
    assert_eq!(receiver.requests().len(), 0);
    let settings = traces_only(&receiver.url()).certificate(pki.file("ca.pem"));
    assert_eq!(send_through(settings), (10, 0));
    assert_eq!(receiver.spans().len(), 10);
}

#[test]
fn a_collector_that_requests_a_certificate_gets_it() {
    let pki = Pki::new();
    let receiver = pki.receiver(true);
    let settings = || traces_only(&receiver.url()).certificate(pki.file("ca.pem"));
    assert_eq!(send_through(settings()), (0, 10), "without one");
    let with = settings().client_certificate(pki.file("client.pem"), pki.file("client.key"));
    assert_eq!(send_through(with), (10, 0));
}

#[test]
fn unusable_files_are_named() {
    let pki = Pki::new();
    let file = |name: &str| pki.file(name).display().to_string();
    for (variables, place, why) in [
        (
            vec![("OTEL_EXPORTER_OTLP_CERTIFICATE", "missing.pem")],
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
            "read",
        ),
        (
            vec![("OTEL_EXPORTER_OTLP_CERTIFICATE", "empty.pem")],
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
            "certificate",
        ),
        (
            vec![("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "client.key")],
            "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
            "certificate",
        ),
        (
            vec![("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "client.pem")],
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_CLIENT_KEY",
        ),
        (
            vec![("OTEL_EXPORTER_OTLP_CLIENT_KEY", "client.key")],
            "OTEL_EXPORTER_OTLP_CLIENT_KEY",
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
        ),
        (
            vec![
                ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "client.pem"),
                ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "client.pem"),
            ],
            "OTEL_EXPORTER_OTLP_CLIENT_KEY",
            "private key",
        ),
    ] {
        let get = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| file(value))
        };
        for protocol in [Protocol::HttpProtobuf, Protocol::Grpc] {
            let settings = traces_only("https://127.0.0.1:1")
                .protocol(protocol)
                .env_from(&get)
                .0;
            let error = wrong(settings);
            let setting = error.bad_setting().unwrap();
            assert_eq!(setting.place, place);
            assert!(setting.accepted.contains(why), "{setting}");
        }
    }
}

#[test]
fn code_wins_over_the_environment_of_one_signal_too() {
    let receiver = Receiver::start();
    let get = |name: &str| match name {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" => Some("http://unused.invalid".to_owned()),
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS" => Some("x-from=environment".to_owned()),
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL" => Some("http/json".to_owned()),
        _ => None,
    };
    let settings = traces_only(&receiver.url())
        .header("x-from", "code")
        .protocol(Protocol::HttpProtobuf)
        .env_from(&get)
        .0;
    assert_eq!(send_through(settings), (10, 0));
    let request = receiver.requests().remove(0);
    assert_eq!(
        (request.path.as_str(), request.headers["x-from"].as_str()),
        ("/v1/traces", "code")
    );
    assert_eq!(request.headers["content-type"], "application/x-protobuf");
}

#[test]
fn a_query_stays_after_the_path() {
    let receiver = Receiver::start();
    let settings = traces_only(&format!("{}/base?key=1", receiver.url()));
    assert_eq!(send_through(settings), (10, 0));
    assert_eq!(receiver.requests()[0].path, "/base/v1/traces?key=1");
}

#[test]
fn secrets_in_urls_are_in_no_debug_output_and_no_error() {
    for url in [
        "http://user:hunter2@host:4318/x?token=hunter2",
        "http://user:hun/ter2@host:4318",
        "http://user:hun?ter2@host:4318",
        "http://user:hun#ter2@host",
    ] {
        let settings = traces_only(url);
        assert!(!format!("{settings:?}").contains("ter2"), "{url}");
        if let Some(error) = settings.build::<Registry>().err() {
            assert!(!format!("{error} {error:?}").contains("ter2"), "{error}");
        }
    }
}
