//! Queries of `SqliteStore` on files that are created here row by row, without the writer.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod conditions;
mod contract;
mod fixture;
mod imports;
mod intake;
mod limited;
mod lists;
mod maintenance;
mod metrics;
mod opening;
mod sql;
mod statistics;
mod support;
mod versions;
