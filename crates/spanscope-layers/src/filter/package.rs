//! The package of a source file, derived from its path alone, because a callsite has nothing else.
//!
//! Cargo compiles packages of one workspace with paths relative to the workspace, and dependencies
//! from a registry with absolute ones, so the paths of one package have the same prefix.

/// The package of a source file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Package {
    /// Everything in the usual folders under this one.
    Root(&'static str),
    /// Every package of the workspace that is compiled: Cargo gives their files relative paths.
    Workspace,
    /// A package without the usual folders (`main.rs` next to the manifest): everything under this
    /// folder.
    Folder(&'static str),
}

const IS_SEPARATOR: [char; 2] = ['/', '\\'];

impl Package {
    pub(super) fn of_application(file: &'static str) -> Self {
        match root_of(file) {
            Some(root) => Self::Root(root),
            None => Self::Folder(file.rfind(IS_SEPARATOR).map_or("", |end| &file[..end])),
        }
    }

    pub(super) fn holds(&self, file: &str) -> bool {
        match *self {
            Self::Root(root) => root_of(file).is_some_and(|other| is_same(other, root)),
            Self::Workspace => !is_absolute(file),
            Self::Folder("") => root_of(file).is_none() && !is_absolute(file),
            Self::Folder(folder) => {
                root_of(file).is_none()
                    && file.get(..folder.len()).is_some_and(|head| is_same(head, folder))
                    && file[folder.len()..].starts_with(IS_SEPARATOR)
            }
        }
    }
}

/// Returns whether a location is not the real caller's: a function that was passed as a value, as
/// in `cell.get_or_init(spanscope::init)`, is called by the standard library, and one behind a
/// pointer has its own location.
pub(super) fn is_indirect(file: &str) -> bool {
    let mut folders = file.rsplit(IS_SEPARATOR);
    let mut next = || folders.next().unwrap_or_default();
    match (next(), next(), next(), next(), next()) {
        ("function.rs", "ops", "src", "core", "library") => true,
        ("lib.rs" | "builder.rs", "src", package, ..) => {
            let version = package.strip_prefix("spanscope-");
            package == "spanscope"
                || version.is_some_and(|text| text.starts_with(|c: char| c.is_ascii_digit()))
        }
        _ => false,
    }
}

/// Returns the folder that contains a file's last `src`, else its last `examples`, `tests` or
/// `benches`, with the separator at its end.
///
/// `src` has priority because a module folder `src/tests` is common, and so is a package called
/// `tests` or `examples`.
fn root_of(file: &str) -> Option<&str> {
    let mut root = None;
    let mut end = file.rfind(IS_SEPARATOR)?;
    loop {
        let start = file[..end].rfind(IS_SEPARATOR).map_or(0, |at| at + 1);
        let folder = &file[start..end];
        let before = &file[..start];
        if folder == "src" {
            return Some(before);
        }
        if root.is_none() && matches!(folder, "examples" | "tests" | "benches") {
            root = Some(before);
        }
        if start == 0 {
            return root;
        }
        end = start - 1;
    }
}

fn is_absolute(file: &str) -> bool {
    file.starts_with(IS_SEPARATOR) || file.as_bytes().get(1) == Some(&b':')
}

/// Both separators count as one: a path from a macro may mix them.
fn is_same(one: &str, other: &str) -> bool {
    let plain = |byte: u8| if byte == b'\\' { b'/' } else { byte };
    one.len() == other.len() && one.bytes().map(plain).eq(other.bytes().map(plain))
}
