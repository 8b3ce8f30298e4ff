//! Which level applies to which target: plain data, and the one rule that reads it.
//!
//! The text forms (`LLAMA_STACK_LOGGING`, `RUST_LOG`) are parsed in `text.rs`; the module's
//! documentation has the table of priorities.

use std::collections::HashMap;

use spanscope_model::UNCATEGORIZED;

use super::categories::{Categories, CategoryMatch};
use super::level_filter::LevelFilter;
use super::warning::UnknownCategory;

/// The level of categories for which none is set.
pub const DEFAULT_CATEGORY_LEVEL: LevelFilter = LevelFilter::Info;

/// The level of third-party targets: without a category, and outside the application.
pub const DEFAULT_ROOT_LEVEL: LevelFilter = LevelFilter::Warn;

/// The level of the web targets, at any root level.
pub const WEB_LEVEL: LevelFilter = LevelFilter::Info;

/// Levels: explicit ones per category and finer name, the root level, and target directives.
///
/// ```
/// use spanscope_layers::{Categories, Levels, LevelFilter};
/// let categories = Categories::new();
/// let mut levels = Levels::new();
/// let warnings = levels.set_pairs(&categories, "LLAMA_STACK_LOGGING", "core=debug; core::routers=warn");
/// assert!(warnings.is_empty());
///
/// let level_of = |target| levels.threshold(&categories, &categories.of_target(target), target);
/// assert_eq!(level_of("core::store"), LevelFilter::Debug);
/// assert_eq!(level_of("core::routers::chat"), LevelFilter::Warn);
/// assert_eq!(level_of("server"), LevelFilter::Info);
/// assert_eq!(level_of("sqlx::query"), LevelFilter::Warn);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Levels {
    /// By category or finer name, in lower case.
    explicit: HashMap<String, LevelFilter>,
    /// The length of the longest key of `explicit`.
    longest_path: usize,
    /// The level of `all`.
    all: Option<LevelFilter>,
    root: Option<LevelFilter>,
    /// A directive without a target: replaces the defaults.
    pub(super) bare: Option<LevelFilter>,
    /// By target prefix, longest first.
    directives: Vec<(String, LevelFilter)>,
}

impl Levels {
    /// Creates the defaults: categories at INFO, third-party targets at WARN.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the level of a category, of a finer name under one (`core::routers`), or of everything
    /// (`all`: the root and every category; earlier settings are removed).
    ///
    /// # Errors
    ///
    /// Fails if the category, or the first segment of a finer name, is not known; nothing is
    /// changed.
    pub fn set(
        &mut self,
        categories: &Categories,
        category: &str,
        threshold: LevelFilter,
    ) -> Result<(), UnknownCategory> {
        if self.try_set(categories, category, threshold) {
            Ok(())
        } else {
            Err(UnknownCategory::new(category.trim(), categories.names()))
        }
    }

    /// Sets the level of third-party targets.
    pub fn set_root(&mut self, threshold: LevelFilter) {
        self.root = Some(threshold);
    }

    /// Returns the level of a target with this category.
    #[must_use]
    pub fn threshold(
        &self,
        categories: &Categories,
        matched: &CategoryMatch<'_>,
        target: &str,
    ) -> LevelFilter {
        let explicit = self.explicit_for(matched.path);
        if let Some((prefix_len, threshold)) = self.directive_for(target) {
            // If the category is part of the target, the explicit level or the directive applies,
            // whichever matches further into the target. A category from elsewhere does not
            // override a directive.
            let category_at = target.strip_suffix(matched.path).map(str::len);
            return match (explicit, category_at) {
                (Some((path_len, own)), Some(start)) if start + path_len > prefix_len => own,
                _ => threshold,
            };
        }
        if matched.path == UNCATEGORIZED && !matched.is_app {
            return if categories.is_web(target) {
                WEB_LEVEL
            } else {
                self.root_level()
            };
        }
        explicit.map_or_else(|| self.category_default(), |(_, threshold)| threshold)
    }

    /// Creates levels that pass nothing.
    pub(super) fn all_off() -> Self {
        Self {
            all: Some(LevelFilter::Off),
            root: Some(LevelFilter::Off),
            ..Self::default()
        }
    }

    /// Like [`set`](Self::set), without the cost of an error's text.
    pub(super) fn try_set(&mut self, categories: &Categories, name: &str, threshold: LevelFilter) -> bool {
        if name.trim().eq_ignore_ascii_case("all") {
            self.explicit.clear();
            self.longest_path = 0;
            self.all = Some(threshold);
            self.root = Some(threshold);
            return true;
        }
        let Some(path) = categories.path_of(name) else {
            return false;
        };
        self.longest_path = self.longest_path.max(path.len());
        self.explicit.insert(path, threshold);
        true
    }

    /// Adds directives; one for the same target replaces the earlier one.
    pub(super) fn add_directives(&mut self, found: HashMap<&str, LevelFilter>) {
        let found = found
            .into_iter()
            .map(|(target, threshold)| (target.to_owned(), threshold));
        let mut directives: HashMap<String, LevelFilter> = self.directives.drain(..).collect();
        directives.extend(found);
        self.directives = directives.into_iter().collect();
        self.directives
            .sort_unstable_by(|(one, _), (other, _)| (other.len(), one).cmp(&(one.len(), other)));
    }

    /// Returns the directive with the longest prefix of this target, and that prefix's length. As
    /// in `EnvFilter`, a prefix need not end on a segment: `my_app` is one of `my_app_core` too.
    pub(super) fn directive_for(&self, target: &str) -> Option<(usize, LevelFilter)> {
        let mut directives = self.directives.iter();
        directives
            .find(|(prefix, _)| target.starts_with(prefix.as_str()))
            .map(|(prefix, threshold)| (prefix.len(), *threshold))
    }

    /// Returns the levels that some target or some `category` field can have.
    pub(super) fn reachable<'a>(
        &'a self,
        categories: &'a Categories,
    ) -> impl Iterator<Item = LevelFilter> + use<'a> {
        let mut webs = categories.web_target_names().iter();
        let has_web = webs.any(|target| self.directive_for(target).is_none());
        let directives = self.directives.iter().map(|(_, threshold)| *threshold);
        self.reachable_by_category(categories)
            .chain([self.root_level()])
            .chain(has_web.then_some(WEB_LEVEL))
            .chain(directives)
    }

    /// Returns the levels of all categories.
    pub(super) fn reachable_by_category<'a>(
        &'a self,
        categories: &Categories,
    ) -> impl Iterator<Item = LevelFilter> + use<'a> {
        let has_default = categories.names().any(|name| !self.explicit.contains_key(name));
        self.explicit
            .values()
            .copied()
            .chain(has_default.then(|| self.category_default()))
    }

    /// Returns the level of the longest configured name that equals this one or contains it, and
    /// that name's length.
    fn explicit_for(&self, mut path: &str) -> Option<(usize, LevelFilter)> {
        if self.explicit.is_empty() {
            return None;
        }
        loop {
            // A long target costs one pass, not a hash of each of its prefixes.
            if path.len() <= self.longest_path
                && let Some(threshold) = self.explicit.get(path)
            {
                return Some((path.len(), *threshold));
            }
            path = &path[..path.rfind("::")?];
        }
    }

    fn root_level(&self) -> LevelFilter {
        self.root.or(self.bare).unwrap_or(DEFAULT_ROOT_LEVEL)
    }

    fn category_default(&self) -> LevelFilter {
        self.all.or(self.bare).unwrap_or(DEFAULT_CATEGORY_LEVEL)
    }
}
