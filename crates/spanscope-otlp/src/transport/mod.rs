//! Sends one request after another, until it is accepted, refused, or too old.
//!
//! OpenTelemetry's exporters encode; this is the HTTP client below them, for gRPC too: gRPC sends
//! the same bytes. They could retry themselves, but can't be woken for a shutdown, can't outlast a
//! collector's restart, and don't report the outcome of a batch. So they try once, and this module
//! retries.
//!
//! This module must not create spans or events. Those of its dependencies are suppressed while a
//! request is sent.

mod attempt;
#[cfg(feature = "grpc")]
mod grpc;
mod http_client;
mod response;

use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};

use spanscope_core::queue::MAX_TIMEOUT;
use spanscope_core::sync::lock;

use crate::account::{Account, Outcome};
use crate::error::OtlpError;
use crate::settings::{Compression, DEFAULT_REQUEST_TIMEOUT, Endpoint, ExporterConfig, Headers, Protocol};
use attempt::Attempt;
use http_client::HttpWire;
use response::read_answer;

/// The pause before the second attempt; each later pause is twice as long, up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Short enough to notice soon that a collector is back.
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// A shorter timeout would fail every request.
const MIN_TIMEOUT: Duration = Duration::from_millis(1);
/// Maximum pause that a collector can request with `Retry-After`.
const MAX_REQUESTED_PAUSE: Duration = Duration::from_secs(30);

/// The client that sends the bytes.
#[derive(Debug)]
enum Wire {
    Http(HttpWire),
    #[cfg(feature = "grpc")]
    Grpc(grpc::GrpcWire),
}

/// Sends the requests of one signal.
#[derive(Debug)]
pub(crate) struct Transport {
    wire: Wire,
    endpoint: Endpoint,
    headers: Headers,
    /// Whether the exporter compresses bodies with gzip, and the transport sends them so.
    is_compressed: bool,
    account: Arc<Account>,
    /// How long one batch is retried.
    give_up_after: Duration,
}

impl Transport {
    pub(crate) fn new(
        config: &ExporterConfig,
        endpoint: Endpoint,
        account: Arc<Account>,
        give_up_after: Duration,
    ) -> Result<Self, OtlpError> {
        let timeout = config
            .timeout
            .unwrap_or(DEFAULT_REQUEST_TIMEOUT)
            .clamp(MIN_TIMEOUT, MAX_TIMEOUT);
        let files = http_client::TlsFiles::read(config)?;
        let wire = match config.protocol.unwrap_or_default() {
            Protocol::HttpProtobuf | Protocol::HttpJson => {
                Wire::Http(HttpWire::new(&endpoint, timeout, &files)?)
            }
            #[cfg(feature = "grpc")]
            Protocol::Grpc => Wire::Grpc(grpc::GrpcWire::new(
                &endpoint,
                timeout,
                files,
                config.compression.unwrap_or_default(),
                account.signal,
            )?),
            #[cfg(not(feature = "grpc"))]
            Protocol::Grpc => {
                return Err(OtlpError::setting(crate::settings::SettingError {
                    place: "OTEL_EXPORTER_OTLP_PROTOCOL".to_owned(),
                    input: "grpc".to_owned(),
                    accepted: "this program is built without gRPC: build spanscope-otlp with its feature grpc (spanscope \
                               with otlp-grpc), or use http/protobuf"
                        .to_owned(),
                }));
            }
        };
        Ok(Self {
            wire,
            endpoint,
            headers: config.headers.clone().unwrap_or_default(),
            is_compressed: config.compression == Some(Compression::Gzip)
                && config.protocol != Some(Protocol::Grpc),
            account,
            give_up_after,
        })
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Sends a request until it has an outcome.
    fn send(&self, mut request: Request<Bytes>) -> Finished {
        // The crate adds headers of the environment by itself, whatever the builder sets.
        let headers = request.headers_mut();
        let own =
            [CONTENT_TYPE, CONTENT_ENCODING].map(|name| headers.remove(&name).map(|value| (name, value)));
        headers.clear();
        headers.extend(own.into_iter().flatten());
        for (name, value) in &self.headers.0 {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        if request.headers().contains_key(CONTENT_ENCODING) && !self.is_compressed {
            // The crate also reads the variable for compression by itself; gRPC compresses by
            // itself.
            request = match decompressed(request) {
                Ok(request) => request,
                Err(error) => return Finished::lost(Outcome::Refused, error.to_string()),
            };
        }
        let began = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            // After the deadline the shutdown has counted the records as lost, so they are not
            // sent.
            let left = self
                .account
                .closing()
                .deadline
                .map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Finished::lost(Outcome::Unreachable, "the program ends".to_owned());
            }
            let attempt = match &self.wire {
                Wire::Http(wire) => wire.send(&request, left),
                #[cfg(feature = "grpc")]
                Wire::Grpc(wire) => wire.send(&request, left),
            };
            let (reason, after, has_answered) = match attempt {
                Attempt::Accepted { body, is_json } => return self.accepted(&body, is_json),
                Attempt::Refused { reason } => return Finished::lost(Outcome::Refused, reason),
                Attempt::Later {
                    reason,
                    after,
                    has_answered,
                } => (reason, after, has_answered),
            };
            let wait = match after {
                Some(asked) => asked.min(MAX_REQUESTED_PAUSE).max(pause),
                // Randomized, so that many programs don't retry at once.
                None => pause.mul_f64(0.5 + fastrand::f64() / 2.0),
            };
            pause = (pause * 2).min(MAX_PAUSE);
            // At the end of the program only a collector that responded is waited for.
            let closing = self.account.closing();
            let until = match closing.deadline {
                Some(_) if !has_answered => None,
                Some(deadline) => Some(deadline),
                None => began.checked_add(self.give_up_after),
            };
            if until.is_none_or(|until| Instant::now() + wait > until) {
                return Finished::lost(Outcome::Unreachable, reason);
            }
            self.account.note_failure(&self.endpoint.shown, &reason, true);
            if closing.deadline.is_some() {
                std::thread::sleep(wait);
            } else {
                self.account.wait_unless_closing(wait);
            }
            self.account.note_retry();
        }
    }

