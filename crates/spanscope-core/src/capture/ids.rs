//! Span ids, and the generation of new ones: cheap, unique across processes, and suited to a
//! store's indexes.
//!
//! A trace id begins with the seconds since 1970 (as AWS X-Ray's ids do); the rest is random, as
//! W3C trace context requires of its last 7 bytes. So the first 12 digits distinguish traces for a
//! reader of the console, while the traces of one second share the first 8. Span ids count up from
//! a random start, in blocks per thread: an index of them grows at its right edge, where random ids
//! would touch every page of it and cost six times the bytes written. They are unique, not
//! unguessable; no code treats an id as a secret.

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use spanscope_model::{SpanId, TraceId};

use super::clock::Clock;

/// The two ids that identify a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanIds {
    /// The trace.
    pub trace_id: TraceId,
    /// The span in it.
    pub span_id: SpanId,
}

/// The number of span ids that a thread reserves at once.
const BLOCK: u64 = 1 << 12;

struct Process {
    prefix: [u8; 4],
    next_block: AtomicU64,
}

static PROCESS: OnceLock<Process> = OnceLock::new();

fn process() -> &'static Process {
    PROCESS.get_or_init(|| {
        // `RandomState` is seeded by the operating system; hashing anything with it gives random
        // bits.
        let random = |n: u64| RandomState::new().hash_one((n, std::process::id()));
        let prefix = random(1).to_be_bytes();
        Process {
            prefix: [prefix[0], prefix[1], prefix[2], prefix[3]],
            next_block: AtomicU64::new(random(2) & !(BLOCK - 1)),
        }
    })
}

thread_local! {
    /// The next span id of this thread's block; a multiple of [`BLOCK`] means that the block is
    /// used up.
    static NEXT_SPAN: Cell<u64> = const { Cell::new(0) };
}

/// Changes the start of span ids in the child of a fork, which would otherwise continue with its
/// parent's ids. It only stores into atomics and into thread-locals without a destructor.
pub(crate) fn restart_ids_after_fork() {
    let seed = Clock::global().now().raw() ^ (u64::from(std::process::id()) << 40);
    let mut random = fastrand::Rng::with_seed(seed);
    if let Some(process) = PROCESS.get() {
        process
            .next_block
            .fetch_add(random.u64(..) & !(BLOCK - 1), Ordering::Relaxed);
    }
    let _ = NEXT_SPAN.try_with(|next| next.set(0));
    fastrand::seed(random.u64(..));
}

/// Returns the ids of a new root.
#[must_use]
pub fn new_ids() -> SpanIds {
    SpanIds {
        trace_id: trace_id(),
        span_id: span_id(),
    }
}

/// Returns a new span id.
pub(crate) fn span_id() -> SpanId {
    let block = || process().next_block.fetch_add(BLOCK, Ordering::Relaxed);
    loop {
        let id = NEXT_SPAN
            .try_with(|next| {
                let id = match next.get() {
                    used_up if used_up % BLOCK == 0 => block() + 1,
                    id => id,
                };
                next.set(id.wrapping_add(1));
                id
            })
            .unwrap_or_else(|_| block() + 1); // the thread is ending
        if let Some(id) = SpanId::from_bytes(id.to_be_bytes()) {
            return id;
        }
    }
}

/// Returns a new trace id.
pub(crate) fn trace_id() -> TraceId {
    let clock = Clock::global();
    let seconds = clock.wall(clock.now()).as_nanos() / 1_000_000_000;
    loop {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&u32::try_from(seconds).unwrap_or(u32::MAX).to_be_bytes());
        // Random bytes of the process are mixed in, so that two processes that seed the generator
        // alike create different ids.
        let random = fastrand::u32(..).to_be_bytes();
        for ((byte, random), own) in bytes[4..8].iter_mut().zip(random).zip(process().prefix) {
            *byte = random ^ own;
        }
        bytes[8..].copy_from_slice(&fastrand::u64(..).to_be_bytes());
        if let Some(id) = TraceId::from_bytes(bytes) {
            return id;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_of_many_threads_differ() {
        let made: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| (0..10_000).map(|_| (trace_id(), span_id())).collect::<Vec<_>>()))
                .collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap_or_default())
                .collect()
        });
        assert_eq!(made.len(), 80_000);
        assert_eq!(
            made.iter().map(|(trace, _)| *trace).collect::<HashSet<_>>().len(),
            80_000
        );
        assert_eq!(
            made.iter().map(|(_, span)| *span).collect::<HashSet<_>>().len(),
            80_000
        );
    }

    #[test]
    fn span_ids_of_a_thread_grow() {
        let ids: Vec<_> = (0..1000).map(|_| span_id()).collect();
        let falls = ids.windows(2).filter(|pair| pair[0] >= pair[1]).count();
        assert!(
            falls <= 1,
            "only the first id after the counter wraps may be lower"
        );
    }
}
