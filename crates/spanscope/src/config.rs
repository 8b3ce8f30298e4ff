//! The settings as a YAML document.
//!
//! ```yaml
//! telemetry:
//!   service_name: ${env.OTEL_SERVICE_NAME:=my-agent}
//!   sinks: [console, sqlite]                 # or as one string: console,sqlite
//!   sqlite_db_path: ~/traces/trace_store.db
//!   otel_exporter_otlp_endpoint: http://localhost:4318
//! logging_config:
//!   category_levels: { server: debug, core: warn }
//!   log_file: /var/log/my-agent.log
//!   sinks:                                   # a sink's own filter
//!     console: { style: tree, category_levels: { inference: warn } }
//! ```
//!
//! Llama Stack's run.yaml works unchanged: its other blocks are ignored, and `telemetry` may also
//! be under `providers`, and may be a list of providers with their settings under `config`. Within
//! these blocks nothing is guessed: an unknown or repeated key or an unknown sink is an error.
//! Categories and levels stay text; the filter that gets them warns about unknown ones.
//!
//! An empty value counts as missing: no value, `null`, a text that is blank after substitution.
//! Relative paths are relative to the working directory; `~` is the user's home. The environment is
//! passed in as a function, so that nothing here reads it.

mod document;
mod substitution;

use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use document::{Node, Value};
use spanscope_layers::console::ConsoleStyle;
use spanscope_model::text::nearest;

use crate::error::quoted;
use crate::{InitErrorKind, LEVEL_SINKS};

/// Maximum file size in bytes: no configuration is that long.
const MAX_BYTES: u64 = 1 << 20;

const PROVIDER_TYPE: &str = "inline::meta-reference";
const ENDPOINT: &str = "otel_exporter_otlp_endpoint";

/// Pairs of a category and a level, as written.
pub(crate) type CategoryLevels = Vec<(String, String)>;

/// The settings in a YAML document.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) service_name: Option<String>,
    /// Known ones only. Empty if the document turns all off.
    pub(crate) sinks: Option<Vec<String>>,
    pub(crate) db_path: Option<PathBuf>,
    /// The position in the file, and the URL.
    pub(crate) otlp_endpoint: Option<(String, String)>,
    pub(crate) category_levels: CategoryLevels,
    pub(crate) log_file: Option<PathBuf>,
    pub(crate) console: Option<ConsoleStyle>,
    pub(crate) markup: Option<bool>,
    pub(crate) sync: Option<bool>,
    /// The levels of single sinks, by a sink's name.
    pub(crate) sink_levels: Vec<(String, CategoryLevels)>,
}

/// Reads a configuration file.
///
/// # Errors
/// Fails if the file can't be read, exceeds 1 MiB, is not valid YAML, or has an invalid setting.
pub(crate) fn read(
    path: &Path,
    sinks: &[&str],
    env: impl Fn(&str) -> Option<String>,
) -> Result<Config, InitErrorKind> {
    let place = path.display().to_string();
    let fail = |problem: String| InitErrorKind::Document {
        place: place.clone(),
        problem,
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| fail(format!("can't read the file: {error}")))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(fail("the file is longer than 1 MiB".to_owned()));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        fail(format!("the file is not UTF-8 from byte {at} on"))
    })?;
    parse(&text, &place, sinks, env)
}

/// Parses settings; errors refer to the text as `place`.
///
/// # Errors
/// Fails if the text is not valid YAML, or has an invalid setting.
pub(crate) fn parse(
    text: &str,
    place: &str,
    sinks: &[&str],
    env: impl Fn(&str) -> Option<String>,
) -> Result<Config, InitErrorKind> {
    let root = document::read(text).map_err(|wrong| InitErrorKind::Document {
        place: format!("{place}:{}", wrong.line),
        problem: wrong.problem,
    })?;
    let reader = Reader {
        place,
        sinks,
        env: &env,
    };
    let mut config = Config::default();
    if let Some(root) = root {
        reader.read(&root, &mut config)?;
    }
    Ok(config)
}

struct Reader<'a> {
    place: &'a str,
    sinks: &'a [&'a str],
    env: &'a dyn Fn(&str) -> Option<String>,
}

