//! The telemetry API of the described system (seed 1): what is stored, asked for over HTTP.

mod questions;
mod router;

pub(crate) use router::api;
pub use router::{telemetry_router, telemetry_router_with};
