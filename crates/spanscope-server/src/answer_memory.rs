//! The memory for answers, shared by all questions.
//!
//! An answer is a text that is held until its client has taken it, which may take nothing for a long
//! time. So its memory is counted while it is written, and given back when it was sent. A handler
//! only writes JSON; which budget counts is told by the task that it runs in, because every route of
//! questions would have to pass it on otherwise.
//!
//! What is small is not counted: the number of questions bounds it, and a client that reads nothing
//! shall not keep others from looking at one span.

use std::io::{self, Write};
use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

use crate::budget::{Budget, Share};

/// The length up to which an answer is not counted.
const FREE_BYTES: usize = 64 * 1024;
/// Memory is taken in parts of this size, and not for every piece of text.
const STEP: usize = 256 * 1024;

tokio::task_local! {
    static ANSWERS: Budget;
}

/// Runs a handler whose answer is counted in this budget.
pub(crate) async fn counting(answers: Budget, request: Request, next: Next) -> Response {
    ANSWERS.scope(answers, next.run(request)).await
}

/// The memory of one answer, as part of its response.
#[derive(Debug, Clone)]
pub(crate) struct HeldAnswer(#[expect(dead_code, reason = "held, not read")] Arc<Share>);

/// The text of one answer while it is written.
#[derive(Debug)]
pub(crate) struct AnswerText {
    text: Vec<u8>,
    share: Option<Share>,
    counted: usize,
    is_refused: bool,
}

impl AnswerText {
    /// For the answer of the request of this task.
    pub(crate) fn new() -> Self {
        Self {
            text: Vec::new(),
            share: ANSWERS.try_with(Budget::share).ok(),
            counted: FREE_BYTES,
            is_refused: false,
        }
    }

    /// Whether writing failed because there is no memory left.
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
                    return Err(io::Error::other("there is no memory left for answers"));
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
