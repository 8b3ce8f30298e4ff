//! Queries that read every span, in pieces: each piece is a short read transaction, so that the log
//! can be reused between them, and each span is read once, for any number of conditions.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use spanscope_model::{SpanFilter, StoreError, StoreErrorKind, Timestamp};

use super::Failure;
use super::builder::Sql;
use super::conditions::{Conditions, Criteria, Table};
use super::scope::Scope;
use super::spans::first_since;
use super::turn::Turn;

/// How long a piece should take.
const PIECE: Duration = Duration::from_millis(100);
/// Row ids in the first piece; the time that a piece takes determines the length of the next one.
/// It is small in tests, so that few spans are several pieces too.
const FIRST_PIECE: i64 = if cfg!(test) { 50 } else { 5_000 };
const SMALLEST_PIECE: i64 = 500;
const LARGEST_PIECE: i64 = 1_000_000;

/// Returns the row ids of the first and the last span that may have started since `since`.
pub(super) fn ends(db: &Connection, since: Option<Timestamp>) -> Result<(i64, i64), Failure> {
    let (least, last): (i64, i64) = db.query_row(
        "SELECT COALESCE((SELECT min(id) FROM _span), 0), COALESCE((SELECT max(id) FROM _span), -1)",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(match since {
        Some(since) => (first_since(db, since)?.0.max(least), last),
        None => (least, last),
    })
}

/// A range of row ids, first and last included, to be read in pieces.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pieces {
    first: i64,
    last: i64,
}

impl Pieces {
    pub(super) fn new(first: i64, last: i64) -> Self {
        Self { first, last }
    }

    /// Reads one piece after the other, or all at once in a short turn. A piece that exceeds the
    /// time limit of a transaction, as on a busy machine, is read again in smaller pieces, so
    /// `read` must not have added anything when it fails.
    pub(super) fn each(
        self,
        turn: &Turn,
        mut read: impl FnMut(i64, i64) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if !turn.is_long() {
            return read(self.first, self.last);
        }
        let mut first = self.first;
        let mut length = FIRST_PIECE;
        while first <= self.last {
            turn.check()?;
            let last = first.saturating_add(length - 1).min(self.last);
            let began = Instant::now();
            if let Err(error) = read(first, last) {
                length = shorter(length, error)?;
                continue;
            }
            length = next_length(length, began.elapsed());
            let Some(next) = last.checked_add(1) else { break };
            first = next;
        }
        Ok(())
    }

    /// Reads pieces from the last one backwards, until `read` has enough.
    pub(super) fn each_back(
        self,
        turn: &Turn,
        mut read: impl FnMut(i64, i64) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let mut last = self.last;
        let mut length = FIRST_PIECE;
        while last >= self.first {
            turn.check()?;
            let first = last.saturating_sub(length - 1).max(self.first);
            let began = Instant::now();
            match read(first, last) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => {
                    length = shorter(length, error)?;
                    continue;
                }
            }
            length = next_length(length, began.elapsed());
            let Some(next) = first.checked_sub(1) else { break };
            last = next;
        }
        Ok(())
    }
}

/// Returns the length that would have taken [`PIECE`], at most twice the previous one.
fn next_length(length: i64, took: Duration) -> i64 {
    let micros = i64::try_from(took.as_micros()).unwrap_or(i64::MAX).max(1);
    let wanted = i64::try_from(PIECE.as_micros()).unwrap_or(i64::MAX);
    let fitting = length.saturating_mul(wanted) / micros;
    fitting
        .min(length.saturating_mul(2))
        .clamp(SMALLEST_PIECE, LARGEST_PIECE)
}

/// Returns a smaller length to try after a piece took too long, or the error if there is none.
fn shorter(length: i64, error: StoreError) -> Result<i64, StoreError> {
    if error.kind() == StoreErrorKind::QueryTooLarge && length > SMALLEST_PIECE {
        Ok((length / 8).max(SMALLEST_PIECE))
    } else {
        Err(error)
    }
}

/// Adds the ids of the traces of the spans in a piece that meet all conditions.
pub(super) fn traces(
    db: &Connection,
    scope: Scope,
    criteria: Criteria<'_>,
    piece: (i64, i64),
    found: &mut Vec<i64>,
) -> Result<(), Failure> {
    let sql = Sql::new("SELECT DISTINCT s.trace FROM _span s WHERE");
    found.extend(in_piece(sql, db, scope, criteria, piece)?.rows(db, |row| row.get::<_, i64>(0))?);
    Ok(())
}

