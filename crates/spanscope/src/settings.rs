//! Settings by where they come from: code wins over the environment, the environment over the file.

use std::path::{Path, PathBuf};

use spanscope_layers::console::{ConsoleStyle, markup_from_env, sync_from_env};
use spanscope_layers::{Categories, LevelWarning, Levels};

use crate::InitErrorKind;
use crate::config::{self, CategoryLevels};
use crate::paths::{STORE_FOLDER_VARIABLE, db_path, path_variable};
use crate::sinks::{SINKS, unknown_sink};

/// What one place says.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) sinks: Option<Vec<String>>,
    pub(crate) service_name: Option<String>,
    pub(crate) db_path: Option<PathBuf>,
    pub(crate) log_file: Option<PathBuf>,
    pub(crate) max_value_len: Option<usize>,
    pub(crate) console: Option<ConsoleStyle>,
    /// Every message of the application is markup.
    pub(crate) markup: Option<bool>,
    /// The calling thread writes the console's lines.
    pub(crate) sync: Option<bool>,
    /// `OTEL_SDK_DISABLED` switches everything off.
    pub(crate) is_disabled: bool,
    /// Where it was said, and the URL.
    pub(crate) otlp_endpoint: Option<(String, String)>,
    /// Pairs of category and level, one text a call.
    pub(crate) levels: Vec<String>,
    /// The same for one sink.
    pub(crate) sink_levels: Vec<(String, String)>,
}

impl Settings {
    /// What the environment says, but for the levels, and what in it is not accepted.
    pub(crate) fn from_env() -> (Self, Vec<InitErrorKind>) {
        let mut settings = Self::default();
        let mut problems = Vec::new();
        let mut read = |name: &'static str| match variable(name) {
            Ok(value) => value,
            Err(problem) => {
                problems.push(problem);
                None
            }
        };
        let sinks = read("TELEMETRY_SINKS");
        let console_levels = read(CONSOLE_LEVELS_VARIABLE);
        let disabled = read("OTEL_SDK_DISABLED");
        settings.service_name = read("OTEL_SERVICE_NAME")
            .or_else(|| read("OTEL_RESOURCE_ATTRIBUTES").and_then(|text| service_name_in(&text)));
        settings.log_file = path_variable("LLAMA_STACK_LOG_FILE");
        if path_variable(STORE_FOLDER_VARIABLE).is_some() {
            settings.db_path = db_path().ok();
        }
        let limit = read("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT");
        if let Some(sinks) = sinks {
            let names = sinks.split(',').map(str::trim).filter(|name| !name.is_empty());
            let (known, unknown): (Vec<&str>, Vec<&str>) = names.partition(|name| SINKS.contains(name));
            problems.extend(
                unknown
                    .iter()
                    .map(|name| unknown_sink("TELEMETRY_SINKS", name, &SINKS)),
            );
            settings.sinks = Some(known.into_iter().map(ToOwned::to_owned).collect());
        }
        if let Some(limit) = limit {
            match limit.trim().parse() {
                Ok(bytes) => settings.max_value_len = Some(bytes),
                Err(_) => problems.push(InitErrorKind::Setting {
                    place: "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT".into(),
                    input: limit,
                    accepted: "write a number of bytes".to_owned(),
                }),
            }
        }
        if let Some(levels) = console_levels {
            settings.sink_levels.push(("console".to_owned(), levels));
        }
        match ConsoleStyle::try_from_env() {
            Ok(style) => settings.console = style,
            Err(problem) => problems.push(problem.into()),
        }
        match markup_from_env() {
            Ok(markup) => settings.markup = markup,
            Err(problem) => problems.push(problem.into()),
        }
        match sync_from_env() {
            Ok(sync) => settings.sync = sync,
            Err(problem) => problems.push(problem.into()),
        }
        if let Some(disabled) = disabled {
            let word = disabled.trim();
            settings.is_disabled = word.eq_ignore_ascii_case("true");
            if !settings.is_disabled && !word.eq_ignore_ascii_case("false") {
                problems.push(InitErrorKind::Setting {
                    place: "OTEL_SDK_DISABLED".into(),
                    input: disabled,
                    accepted: "true and false are accepted; false is taken".to_owned(),
                });
            }
        }
        (settings, problems)
    }

    /// What a file says.
    pub(crate) fn from_file(path: &Path) -> Result<Self, InitErrorKind> {
        let config = config::read(path, &SINKS, |name| std::env::var(name).ok())?;
        Ok(Self {
            sinks: config.sinks,
            service_name: config.service_name,
            db_path: config.db_path,
            log_file: config.log_file,
            max_value_len: None,
            console: config.console,
            markup: config.markup,
            sync: config.sync,
            is_disabled: false,
            otlp_endpoint: config.otlp_endpoint,
            levels: vec![pairs(&config.category_levels)],
            sink_levels: config
                .sink_levels
                .iter()
                .map(|(sink, levels)| (sink.clone(), pairs(levels)))
                .collect(),
        })
    }
}

