//! [`Histogram`]: how many records there are over time; [`Completion`]: texts that are stored under
//! a key.

use crate::{Timestamp, setters, text_enum};

/// The time that a [`Histogram`] covers, and in how many parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistogramRange {
    /// The first moment.
    pub from: Timestamp,
    /// The moment after the last.
    pub to: Timestamp,
    /// The number of buckets, 1 to [`MAX_BUCKETS`](Self::MAX_BUCKETS).
    pub buckets: u32,
}

impl HistogramRange {
    /// The largest number of buckets.
    pub const MAX_BUCKETS: u32 = 1000;

    /// Nanoseconds of a bucket: the same for all but the last, which may end after `to`.
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

/// Counts of records by time and by a word, such as a status or a severity.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Histogram {
    /// For each word the count of each bucket.
    pub series: Vec<(&'static str, Vec<u64>)>,
    /// Every k-th record was looked at, and the counts were multiplied by k; 1 is exact.
    pub every: u64,
}

setters!(Histogram {
    series: [Vec<(&'static str, Vec<u64>)>],
    every: [u64],
});

text_enum!(
    /// What a text completes.
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

/// Asks for texts that begin or go on like a given one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompletionQuery {
    /// What is completed.
    pub of: CompletionOf,
    /// The attribute whose values are asked for; only for [`CompletionOf::Value`].
    pub key: String,
    /// A part of the text; upper and lower case of ASCII are alike. Empty fits all.
    pub part: String,
    /// Maximum number of texts.
    pub limit: u64,
}

impl CompletionQuery {
    /// Creates a query that every text fits.
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

/// A text that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Completion {
    /// The text; of a number or a truth value what a filter would have.
    pub text: String,
    /// How many of the spans that were looked at have it.
    pub count: u64,
    /// The type of the values: `s` text, `i` integer, `f` float, `b` truth value, `j` JSON. Of a
    /// key that has values of several types, that of the most.
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
    /// The spans of that name that ended.
    pub count: u64,
    /// Those of them that took less time.
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
