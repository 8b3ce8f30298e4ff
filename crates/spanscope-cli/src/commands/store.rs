//! Where the store of a command is: a file, or a server that a URL names.
//!
//! [`SCHEMES`] lists the kinds of servers. Commands that query a store work with any of them; those
//! that change or copy a file get its [path](Location::path), and refuse a server.

#[cfg(feature = "clickhouse")]
mod clickhouse;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use spanscope_model::TraceStore;
use spanscope_sqlite::SqliteStore;

use crate::failure::Stop;

/// Names the store where the command line does not.
const STORE: &str = "SPANSCOPE_STORE";

/// Opens the store that a URL names.
type Open = fn(&str) -> Result<Arc<dyn TraceStore>>;

/// A kind of servers, by the scheme of their URLs.
#[derive(Debug, Clone, Copy)]
struct Scheme {
    name: &'static str,
    /// How a URL is written.
    form: &'static str,
    /// The feature of this package that opens it.
    feature: &'static str,
    /// `None` if the command was built without the feature.
    open: Option<Open>,
}

/// Every scheme that is known, in the order of help.
const SCHEMES: [Scheme; 2] = [
    Scheme {
        name: "clickhouse",
        form: "clickhouse://user@host:8123/database",
        feature: "clickhouse",
        open: CLICKHOUSE,
    },
    // With TLS.
    Scheme {
        name: "clickhouses",
        form: "clickhouses://user@host:8443/database",
        feature: "clickhouse",
        open: CLICKHOUSE,
    },
];

#[cfg(feature = "clickhouse")]
const CLICKHOUSE: Option<Open> = Some(clickhouse::open);
#[cfg(not(feature = "clickhouse"))]
const CLICKHOUSE: Option<Open> = None;

/// The store, as the user named it.
#[derive(Debug)]
pub(super) struct Location {
    /// What the command line has.
    argument: Option<OsString>,
}

/// A store that can be opened.
#[derive(Debug)]
pub(super) enum Place {
    File(PathBuf),
    Server(ServerUrl),
}

/// The URL of a server.
pub(super) struct ServerUrl {
    url: String,
    open: Open,
}

impl Location {
    pub(super) fn new(argument: Option<OsString>) -> Self {
        Self { argument }
    }

    /// Returns where the store is: as the command line says, else the environment, else the default
    /// file.
    pub(super) fn place(&self) -> Result<Place> {
        let set = std::env::var_os(STORE).filter(|text| !text.is_empty());
        match self.argument.as_ref().or(set.as_ref()) {
            Some(text) => place_of(text, &SCHEMES),
            None => {
                let path = spanscope::default_db_path().context("name the store with --store")?;
                Ok(Place::File(path))
            }
        }
    }

    /// Returns the path, for commands that need a file.
    pub(super) fn path(&self) -> Result<PathBuf> {
        match self.place()? {
            Place::File(path) => Ok(path),
            Place::Server(url) => Err(Stop::usage(format!(
                "this command works on the file of a store, and {url} is a server: name a file with --store FILE, or use \
                 the server's own tools"
            ))),
        }
    }

    /// Opens the store, for commands with queries that any store supports.
    pub(super) fn open(&self) -> Result<Arc<dyn TraceStore>> {
        match self.place()? {
            Place::File(path) => Ok(Arc::new(SqliteStore::open(path)?)),
            Place::Server(url) => url.open(),
        }
    }

    /// Opens the file, for commands that need more than queries.
    pub(super) fn open_file(&self) -> Result<SqliteStore> {
        Ok(SqliteStore::open(self.path()?)?)
    }

    /// Returns whether queries go to a server, where each takes its time.
    pub(super) fn is_remote(&self) -> bool {
        matches!(self.place(), Ok(Place::Server(_)))
    }

    /// Returns the option that makes a suggested command use the same store.
    pub(super) fn flag(&self) -> String {
        match &self.argument {
            Some(text) => format!(" --store {}", quoted(text)),
            None => String::new(),
        }
    }
}

impl ServerUrl {
    /// Connects to the server.
    pub(super) fn open(&self) -> Result<Arc<dyn TraceStore>> {
        (self.open)(&self.url)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Server(url) => url.fmt(f),
        }
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_secrets(&self.url))
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerUrl({self})")
    }
}

/// Reads what names a store: a path, `sqlite:PATH`, or a URL of one of these schemes.
fn place_of(text: &OsStr, schemes: &[Scheme]) -> Result<Place> {
    let file = |path: PathBuf| {
        must_be_file(&path)?;
        Ok(Place::File(path))
    };
    // A name that is not UTF-8 is no URL.
    let Some(url) = text.to_str() else {
        return file(text.into());
    };
    if let Some(path) = url.strip_prefix("sqlite:") {
        // The `//` of those who write it as a URL.
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() {
            return Err(Stop::usage(format!(
                "{url} names no file: write the path behind it, as sqlite:traces.db"
            )));
        }
        return file(path.into());
    }
    let Some((name, rest)) = url.split_once(':') else {
        return file(text.into());
    };
    match schemes.iter().find(|scheme| scheme.name == name) {
        Some(Scheme { open: Some(open), .. }) => Ok(Place::Server(ServerUrl {
            url: url.to_owned(),
            open: *open,
        })),
        Some(scheme) => Err(Stop::usage(format!(
            "{} needs the feature `{feature}`, which this command is built without: cargo install spanscope-cli \
             --features {feature}",
            without_secrets(url),
            feature = scheme.feature
        ))),
        // Colons are also parts of names of files.
        None if rest.starts_with("//") && is_scheme(name) => Err(Stop::usage(format!(
            "{} is not the URL of a store: name a file, as traces.db or sqlite:traces.db, or a server, as {}",
            without_secrets(url),
            forms(schemes)
        ))),
        None => file(text.into()),
    }
}

