//! Hyperlinks from a line to the source that recorded it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Maximum number of remembered files; records of the `log` crate may contain any file name.
const MAX_FILES: usize = 10_000;

/// Creates URLs of source files that exist on this machine.
#[derive(Debug)]
pub(super) struct Links {
    /// The folder in which, and in whose ancestors, relative names are searched: the compiler's
    /// file names are usually relative to the workspace.
    folder: Option<PathBuf>,
    urls: HashMap<String, Option<String>>,
}

impl Links {
    pub(super) fn new() -> Self {
        Self::below(std::env::current_dir().ok())
    }

    fn below(folder: Option<PathBuf>) -> Self {
        Self {
            folder,
            urls: HashMap::new(),
        }
    }

    /// Returns the URL of a line of a file; `None` if the file is not found.
    ///
    /// The line is the fragment, as kitty and iTerm2 read it; other terminals open the file.
    pub(super) fn to(&mut self, file: Option<&str>, line: Option<u32>) -> Option<String> {
        let (file, line) = (file?, line?);
        if !self.urls.contains_key(file) {
            if self.urls.len() >= MAX_FILES {
                self.urls.clear();
            }
            let url = self.find(Path::new(file)).and_then(|path| url_of(&path));
            self.urls.insert(file.to_owned(), url);
        }
        let url = self.urls.get(file)?.as_ref()?;
        Some(format!("{url}#{line}"))
    }

    /// Finds the file in the process's folder or in one of its ancestors.
    fn find(&self, file: &Path) -> Option<PathBuf> {
        if file.is_absolute() {
            return file.is_file().then(|| file.to_owned());
        }
        let folders = self.folder.as_deref()?.ancestors();
        folders
            .map(|folder| folder.join(file))
            .find(|path| path.is_file())
    }
}

/// Returns the URL of a path. Every byte that has a meaning in a URL or for a terminal is escaped.
fn url_of(path: &Path) -> Option<String> {
    let path = path.to_str()?;
    let mut url = String::from("file://");
    if !path.starts_with('/') {
        url.push('/'); // a drive of Windows
    }
    for byte in path.bytes() {
        match byte {
            b'\\' if cfg!(windows) => url.push('/'),
            b'/' | b':' | b'-' | b'.' | b'_' | b'~' => url.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => url.push(char::from(byte)),
            // Writing to a string can't fail.
            _ => {
                let _ = write!(url, "%{byte:02X}");
            }
        }
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_relative_file_is_found_from_a_folder_below_the_workspace() {
        let workspace = tempfile::tempdir().unwrap();
        let source = workspace.path().join("a crate/src");
        std::fs::create_dir_all(&source).unwrap();
        std::fs::write(source.join("main.rs"), "").unwrap();
        let mut links = Links::below(Some(source.clone()));
        let url = links.to(Some("a crate/src/main.rs"), Some(7)).unwrap();
        assert!(url.starts_with("file:///"), "{url}");
        assert!(url.ends_with("/a%20crate/src/main.rs#7"), "{url}");
        let absolute = source.join("main.rs");
        assert_eq!(links.to(absolute.to_str(), Some(7)), Some(url));
    }

    #[test]
    fn files_on_other_machines_have_no_link() {
        let mut links = Links::below(Some(PathBuf::from("/")));
        assert_eq!(links.to(Some("src/no such file.rs"), Some(1)), None);
        assert_eq!(links.to(Some("/no such file.rs"), Some(1)), None);
        assert_eq!(links.to(None, Some(1)), None);
        assert_eq!(links.to(Some("/"), None), None);
    }

    #[cfg(unix)]
    #[test]
    fn bytes_of_a_path_that_could_end_the_link_are_escaped() {
        let url = url_of(Path::new("/a\x1b\\b\u{9c};?#%é")).unwrap();
        assert_eq!(url, "file:///a%1B%5Cb%C2%9C%3B%3F%23%25%C3%A9");
    }
}