    fn accepted(&self, body: &[u8], is_json: bool) -> Finished {
        let answer = read_answer(self.account.signal, body, is_json);
        if let Some(oddity) = answer.oddity {
            self.account.note_oddity(&self.endpoint.shown, oddity);
        }
        let rejected = answer.rejected;
        if rejected > 0 {
            let colon = if answer.message.is_empty() { "" } else { ": " };
            let reason = format!("{rejected} of them were rejected{colon}{}", answer.message);
            return Finished::lost(Outcome::Accepted { rejected }, reason);
        }
        if !answer.message.is_empty() {
            let warning = format!("warns: {}", answer.message);
            self.account.note_oddity(&self.endpoint.shown, &warning);
        }
        Finished {
            outcome: Outcome::Accepted { rejected },
            failure: None,
        }
    }
}

fn decompressed(request: Request<Bytes>) -> std::io::Result<Request<Bytes>> {
    let (mut parts, body) = request.into_parts();
    parts.headers.remove(CONTENT_ENCODING);
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut bytes)?;
    Ok(Request::from_parts(parts, bytes.into()))
}

/// The outcome of a request, and the report for after it is counted.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) outcome: Outcome,
    pub(crate) failure: Option<String>,
}

impl Finished {
    fn lost(outcome: Outcome, reason: String) -> Self {
        Self {
            outcome,
            failure: Some(reason),
        }
    }
}

/// A [`Transport`] as the HTTP client of OpenTelemetry's exporters. It stores the outcome of the
/// request.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) transport: Transport,
    pub(crate) finished: Arc<Mutex<Option<Finished>>>,
}

impl HttpClient for Client {
    fn send_bytes<'life, 'async_trait>(
        &'life self,
        request: Request<Bytes>,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'async_trait>>
    where
        'life: 'async_trait,
        Self: 'async_trait,
    {
        // Blocking: it is called on a thread that does nothing else.
        let finished = self.transport.send(request);
        let outcome = finished.outcome;
        *lock(&self.finished) = Some(finished);
        Box::pin(std::future::ready(match outcome {
            Outcome::Accepted { .. } => Ok(Response::new(Bytes::new())),
            Outcome::Refused | Outcome::Unreachable => Err("reported by the bridge".into()),
        }))
    }
}
