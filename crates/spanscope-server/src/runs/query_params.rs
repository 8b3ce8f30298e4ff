//! [`QueryParams`]: the query string of a request, words, numbers and filters, checked one
//! by one.
//!
//! A parameter that is not known is refused, because a misspelled filter that is passed over
//! answers what nobody asked for.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use spanscope_model::filter::Filter;
use spanscope_model::text::first_chars;
use spanscope_model::{RunFilter, RunStatus, Timestamp};
use spanscope_runs::{DetailLevel, EventType, TraceFormat};

use crate::answer::ApiError;

/// A page has so many runs where nothing is said (seed 5), and at most so many.
const PAGE_SIZE: u64 = 20;
const MAX_PAGE_SIZE: u64 = 1000;
/// The same of events.
const LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 10_000;

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
    fn only(&self, known: &[&str]) -> Result<(), ApiError> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(ApiError::invalid(format!(
                "{:?} is no parameter of this path: use {}",
                first_chars(name, 80),
                if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                },
            ))),
        }
    }

    /// Nothing at all.
    pub(super) fn nothing(&self) -> Result<(), ApiError> {
        self.only(&[])
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    }

    fn word<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, ApiError> {
        let read = self.text(name).map(str::parse).transpose();
        read.map_err(|error: T::Err| ApiError::invalid(format!("{name}: {error}")))
    }

    /// A plus that was not escaped is the blank of forms, and no time has a blank before its
    /// offset.
    fn time(&self, name: &str) -> Result<Option<Timestamp>, ApiError> {
        let as_sent = self.word::<Timestamp>(name);
        let mended = self.text(name).and_then(|text| {
            let (time, offset) = text.rsplit_once(' ')?;
            format!("{time}+{offset}").parse().ok()
        });
        match (as_sent, mended) {
            (Err(_), Some(time)) => Ok(Some(time)),
            (as_sent, _) => as_sent,
        }
    }

    fn number(&self, name: &str, default: u64, from: u64, to: u64) -> Result<u64, ApiError> {
        let Some(text) = self.0.get(name) else {
            return Ok(default);
        };
        let number = text.parse().ok().filter(|number| (from..=to).contains(number));
        number.ok_or_else(|| {
            let text = first_chars(text, 80);
            ApiError::invalid(format!("{name} is {text:?}: give a number from {from} to {to}"))
        })
    }

    /// A filter alone; one that matches everything where none is given.
    pub(crate) fn filter(&self) -> Result<Filter, ApiError> {
        self.only(&["filter"])?;
        let text = self.text("filter").unwrap_or_default();
        text.parse().map_err(|error| ApiError::wrong_filter(&error))
    }

    /// The format and the level, which a run may name one for itself.
    pub(super) fn shape(&self) -> Result<Shape, ApiError> {
        self.only(&["format", "level"])?;
        self.shape_beside()
    }

    fn shape_beside(&self) -> Result<Shape, ApiError> {
        Ok(Shape {
            format: self.word("format")?.unwrap_or_default(),
            level: self.word("level")?,
        })
    }

    /// Only the level.
    pub(super) fn level(&self) -> Result<Option<DetailLevel>, ApiError> {
        self.only(&["level"])?;
        self.word("level")
    }

    /// Which events.
    pub(super) fn events(&self) -> Result<Events, ApiError> {
        self.only(&[
            "event_types",
            "component_id",
            "limit",
            "offset",
            "format",
            "level",
        ])?;
        let types = self.text("event_types").map(|types| {
            let words = types.split(',').map(str::trim).filter(|word| !word.is_empty());
            let types = words.map(EventType::from_str).collect::<Result<Vec<_>, _>>();
            types.map_err(|error| ApiError::invalid(format!("event_types: {error}")))
        });
        Ok(Events {
            types: types.transpose()?,
            component: self.text("component_id").map(ToOwned::to_owned),
            limit: self.number("limit", LIMIT, 1, MAX_LIMIT)?,
            offset: self.number("offset", 0, 0, u64::from(u32::MAX))?,
            shape: self.shape_beside()?,
        })
    }

    /// Which runs, and the page and its size.
    pub(super) fn runs(&self) -> Result<(RunFilter, u64, u64), ApiError> {
        self.only(&[
            "agent_id",
            "session_id",
            "user_id",
            "status",
            "start_time",
            "end_time",
            "page",
            "page_size",
        ])?;
        let size = self.number("page_size", PAGE_SIZE, 1, MAX_PAGE_SIZE)?;
        let page = self.number("page", 1, 1, u64::from(u32::MAX))?;
        let text = |name| self.text(name).map(ToOwned::to_owned);
        let filter = RunFilter {
            agent_id: text("agent_id"),
            session_id: text("session_id"),
            user_id: text("user_id"),
            status: self.word::<RunStatus>("status")?,
            since: self.time("start_time")?,
            // The seed's end of a time is part of it.
            until: self
                .time("end_time")?
                .map(|end| Timestamp::from_nanos(end.as_nanos().saturating_add(1))),
            limit: size,
            offset: (page - 1) * size,
            ..RunFilter::default()
        };
        Ok((filter, page, size))
    }
}

/// How something is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) format: TraceFormat,
    /// None leaves it to the run.
    pub(super) level: Option<DetailLevel>,
}

impl Shape {
    /// The level, of a run that may name one for itself.
    pub(super) fn level_of(self, said: &str) -> DetailLevel {
        self.level.or_else(|| said.parse().ok()).unwrap_or_default()
    }
}

/// Which events of a run.
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
    fn a_page_and_its_size_say_which_runs() {
        let params =
            QueryParams(pairs("page=3&page_size=7&status=failed&end_time=1970-01-01T00:00:01").collect());
        let (filter, page, size) = params.runs().unwrap();
        assert_eq!((filter.offset, filter.limit, page, size), (14, 7, 3, 7));
        assert_eq!(filter.status, Some(RunStatus::Failed));
        assert_eq!(filter.until, Some(Timestamp::from_nanos(1_000_000_001)));
    }
}
