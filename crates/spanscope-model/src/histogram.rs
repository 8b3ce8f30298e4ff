//! [`Histogram`]: the number of records over time; [`Completion`]: stored texts that complete a
//! user's input; [`DurationRank`]: a duration among others.

use crate::{Timestamp, setters, text_enum};

/// The time range of a [`Histogram`], and its number of buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistogramRange {
    /// The start of the range (included).
    pub from: Timestamp,
    /// The end of the range (excluded).
    pub to: Timestamp,
    /// The number of buckets, 1 to [`MAX_BUCKETS`](Self::MAX_BUCKETS).
    pub buckets: u32,
}

impl HistogramRange {
    /// The largest number of buckets.
    pub const MAX_BUCKETS: u32 = 1000;

    /// Returns the width of each bucket in nanoseconds. The last bucket may end after `to`.
    ///
    /// ```
    /// use spanscope_model::{HistogramRange, Timestamp};
    ///
    /// let range = |to| HistogramRange { from: Timestamp::from_nanos(0), to: Timestamp::from_nanos(to), buckets: 3 };
    /// assert_eq!((range(9).step_nanos(), range(10).step_nanos()), (3, 4));
    /// ```
    #[must_use]
    pub fn step_nanos(&self) -> i64 {
        let nanos = i128::from(self.to.as_nanos()) - i128::from(self.from.as_nanos());
        let buckets = i128::from(self.buckets.clamp(1, Self::MAX_BUCKETS));
        let step = (nanos.max(1) + buckets - 1) / buckets;
        i64::try_from(step).unwrap_or(i64::MAX)
    }
}

/// Counts of records by time and by a property, such as the status or the severity.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Histogram {
    /// For each value of the property the count of each bucket.
    pub series: Vec<(&'static str, Vec<u64>)>,
    /// The sampling interval k: every k-th record was counted, and the counts were multiplied by k.
    /// With 1 the counts are exact.
    pub every: u64,
}

setters!(Histogram {
    series: [Vec<(&'static str, Vec<u64>)>],
    every: [u64],
});

text_enum!(
    /// The kind of text to complete.
    CompletionOf, "kind of completion",
    /// The key of an attribute.
    Key = "key",
    /// The value of an attribute.
    Value = "value",
    /// The name of a span.
    Name = "name",
    /// The name of a service.
    Service = "service",
    /// A category.
    Category = "category",
);

/// A query for stored texts that contain a given part.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompletionQuery {
    /// The kind of text.
    pub of: CompletionOf,
    /// The attribute whose values are requested; only for [`CompletionOf::Value`].
    pub key: String,
    /// A part of the text; ASCII case is ignored. An empty part matches every text.
    pub part: String,
    /// Maximum number of texts.
    pub limit: u64,
}

impl CompletionQuery {
    /// Creates a query that every text matches.
    #[must_use]
    pub fn new(of: CompletionOf, limit: u64) -> Self {
        Self {
            of,
            key: String::new(),
            part: String::new(),
            limit,
        }
    }
}

setters!(CompletionQuery {
    key: into[String],
    part: into[String],
});

/// A stored text that completes the input.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Completion {
    /// The text; a number or a boolean is written as in a filter.
    pub text: String,
    /// The number of examined spans that have it.
    pub count: u64,
    /// The type of the values: `s` text, `i` integer, `f` float, `b` boolean, `j` JSON. For a key
    /// with values of several types, the most frequent type.
    pub kind: char,
}

impl Completion {
    /// Creates a completion.
    pub fn new(text: impl Into<String>, kind: char, count: u64) -> Self {
        Self {
            text: text.into(),
            count,
            kind,
        }
    }
}

/// How the duration of one span compares with others of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DurationRank {
    /// The number of ended spans of that name.
    pub count: u64,
    /// The number of them that took less time.
    pub faster: u64,
    /// Nanoseconds that half of them do not exceed, within one percent.
    pub p50_nanos: u64,
    /// Nanoseconds that 95 % of them do not exceed, within one percent.
    pub p95_nanos: u64,
}

setters!(DurationRank {
    count: [u64],
    faster: [u64],
    p50_nanos: [u64],
    p95_nanos: [u64],
});
