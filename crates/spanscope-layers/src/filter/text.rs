//! Levels as text: the pairs of `LLAMA_STACK_LOGGING` and the directives of `RUST_LOG`.
//!
//! An invalid part changes nothing and causes a warning; the valid ones still apply. Parsing takes
//! time linear in the text and keeps only the valid parts.

use std::collections::HashMap;
use std::env;
use std::ffi::OsStr;

use super::categories::Categories;
use super::level_filter::{LEVEL_NAMES, LevelFilter};
use super::levels::Levels;
use super::warning::{LevelWarning, UnknownCategory, Warnings, quoted};

/// The variable with category levels.
pub const LEVELS_VARIABLE: &str = "LLAMA_STACK_LOGGING";

/// The variable with target directives.
pub const DIRECTIVES_VARIABLE: &str = "RUST_LOG";

impl Levels {
    /// Parses `category=level` pairs, separated by `,` or `;`; names may have any case, spaces are
    /// allowed, later pairs have priority. `source` names the text's origin in warnings.
    pub fn set_pairs(
        &mut self,
        categories: &Categories,
        source: &'static str,
        input: &str,
    ) -> Vec<LevelWarning> {
        let mut warnings = Warnings::new(source);
        for pair in input.split([',', ';']).map(str::trim) {
            if pair.is_empty() {
                continue;
            }
            let Some((category, level)) = name_and_level(pair) else {
                warnings.add(pair, || "not of the form `category=level`");
                continue;
            };
            match level.parse::<LevelFilter>() {
                Err(unknown) => warnings.add(pair, || unknown),
                Ok(threshold) => {
                    if !self.try_set(categories, category, threshold) {
                        warnings.add(pair, || UnknownCategory::new(category, categories.names()));
                    }
                }
            }
        }
        warnings.finish()
    }

    /// Parses target directives, separated by `,`: `level` replaces the defaults, `target=level`
    /// applies to targets with that prefix, and a bare `target` passes everything. Spans and fields
    /// in brackets are not supported. `source` names the text's origin in warnings.
    pub fn set_directives(&mut self, source: &'static str, input: &str) -> Vec<LevelWarning> {
        let mut warnings = Warnings::new(source);
        let mut found = HashMap::new();
        for part in directives(input) {
            if part.contains(['[', ']', '{', '}']) {
                warnings.add(part, || {
                    "spans and fields in brackets are not supported; accepted: `level`, `target`, `target=level`"
                });
            } else if !part.contains('=') {
                match part.parse() {
                    Ok(threshold) => self.bare = Some(threshold),
                    Err(_) if part.contains(is_no_target_letter) => warn_of_form(&mut warnings, part),
                    Err(_) => {
                        if found.insert(part, LevelFilter::Trace).is_none() {
                            warn_of_likely_level(&mut warnings, part);
                            warn_of_package(&mut warnings, part, part);
                        }
                    }
                }
            } else {
                match name_and_level(part).map(|(target, level)| (target, level.parse())) {
                    Some((target, Ok(threshold))) if !target.contains(is_no_target_letter) => {
                        if found.insert(target, threshold).is_none() {
                            warn_of_package(&mut warnings, part, target);
                        }
                    }
                    Some((_, Err(unknown))) => warnings.add(part, || unknown),
                    _ => warn_of_form(&mut warnings, part),
                }
            }
        }
        if !found.is_empty() {
            self.add_directives(found);
        }
        warnings.finish()
    }

    /// Reads both variables of this process's environment: first [`LEVELS_VARIABLE`], then
    /// [`DIRECTIVES_VARIABLE`].
    pub fn read_env(&mut self, categories: &Categories) -> Vec<LevelWarning> {
        self.read(
            categories,
            env::var_os(LEVELS_VARIABLE).as_deref(),
            env::var_os(DIRECTIVES_VARIABLE).as_deref(),
        )
    }

    pub(super) fn read(
        &mut self,
        categories: &Categories,
        pairs: Option<&OsStr>,
        directives: Option<&OsStr>,
    ) -> Vec<LevelWarning> {
        let mut warnings = Vec::new();
        if let Some(value) = pairs {
            warnings.extend(not_unicode(LEVELS_VARIABLE, value));
            warnings.extend(self.set_pairs(categories, LEVELS_VARIABLE, &value.to_string_lossy()));
        }
        if let Some(value) = directives {
            warnings.extend(not_unicode(DIRECTIVES_VARIABLE, value));
            warnings.extend(self.set_directives(DIRECTIVES_VARIABLE, &value.to_string_lossy()));
        }
        warnings
    }
}

fn not_unicode(source: &'static str, value: &OsStr) -> Option<LevelWarning> {
    let message = "not valid UTF-8; its readable parts still count".to_owned();
    value
        .to_str()
        .is_none()
        .then(|| LevelWarning::new(source, message))
}

fn name_and_level(part: &str) -> Option<(&str, &str)> {
    let (name, level) = part.split_once('=')?;
    let (name, level) = (name.trim(), level.trim());
    (!name.is_empty() && !level.is_empty() && !level.contains('=')).then_some((name, level))
}

fn is_no_target_letter(letter: char) -> bool {
    letter.is_whitespace() || letter.is_control() || letter == char::REPLACEMENT_CHARACTER
}

fn warn_of_form(warnings: &mut Warnings, part: &str) {
    warnings.add(
        part,
        || "not a directive; accepted: `level`, `target`, `target=level`",
    );
}

/// Warns about a target that is one typing error away from a level, such as `inof`: it is a valid
/// target, but probably a typo.
fn warn_of_likely_level(warnings: &mut Warnings, part: &str) {
    if part.len() > 10 {
        return;
    }
    let lower = part.to_lowercase();
    let mut names = LEVEL_NAMES.iter().map(|(name, _)| *name);
    if let Some(level) = names.find(|name| strsim::damerau_levenshtein(&lower, name) == 1) {
        warnings.add(part, || {
            format!("taken as a target; did you mean the level `{level}`?")
        });
    }
}

/// Warns about a target with a hyphen, such as `my-crate`: it is valid, but probably a mistake,
/// because the target of a crate is its name in code, `my_crate`.
fn warn_of_package(warnings: &mut Warnings, part: &str, target: &str) {
    let package = target.split("::").next().unwrap_or_default();
    if package.contains('-') {
        warnings.add(part, || {
            let meant = part.replacen(package, &package.replace('-', "_"), 1);
            format!(
                "taken as a target, but crates have underscores in theirs; did you mean `{}`?",
                quoted(&meant)
            )
        });
    }
}

/// Splits at commas. A comma inside a closed `[...]` belongs to the part, so that one span filter
/// is one part; an unclosed bracket ends at the next comma.
fn directives(input: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(input);
    let mut can_close = true;
    std::iter::from_fn(move || {
        let text = rest?;
        let mut end = text.find(',').unwrap_or(text.len());
        // A search for `]` ends inside this part, or finds none and is not repeated. So the time is
        // linear in the text.
        if can_close && text[..end].contains('[') {
            match text.find(']') {
                Some(close) if close >= end => {
                    end = text[close..].find(',').map_or(text.len(), |at| close + at);
                }
                Some(_) => {}
                None => can_close = false,
            }
        }
        rest = text.get(end + 1..);
        Some(text[..end].trim())
    })
    .filter(|part| !part.is_empty())
}
