//! Results for people: tables, trees, times, durations, and texts that are safe for the terminal.

pub(crate) mod analysis;
pub(crate) mod bar;
pub(crate) mod colour;
pub(crate) mod duration;
#[cfg(test)]
pub(crate) mod fixtures;
pub(crate) mod forest;
pub(crate) mod json;
pub(crate) mod line;
pub(crate) mod pairs;
pub(crate) mod sparkline;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod time;
pub(crate) mod timeline;
pub(crate) mod tree;
