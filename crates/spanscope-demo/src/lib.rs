//! The agent that `spanscope demo` and the example agent server run.
//!
//! It searches a few passages of text, calls a model over HTTP (first whole, then streamed), and
//! calls two tools at the same time, one of which fails because its server is down. The model is
//! any that an OpenAI-compatible server offers; [`ModelServer`] is a tiny one on the loopback
//! interface, which needs no network, no download and no key.
//!
//! Everything is instrumented as users would do it: with the helper for model calls, and with
//! `tracing`'s own macros and OpenTelemetry's field names. The only exceptions are the two calls of
//! `spanscope_core::propagation`, because plain `tracing` has no trace ids. The caller provides the
//! span around a run and the subscriber: nothing here prints, reads the environment, or chooses
//! where spans are sent.
//!
//! ```
//! use spanscope_demo::{ChatClient, Librarian, ModelServer};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = ModelServer::start().await?;
//! let client = ChatClient::new(&server.base_url(), ModelServer::MODEL)?;
//! let answer = Librarian::new(client)?.answer("When does a checkpoint start?").await?;
//! assert!(answer.starts_with("A checkpoint starts by itself"), "{answer}");
//! server.stop().await;
//! # Ok(())
//! # }
//! ```

mod calculator;
mod chat_client;
mod endpoint;
mod error;
mod http;
mod librarian;
mod model;
mod model_server;
mod pieces;
mod retrieval;
mod sse;
mod tokens;
mod tools;
mod wire;

pub use chat_client::{ChatClient, DEFAULT_PROVIDER, DEFAULT_TIMEOUT, MAX_ANSWER};
pub use error::Error;
pub use librarian::{Librarian, MAX_CALLS, MAX_TURNS};
pub use model_server::{DELAY_PER_TOKEN, ModelServer};
pub use pieces::Pieces;
