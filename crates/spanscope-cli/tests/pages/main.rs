//! The web pages in a real browser: Chromium without a window, driven through ChromeDriver, on the
//! real command with real stores.
//!
//! Both are packages of Debian (`chromium`, `chromium-driver`), which `.ci/run` installs; axe-core,
//! which checks accessibility, is an npm package: `SPANSCOPE_AXE` is the path of its `axe.min.js`.
//! Without one of them a test is skipped with a message, and fails if `SPANSCOPE_NO_SKIP` is set.
//!
//! No test asserts a time: the benchmark measures times. The tests check counts, bytes and the
//! contents of pages.
#![cfg(unix)] // signals, and programs with a time limit
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod address;
mod browser;
mod clean;
mod details;
mod hostile;
mod hostile_cases;
mod keys;
mod large;
mod leaving;
mod lists;
mod live;
mod made;
mod narrow;
#[cfg(feature = "clickhouse")]
mod read_only;
#[path = "../serve/support.rs"]
#[expect(dead_code, reason = "only the tests of the server use all of it")]
mod support;
mod tenants;
mod weight;
