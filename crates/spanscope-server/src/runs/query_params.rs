//! [`QueryParams`]: the query string of a request: words, numbers and filters, each of them
//! checked.
//!
//! An unknown parameter is refused, because ignoring a misspelled filter would return something
//! else than requested.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use spanscope_model::filter::{Filter, MAX_LEN};
use spanscope_model::text::first_chars;
use spanscope_model::{RunFilter, RunStatus, Timestamp};
use spanscope_runs::{DetailLevel, EventType, MAX_RUN_ATTRIBUTE_LEN, TraceFormat};

use crate::answer::ApiError;
use crate::api::{Parameter, Takes};

/// The parameter that takes the filter language.
const FILTER: Parameter = Parameter {
    example: Some("status=error duration>1.5s gen_ai.request.model=gpt*"),
    ..Parameter::query(
        "filter",
        Takes::Text(MAX_LEN),
        "A filter: terms that must all match the same span, which must also match the conditions. KEY=VALUE, !=, >, \
        >=, <, <=, ~ (contains) and !~ compare a field (name status kind duration start end_time service category trace \
        span parent level), a number of the trace (trace.duration trace.spans trace.errors trace.tokens), an attribute or \
        resource.KEY. VALUE is a text, a number with a unit (250ms), several values (a,b), a prefix (text*), or * for any \
        value. - before a term negates it. A word alone is searched in names, messages and texts. An invalid filter gets \
        400 with error.at, the byte offset of the error.",
    )
};
const FORMAT: Parameter = Parameter::query(
    "format",
    Takes::Word(|| words(TraceFormat::ALL, TraceFormat::as_str)),
    "The format of the response; `streaming` by default.",
);
const LEVEL: Parameter = Parameter::query(
    "level",
    Takes::Word(|| words(DetailLevel::ALL, DetailLevel::as_str)),
    "The level of detail; by default the run's own, else `standard`.",
);

/// The parameters of routes, one list for each reading function. The document has the same lists,
/// and handlers refuse any other parameter.
pub(crate) const FILTERED: [Parameter; 1] = [FILTER];
pub(super) const SHAPE: [Parameter; 2] = [FORMAT, LEVEL];
pub(super) const ONLY_LEVEL: [Parameter; 1] = [LEVEL];
pub(super) const EVENTS: [Parameter; 6] = [
    Parameter::query(
        "event_types",
        Takes::Words(|| words(EventType::ALL, EventType::as_str)),
        "Only events of these types.",
    ),
    Parameter::query(
        "component_id",
        Takes::Text(MAX_RUN_ATTRIBUTE_LEN),
        "Only events of this component, or of the span of this id.",
    ),
    Parameter::query(
        "limit",
        Takes::Number(100, 1, 10_000),
        "Maximum number of events.",
    ),
    Parameter::query(
        "offset",
        Takes::Number(0, 0, u32::MAX as u64),
        "Number of events to skip.",
    ),
    FORMAT,
    LEVEL,
];
pub(super) const RUNS: [Parameter; 8] = [
    Parameter::query(
        "agent_id",
        Takes::Text(MAX_RUN_ATTRIBUTE_LEN),
        "Only runs of this agent.",
    ),
    Parameter::query(
        "session_id",
        Takes::Text(MAX_RUN_ATTRIBUTE_LEN),
        "Only runs of this session.",
    ),
    Parameter::query(
        "user_id",
        Takes::Text(MAX_RUN_ATTRIBUTE_LEN),
        "Only runs of this user.",
    ),
    Parameter::query(
        "status",
        Takes::Word(|| words(RunStatus::ALL, RunStatus::as_str)),
        "Only runs in this state.",
    ),
    Parameter::query(
        "start_time",
        Takes::Time,
        "Only runs that began at this time or later.",
    ),
    Parameter::query(
        "end_time",
        Takes::Time,
        "Only runs that began at this time or earlier.",
    ),
    Parameter::query(
        "page",
        Takes::Number(1, 1, u32::MAX as u64),
        "The number of the page.",
    ),
    Parameter::query(
        "page_size",
        Takes::Number(20, 1, 1000),
        "The number of runs of a page.",
    ),
];