/// How the URLs of servers are written, as a part of a sentence.
fn forms(schemes: &[Scheme]) -> String {
    let forms: Vec<&str> = schemes.iter().map(|scheme| scheme.form).collect();
    forms.join(" or ")
}

/// Whether this can be before the `:` of a URL. A single letter is a drive of Windows.
fn is_scheme(name: &str) -> bool {
    name.len() > 1
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// Returns a URL without the parts that may hold a password: what is before the host, and the
/// query.
fn without_secrets(url: &str) -> String {
    let (scheme, rest) = url.split_once(':').unwrap_or_default();
    let rest = rest
        .trim_start_matches('/')
        .split(['?', '#'])
        .next()
        .unwrap_or_default();
    // A password may contain a slash.
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    format!("{scheme}://{rest}")
}

/// Refuses the name with which SQLite opens a temporary database of this process.
pub(super) fn must_be_file(path: &Path) -> Result<()> {
    if path.as_os_str() == ":memory:" {
        return Err(Stop::usage(
            ":memory: is not a file: nothing would be stored, and no other command could read it; name a file",
        ));
    }
    Ok(())
}

fn quoted(text: &OsStr) -> String {
    let text = text.to_string_lossy();
    if text
        .chars()
        .all(|c| c.is_alphanumeric() || "/._-+:@,".contains(c))
    {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn never(_: &str) -> Result<Arc<dyn TraceStore>> {
        Err(Stop::usage("it was opened"))
    }

    /// One scheme that can be opened, and one whose feature is missing.
    const KNOWN: [Scheme; 2] = [
        Scheme {
            name: "here",
            form: "here://host/database",
            feature: "here",
            open: Some(never),
        },
        Scheme {
            name: "missing",
            form: "missing://host",
            feature: "of-missing",
            open: None,
        },
    ];

    fn place(text: &str) -> Result<Place> {
        place_of(OsStr::new(text), &KNOWN)
    }

    #[test]
    fn paths_and_urls_are_distinguished() {
        for (text, path) in [
            ("traces.db", "traces.db"),
            ("/tmp/a b.db", "/tmp/a b.db"),
            ("2026:11.db", "2026:11.db"),
            (r"C:\traces.db", r"C:\traces.db"),
            ("C://traces.db", "C://traces.db"),
            ("sqlite:traces.db", "traces.db"),
            ("sqlite:here://a", "here://a"),
            ("sqlite:///tmp/traces.db", "/tmp/traces.db"),
        ] {
            match place(text).unwrap() {
                Place::File(found) => assert_eq!(found, Path::new(path), "{text}"),
                Place::Server(url) => panic!("{text} is {url}"),
            }
        }
        for text in ["here://host/database", "here:host"] {
            match place(text).unwrap() {
                Place::Server(url) => assert!(format!("{:#}", url.open().err().unwrap()).contains("opened")),
                Place::File(path) => panic!("{text} is {}", path.display()),
            }
        }
    }

    #[test]
    fn a_location_that_makes_no_sense_is_refused_with_what_is_accepted() {
        for (text, words) in [
            (
                "other://host/database",
                &[
                    "other://host/database",
                    "sqlite:traces.db",
                    "here://host/database",
                ][..],
            ),
            ("missing://host", &["`of-missing`", "--features of-missing"]),
            ("sqlite:", &["sqlite:traces.db"]),
            (":memory:", &["not a file"]),
            ("sqlite::memory:", &["not a file"]),
        ] {
            let error = place(text).unwrap_err().to_string();
            for word in words {
                assert!(error.contains(word), "{text}: no {word} in {error}");
            }
        }
    }

    #[test]
    fn no_password_of_a_url_is_shown() {
        for url in [
            "here://otel:hunter2@host/database",
            "here://otel:hun/ter2@host/database?password=hunter2",
            "other://otel:hunter2@host/database#hunter2",
            "here://host/database?password=hunter2",
        ] {
            let shown = match place(url) {
                Ok(place) => format!("{place} {place:?}"),
                Err(error) => error.to_string(),
            };
            assert!(shown.contains("://host/database"), "{shown}");
            assert!(!shown.contains("ter2"), "{shown}");
        }
    }

    #[test]
    fn paths_in_suggested_commands_are_quoted_for_the_shell() {
        let quoted = |text: &str| quoted(OsStr::new(text));
        assert_eq!(quoted("/tmp/a.db"), "/tmp/a.db");
        assert_eq!(quoted("it's here.db"), r"'it'\''s here.db'");
        assert_eq!(quoted("here://a:1,b:2/db"), "here://a:1,b:2/db");
        assert_eq!(quoted("here://a/db?lag=1s"), "'here://a/db?lag=1s'");
    }
}
