//! Settings by where they come from: code wins over the environment, the environment over the file.

use std::path::{Path, PathBuf};

use spanscope_layers::{Categories, LevelWarning, Levels};

use crate::config::{self, CategoryLevels};
use crate::paths::{STORE_FOLDER_VARIABLE, path_variable};
use crate::{InitError, SINKS, default_db_path};

/// What one place says.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) sinks: Option<Vec<String>>,
    pub(crate) service_name: Option<String>,
    pub(crate) db_path: Option<PathBuf>,
    pub(crate) log_file: Option<PathBuf>,
    pub(crate) max_value_len: Option<usize>,
    /// Pairs of category and level, one text a call.
    pub(crate) levels: Vec<String>,
    /// The same for one sink.
    pub(crate) sink_levels: Vec<(String, String)>,
}

impl Settings {
    /// What the environment says, but for the levels, and what in it is not accepted.
    pub(crate) fn from_env() -> (Self, Vec<InitError>) {
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
        settings.service_name = read("OTEL_SERVICE_NAME");
        settings.log_file = path_variable("LLAMA_STACK_LOG_FILE");
        if path_variable(STORE_FOLDER_VARIABLE).is_some() {
            settings.db_path = default_db_path().ok();
        }
        let limit = read("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT");
        if let Some(sinks) = sinks {
            let names = sinks.split(',').map(str::trim).filter(|name| !name.is_empty());
            let (known, unknown): (Vec<&str>, Vec<&str>) = names.partition(|name| SINKS.contains(name));
            problems.extend(unknown.iter().map(|name| unknown_sink("TELEMETRY_SINKS", name)));
            settings.sinks = Some(known.into_iter().map(ToOwned::to_owned).collect());
        }
        if let Some(limit) = limit {
            match limit.trim().parse() {
                Ok(bytes) => settings.max_value_len = Some(bytes),
                Err(_) => problems.push(InitError::Setting {
                    place: "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT".into(),
                    input: limit,
                    accepted: "write a number of bytes".to_owned(),
                }),
            }
        }
        (settings, problems)
    }

    /// What a file says.
    pub(crate) fn from_file(path: &Path) -> Result<Self, InitError> {
        let config = config::read(path, &SINKS, |name| std::env::var(name).ok())?;
        Ok(Self {
            sinks: config.sinks,
            service_name: config.service_name,
            db_path: config.db_path,
            log_file: config.log_file,
            max_value_len: None,
            levels: vec![pairs(&config.category_levels)],
            sink_levels: config
                .sink_levels
                .iter()
                .map(|(sink, levels)| (sink.clone(), pairs(levels)))
                .collect(),
        })
    }

    /// Puts what is set here on levels; warnings name the place.
    pub(crate) fn set_levels(
        &self,
        place: &'static str,
        categories: &Categories,
        levels: &mut Levels,
    ) -> Vec<LevelWarning> {
        let texts = self.levels.iter();
        texts
            .flat_map(|text| levels.set_pairs(categories, place, text))
            .collect()
    }

    /// The same for what is set for one sink alone; `None` if nothing is.
    pub(crate) fn set_sink_levels(
        &self,
        place: &'static str,
        sink: &str,
        categories: &Categories,
        levels: &mut Levels,
    ) -> Option<Vec<LevelWarning>> {
        let mut texts = self
            .sink_levels
            .iter()
            .filter(|(name, _)| name == sink)
            .map(|(_, text)| text)
            .peekable();
        texts.peek()?;
        Some(
            texts
                .flat_map(|text| levels.set_pairs(categories, place, text))
                .collect(),
        )
    }
}

fn pairs(levels: &CategoryLevels) -> String {
    let pairs = levels
        .iter()
        .map(|(category, level)| format!("{category}={level}"));
    pairs.collect::<Vec<_>>().join(",")
}

pub(crate) fn unknown_sink(place: &'static str, name: &str) -> InitError {
    InitError::Setting {
        place: place.into(),
        input: name.to_owned(),
        accepted: format!(
            "a comma-separated list of these is accepted: {}",
            SINKS.join(", ")
        ),
    }
}

/// A variable's value; blank is the same as not set.
fn variable(name: &'static str) -> Result<Option<String>, InitError> {
    match std::env::var(name) {
        Ok(value) if value.trim().is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(value)) => Err(InitError::Setting {
            place: name.into(),
            input: value.to_string_lossy().into_owned(),
            accepted: "it must be UTF-8".to_owned(),
        }),
    }
}
