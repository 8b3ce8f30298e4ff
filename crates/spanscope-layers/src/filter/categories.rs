//! Which category a target belongs to, and which targets are the application's own.
//!
//! Names are compared here, and nowhere else, so the filter and every sink show the same category for the same thing.
//! Nothing here looks at values: a `category` field is the filter's and the sinks' affair.

use std::panic::Location;
use std::sync::Arc;

use spanscope_core::capture::{CallsiteCategory, CategoryLookup};
use spanscope_core::program_name;
use spanscope_model::{CATEGORIES, UNCATEGORIZED};
use tracing_core::Metadata;

use super::package::{Package, is_indirect};
use super::warning::{BadCategoryName, UnknownCategory};

/// Targets of web servers that stay at INFO whatever the root level is, where the application names no others.
pub const DEFAULT_WEB_TARGETS: [&str; 3] = ["tower_http", "hyper", "axum"];

/// Longer names are refused, so that looking up a name has a bound.
const MAX_NAME_LEN: usize = 255;

/// The known categories, the targets mapped to them, and which crates are the application's own. Cheap to clone.
///
/// A target's category, first match wins:
///
/// 1. the longest prefix given to [`map`](Self::map) that fits on a `::` boundary;
/// 2. a target whose first segment is a known category: the whole target (`core::routers`);
/// 3. in the application's own crates, the first module segment after the crate's name that is a known category
///    (`agents` for `my_app::api::agents::run`);
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

/// What a target belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The category, as it is shown and stored.
    pub category: &'a str,
    /// The finer name that levels are looked up by: `agents::run` where the category shown is `agents`.
    pub path: &'a str,
    /// Whether it is the application's own: where its category is `uncategorized`, that category's level holds for it
    /// and not the root level.
    pub is_app: bool,
}

impl CategoryLookup for Categories {
    fn category_of_place<'a>(
        &'a self,
        target: &'a str,
        module: Option<&'a str>,
        file: Option<&str>,
    ) -> CallsiteCategory<'a> {
        let Origin { category, is_app, .. } = self.of_place(target, module, file);
        CallsiteCategory { category, is_app }
    }
}

impl Default for Categories {
    fn default() -> Self {
        Self::new()
    }
}

impl Categories {
    /// The 22 categories of the described system and `uncategorized`; no crate is known to be the application's own.
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

    /// Like [`new`](Self::new); the application is the package of the source file that calls this. A function that is handed
    /// on (`cell.get_or_init(spanscope::init)`) does not know who calls it: then the application is every package that was
    /// compiled from a folder of its workspace, and the crate with the program's name.
    #[must_use]
    #[track_caller]
    pub fn of_caller() -> Self {
        let caller = Location::caller();
        if is_indirect(caller.file()) {
            return Self::new().app_workspace().app_crate(program_name());
        }
        Self::new().app_source(caller)
    }

    /// Adds a crate of the application, as its manifest or as its code names it: `my-agent` or `my_agent`.
    #[must_use]
    pub fn app_crate(mut self, name: &str) -> Self {
        let name = name.trim().replace('-', "_");
        let inner = Arc::make_mut(&mut self.inner);
        if !name.is_empty() && !inner.app_crates.contains(&name) {
            inner.app_crates.push(name);
        }
        self
    }

    /// Adds the package that this source file belongs to; its library, programs, examples, tests and benches are the
    /// application's own.
    ///
    /// The package is told by the file's path: what comes before its last `src` folder, else before its last
    /// `examples`, `tests` or `benches`. So a module folder that is itself called `src` counts as another package.
    /// Records of the `log` crate belong to it by their file, as spans and events do.
    #[must_use]
    pub fn app_source(mut self, location: &'static Location<'static>) -> Self {
        let package = Package::of_application(location.file());
        let inner = Arc::make_mut(&mut self.inner);
        if !inner.app_packages.contains(&package) {
            inner.app_packages.push(package);
        }
        self
    }

    /// Takes every package that was compiled together with the program, but not from a registry, for the application.
    fn app_workspace(mut self) -> Self {
        let inner = Arc::make_mut(&mut self.inner);
        inner.app_packages.push(Package::Workspace);
        self
    }

    /// Puts targets into a category: all that are `target_prefix` or begin with it and `::`. The longest prefix wins;
    /// the same prefix again replaces the earlier one.
    ///
    /// # Errors
    ///
    /// The category, or the first segment of a finer name, is not known.
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

    /// Makes a category of the application's own known. Names are kept in lower case; finer names under it
    /// (`billing::invoices`) need no registration.
    ///
    /// # Errors
    ///
    /// The name is not 1 to 64 ASCII letters, digits, `_`, `-` or `.`, or it is `all`, which means every category.
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

    /// Replaces the targets that stay at INFO whatever the root level is, by default [`DEFAULT_WEB_TARGETS`]. Each
    /// stands for itself and for what is under it.
    #[must_use]
    pub fn web_targets<T: Into<String>>(mut self, targets: impl IntoIterator<Item = T>) -> Self {
        Arc::make_mut(&mut self.inner).web_targets = targets.into_iter().map(Into::into).collect();
        self
    }

    /// Whether this is a known category, or a finer name under one; capital letters count as small ones.
    #[must_use]
    pub fn is_known(&self, name: &str) -> bool {
        self.path_of(name).is_some()
    }

    /// The known categories: the 22, `uncategorized`, then the registered ones in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let registered = self.inner.registered.iter().map(String::as_str);
        CATEGORIES
            .iter()
            .copied()
            .chain([UNCATEGORIZED])
            .chain(registered)
    }

    /// What a span's or an event's callsite belongs to.
    ///
    /// Its crate is told by the first segment of its target, by its module path where the target was overridden, and
    /// by its source file. The module segments of rule 3 are the target's, or the module path's where the target was
    /// overridden with something that is no path of that crate.
    #[must_use]
    pub fn of<'a>(&'a self, metadata: &'a Metadata<'_>) -> Origin<'a> {
        self.of_place(metadata.target(), metadata.module_path(), metadata.file())
    }

    /// What a target belongs to that speaks from this module and source file, where they are known: the same as
    /// [`of`](Self::of), for records of the `log` crate.
    #[must_use]
    pub fn of_place<'a>(
        &'a self,
        target: &'a str,
        module: Option<&'a str>,
        file: Option<&str>,
    ) -> Origin<'a> {
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
        self.origin(target, path, is_app)
    }

    /// What a target belongs to of which nothing else is known.
    #[must_use]
    pub fn of_target<'a>(&'a self, target: &'a str) -> Origin<'a> {
        self.origin(target, target, self.is_app_crate(target))
    }

    /// What a target belongs to if it is the application's own.
    pub(super) fn of_own_target<'a>(&'a self, target: &'a str) -> Origin<'a> {
        self.origin(target, target, true)
    }

    fn origin<'a>(&'a self, target: &'a str, module: &'a str, is_app: bool) -> Origin<'a> {
        let named = |category, path| Origin {
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

    /// The name that levels are kept under, if it is known.
    pub(super) fn path_of(&self, name: &str) -> Option<String> {
        let name = name.trim();
        if name.len() > MAX_NAME_LEN {
            return None;
        }
        let path = name.to_ascii_lowercase();
        let is_whole = path.split("::").all(|segment| !segment.is_empty());
        (is_whole && self.has(first_segment(&path))).then_some(path)
    }

    /// Whether a target is, or is under, one that stays at INFO.
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

/// Whether a path is this one, or lies under it.
fn is_under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}
