//! [`Ports`]: the response to a client that uses the protocol of the other port.
//!
//! Each port speaks one protocol, so a client on the wrong one gets the right one's address, in its
//! own protocol. The port of HTTP serves nothing else over HTTP/2, and so needs no limits for long
//! responses over it.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse as _;

use super::{is_call, translated};
use crate::answer::ApiError;
use crate::connection::Served;

/// The routers of each port.
#[derive(Debug)]
pub(crate) struct Ports {
    pub(crate) http: Served,
    pub(crate) grpc: Served,
}

impl Ports {
    /// Creates the routers of both ports from `routes`. `grpc` is the address of gRPC, if the
    /// server listens for it.
    pub(crate) fn new(routes: Router, http: SocketAddr, grpc: Option<SocketAddr>) -> Self {
        let no_call_here = move || match grpc {
            Some(grpc) => grpc_is_elsewhere(format!(
                "port {} accepts OTLP over HTTP; gRPC is at {grpc}",
                http.port()
            )),
            None => grpc_is_elsewhere(format!(
                "port {} accepts OTLP over HTTP, and this server does not accept gRPC on another one",
                http.port()
            )),
        };
        let http_alone = from_fn(move |request: Request, next: Next| async move {
            match is_call(&request) {
                true => no_call_here().into_response(),
                false => next.run(request).await,
            }
        });
        let grpc_alone = from_fn(move |request: Request, next: Next| async move {
            match is_call(&request) {
                true => next.run(request).await,
                false => http_is_at(http).into_response(),
            }
        });
        let other_version = || {
            ApiError::new(
                StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                "http_version_not_supported",
                "this port speaks HTTP/1.1",
                "send the request over HTTP/1.1",
            )
        };
        Self {
            http: Served {
                http_1: translated(routes.clone().layer(http_alone.clone())),
                http_2: translated(
                    Router::new()
                        .fallback(async move || other_version())
                        .layer(http_alone),
                ),
            },
            grpc: Served {
                http_1: Router::new().fallback(async move || http_is_at(http)),
                http_2: translated(routes.layer(grpc_alone)),
            },
        }
    }
}

fn grpc_is_elsewhere(message: String) -> ApiError {
    ApiError::new(
        StatusCode::NOT_IMPLEMENTED,
        "wrong_port",
        message,
        "set OTEL_EXPORTER_OTLP_ENDPOINT to the port of gRPC (4317 unless --grpc-listen sets another), or \
         OTEL_EXPORTER_OTLP_PROTOCOL to http/protobuf",
    )
}

fn http_is_at(http: SocketAddr) -> ApiError {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "wrong_port",
        format!("this port accepts OTLP over gRPC; HTTP is at {http}"),
        "set OTEL_EXPORTER_OTLP_ENDPOINT to the port of HTTP (4318 unless --listen sets another), or \
         OTEL_EXPORTER_OTLP_PROTOCOL to grpc",
    )
}
