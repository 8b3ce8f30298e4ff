//! The categories of targets, and which targets are the application's own.
//!
//! Names are compared only here, so the filter and every sink show the same category for the same
//! record. Nothing here reads values: the filter and the sinks handle a `category` field.

use std::panic::Location;
use std::sync::Arc;

use spanscope_core::capture::{CallsiteCategory, CategoryLookup};
use spanscope_core::program_name;
use spanscope_model::{CATEGORIES, UNCATEGORIZED};
use tracing_core::Metadata;

use super::package::{Package, is_indirect};
use super::warning::{BadCategoryName, UnknownCategory};

/// Targets of web servers that stay at INFO at any root level, unless the application names others.
pub const DEFAULT_WEB_TARGETS: [&str; 3] = ["tower_http", "hyper", "axum"];

/// Maximum length of a name, so that a lookup has a bound.
const MAX_NAME_LEN: usize = 255;

/// The known categories, the targets mapped to them, and the application's own crates. Cheap to
/// clone.
///
/// The category of a target is, by the first rule that matches:
///
/// 1. the longest prefix passed to [`map`](Self::map) that ends on a `::` boundary;
/// 2. for a target whose first segment is a known category: the whole target (`core::routers`);
/// 3. in the application's own crates, the first module segment after the crate's name that is a
///    known category (`agents` for `my_app::api::agents::run`);
/// 4. `uncategorized`.
///
/// ```
/// use spanscope_layers::Categories;
/// let categories = Categories::new()
///     .app_crate("my-app")
///     .register("billing")?
///     .map("my_app::llm", "inference")?;
/// assert_eq!(categories.of_target("my_app::llm::stream").category, "inference");
/// assert_eq!(categories.of_target("core::routers").category, "core::routers");
/// assert_eq!(categories.of_target("my_app::api::agents::run").category, "agents");
/// assert_eq!(categories.of_target("my_app::billing").category, "billing");
/// assert_eq!(categories.of_target("sqlx::query").category, "uncategorized");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Categories {
    inner: Arc<Inner>,
}

#[derive(Debug, Clone)]
struct Inner {
    registered: Vec<String>,
    app_crates: Vec<String>,
    app_packages: Vec<Package>,
    /// Longest prefix first.
    maps: Vec<(String, String)>,
    web_targets: Vec<String>,
}

/// The category of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CategoryMatch<'a> {
    /// The category, as shown and stored.
    pub category: &'a str,
    /// The finer name for looking up levels: `agents::run` if the category is `agents`.
    pub path: &'a str,
    /// Whether it belongs to the application: if its category is `uncategorized`, that category's
    /// level applies and not the root level.
    pub is_app: bool,
}

impl CategoryLookup for Categories {
    fn category_of_place<'a>(
        &'a self,
        target: &'a str,
        module: Option<&'a str>,
        file: Option<&str>,
    ) -> CallsiteCategory<'a> {
        let CategoryMatch { category, is_app, .. } = self.of_place(target, module, file);
        CallsiteCategory { category, is_app }
    }
}

impl Default for Categories {
    fn default() -> Self {
        Self::new()
    }
}

impl Categories {
    /// Creates Llama Stack's 22 categories and `uncategorized`, without any crate of the
    /// application.
    #[must_use]
    pub fn new() -> Self {
        Self {
            inner: Arc::new(Inner {
                registered: Vec::new(),
                app_crates: Vec::new(),
                app_packages: Vec::new(),
                maps: Vec::new(),
                web_targets: DEFAULT_WEB_TARGETS.map(ToOwned::to_owned).to_vec(),
            }),
        }
    }

    /// Like [`new`](Self::new); the application is the package of the calling source file. A
    /// function that is passed as a value (`cell.get_or_init(spanscope::init)`) does not know its
    /// caller: the application is then every package that was compiled from a folder of its
    /// workspace, and the crate with the program's name.
    #[must_use]
    #[track_caller]
    pub fn of_caller() -> Self {
        let caller = Location::caller();
        if is_indirect(caller.file()) {
            return Self::new().app_workspace().app_crate(program_name());
        }
        Self::new().app_source(caller)
    }

