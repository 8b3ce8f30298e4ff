//! Two spans under one id: the client's and the server's half of one call.
//!
//! Zipkin and Envoy give both the same span id. The client's half is stored under it, so that a
//! query for the id returns it. The server's half is stored as a child of the client's, under an id
//! that is derived from the shared one: so it has its own id in every tree and query, and is
//! recognized when it is sent again. `_span.half` says which half a span is, and an attribute keeps
//! the id under which it was sent.

use rusqlite::params;
use spanscope_model::{SpanId, SpanKind, TraceId, wire};

use super::batch::Batch;
use super::prepared::InSpan;
use super::state::Known;
use crate::file::rows::kind_number;
use crate::json::with_text;

/// The number of the server's half in `_span.half`.
pub(super) const SERVER: i64 = 1;

/// What a received span is, given the stored span with the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    /// The same span again.
    Same,
    /// The server's half of the stored client's half.
    Server,
    /// The client's half of the stored server's half.
    Client,
}

impl Half {
    pub(super) fn of(known: &Known, span: &InSpan) -> Self {
        let [server, client] = [SpanKind::Server, SpanKind::Client].map(kind_number);
        match (known.kind, span.kind) {
            (have, new) if have == client && new == server => Self::Server,
            // Spans that a program writes into this file itself have their own ids, which stay.
            (have, new) if have == server && new == client && known.is_remote => Self::Client,
            _ => Self::Same,
        }
    }
}

/// Returns the id of the server's half of a call whose halves share this one. It must never change:
/// repeated spans are recognized by it.
pub(super) fn server_key(shared: i64) -> i64 {
    // The finalizer of SplitMix64: it maps no two ids to one, and scatters them.
    let mut mixed = shared.cast_unsigned() ^ 0x5370_5363_6861_6c66;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    // Zero is not a valid id.
    (mixed ^ (mixed >> 31)).max(1).cast_signed()
}

/// Returns whether a span was exported as the server's half of a call: its id is the one that is
/// derived from its parent's, and its attribute names that id.
pub(super) fn is_server_half(span: &InSpan) -> bool {
    span.parent.is_some_and(|shared| server_key(shared) == span.key)
        && span.attributes.contains(wire::SHARED_SPAN_ID)
}

/// Adds the id under which a server's half was sent to its attributes.
pub(super) fn with_shared_id(attributes: &str, shared: i64) -> String {
    match SpanId::from_bytes(shared.to_be_bytes()) {
        Some(id) => with_text(attributes, wire::SHARED_SPAN_ID, &id.to_string()),
        None => attributes.to_owned(),
    }
}

impl Batch<'_> {
    /// Makes room for the client's half under the id that both share: the span that is stored there
    /// becomes the server's half, with its events and measurements.
    pub(super) fn make_server_half(
        &mut self,
        trace: i64,
        trace_id: TraceId,
        row: i64,
        shared: i64,
    ) -> rusqlite::Result<()> {
        let key = server_key(shared);
        self.rows.flush_records()?;
        self.flush_points()?;
        let (attributes, process): (String, i64) = self
            .db
            .prepare_cached("SELECT attributes, process FROM _span WHERE id = ?1")?
            .query_row([row], |found| Ok((found.get(0)?, found.get(1)?)))?;
        let attributes = with_shared_id(&attributes, shared);
        self.rows.change_span(trace, row, |db| {
            db.prepare_cached(
                "UPDATE _span SET span_id = ?2, parent = ?3, half = ?4, attributes = ?5 WHERE id = ?1",
            )?
            .execute(params![row, key, shared, SERVER, attributes])
        })?;
        self.db
            .prepare_cached(
                "UPDATE _event SET span_id = ?1 WHERE trace = ?2 AND span_id = ?3 AND process = ?4",
            )?
            .execute(params![key, trace, shared, process])?;
        // It is no longer a root. If the client's half is one, that is noted when it is stored.
        self.db
            .prepare_cached(
                "UPDATE _trace SET (root, root_start) = (SELECT id, start FROM _span
                     WHERE trace = ?1 AND parent IS NULL ORDER BY start, id LIMIT 1)
                 WHERE id = ?1 AND root = ?2",
            )?
            .execute([trace, row])?;
        self.db
            .prepare_cached(
                "UPDATE _point SET span_id = ?1 WHERE trace_hex = ?2 AND span_id = ?3 AND process = ?4",
            )?
            .execute(params![key, trace_id.to_string(), shared, process])?;
        if let Some(change) = self.rows.touched(trace_id) {
            change.forget_root(row);
        }
        for ((_, of), calls) in &mut self.calls.by_trace {
            let own = calls
                .iter_mut()
                .filter(|call| *of == trace_id && call.key == shared && call.process == process);
            own.for_each(|call| call.key = key);
        }
        if let Some(known) = self.met.remove(&(trace, shared)) {
            self.met.insert((trace, key), known);
        }
        self.seen_events.remove(&trace);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_id_differs_from_its_source_and_is_stable() {
        assert_eq!(
            server_key(0x00f0_67aa_0ba9_02b7),
            server_key(0x00f0_67aa_0ba9_02b7)
        );
        for shared in [1, -1, i64::MIN, i64::MAX, 0x5370_5363_6861_6c66] {
            assert_ne!(server_key(shared), shared);
            assert_ne!(server_key(shared), 0);
            assert_ne!(server_key(shared), server_key(shared.wrapping_add(1)));
        }
    }

    #[test]
    fn the_shared_id_is_added_to_any_attributes() {
        for (before, after) in [
            ("{}", r#"{"spanscope.shared_span_id":"0000000000000001"}"#),
            (
                r#"{"a":{}}"#,
                r#"{"a":{},"spanscope.shared_span_id":"0000000000000001"}"#,
            ),
        ] {
            assert_eq!(with_shared_id(before, 1), after);
        }
    }
}
