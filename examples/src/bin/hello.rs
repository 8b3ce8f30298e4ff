//! The first program of the README: a span, an event, and the console and the store that
//! `spanscope::init()` sets up.
//!
//! ```text
//! cargo run -p spanscope-examples --bin hello
//! ```
//!
//! You see the span and the event on stderr, and nothing on stdout. Then `cargo run -- usage` shows
//! the tokens of the call.

fn main() {
    let _guard = spanscope::init(); // reads the environment; the guard flushes on drop
    let call = tracing::info_span!("chat", model = "tiny", input_tokens = 12, output_tokens = 5);
    call.in_scope(|| tracing::info!(city = "Oslo", "answered"));
}