/// Where levels come from, the weakest first: the file, what the file says of a sink, the environment, what it says of
/// the console, code, what code says of a sink.
pub(crate) struct LevelSources<'a> {
    pub(crate) file: &'a Settings,
    /// What the environment says, where it is read.
    pub(crate) env: Option<&'a Settings>,
    pub(crate) code: &'a Settings,
    pub(crate) directives: &'a [String],
    pub(crate) categories: &'a Categories,
}

/// A sink's own levels, and what was not accepted of what is said of it alone.
pub(crate) struct SinkLevels {
    pub(crate) levels: Levels,
    pub(crate) warnings: Vec<LevelWarning>,
    /// Said in code, where it is an error.
    pub(crate) wrong: Vec<LevelWarning>,
}

impl LevelSources<'_> {
    /// The levels of sinks that have none of their own, what to warn about, and what is wrong in code.
    pub(crate) fn of_all(&self) -> (Levels, Vec<LevelWarning>, Vec<LevelWarning>) {
        let mut levels = Levels::new();
        let mut warnings = self.set(&mut levels, FILE_LEVELS, &self.file.levels);
        if self.env.is_some() {
            warnings.extend(levels.read_env(self.categories));
        }
        let wrong = self.set_code(&mut levels);
        (levels, warnings, wrong)
    }

    /// The levels of a sink; `None` where nothing is said of it alone.
    pub(crate) fn of_sink(&self, sink: &str) -> Option<SinkLevels> {
        let own = |settings: &Settings| -> Vec<String> {
            let levels = settings.sink_levels.iter().filter(|(name, _)| name == sink);
            levels.map(|(_, text)| text.clone()).collect()
        };
        let (from_file, from_code) = (own(self.file), own(self.code));
        let from_env = self.env.map(own).unwrap_or_default();
        if from_file.is_empty() && from_env.is_empty() && from_code.is_empty() {
            return None;
        }
        let mut levels = Levels::new();
        // What holds for all sinks has been warned about once.
        self.set(&mut levels, FILE_LEVELS, &self.file.levels);
        let mut warnings = self.set(&mut levels, "logging_config.sinks", &from_file);
        if self.env.is_some() {
            levels.read_env(self.categories);
        }
        warnings.extend(self.set(&mut levels, CONSOLE_LEVELS_VARIABLE, &from_env));
        self.set_code(&mut levels);
        let wrong = self.set(&mut levels, "sink_levels", &from_code);
        Some(SinkLevels {
            levels,
            warnings,
            wrong,
        })
    }

    fn set_code(&self, levels: &mut Levels) -> Vec<LevelWarning> {
        let mut wrong = self.set(levels, "levels", &self.code.levels);
        for directives in self.directives {
            wrong.extend(levels.set_directives("directives", directives));
        }
        wrong
    }

    fn set(&self, levels: &mut Levels, place: &'static str, texts: &[String]) -> Vec<LevelWarning> {
        texts
            .iter()
            .flat_map(|text| levels.set_pairs(self.categories, place, text))
            .collect()
    }
}

/// The variable with levels for the console alone.
const CONSOLE_LEVELS_VARIABLE: &str = "SPANSCOPE_CONSOLE_LEVELS";
const FILE_LEVELS: &str = "logging_config.category_levels";

fn pairs(levels: &CategoryLevels) -> String {
    let pairs = levels
        .iter()
        .map(|(category, level)| format!("{category}={level}"));
    pairs.collect::<Vec<_>>().join(",")
}

/// `service.name` among the attributes of a resource.
fn service_name_in(attributes: &str) -> Option<String> {
    let pairs = attributes.split(',').filter_map(|pair| pair.split_once('='));
    let (_, name) = pairs.rev().find(|(key, _)| key.trim() == "service.name")?;
    let name = percent_encoding::percent_decode_str(name.trim())
        .decode_utf8()
        .ok()?;
    (!name.is_empty()).then(|| name.into_owned())
}

/// A variable's value; blank is the same as not set.
fn variable(name: &'static str) -> Result<Option<String>, InitErrorKind> {
    match std::env::var(name) {
        Ok(value) if value.trim().is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(value)) => Err(InitErrorKind::Setting {
            place: name.into(),
            input: value.to_string_lossy().into_owned(),
            accepted: "it must be UTF-8".to_owned(),
        }),
    }
}
