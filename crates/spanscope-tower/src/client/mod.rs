//! The client's half: a span and measurements for each request that a program sends, and
//! propagation of the trace.

#[cfg(feature = "async-openai")]
mod async_openai;
mod exchange;
mod failure;
mod hosts;
mod layer;
mod measure;
#[cfg(feature = "model-calls")]
mod model_calls;
mod request;
#[cfg(feature = "reqwest")]
mod reqwest;
#[cfg(feature = "reqwest-middleware")]
mod reqwest_middleware;
mod service;
mod shared;
mod span;

pub(crate) use exchange::Seen;
pub use hosts::DEFAULT_MAX_HOSTS;
pub use layer::{ClientLayer, ClientLayerBuilder};
#[cfg(feature = "model-calls")]
pub use model_calls::{ContentVariableError, ModelCalls};
pub use request::{ClientRequest, ResendCount, UrlTemplate};
#[cfg(feature = "reqwest")]
pub use reqwest::{ReqwestFuture, SendTraced};
pub use service::{ClientBody, ClientFuture, ClientService};
