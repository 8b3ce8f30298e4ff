//! The file: how it is opened, what its tables are, the rows that every writer shares, and what
//! keeps it within its bounds.
//!
//! Nothing here knows where records come from (`ingest`) or what is asked about them (`store`).

pub(crate) mod bounds;
pub(crate) mod bulk;
pub(crate) mod callsites;
mod checkpoint;
mod clock;
mod failure;
pub(crate) mod identity;
pub(crate) mod marks;
mod oldest;
pub(crate) mod open;
pub(crate) mod open_file;
pub(crate) mod processes;
mod report;
pub(crate) mod retention;
pub(crate) mod rows;
pub(crate) mod runs;
pub(crate) mod schema;
pub(crate) mod series;
mod shares;
pub(crate) mod text;
pub(crate) mod traces;
pub(crate) mod trouble;
pub(crate) mod unwritable;
pub(crate) mod writer;

pub(crate) use self::failure::Failure;
