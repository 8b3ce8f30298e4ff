//! The program's name: the default service name.

use std::sync::OnceLock;

/// Returns the file name of the running program, without the system's extension for programs;
/// `unknown` if the system does not provide it. Every sink uses it as the default service name, so
/// that one program has one name everywhere.
///
/// ```
/// assert!(!spanscope_core::program_name().is_empty());
/// ```
#[must_use]
pub fn program_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let path = std::env::current_exe()
            .ok()
            .or_else(|| std::env::args_os().next().map(Into::into));
        let name = path.as_deref().and_then(|path| path.file_name());
        let name = name.map(|name| name.to_string_lossy()).unwrap_or_default();
        match name.strip_suffix(std::env::consts::EXE_SUFFIX).unwrap_or(&name) {
            "" => "unknown".to_owned(),
            name => name.to_owned(),
        }
    })
}
