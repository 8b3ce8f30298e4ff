//! Full-text search over ten passages, ranked by BM25.

use std::collections::HashMap;

use serde_json::json;
use tracing::{Span, info, instrument};

use crate::tokens;

/// The weights of a word's repetition and of a passage's length; the values usual in the
/// literature.
const K1: f64 = 1.2;
const B: f64 = 0.75;

/// The demo's library, as id, title and text.
const PASSAGES: [(&str, &str, &str); 10] = [
    (
        "wal",
        "Write-ahead log",
        "In WAL mode SQLite appends every change to a write-ahead log next to the database. Readers go on while one \
         writer writes. The log grows until a checkpoint copies its pages back into the database.",
    ),
    (
        "checkpoint",
        "Checkpoints",
        "A checkpoint starts by itself when the write-ahead log holds 1000 pages of 4096 bytes. It can only copy what no \
         reader still needs, so the log may grow larger than that.",
    ),
    (
        "readers",
        "Readers that park",
        "A reader that stays in a transaction pins its snapshot. No checkpoint can pass it, and the log grows for as \
         long as the reader stays.",
    ),
    (
        "rollback",
        "Rollback journal",
        "Before WAL, SQLite copied old pages to a rollback journal. A writer had to wait until all readers were gone.",
    ),
    (
        "index",
        "Indexes",
        "An index is a second tree that is kept in order. Each one makes inserts slower and the queries that use it \
         faster. Growing keys append to the right edge, random keys touch every page.",
    ),
    (
        "span",
        "Spans",
        "A span is one operation with a start, an end and attributes. Spans of one request form a tree, the trace.",
    ),
    (
        "event",
        "Events",
        "An event happens at one moment inside a span. A log message is an event with a severity.",
    ),
    (
        "layer",
        "Layers",
        "A layer of tracing-subscriber watches spans and events. Several layers share one registry, each with its filter.",
    ),
    (
        "context",
        "Trace context",
        "The traceparent header carries the trace id and the caller's span id to the next service, so that both sides \
         show up in one trace.",
    ),
    (
        "sampling",
        "Sampling",
        "Sampling keeps a part of all traces. A local store can often keep them all and forget them by age instead.",
    ),
];

/// A search result.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hit {
    /// Its index in the corpus.
    passage: usize,
    /// The score; larger is better.
    score: f64,
}

/// The corpus with its word counts.
#[derive(Debug)]
pub(crate) struct Library {
    /// How often each word occurs in each passage.
    counts: Vec<HashMap<String, u32>>,
    /// In how many passages each word occurs.
    document_frequency: HashMap<String, u32>,
}

impl Library {
    /// Counts the words of all passages.
    pub(crate) fn new() -> Self {
        let mut counts = Vec::with_capacity(PASSAGES.len());
        let mut document_frequency = HashMap::new();
        for (_, title, text) in PASSAGES {
            let mut words: HashMap<String, u32> = HashMap::new();
            for word in tokens::words(title).chain(tokens::words(text)) {
                *words.entry(word).or_default() += 1;
            }
            for word in words.keys() {
                *document_frequency.entry(word.clone()).or_default() += 1;
            }
            counts.push(words);
        }
        Self {
            counts,
            document_frequency,
        }
    }

    /// Returns the passages that match a question best.
    #[instrument(
        target = "vector_io", name = "retrieval", skip_all,
        fields(
            otel.name = "retrieval passages",
            gen_ai.operation.name = "retrieval",
            gen_ai.data_source.id = "passages",
            gen_ai.retrieval.top_k = top_k,
            gen_ai.retrieval.query.text = query,
            gen_ai.retrieval.documents,
        )
    )]
    pub(crate) async fn search(&self, query: &str, top_k: usize) -> Vec<Hit> {
        let hits = self.rank(query, top_k);
        let documents: Vec<_> = hits
            .iter()
            .map(|hit| json!({ "id": PASSAGES[hit.passage].0, "score": hit.score }))
            .collect();
        Span::current().record(
            "gen_ai.retrieval.documents",
            serde_json::Value::from(documents).to_string(),
        );
        info!(target: "vector_io", searched = PASSAGES.len(), found = hits.len(), "searched the passages");
        hits
    }

    /// Returns the model's prompt: an instruction, and the passages as one numbered line each.
    pub(crate) fn prompt(&self, hits: &[Hit]) -> String {
        let mut prompt = String::from("Answer from these passages and from the tools' results only.");
        for (number, hit) in hits.iter().enumerate() {
            let (_, title, text) = PASSAGES[hit.passage];
            prompt.push_str(&format!("\n[{}] {title}: {text}", number + 1));
        }
        prompt
    }

    fn rank(&self, query: &str, top_k: usize) -> Vec<Hit> {
        let lengths: Vec<f64> = self
            .counts
            .iter()
            .map(|words| words.values().map(|&count| f64::from(count)).sum())
            .collect();
        let passages = self.counts.len() as f64;
        let average = lengths.iter().sum::<f64>() / passages;
        let mut asked: Vec<String> = tokens::words(query).collect();
        asked.sort();
        asked.dedup();
        let mut hits: Vec<Hit> = Vec::new();
        for (passage, words) in self.counts.iter().enumerate() {
            let score: f64 = asked
                .iter()
                .filter_map(|word| {
                    let count = f64::from(*words.get(word)?);
                    let containing = f64::from(*self.document_frequency.get(word)?);
                    let rarity = (1.0 + (passages - containing + 0.5) / (containing + 0.5)).ln();
                    let length = 1.0 - B + B * lengths[passage] / average;
                    Some(rarity * count * (K1 + 1.0) / (count + K1 * length))
                })
                .sum();
            if score > 0.0 {
                hits.push(Hit { passage, score });
            }
        }
        // The sort is stable, so equal scores keep the order of the corpus and the demo's answer is
        // the same each time.
        hits.sort_by(|a, b| b.score.total_cmp(&a.score));
        hits.truncate(top_k);
        hits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(query: &str, top_k: usize) -> Vec<&'static str> {
        let hits = Library::new().rank(query, top_k);
        hits.iter().map(|hit| PASSAGES[hit.passage].0).collect()
    }

    #[test]
    fn the_passage_on_the_subject_comes_first() {
        assert_eq!(found("traceparent header", 1), ["context"]);
        assert_eq!(found("What is a rollback journal?", 1), ["rollback"]);
        assert_eq!(found("keep SAMPLING", 1), ["sampling"]);
    }

    #[test]
    fn rare_words_weigh_more_than_common_ones() {
        assert_eq!(found("a of the snapshot", 1), ["readers"]);
    }

    #[test]
    fn no_word_in_common_finds_nothing() {
        assert!(found("xyzzy", 3).is_empty());
        assert!(found("", 3).is_empty());
    }

    #[test]
    fn hits_are_sorted_by_score_and_limited_to_top_k() {
        let hits = Library::new().rank("the log of a reader and a writer", 4);
        assert_eq!(hits.len(), 4);
        assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
    }
}
