//! The client's layer, seen from outside: around services, and in the clients that people use,
//! against real servers.

mod failures;
mod hyper_client;
mod long_answers;
mod model_calls;
mod openai_client;
mod reqwest_client;
mod reqwest_middleware;
mod server;
mod spans;
mod tonic_client;
mod trace;
