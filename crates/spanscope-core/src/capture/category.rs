//! The interface for looking up a callsite's category. The rules and their defaults belong to the
//! filter; this module has only what capture needs.

use std::fmt;

use tracing_core::Metadata;

/// The category of a callsite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallsiteCategory<'a> {
    /// The category, as shown and stored.
    pub category: &'a str,
    /// Whether the callsite belongs to the application's own crates.
    pub is_app: bool,
}

/// Looks up categories by the source location of a record.
pub trait CategoryLookup: fmt::Debug + Send + Sync {
    /// Returns the category of a target, in this module and source file if they are known.
    fn category_of_place<'a>(
        &'a self,
        target: &'a str,
        module: Option<&'a str>,
        file: Option<&str>,
    ) -> CallsiteCategory<'a>;

    /// Returns the category of a span's or an event's callsite.
    fn category_of<'a>(&'a self, metadata: &'a Metadata<'_>) -> CallsiteCategory<'a> {
        self.category_of_place(metadata.target(), metadata.module_path(), metadata.file())
    }
}
