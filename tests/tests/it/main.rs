//! Behaviour across crates, from outside: real files, real processes, real threads.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounting;
mod arrows;
#[cfg(unix)]
mod book;
mod capture;
#[cfg(unix)]
mod chain;
#[cfg(unix)]
mod console;
mod contract;
mod drills;
#[cfg(unix)]
mod ends;
mod faults;
mod fields;
mod file_drills;
mod genai;
mod helpers;
mod init_metrics;
mod language;
mod metrics;
mod one_writer;
mod otlp;
mod processes;
mod repository;
mod resource;
mod secrets;
mod sources;
mod tail;
#[cfg(unix)]
mod values;