    /// Adds a crate of the application, by its name in the manifest or in code: `my-agent` or
    /// `my_agent`.
    #[must_use]
    pub fn app_crate(mut self, name: &str) -> Self {
        let name = name.trim().replace('-', "_");
        let inner = Arc::make_mut(&mut self.inner);
        if !name.is_empty() && !inner.app_crates.contains(&name) {
            inner.app_crates.push(name);
        }
        self
    }

    /// Adds the package of this source file; its library, programs, examples, tests and benches are
    /// the application's own.
    ///
    /// The file's path determines the package: everything before its last `src` folder, else before
    /// its last `examples`, `tests` or `benches`. So a module folder that is itself called `src`
    /// counts as another package. Records of the `log` crate are assigned by their file, as spans
    /// and events are.
    #[must_use]
    pub fn app_source(mut self, location: &'static Location<'static>) -> Self {
        let package = Package::of_application(location.file());
        let inner = Arc::make_mut(&mut self.inner);
        if !inner.app_packages.contains(&package) {
            inner.app_packages.push(package);
        }
        self
    }

    /// Treats every package that was compiled with the program, but not from a registry, as the
    /// application.
    fn app_workspace(mut self) -> Self {
        let inner = Arc::make_mut(&mut self.inner);
        inner.app_packages.push(Package::Workspace);
        self
    }

    /// Assigns targets to a category: `target_prefix` itself, and all that begin with it and `::`.
    /// The longest prefix has priority; the same prefix again replaces the earlier one.
    ///
    /// # Errors
    ///
    /// Fails if the category, or the first segment of a finer name, is not known.
    pub fn map(mut self, target_prefix: &str, category: &str) -> Result<Self, UnknownCategory> {
        let category = self
            .path_of(category)
            .ok_or_else(|| UnknownCategory::new(category, self.names()))?;
        let prefix = target_prefix.trim().trim_end_matches("::").to_owned();
        let inner = Arc::make_mut(&mut self.inner);
        inner.maps.retain(|(known, _)| *known != prefix);
        inner.maps.push((prefix, category));
        inner
            .maps
            .sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Ok(self)
    }

    /// Registers a category of the application. Names are stored in lower case; finer names under
    /// it (`billing::invoices`) need no registration.
    ///
    /// # Errors
    ///
    /// Fails if the name is not 1 to 64 ASCII letters, digits, `_`, `-` or `.`, or if it is `all`,
    /// which means every category.
    pub fn register(mut self, name: &str) -> Result<Self, BadCategoryName> {
        let lower = name.trim().to_ascii_lowercase();
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if !(1..=64).contains(&lower.len()) || !lower.bytes().all(is_allowed) {
            let reason = "a name is 1 to 64 letters, digits, `_`, `-` or `.`";
            return Err(BadCategoryName::new(name, reason));
        }
        if lower == "all" {
            return Err(BadCategoryName::new(name, "it means every category"));
        }
        if !self.has(&lower) {
            Arc::make_mut(&mut self.inner).registered.push(lower);
        }
        Ok(self)
    }

    /// Replaces the targets that stay at INFO at any root level, by default
    /// [`DEFAULT_WEB_TARGETS`]. Each applies to itself and to the targets under it.
    #[must_use]
    pub fn web_targets<T: Into<String>>(mut self, targets: impl IntoIterator<Item = T>) -> Self {
        Arc::make_mut(&mut self.inner).web_targets = targets.into_iter().map(Into::into).collect();
        self
    }

    /// Returns whether this is a known category, or a finer name under one; case is ignored.
    #[must_use]
    pub fn is_known(&self, name: &str) -> bool {
        self.path_of(name).is_some()
    }

