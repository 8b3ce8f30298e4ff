//! The memory for responses, shared by all queries.
//!
//! A response is a text that is held until its client has read it, which may take a long time. So
//! its memory is counted while it is written, and returned when it was sent. A handler only writes
//! JSON; the task that it runs in holds the budget, because every route would have to pass it on
//! otherwise.
//!
//! Small responses are not counted: the number of queries bounds them, and a client that reads
//! nothing must not keep others from reading one span.

use std::io::{self, Write};
use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

use crate::budget::{Budget, Share};

/// Responses up to this length are not counted.
const FREE_BYTES: usize = 64 * 1024;
/// Memory is taken in steps of this size, not for every piece of text.
const STEP: usize = 256 * 1024;

tokio::task_local! {
    static ANSWERS: Budget;
}

/// Runs a handler whose response is counted in this budget.
pub(crate) async fn counting(answers: Budget, request: Request, next: Next) -> Response {
    ANSWERS.scope(answers, next.run(request)).await
}

/// The memory of one response, as part of it.
#[derive(Debug, Clone)]
pub(crate) struct HeldAnswer(#[expect(dead_code, reason = "held, not read")] Arc<Share>);

/// The text of an uncounted response; writing fails if it gets longer.
#[derive(Debug, Default)]
pub(crate) struct ShortText(Vec<u8>);

impl ShortText {
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.0.shrink_to_fit();
        self.0
    }
}

impl Write for ShortText {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if self.0.len() + piece.len() > FREE_BYTES {
            return Err(io::Error::other("this response is long"));
        }
        self.0.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The text of one response while it is written.
#[derive(Debug)]
pub(crate) struct AnswerText {
    text: Vec<u8>,
    share: Option<Share>,
    counted: usize,
    is_refused: bool,
}

impl AnswerText {
    /// Creates the text for this task's request.
    pub(crate) fn new() -> Self {
        Self {
            text: Vec::new(),
            share: ANSWERS.try_with(Budget::share).ok(),
            counted: FREE_BYTES,
            is_refused: false,
        }
    }

    /// Returns whether writing failed because there is no memory left.
    pub(crate) fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// The text, and its memory if it was counted.
    pub(crate) fn finish(mut self) -> (Vec<u8>, Option<HeldAnswer>) {
        self.text.shrink_to_fit();
        let is_counted = self.counted > FREE_BYTES;
        let held = self.share.filter(|_| is_counted);
        (self.text, held.map(|share| HeldAnswer(Arc::new(share))))
    }
}

impl Write for AnswerText {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if let Some(share) = &mut self.share {
            while self.text.len() + piece.len() > self.counted {
                if !share.take(STEP) {
                    self.is_refused = true;
                    return Err(io::Error::other("there is no memory left for responses"));
                }
                self.counted += STEP;
            }
        }
        self.text.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
