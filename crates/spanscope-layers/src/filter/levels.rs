//! Which level holds for what: plain data, and the one rule that reads it.
//!
//! The text forms (`LLAMA_STACK_LOGGING`, `RUST_LOG`) are read in `text.rs`; the module's documentation has the table
//! of who wins.

use std::collections::HashMap;

use spanscope_model::UNCATEGORIZED;

use super::categories::{Categories, Origin};
use super::threshold::Threshold;
use super::warning::UnknownCategory;

/// The level of every category that has none of its own.
pub const DEFAULT_CATEGORY_LEVEL: Threshold = Threshold::Info;

/// The level of third-party targets: no category, and not the application's own.
pub const DEFAULT_ROOT_LEVEL: Threshold = Threshold::Warn;

/// What the web targets stay at, whatever the root level is.
pub const WEB_LEVEL: Threshold = Threshold::Info;

/// Levels: explicit ones per category and finer name, the root level, and target directives.
///
/// ```
/// use spanscope_layers::{Categories, Levels, Threshold};
/// let categories = Categories::new();
/// let mut levels = Levels::new();
/// let warnings = levels.set_pairs(&categories, "LLAMA_STACK_LOGGING", "core=debug; core::routers=warn");
/// assert!(warnings.is_empty());
///
/// let level_of = |target| levels.threshold(&categories, &categories.of_target(target), target);
/// assert_eq!(level_of("core::store"), Threshold::Debug);
/// assert_eq!(level_of("core::routers::chat"), Threshold::Warn);
/// assert_eq!(level_of("server"), Threshold::Info);
/// assert_eq!(level_of("sqlx::query"), Threshold::Warn);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Levels {
    /// By category or finer name, in lower case.
    explicit: HashMap<String, Threshold>,
    /// No key of `explicit` is longer.
    longest_path: usize,
    /// What `all` set.
    all: Option<Threshold>,
    root: Option<Threshold>,
    /// A directive without a target: in place of the defaults.
    pub(super) bare: Option<Threshold>,
    /// By target prefix, longest first.
    directives: Vec<(String, Threshold)>,
}

impl Levels {
    /// The defaults: categories at INFO, third-party targets at WARN.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the level of a category, of a finer name under one (`core::routers`), or of everything (`all`: the root and
    /// every category; what was set before is forgotten).
    ///
    /// # Errors
    ///
    /// The category, or the first segment of a finer name, is not known; nothing is changed.
    pub fn set(
        &mut self,
        categories: &Categories,
        category: &str,
        threshold: Threshold,
    ) -> Result<(), UnknownCategory> {
        if self.try_set(categories, category, threshold) {
            Ok(())
        } else {
            Err(UnknownCategory::new(category.trim(), categories.names()))
        }
    }

    /// Sets the level of third-party targets.
    pub fn set_root(&mut self, threshold: Threshold) {
        self.root = Some(threshold);
    }

    /// The level that holds for a target of this origin.
    #[must_use]
    pub fn threshold(&self, categories: &Categories, origin: &Origin<'_>, target: &str) -> Threshold {
        let explicit = self.explicit_for(origin.path);
        if let Some((prefix_len, threshold)) = self.directive_for(target) {
            // A category that stands in the target reaches as far as its explicit part does; one that was told otherwise says
            // nothing about the target.
            let category_at = target.strip_suffix(origin.path).map(str::len);
            return match (explicit, category_at) {
                (Some((path_len, own)), Some(start)) if start + path_len > prefix_len => own,
                _ => threshold,
            };
        }
        if origin.path == UNCATEGORIZED && !origin.is_app {
            return if categories.is_web(target) {
                WEB_LEVEL
            } else {
                self.root_level()
            };
        }
        explicit.map_or_else(|| self.category_default(), |(_, threshold)| threshold)
    }

    /// Nothing is let through.
    pub(super) fn all_off() -> Self {
        Self {
            all: Some(Threshold::Off),
            root: Some(Threshold::Off),
            ..Self::default()
        }
    }

    /// Like [`set`](Self::set), without the price of an error's text.
    pub(super) fn try_set(&mut self, categories: &Categories, name: &str, threshold: Threshold) -> bool {
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
    pub(super) fn add_directives(&mut self, found: HashMap<&str, Threshold>) {
        let found = found
            .into_iter()
            .map(|(target, threshold)| (target.to_owned(), threshold));
        let mut directives: HashMap<String, Threshold> = self.directives.drain(..).collect();
        directives.extend(found);
        self.directives = directives.into_iter().collect();
        self.directives
            .sort_unstable_by(|(one, _), (other, _)| (other.len(), one).cmp(&(one.len(), other)));
    }

    /// The directive with the longest prefix of this target, and that prefix's length. As `EnvFilter` does, a prefix
    /// need not end on a segment: `my_app` is one of `my_app_core` too.
    pub(super) fn directive_for(&self, target: &str) -> Option<(usize, Threshold)> {
        let mut directives = self.directives.iter();
        directives
            .find(|(prefix, _)| target.starts_with(prefix.as_str()))
            .map(|(prefix, threshold)| (prefix.len(), *threshold))
    }

    /// The levels that some target or some `category` field can get.
    pub(super) fn reachable<'a>(
        &'a self,
        categories: &'a Categories,
    ) -> impl Iterator<Item = Threshold> + use<'a> {
        let mut webs = categories.web_target_names().iter();
        let has_web = webs.any(|target| self.directive_for(target).is_none());
        let directives = self.directives.iter().map(|(_, threshold)| *threshold);
        self.reachable_by_category(categories)
            .chain([self.root_level()])
            .chain(has_web.then_some(WEB_LEVEL))
            .chain(directives)
    }

    /// The levels that some category has.
    pub(super) fn reachable_by_category<'a>(
        &'a self,
        categories: &Categories,
    ) -> impl Iterator<Item = Threshold> + use<'a> {
        let has_default = categories.names().any(|name| !self.explicit.contains_key(name));
        self.explicit
            .values()
            .copied()
            .chain(has_default.then(|| self.category_default()))
    }

    /// The level of the longest set name that this one is or lies under, and that name's length.
    fn explicit_for(&self, mut path: &str) -> Option<(usize, Threshold)> {
        if self.explicit.is_empty() {
            return None;
        }
        loop {
            // A long target costs a walk, not a hash of each of its heads.
            if path.len() <= self.longest_path
                && let Some(threshold) = self.explicit.get(path)
            {
                return Some((path.len(), *threshold));
            }
            path = &path[..path.rfind("::")?];
        }
    }

    fn root_level(&self) -> Threshold {
        self.root.or(self.bare).unwrap_or(DEFAULT_ROOT_LEVEL)
    }

    fn category_default(&self) -> Threshold {
        self.all.or(self.bare).unwrap_or(DEFAULT_CATEGORY_LEVEL)
    }
}
