//! Converts totals (cumulative values) to increases.
//!
//! Most SDKs send the total since their start, once a minute. Adding up totals would count the same
//! amount repeatedly, so the file keeps the last total of each stream, and the difference is
//! stored.

use rusqlite::{OptionalExtension, params};

use super::batch::Batch;
use super::prepared::InPoint;
use crate::file::series::Amount;

/// The contribution of a measurement to its series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Grown {
    By(Amount),
    /// The total is unchanged.
    NotAtAll,
    /// The total is not newer than the last one.
    Known,
    /// Its stream exceeds the limit of streams.
    TooMany,
}

/// Returns the contribution of a measurement; for a total, its increase.
pub(super) fn grown(
    batch: &mut Batch<'_>,
    tenant: i64,
    process: i64,
    point: &InPoint,
) -> rusqlite::Result<Grown> {
    let Some(since) = point.since else {
        return Ok(Grown::By(point.value));
    };
    let stream = point.stream();
    let last: Option<(i64, i64, Amount)> = batch
        .db
        .prepare_cached("SELECT since, time, value FROM _total WHERE process = ?1 AND stream = ?2")?
        .query_row([process, stream], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let grown = match last {
        Some((_, time, _)) if point.time <= time => return Ok(Grown::Known),
        Some((began, _, value)) if began == since => match point.value.minus(value) {
            Some(difference) if difference.is_zero() => Grown::NotAtAll,
            Some(difference) => Grown::By(difference),
            None => Grown::By(point.value), // it decreased: the program restarted its stream
        },
        Some(_) => Grown::By(point.value), // a new stream
        None => {
            if !batch.has_stream_room(tenant, process)? {
                return Ok(Grown::TooMany);
            }
            Grown::By(point.value)
        }
    };
    batch
        .db
        .prepare_cached(
            "INSERT OR REPLACE INTO _total (process, stream, since, time, value) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![process, stream, since, point.time, point.value])?;
    Ok(grown)
}