fn words<T: Copy>(all: &[T], as_str: impl Fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().map(|word| as_str(*word)).collect()
}

/// The parameters of a request, each given once.
pub(crate) struct QueryParams(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for QueryParams {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let mut params = BTreeMap::new();
        for (name, value) in pairs(parts.uri.query().unwrap_or_default()) {
            if params.insert(name.clone(), value).is_some() {
                return Err(ApiError::invalid(format!(
                    "{name:?} is given twice: give it once"
                )));
            }
        }
        Ok(Self(params))
    }
}

/// Reads `a=b&c=d`, percent-decoded; a plus is a blank, as forms write it.
fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned()
}

impl QueryParams {
    /// Refuses parameters that are not among these.
    pub(crate) fn only(&self, known: &[Parameter]) -> Result<(), ApiError> {
        for parameter in known {
            let text = self.text(parameter.name).unwrap_or_default();
            // The filter's own error covers its length.
            if let Takes::Text(longest) = parameter.takes
                && parameter.name != FILTER.name
                && text.chars().count() > longest
            {
                return Err(ApiError::invalid(format!(
                    "{} has more than {longest} characters: give the name as it is stored",
                    parameter.name
                )));
            }
        }
        let known: Vec<&str> = known.iter().map(|parameter| parameter.name).collect();
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(ApiError::invalid(format!(
                "{:?} is not a parameter of this path: use {}",
                first_chars(name, 80),
                if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                },
            ))),
        }
    }

    /// Refuses all parameters.
    pub(crate) fn nothing(&self) -> Result<(), ApiError> {
        self.only(&[])
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    }

    pub(crate) fn word<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, ApiError> {
        let read = self.text(name).map(str::parse).transpose();
        read.map_err(|error: T::Err| ApiError::invalid(format!("{name}: {error}")))
    }

    /// Reads a time. A plus that was not escaped is decoded as a blank, so a blank before the
    /// offset is read as a plus.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, ApiError> {
        let as_sent = self.word::<Timestamp>(name);
        let corrected = self.text(name).and_then(|text| {
            let (time, offset) = text.rsplit_once(' ')?;
            format!("{time}+{offset}").parse().ok()
        });
        match (as_sent, corrected) {
            (Err(_), Some(time)) => Ok(Some(time)),
            (as_sent, _) => as_sent,
        }
    }

    /// Reads a number and checks it by its bounds in a list of parameters.
    pub(crate) fn number(&self, known: &[Parameter], name: &str) -> Result<u64, ApiError> {
        let parameter = known.iter().find(|parameter| parameter.name == name);
        let Some(Takes::Number(default, least, most)) = parameter.map(|parameter| &parameter.takes) else {
            return Err(ApiError::invalid(format!("{name} is not a number here")));
        };
        let Some(text) = self.0.get(name) else {
            return Ok(*default);
        };
        let number = text
            .parse()
            .ok()
            .filter(|number| (least..=most).contains(&number));
        number.ok_or_else(|| {
            let text = first_chars(text, 80);
            ApiError::invalid(format!(
                "{name} is {text:?}: give a number from {least} to {most}"
            ))
        })
    }

    /// Returns the filter; one that matches everything if none is given.
    pub(crate) fn filter(&self) -> Result<Filter, ApiError> {
        self.only(&FILTERED)?;
        let text = self.text("filter").unwrap_or_default();
        text.parse().map_err(|error| ApiError::wrong_filter(&error))
    }

    /// Returns the requested format and level.
    pub(super) fn shape(&self) -> Result<Shape, ApiError> {
        self.only(&SHAPE)?;
        self.format_and_level()
    }

    fn format_and_level(&self) -> Result<Shape, ApiError> {
        Ok(Shape {
            format: self.word("format")?.unwrap_or_default(),
            level: self.word("level")?,
        })
    }

    /// Returns the requested level, for routes that accept nothing else.
    pub(super) fn level(&self) -> Result<Option<DetailLevel>, ApiError> {
        self.only(&ONLY_LEVEL)?;
        self.word("level")
    }

    /// Returns which events of a run are requested.
    pub(super) fn events(&self) -> Result<Events, ApiError> {
        self.only(&EVENTS)?;
        let types = self.text("event_types").map(|types| {
            let words = types.split(',').map(str::trim).filter(|word| !word.is_empty());
            let types = words.map(EventType::from_str).collect::<Result<Vec<_>, _>>();
            types.map_err(|error| ApiError::invalid(format!("event_types: {error}")))
        });
        Ok(Events {
            types: types.transpose()?,
            component: self.text("component_id").map(ToOwned::to_owned),
            limit: self.number(&EVENTS, "limit")?,
            offset: self.number(&EVENTS, "offset")?,
            shape: self.format_and_level()?,
        })
    }

    /// Returns which runs are requested, the page and its size.
    pub(super) fn runs(&self) -> Result<(RunFilter, u64, u64), ApiError> {
        self.only(&RUNS)?;
        let size = self.number(&RUNS, "page_size")?;
        let page = self.number(&RUNS, "page")?;
        let text = |name| self.text(name).map(ToOwned::to_owned);
        let filter = RunFilter::default()
            .agent_id(text("agent_id"))
            .session_id(text("session_id"))
            .user_id(text("user_id"))
            .status(self.word::<RunStatus>("status")?)
            .since(self.time("start_time")?)
            // RAGFlow's `end_time` is inclusive, the store's is not.
            .until(
                self.time("end_time")?
                    .map(|end| Timestamp::from_nanos(end.as_nanos().saturating_add(1))),
            )
            .limit(size)
            .offset((page - 1) * size);
        Ok((filter, page, size))
    }
}

