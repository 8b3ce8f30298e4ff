//! Published crates that write GenAI spans by themselves, run against the demo's server: what they write, the token
//! layer must count once and under the right names, and an agent's run must be told from. Nothing here may help it, neither fields nor
//! spans of our own.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod by_genai;
mod by_rig;
mod runs_of_rig;
mod support;
