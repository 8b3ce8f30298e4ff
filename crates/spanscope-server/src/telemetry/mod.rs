//! Llama Stack's telemetry API: queries of stored records over HTTP.

mod request_bodies;
mod router;

#[cfg(feature = "schema")]
pub(crate) use router::api;
pub use router::{telemetry_router, telemetry_router_with};