/// A value, the keys that lead to it, and the line of the last key.
struct Setting<'a> {
    path: String,
    line: usize,
    node: &'a Node,
}

impl Reader<'_> {
    fn read(&self, root: &Node, config: &mut Config) -> Result<(), InitErrorKind> {
        let root = Setting {
            path: String::new(),
            line: root.line,
            node: root,
        };
        if !matches!(root.node.value, Value::Map(_) | Value::Null) {
            return Err(self.unexpected(&root, "a mapping of keys to values"));
        }
        // The block under `providers` is the older form: the newer one has priority.
        if let Some(providers) = self.find(&root, "providers")?
            && let Some(block) = self.find(&providers, "telemetry")?
        {
            self.telemetry(&block, config)?;
        }
        if let Some(block) = self.find(&root, "telemetry")? {
            self.telemetry(&block, config)?;
        }
        if let Some(block) = self.find(&root, "logging_config")? {
            self.logging(&block, config)?;
        }
        Ok(())
    }

    /// Returns one of our blocks in a foreign mapping, whose other entries are ignored.
    fn find<'n>(&self, foreign: &Setting<'n>, key: &str) -> Result<Option<Setting<'n>>, InitErrorKind> {
        let Value::Map(pairs) = &foreign.node.value else {
            return Ok(None);
        };
        let mut found = pairs
            .iter()
            .filter(|(name, _)| matches!(&name.value, Value::Text(name) if name == key))
            .map(|(name, node)| foreign.at_key(key, name.line, node));
        let first = found.next();
        match found.next() {
            Some(second) => Err(self.wrong(&second, "this key is repeated")),
            None => Ok(first),
        }
    }

    /// Reads one mapping of settings, or a list of providers, of which later ones have priority.
    fn telemetry(&self, block: &Setting<'_>, config: &mut Config) -> Result<(), InitErrorKind> {
        let Value::List(providers) = &block.node.value else {
            return self.telemetry_settings(block, config);
        };
        for (index, provider) in providers.iter().enumerate() {
            let provider = block.at_index(index, provider);
            // Llama Stack's way to disable a provider by a variable.
            if let Some(id) = self.find(&provider, "provider_id")?
                && self.text(&id)?.is_none_or(|id| id == "__disabled__")
            {
                continue;
            }
            let mut settings = None;
            for (key, setting) in self.entries(&provider)? {
                match key {
                    "provider_id" => {}
                    "provider_type" => self.provider_type(&setting)?,
                    "config" => settings = Some(setting),
                    _ => {
                        let accepted = ["provider_id", "provider_type", "config"];
                        return Err(self.unknown_key(&provider, key, &setting, &accepted));
                    }
                }
            }
            if let Some(settings) = settings {
                self.telemetry_settings(&settings, config)?;
            }
        }
        Ok(())
    }

    fn provider_type(&self, setting: &Setting<'_>) -> Result<(), InitErrorKind> {
        match self.text(setting)? {
            Some(name) if name != PROVIDER_TYPE => Err(self.unknown(setting, &name, &[PROVIDER_TYPE])),
            _ => Ok(()),
        }
    }

    fn telemetry_settings(&self, block: &Setting<'_>, config: &mut Config) -> Result<(), InitErrorKind> {
        for (key, setting) in self.entries(block)? {
            match key {
                "service_name" => set(&mut config.service_name, self.text(&setting)?),
                "sinks" => set(&mut config.sinks, self.sink_names(&setting)?),
                "sqlite_db_path" => set(&mut config.db_path, self.path(&setting)?),
                ENDPOINT => {
                    let place = || format!("{}:{}: {}", self.place, setting.line, setting.path);
                    let url = self.text(&setting)?;
                    set(&mut config.otlp_endpoint, url.map(|url| (place(), url)));
                }
                _ => {
                    let accepted = ["service_name", "sinks", "sqlite_db_path", ENDPOINT];
                    return Err(self.unknown_key(block, key, &setting, &accepted));
                }
            }
        }
        Ok(())
    }

    fn logging(&self, block: &Setting<'_>, config: &mut Config) -> Result<(), InitErrorKind> {
        for (key, setting) in self.entries(block)? {
            match key {
                "category_levels" => config.category_levels = self.category_levels(&setting)?,
                "log_file" => config.log_file = self.path(&setting)?,
                "sinks" => self.sink_settings(&setting, config)?,
                _ => {
                    let accepted = ["category_levels", "log_file", "sinks"];
                    return Err(self.unknown_key(block, key, &setting, &accepted));
                }
            }
        }
        Ok(())
    }

    fn sink_settings(&self, block: &Setting<'_>, config: &mut Config) -> Result<(), InitErrorKind> {
        for (sink, block) in self.entries(block)? {
            if !LEVEL_SINKS.contains(&sink) {
                return Err(self.unknown(&block, sink, &LEVEL_SINKS));
            }
            for (key, setting) in self.entries(&block)? {
                match (sink, key) {
                    (_, "category_levels") => {
                        let levels = self.category_levels(&setting)?;
                        config.sink_levels.push((sink.to_owned(), levels));
                    }
                    ("console", "style") => set(&mut config.console, self.console_style(&setting)?),
                    ("console", "markup") => set(&mut config.markup, self.flag(&setting)?),
                    ("console", "sync") => set(&mut config.sync, self.flag(&setting)?),
                    ("console", _) => {
                        let accepted = ["category_levels", "markup", "style", "sync"];
                        return Err(self.unknown_key(&block, key, &setting, &accepted));
                    }
                    _ => return Err(self.unknown_key(&block, key, &setting, &["category_levels"])),
                }
            }
        }
        Ok(())
    }

    fn flag(&self, setting: &Setting<'_>) -> Result<Option<bool>, InitErrorKind> {
        match self.text(setting)?.as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(self.unknown(setting, other, &["true", "false"])),
        }
    }

    fn console_style(&self, setting: &Setting<'_>) -> Result<Option<ConsoleStyle>, InitErrorKind> {
        let Some(text) = self.text(setting)? else {
            return Ok(None);
        };
        let accepted: Vec<&str> = ConsoleStyle::ALL.iter().map(|style| style.as_str()).collect();
        let style = text
            .parse()
            .map_err(|_| self.unknown(setting, &text, &accepted))?;
        Ok(Some(style))
    }

    fn category_levels(&self, block: &Setting<'_>) -> Result<CategoryLevels, InitErrorKind> {
        let mut levels = CategoryLevels::new();
        for (category, setting) in self.entries(block)? {
            if let Some(level) = self.text(&setting)? {
                levels.push((category.to_owned(), level));
            }
        }
        Ok(levels)
    }

    /// Reads a list of names, or a text with commas, because a variable can hold only text.
    fn sink_names(&self, setting: &Setting<'_>) -> Result<Option<Vec<String>>, InitErrorKind> {
        let names: Vec<String> = if let Value::List(items) = &setting.node.value {
            let mut names = Vec::new();
            for (index, node) in items.iter().enumerate() {
                names.extend(self.text(&setting.at_index(index, node))?);
            }
            names
        } else {
            let Some(text) = self.expect_text(setting, "a list of sinks, or a text with commas")? else {
                return Ok(None);
            };
            let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
            names.map(str::to_owned).collect()
        };
        match names.iter().find(|name| !self.sinks.contains(&name.as_str())) {
            Some(unknown) => Err(self.unknown(setting, unknown, self.sinks)),
            None => Ok(Some(names)),
        }
    }

    fn path(&self, setting: &Setting<'_>) -> Result<Option<PathBuf>, InitErrorKind> {
        let Some(text) = self.text(setting)? else {
            return Ok(None);
        };
        let Some(below) = text
            .strip_prefix('~')
            .filter(|below| below.is_empty() || below.starts_with(std::path::is_separator))
        else {
            return Ok(Some(text.into()));
        };
        let home = (self.env)("HOME")
            .or_else(|| (self.env)("USERPROFILE"))
            .filter(|home| !home.is_empty())
            .ok_or_else(|| self.wrong(setting, "~ stands for HOME, which is not set"))?;
        let below = below.trim_start_matches(std::path::is_separator);
        let home = PathBuf::from(home);
        Ok(Some(if below.is_empty() { home } else { home.join(below) }))
    }

    fn text(&self, setting: &Setting<'_>) -> Result<Option<String>, InitErrorKind> {
        self.expect_text(setting, "a text")
    }

    /// Returns the text after substitution; `None` if it is then empty.
    fn expect_text(&self, setting: &Setting<'_>, expected: &str) -> Result<Option<String>, InitErrorKind> {
        match &setting.node.value {
            Value::Null => Ok(None),
            Value::Text(text) => {
                let text = substitution::substitute(text, self.env)
                    .map_err(|problem| self.wrong(setting, &problem))?;
                // Llama Stack's own files use a zero-width space for "no name".
                let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{200b}');
                Ok((!text.is_empty()).then(|| text.to_owned()))
            }
            Value::List(_) | Value::Map(_) => Err(self.unexpected(setting, expected)),
        }
    }

    /// Returns the entries of one of our mappings, in the order of the text.
    fn entries<'n>(&self, block: &Setting<'n>) -> Result<Vec<(&'n str, Setting<'n>)>, InitErrorKind> {
        let pairs = match &block.node.value {
            Value::Null => return Ok(Vec::new()),
            Value::Map(pairs) => pairs,
            Value::Text(_) | Value::List(_) => {
                return Err(self.unexpected(block, "a mapping of keys to values"));
            }
        };
        let mut seen = HashSet::new();
        let mut entries = Vec::with_capacity(pairs.len());
        for (key, node) in pairs {
            let Value::Text(name) = &key.value else {
                let setting = block.at_key("?", key.line, node);
                return Err(self.wrong(&setting, "this key is not a string"));
            };
            let setting = block.at_key(name, key.line, node);
            if !seen.insert(name) {
                return Err(self.wrong(&setting, "this key is repeated"));
            }
            entries.push((name.as_str(), setting));
        }
        Ok(entries)
    }

    fn unknown_key(
        &self,
        block: &Setting<'_>,
        key: &str,
        setting: &Setting<'_>,
        accepted: &[&str],
    ) -> InitErrorKind {
        InitErrorKind::Setting {
            place: format!("{}:{}: a key of {}", self.place, setting.line, block.path).into(),
            input: quoted(key),
            accepted: these_are_accepted(key, accepted),
        }
    }

    fn unknown(&self, setting: &Setting<'_>, input: &str, accepted: &[&str]) -> InitErrorKind {
        InitErrorKind::Setting {
            place: format!("{}:{}: {}", self.place, setting.line, setting.path).into(),
            input: quoted(input),
            accepted: these_are_accepted(input, accepted),
        }
    }

    fn unexpected(&self, setting: &Setting<'_>, expected: &str) -> InitErrorKind {
        let kind = setting.node.value.kind();
        self.wrong(setting, &format!("this is {kind}; expected is {expected}"))
    }

    fn wrong(&self, setting: &Setting<'_>, problem: &str) -> InitErrorKind {
        let path = match setting.path.as_str() {
            "" => String::new(),
            path => format!("{path}: "),
        };
        InitErrorKind::Document {
            place: format!("{}:{}", self.place, setting.line),
            problem: format!("{path}{problem}"),
        }
    }
}

impl<'a> Setting<'a> {
    fn at_key(&self, key: &str, line: usize, node: &'a Node) -> Self {
        let path = match self.path.as_str() {
            "" => quoted(key),
            above => format!("{above}.{}", quoted(key)),
        };
        Self { path, line, node }
    }

    fn at_index(&self, index: usize, node: &'a Node) -> Self {
        let path = format!("{}[{index}]", self.path);
        Self {
            path,
            line: node.line,
            node,
        }
    }
}

fn set<T>(setting: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *setting = value;
    }
}

fn these_are_accepted(input: &str, accepted: &[&str]) -> String {
    let list = accepted.join(", ");
    match nearest(input, accepted.iter().copied()) {
        Some(near) => format!("did you mean {near}? These are accepted: {list}"),
        None => format!("these are accepted: {list}"),
    }
}

#[cfg(test)]
mod tests;
