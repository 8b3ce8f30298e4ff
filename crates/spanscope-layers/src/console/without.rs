//! The part of the console that exists without the feature `console`: the names of its styles, for
//! settings files.

mod style;

pub use style::ConsoleStyle;
