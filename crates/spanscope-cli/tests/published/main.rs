//! Published crates that write GenAI spans, run against the demo's server: the token layer must
//! count their usage once and under the right names, and an agent's run must be recognized. The
//! tests add no fields and no spans of Spanscope.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod by_genai;
mod by_rig;
mod rig_over_our_client;
mod runs_of_rig;
mod support;
