//! The web pages in a real browser: Chromium without a window, driven through ChromeDriver, on the
//! real command with real stores.
//!
//! Both are packages of Debian (`chromium`, `chromium-driver`), which `.ci/run` installs; axe-core,
//! which judges accessibility, comes from npm by `SPANSCOPE_AXE`, a path of `axe.min.js`. A test
//! for which one of them is missing says so and does nothing, unless `SPANSCOPE_NO_SKIP` is set.
//!
//! No test asserts a time. What takes too long is a row of the benchmark; here are counts, bytes
//! and what is on the page.
#![cfg(unix)] // signals, and programs that are given up after a time
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod address;
mod browser;
mod clean;
mod hostile;
mod hostile_cases;
mod keys;
mod large;
mod leaving;
mod lists;
mod live;
mod made;
mod narrow;
#[path = "../serve/support.rs"]
#[expect(dead_code, reason = "what the tests of the server use of it is more")]
mod support;
mod tenants;
mod weight;
