//! Settings by their origin: code has priority over the environment, the environment over the file.

use std::path::{Path, PathBuf};

use spanscope_core::resource_pairs;
#[cfg(feature = "console")]
use spanscope_layers::console::ConsoleEnv;
use spanscope_layers::console::ConsoleStyle;
use spanscope_layers::{Categories, LevelWarning, Levels};

use crate::InitErrorKind;
use crate::config::{self, CategoryLevels};
#[cfg(feature = "sqlite")]
use crate::paths::db_path;
use crate::paths::{STORE_FOLDER_VARIABLE, path_variable};
use crate::sinks::{SINKS, missing_feature, unknown_sink, without_feature};

/// The settings from one origin.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) sinks: Option<Vec<String>>,
    pub(crate) service_name: Option<String>,
    /// Attributes of the resource.
    pub(crate) resource: Vec<(String, String)>,
    #[cfg_attr(
        not(feature = "sqlite"),
        expect(dead_code, reason = "settings files may contain it")
    )]
    pub(crate) db_path: Option<PathBuf>,
    pub(crate) log_file: Option<PathBuf>,
    pub(crate) max_value_len: Option<usize>,
    pub(crate) console: Option<ConsoleStyle>,
    /// The console's settings in the environment.
    #[cfg(feature = "console")]
    pub(crate) console_env: Option<ConsoleEnv>,
    /// Whether every message of the application is markup.
    #[cfg_attr(
        not(feature = "console"),
        expect(dead_code, reason = "settings files may contain it")
    )]
    pub(crate) markup: Option<bool>,
    /// Whether the calling thread writes the console's lines.
    #[cfg_attr(
        not(feature = "console"),
        expect(dead_code, reason = "settings files may contain it")
    )]
    pub(crate) sync: Option<bool>,
    /// Whether `OTEL_SDK_DISABLED` switches everything off.
    pub(crate) is_disabled: bool,
    /// The position in the file, and the URL.
    pub(crate) otlp_endpoint: Option<(String, String)>,
    /// Pairs of category and level, one text per call.
    pub(crate) levels: Vec<String>,
    /// Pairs of category and level for one sink, after the sink's name.
    pub(crate) sink_levels: Vec<(String, String)>,
}

impl Settings {
    /// Reads the environment, except levels; also returns invalid values.
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
        settings.service_name = read("OTEL_SERVICE_NAME");
        let resource = read(RESOURCE_VARIABLE);
        settings.log_file = path_variable("LLAMA_STACK_LOG_FILE");
        #[cfg(feature = "sqlite")]
        if path_variable(STORE_FOLDER_VARIABLE).is_some() {
            settings.db_path = db_path().ok();
        }
        let limit = read("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT");
        for pair in resource.iter().flat_map(|text| resource_pairs(text)) {
            match pair {
                Ok(pair) => settings.resource.push(pair),
                Err(pair) => problems.push(InitErrorKind::Setting {
                    place: RESOURCE_VARIABLE.into(),
                    input: pair.to_owned(),
                    accepted: "write key=value,key=value, with %2C for a comma in a value".to_owned(),
                }),
            }
        }
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
        #[cfg(feature = "console")]
        {
            let mut console = ConsoleEnv::from_env();
            problems.extend(console.take_problems().into_iter().map(InitErrorKind::from));
            settings.console = console.style;
            settings.markup = console.markup;
            settings.sync = console.synchronous;
            settings.console_env = Some(console);
        }
        problems.extend(unused_variables());
        if let Some(disabled) = disabled {
            let word = disabled.trim();
            settings.is_disabled = word.eq_ignore_ascii_case("true");
            if !settings.is_disabled && !word.eq_ignore_ascii_case("false") {
                problems.push(InitErrorKind::Setting {
                    place: "OTEL_SDK_DISABLED".into(),
                    input: disabled,
                    accepted: "true and false are accepted; false is used".to_owned(),
                });
            }
        }
        (settings, problems)
    }

    /// Reads a file.
    pub(crate) fn from_file(path: &Path) -> Result<Self, InitErrorKind> {
        let config = config::read(path, &SINKS, |name| std::env::var(name).ok())?;
        Ok(Self {
            sinks: config.sinks,
            service_name: config.service_name,
            resource: Vec::new(),
            db_path: config.db_path,
            log_file: config.log_file,
            max_value_len: None,
            console: config.console,
            #[cfg(feature = "console")]
            console_env: None,
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

/// The origins of levels, the weakest first: the file, the file's levels for a sink, the
/// environment, its levels for the console, code, code's levels for a sink.
pub(crate) struct LevelSources<'a> {
    pub(crate) file: &'a Settings,
    /// The settings of the environment, if it is read.
    pub(crate) env: Option<&'a Settings>,
    pub(crate) code: &'a Settings,
    pub(crate) directives: &'a [String],
    pub(crate) categories: &'a Categories,
}

/// A sink's own levels, and the invalid parts of them.
pub(crate) struct SinkLevels {
    pub(crate) levels: Levels,
    pub(crate) warnings: Vec<LevelWarning>,
    /// Set in code, where they are an error.
    pub(crate) wrong: Vec<LevelWarning>,
}

impl LevelSources<'_> {
    /// Returns the levels of sinks without their own, warnings, and errors in code.
    pub(crate) fn of_all(&self) -> (Levels, Vec<LevelWarning>, Vec<LevelWarning>) {
        let mut levels = Levels::new();
        let mut warnings = self.set(&mut levels, FILE_LEVELS, &self.file.levels);
        if self.env.is_some() {
            warnings.extend(levels.read_env(self.categories));
        }
        let wrong = self.set_code(&mut levels);
        (levels, warnings, wrong)
    }

    /// Returns the levels of a sink; `None` if it has none.
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
        // `of_all` returns the warnings about the common levels.
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

/// The variable with attributes of the resource.
pub(crate) const RESOURCE_VARIABLE: &str = "OTEL_RESOURCE_ATTRIBUTES";
/// The variable with levels for the console alone.
const CONSOLE_LEVELS_VARIABLE: &str = "SPANSCOPE_CONSOLE_LEVELS";
const FILE_LEVELS: &str = "logging_config.category_levels";

/// Variables that are set for sinks which the program is built without.
fn unused_variables() -> impl Iterator<Item = InitErrorKind> {
    let of_sinks = [
        ("console", "SPANSCOPE_CONSOLE"),
        ("console", CONSOLE_LEVELS_VARIABLE),
        ("log_file", "LLAMA_STACK_LOG_FILE"),
        ("sqlite", STORE_FOLDER_VARIABLE),
    ];
    of_sinks.into_iter().filter_map(|(sink, name)| {
        let feature = missing_feature(sink)?;
        let value = path_variable(name)?;
        Some(without_feature(name, value.to_string_lossy(), feature))
    })
}

fn pairs(levels: &CategoryLevels) -> String {
    let pairs = levels
        .iter()
        .map(|(category, level)| format!("{category}={level}"));
    pairs.collect::<Vec<_>>().join(",")
}

/// Returns a variable's value; a blank one counts as not set.
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
