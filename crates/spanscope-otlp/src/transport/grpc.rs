//! OTLP over gRPC.
//!
//! The bytes are the same as for OTLP over HTTP: a codec passes them to tonic unchanged. The
//! runtime that tonic needs runs on the exporting thread and only during a request, so that there
//! is no separate thread to suppress.

use std::error::Error as _;
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes};
use opentelemetry_http::Request;
use tokio::runtime::Runtime;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint as ChannelEndpoint, Identity};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::attempt::Attempt;
use super::http_client::TlsFiles;
use super::response::one_line;
use crate::error::OtlpError;
use crate::settings::{Compression, Endpoint, Signal};

/// A connection to the collector, opened by the first request and again after it was lost.
#[derive(Debug)]
pub(super) struct GrpcWire {
    runtime: Background,
    channel: Channel,
    timeout: Duration,
    compression: Compression,
    path: http::uri::PathAndQuery,
}

/// A runtime that may be dropped inside another runtime, as a guard in an async `main` is.
#[derive(Debug)]
struct Background(Option<Runtime>);

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl GrpcWire {
    pub(super) fn new(
        endpoint: &Endpoint,
        timeout: Duration,
        files: TlsFiles,
        compression: Compression,
        signal: Signal,
    ) -> Result<Self, OtlpError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(OtlpError::thread)?;
        let runtime = Background(Some(runtime));
        let mut target = ChannelEndpoint::from(endpoint.uri.clone())
            .connect_timeout(timeout)
            .timeout(timeout)
            .user_agent(concat!("spanscope-otlp/", env!("CARGO_PKG_VERSION")))
            .map_err(OtlpError::exporter)?;
        if endpoint.uri.scheme_str() == Some("https") {
            let mut tls = ClientTlsConfig::new();
            tls = match files.authorities {
                Some(authorities) => tls.ca_certificate(Certificate::from_pem(authorities)),
                None => tls.with_native_roots(),
            };
            if let Some((certificate, key)) = files.identity {
                tls = tls.identity(Identity::from_pem(certificate, key));
            }
            target = target.tls_config(tls).map_err(OtlpError::exporter)?;
        }
        let channel = {
            let _entered = runtime.0.as_ref().map(Runtime::enter);
            target.connect_lazy()
        };
        Ok(Self {
            runtime,
            channel,
            timeout,
            compression,
            path: http::uri::PathAndQuery::from_static(match signal {
                Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
                Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
                Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            }),
        })
    }

    pub(super) fn send(&self, request: &Request<Bytes>, left: Option<Duration>) -> Attempt {
        let mut headers = request.headers().clone();
        headers.remove(http::header::CONTENT_TYPE);
        let metadata = MetadataMap::from_headers(headers);
        let message = tonic::Request::from_parts(metadata, tonic::Extensions::new(), request.body().clone());
        let call = async {
            let mut client =
                tonic::client::Grpc::new(self.channel.clone()).accept_compressed(CompressionEncoding::Gzip);
            if self.compression == Compression::Gzip {
                client = client.send_compressed(CompressionEncoding::Gzip);
            }
            client
                .ready()
                .await
                .map_err(|error| Status::from_error(Box::new(error)))?;
            client.unary(message, self.path.clone(), Bare).await
        };
        // The channel's own timeout does not cover connecting.
        let timeout = left.map_or(self.timeout, |left| left.min(self.timeout));
        let bounded = async { tokio::time::timeout(timeout, call).await };
        let Some(runtime) = &self.runtime.0 else {
            let reason = "its runtime has ended".to_owned();
            return Attempt::Refused { reason };
        };
        match runtime.block_on(bounded) {
            Ok(Ok(response)) => Attempt::Accepted {
                body: response.into_inner().to_vec(),
                is_json: false,
            },
            Ok(Err(status)) => failed(&status),
            Err(_) => Attempt::Later {
                reason: "no response in time".to_owned(),
                after: None,
                has_answered: false,
            },
        }
    }
}

/// Returns the outcome of a failed call, by the codes in OTLP's specification.
fn failed(status: &Status) -> Attempt {
    let has_answered = status.source().is_none();
    let message = one_line(status.message());
    let reason = match root_of(status) {
        Some(cause) if !has_answered => one_line(&cause),
        _ => format!(
            "it responds {:?}{}{message}",
            status.code(),
            if message.is_empty() { "" } else { ": " }
        ),
    };
    let after = status.get_details_retry_info().and_then(|info| info.retry_delay);
    match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Attempt::Later {
            reason,
            after,
            has_answered,
        },
        // With a retry time it means "later"; without one, that the message is too large.
        Code::ResourceExhausted if after.is_some() => Attempt::Later {
            reason,
            after,
            has_answered,
        },
        Code::Unknown if !has_answered => Attempt::Later {
            reason,
            after,
            has_answered,
        },
        _ => Attempt::Refused { reason },
    }
}

/// Returns the innermost cause of a transport's error: the others only refer to it.
fn root_of(status: &Status) -> Option<String> {
    let mut cause = status.source()?;
    while let Some(below) = cause.source() {
        cause = below;
    }
    Some(cause.to_string())
}

/// A codec that passes bytes unchanged.
#[derive(Debug, Clone, Copy, Default)]
struct Bare;

impl Codec for Bare {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bare {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(message);
        Ok(())
    }
}

impl Decoder for Bare {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
