//! JSON of any size in bounded memory.
//!
//! A body of up to [`Limits::whole`] bytes is kept and parsed unchanged. A [`Reducer`] copies a
//! larger one without its large parts: long strings are truncated, and once the budget is used up,
//! only the few members that calls are counted by are kept. So the usage at the end of a response
//! of 100 MB is found, in the memory of a small one.

mod members;
mod reduce;
mod values;

use serde_json::Value;

pub(crate) use reduce::{Limits, Reducer};
pub(crate) use values::{Piece, Values};

/// One JSON document that arrives in pieces.
#[derive(Debug)]
pub(crate) struct Document {
    limits: Limits,
    /// The original bytes, while there are few.
    whole: Vec<u8>,
    reducer: Option<Box<Reducer>>,
}

impl Document {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            whole: Vec::new(),
            reducer: None,
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if let Some(reducer) = &mut self.reducer {
            reducer.push(bytes);
        } else if self.whole.len() + bytes.len() <= self.limits.whole {
            self.whole.extend_from_slice(bytes);
        } else {
            let mut reducer = Box::new(Reducer::new(self.limits));
            reducer.push(&self.whole);
            reducer.push(bytes);
            self.whole = Vec::new();
            self.reducer = Some(reducer);
        }
    }

    /// Returns whether parts of the document may be missing, because it was too large.
    pub(crate) fn is_reduced(&self) -> bool {
        self.reducer.is_some()
    }

    /// Returns the bytes, unless there are more than are kept.
    pub(crate) fn whole(&self) -> Option<&[u8]> {
        self.reducer.is_none().then_some(self.whole.as_slice())
    }

    /// Returns the document, and starts an empty one. Returns `None` if it is not JSON, and if its
    /// end is missing, unless `may_be_cut`: open containers are then closed.
    pub(crate) fn take(&mut self, may_be_cut: bool) -> Option<Value> {
        let reducer = match self.reducer.take() {
            Some(reducer) => reducer,
            None => {
                let parsed = serde_json::from_slice(&self.whole);
                if let Ok(value) = parsed {
                    self.whole.clear();
                    return Some(value);
                }
                // Nested too deep, not UTF-8, or cut: the reducer handles all three.
                let mut reducer = Box::new(Reducer::new(self.limits));
                reducer.push(&self.whole);
                self.whole.clear();
                reducer
            }
        };
        let reduced = reducer.finish(may_be_cut)?;
        serde_json::from_str(&String::from_utf8_lossy(&reduced)).ok()
    }

    pub(crate) fn clear(&mut self) {
        self.whole.clear();
        self.reducer = None;
    }
}

#[cfg(test)]
mod tests;