/// Adds the ids of the spans in a piece that meet all conditions and started in the filter's range.
pub(super) fn spans(
    db: &Connection,
    scope: Scope,
    filter: &SpanFilter,
    piece: (i64, i64),
    found: &mut Vec<i64>,
) -> Result<(), Failure> {
    let sql = Sql::new("SELECT s.id FROM _span s WHERE");
    let sql = in_piece(sql, db, scope, criteria_of(filter), piece)?.add(&began_between(filter));
    found.extend(sql.rows(db, |row| row.get::<_, i64>(0))?);
    Ok(())
}

/// Returns the conditions that each span of a list must meet.
pub(super) fn criteria_of(filter: &SpanFilter) -> Criteria<'_> {
    Criteria {
        conditions: &filter.conditions,
        filter: &filter.filter,
    }
}

/// Returns ` AND ...` over rows `s`: they began in the filter's range.
pub(super) fn began_between(filter: &SpanFilter) -> Sql {
    let mut sql = Sql::default();
    if let Some(since) = filter.since {
        sql = sql.push(" AND s.start >= ").bind(since.as_nanos());
    }
    if let Some(until) = filter.until {
        sql = sql.push(" AND s.start < ").bind(until.as_nanos());
    }
    sql
}

fn in_piece(
    select: Sql,
    db: &Connection,
    scope: Scope,
    criteria: Criteria<'_>,
    (first, last): (i64, i64),
) -> Result<Sql, Failure> {
    let conditions = Conditions::new(db, criteria, Table::Spans(Some((first, last))))?;
    Ok(select
        .push(" s.id BETWEEN ")
        .bind(first)
        .push(" AND ")
        .bind(last)
        .add(&conditions.probe())
        .add(&scope.of_spans()))
}

/// Formats numbers as one parameter, for ` IN (SELECT value FROM json_each(...))`.
pub(super) fn list(numbers: &[i64]) -> String {
    let mut text = String::with_capacity(numbers.len() * 8 + 2);
    text.push('[');
    for (at, number) in numbers.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(itoa::Buffer::new().format(*number));
    }
    text.push(']');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_as_long_as_fits_its_time() {
        assert_eq!(next_length(20_000, PIECE), 20_000);
        assert_eq!(next_length(20_000, PIECE * 4), 5_000);
        assert_eq!(next_length(20_000, PIECE / 100), 40_000);
        assert_eq!(next_length(600, PIECE * 1000), SMALLEST_PIECE);
        assert_eq!(next_length(900_000, Duration::ZERO), LARGEST_PIECE);
    }

    #[test]
    fn pieces_cover_a_range_once() {
        let turn = Turn::endless();
        let mut read = Vec::new();
        let pieces = Pieces::new(-3, 45_000);
        let done = pieces.each(&turn, |first, last| {
            read.push((first, last));
            Ok(())
        });
        assert!(done.is_ok());
        assert_eq!(read.first().map(|(first, _)| *first), Some(-3));
        assert_eq!(read.last().map(|(_, last)| *last), Some(45_000));
        assert!(read.len() > 1 && read.windows(2).all(|two| two[0].1 + 1 == two[1].0));
        let none = Pieces::new(0, -1).each(&turn, |_, _| unreachable!());
        assert!(none.is_ok());
    }

    #[test]
    fn a_piece_that_takes_too_long_is_read_as_several() {
        let too_long = || StoreError::new(StoreErrorKind::QueryTooLarge, "too long");
        let turn = Turn::of_reads(None, std::sync::Arc::new(|| false));
        let mut read = Vec::new();
        let mut one = |first: i64, last: i64| {
            // Longer pieces fail, as if their spans were slow to read.
            if last - first >= SMALLEST_PIECE {
                return Err(too_long());
            }
            read.push((first, last));
            Ok(())
        };
        let pieces = Pieces::new(1, 9_000);
        // Pieces grow until one fails, and shrink again.
        assert!(pieces.each(&turn, &mut one).is_ok());
        assert!(
            pieces
                .each_back(&turn, |first, last| one(first, last).map(|()| false))
                .is_ok()
        );
        let (mut forward, mut back) = (1, 9_000);
        for (first, last) in read {
            if forward <= 9_000 {
                assert_eq!(first, forward);
                forward = last + 1;
            } else {
                assert_eq!(last, back);
                back = first - 1;
            }
        }
        assert_eq!((forward, back), (9_001, 0));
        let never = pieces.each(&turn, |_, _| Err(too_long()));
        assert!(never.is_err_and(|error| error.kind() == StoreErrorKind::QueryTooLarge));
    }
}
