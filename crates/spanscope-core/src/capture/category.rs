//! The question which category a callsite belongs to. The rules, and their defaults, are the
//! filter's: here stands only what capture asks.

use std::fmt;

use tracing_core::Metadata;

/// What a callsite belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallsiteCategory<'a> {
    /// The category, as it is shown and stored.
    pub category: &'a str,
    /// Whether the callsite is in the application's own crates.
    pub is_app: bool,
}

/// Tells categories by the place in the code that a record comes from.
pub trait CategoryLookup: fmt::Debug + Send + Sync {
    /// The category of a target, in this module and source file where they are known.
    fn category_of_place<'a>(
        &'a self,
        target: &'a str,
        module: Option<&'a str>,
        file: Option<&str>,
    ) -> CallsiteCategory<'a>;

    /// The category of a span's or an event's callsite.
    fn category_of<'a>(&'a self, metadata: &'a Metadata<'_>) -> CallsiteCategory<'a> {
        self.category_of_place(metadata.target(), metadata.module_path(), metadata.file())
    }
}