/// The requested format and level of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) format: TraceFormat,
    /// `None` uses the run's own.
    pub(super) level: Option<DetailLevel>,
}

impl Shape {
    /// Returns the requested level, or else the run's own, or else the default.
    pub(super) fn level_of(self, own: &str) -> DetailLevel {
        self.level.or_else(|| own.parse().ok()).unwrap_or_default()
    }
}

/// The requested events of a run.
pub(super) struct Events {
    pub(super) types: Option<Vec<EventType>>,
    pub(super) component: Option<String>,
    pub(super) limit: u64,
    pub(super) offset: u64,
    pub(super) shape: Shape,
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_as_forms_are_written() {
        let read: Vec<_> = pairs("a=b%20c+d&e&%C3%A4=%zz%4&=x&").collect();
        let expected = [("a", "b c d"), ("e", ""), ("ä", "%zz%4"), ("", "x")];
        let expected: Vec<_> = expected
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
        assert_eq!(read, expected);
    }

    #[test]
    fn the_plus_of_an_offset_need_not_be_escaped() {
        for query in [
            "start_time=1970-01-01T01:00:01+01:00",
            "start_time=1970-01-01T01:00:01%2B01:00",
            "start_time=1970-01-01%2000:00:01",
        ] {
            let (filter, ..) = QueryParams(pairs(query).collect()).runs().unwrap();
            assert_eq!(
                filter.since,
                Some(Timestamp::from_nanos(1_000_000_000)),
                "{query}"
            );
        }
    }

    #[test]
    fn a_page_and_its_size_determine_offset_and_limit() {
        let params =
            QueryParams(pairs("page=3&page_size=7&status=failed&end_time=1970-01-01T00:00:01").collect());
        let (filter, page, size) = params.runs().unwrap();
        assert_eq!((filter.offset, filter.limit, page, size), (14, 7, 3, 7));
        assert_eq!(filter.status, Some(RunStatus::Failed));
        assert_eq!(filter.until, Some(Timestamp::from_nanos(1_000_000_001)));
    }
}