    /// Returns the known categories: the 22, `uncategorized`, then the registered ones in their
    /// order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let registered = self.inner.registered.iter().map(String::as_str);
        CATEGORIES
            .iter()
            .copied()
            .chain([UNCATEGORIZED])
            .chain(registered)
    }

    /// Returns the category of a span's or an event's callsite.
    ///
    /// Its crate is determined by the first segment of its target, by the module path if the target
    /// was overridden, and by its source file. The module segments of rule 3 are the target's, or
    /// the module path's if the target was overridden with something that is not a path of that
    /// crate.
    #[must_use]
    pub fn of<'a>(&'a self, metadata: &'a Metadata<'_>) -> CategoryMatch<'a> {
        self.of_place(metadata.target(), metadata.module_path(), metadata.file())
    }

    /// Returns the category of a target in this module and source file, if they are known: the same
    /// as [`of`](Self::of), for records of the `log` crate.
    #[must_use]
    pub fn of_place<'a>(
        &'a self,
        target: &'a str,
        module: Option<&'a str>,
        file: Option<&str>,
    ) -> CategoryMatch<'a> {
        let module = module.unwrap_or(target);
        let is_named = self.is_app_crate(target);
        let is_app = is_named
            || self.is_app_crate(module)
            || file.is_some_and(|file| {
                let mut packages = self.inner.app_packages.iter();
                packages.any(|package| package.holds(file))
            });
        let path = if is_named || first_segment(target) == first_segment(module) {
            target
        } else {
            module
        };
        self.matched(target, path, is_app)
    }

    /// Returns the category of a target without further information.
    #[must_use]
    pub fn of_target<'a>(&'a self, target: &'a str) -> CategoryMatch<'a> {
        self.matched(target, target, self.is_app_crate(target))
    }

    /// Returns the category of a target of the application.
    pub(super) fn of_own_target<'a>(&'a self, target: &'a str) -> CategoryMatch<'a> {
        self.matched(target, target, true)
    }

    fn matched<'a>(&'a self, target: &'a str, module: &'a str, is_app: bool) -> CategoryMatch<'a> {
        let named = |category, path| CategoryMatch {
            category,
            path,
            is_app,
        };
        let mut maps = self.inner.maps.iter();
        if let Some((_, category)) = maps.find(|(prefix, _)| is_under(target, prefix)) {
            return named(category, category);
        }
        if self.has(first_segment(target)) {
            return named(target, target);
        }
        if is_app {
            let mut rest = module;
            while let Some((_, tail)) = rest.split_once("::") {
                let segment = first_segment(tail);
                if self.has(segment) {
                    return named(segment, tail);
                }
                rest = tail;
            }
        }
        named(UNCATEGORIZED, UNCATEGORIZED)
    }

    /// Returns the name for looking up levels, if it is known.
    pub(super) fn path_of(&self, name: &str) -> Option<String> {
        let name = name.trim();
        if name.len() > MAX_NAME_LEN {
            return None;
        }
        let path = name.to_ascii_lowercase();
        let is_whole = path.split("::").all(|segment| !segment.is_empty());
        (is_whole && self.has(first_segment(&path))).then_some(path)
    }

    /// Returns whether a target is, or is under, one that stays at INFO.
    pub(super) fn is_web(&self, target: &str) -> bool {
        let mut targets = self.inner.web_targets.iter();
        targets.any(|prefix| is_under(target, prefix))
    }

    pub(super) fn web_target_names(&self) -> &[String] {
        &self.inner.web_targets
    }

    fn has(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    fn is_app_crate(&self, path: &str) -> bool {
        let name = first_segment(path);
        self.inner.app_crates.iter().any(|known| known == name)
    }
}

fn first_segment(path: &str) -> &str {
    path.split_once("::").map_or(path, |(first, _)| first)
}

/// Returns whether a path equals the prefix, or is under it.
fn is_under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}
