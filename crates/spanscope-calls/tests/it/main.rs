//! Model calls in the formats of the providers: split at any byte, truncated, compressed and
//! broken.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod apis;
mod broken;
mod repeated_chunks;
mod support;
