//! The file: opening it, its tables, the rows that every writer shares, and its bounds.
//!
//! Nothing here knows the origin of records (`ingest`) or the queries (`store`).

pub(crate) mod bounds;
pub(crate) mod bulk;
pub(crate) mod callsites;
mod checkpoint;
mod clock;
mod failure;
pub(crate) mod identity;
mod integrity;
mod log_limits;
pub(crate) mod marks;
mod oldest;
pub(crate) mod open;
pub(crate) mod open_file;
pub(crate) mod processes;
mod programs;
mod relocate;
mod report;
pub(crate) mod retention;
pub(crate) mod rows;
pub(crate) mod runs;
pub(crate) mod schema;
pub(crate) mod series;
mod shares;
pub(crate) mod text;
pub(crate) mod traces;
pub(crate) mod unwritable;
pub(crate) mod write_error;
pub(crate) mod writer;

pub(crate) use self::failure::Failure;
