//! OTLP over HTTP, with a blocking client.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry_http::{Bytes, Request};
use ureq::RequestExt as _;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use super::attempt::Attempt;
use super::response::one_line;
use crate::error::OtlpError;
use crate::settings::{Endpoint, ExporterConfig, SettingError};

/// Maximum length of an OTLP response.
const MAX_ANSWER: u64 = 4 * 1024 * 1024;

/// The contents of PEM files, which are checked.
#[derive(Debug, Default)]
pub(crate) struct TlsFiles {
    pub(crate) authorities: Option<Vec<u8>>,
    /// The program's own certificate, and its key.
    pub(crate) identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl TlsFiles {
    pub(crate) fn read(config: &ExporterConfig) -> Result<Self, OtlpError> {
        let authorities = config
            .certificate
            .as_ref()
            .map(|file| pem(file, "a certificate", is_certificate));
        let certificate = config
            .client_certificate
            .as_ref()
            .map(|file| pem(file, "a certificate", is_certificate));
        let key = config
            .client_key
            .as_ref()
            .map(|file| pem(file, "a private key", is_key));
        let alone = |(place, path): &(String, std::path::PathBuf), other: &str| {
            OtlpError::setting(SettingError {
                place: place.clone(),
                input: path.display().to_string(),
                accepted: format!("it needs {other} as well"),
            })
        };
        let identity = match (certificate.transpose()?, key.transpose()?) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => {
                return Err(config
                    .client_certificate
                    .as_ref()
                    .map_or_else(OtlpError::impossible, |file| {
                        alone(file, "its key, OTEL_EXPORTER_OTLP_CLIENT_KEY,")
                    }));
            }
            (None, Some(_)) => {
                return Err(config
                    .client_key
                    .as_ref()
                    .map_or_else(OtlpError::impossible, |file| {
                        alone(file, "its certificate, OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE,")
                    }));
            }
        };
        Ok(Self {
            authorities: authorities.transpose()?,
            identity,
        })
    }
}

fn is_certificate(item: &PemItem<'_>) -> bool {
    matches!(item, PemItem::Certificate(_))
}

fn is_key(item: &PemItem<'_>) -> bool {
    matches!(item, PemItem::PrivateKey(_))
}

fn pem(
    (place, path): &(String, std::path::PathBuf),
    what: &str,
    is_wanted: fn(&PemItem<'_>) -> bool,
) -> Result<Vec<u8>, OtlpError> {
    let bad = |why: String| {
        OtlpError::setting(SettingError {
            place: place.clone(),
            input: path.display().to_string(),
            accepted: why,
        })
    };
    let bytes = std::fs::read(path).map_err(|error| bad(format!("the file can't be read: {error}")))?;
    let has_it = parse_pem(&bytes)
        .filter_map(Result::ok)
        .any(|item| is_wanted(&item));
    if has_it {
        Ok(bytes)
    } else {
        Err(bad(format!(
            "the file has no {} in PEM form (-----BEGIN ...)",
            what.trim_start_matches("a ")
        )))
    }
}

/// A connection to the collector, kept open.
#[derive(Debug)]
pub(super) struct HttpWire {
    agent: ureq::Agent,
    timeout: Duration,
}

impl HttpWire {
    pub(super) fn new(endpoint: &Endpoint, timeout: Duration, files: &TlsFiles) -> Result<Self, OtlpError> {
        let mut tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()));
        if let Some(authorities) = &files.authorities {
            let certificates: Vec<Certificate<'static>> = parse_pem(authorities)
                .filter_map(Result::ok)
                .filter_map(|item| match item {
                    PemItem::Certificate(certificate) => Some(certificate),
                    _ => None,
                })
                .collect();
            tls = tls.root_certs(RootCerts::new_with_certs(&certificates));
        }
        if let Some((certificate, key)) = &files.identity {
            let chain: Vec<Certificate<'static>> = parse_pem(certificate)
                .filter_map(Result::ok)
                .filter_map(|item| match item {
                    PemItem::Certificate(certificate) => Some(certificate),
                    _ => None,
                })
                .collect();
            let key = PrivateKey::from_pem(key).map_err(|_| OtlpError::impossible())?;
            tls = tls.client_cert(Some(ClientCert::new_with_certs(&chain, key)));
        }
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // A redirect would send telemetry and headers to a server that is not configured.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(timeout))
            .tls_config(tls.build())
            .user_agent(concat!("spanscope-otlp/", env!("CARGO_PKG_VERSION")));
        if is_loopback(endpoint) {
            config = config.proxy(None);
        }
        Ok(Self {
            agent: config.build().new_agent(),
            timeout,
        })
    }

    /// Sends one request, within its timeout and the time left before a shutdown.
    pub(super) fn send(&self, request: &Request<Bytes>, left: Option<Duration>) -> Attempt {
        let mut copy = http::Request::new(&request.body()[..]);
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.headers_mut() = request.headers().clone();
        let timeout = left.map_or(self.timeout, |left| left.min(self.timeout));
        let bounded = copy
            .with_agent(&self.agent)
            .configure()
            .timeout_global(Some(timeout))
            .run();
        match bounded {
            Ok(response) => answered(response),
            Err(error) => Attempt::Later {
                reason: reason_of(&error),
                after: None,
                has_answered: false,
            },
        }
    }
}

fn answered(mut response: http::Response<ureq::Body>) -> Attempt {
    let status = response.status();
    let text = |name: http::HeaderName| {
        let value = response.headers().get(name)?.to_str().ok()?;
        Some(value.to_owned())
    };
    let after = text(http::header::RETRY_AFTER).and_then(|value| retry_after(&value));
    let is_json = text(http::header::CONTENT_TYPE).is_some_and(|kind| kind.contains("json"));
    let body = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
    if status.is_success() {
        return match body {
            Ok(body) => Attempt::Accepted { body, is_json },
            // Accepted, but the response is incomplete: sending it again could store it twice.
            Err(_) => Attempt::Accepted {
                body: b"\xff".to_vec(),
                is_json,
            },
        };
    }
    let message = body
        .ok()
        .filter(|_| is_json)
        .map(|body| message_in(&body))
        .unwrap_or_default();
    let reason = format!(
        "it responds {status}{}{message}",
        if message.is_empty() { "" } else { ": " }
    );
    match status.as_u16() {
        429 | 502..=504 => Attempt::Later {
            reason,
            after,
            has_answered: true,
        },
        _ => Attempt::Refused { reason },
    }
}

/// Returns the message in OTLP's form of an error, which is a gRPC status. Any other body is
/// ignored: it may repeat secrets.
fn message_in(body: &[u8]) -> String {
    let answer: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let message = answer.as_ref().and_then(|answer| answer.get("message")?.as_str());
    one_line(message.unwrap_or_default())
}

/// Parses `Retry-After`: seconds, or a date.
fn retry_after(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value.trim()).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

fn is_loopback(endpoint: &Endpoint) -> bool {
    let host = endpoint.uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// Returns the reason in a form that a user can act on.
fn reason_of(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => match error.kind() {
            ErrorKind::ConnectionRefused => "connection refused, nothing listens there".to_owned(),
            ErrorKind::TimedOut => "no response in time".to_owned(),
            _ => one_line(&error.to_string()),
        },
        ureq::Error::Timeout(_) => "no response in time".to_owned(),
        ureq::Error::HostNotFound => "its host is not known".to_owned(),
        ureq::Error::Protocol(_) => "its response is not HTTP".to_owned(),
        other => one_line(&other.to_string()),
    }
}
