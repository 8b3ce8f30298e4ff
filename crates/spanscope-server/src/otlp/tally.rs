//! [`RequestTally`]: what is kept in mind while one request is taken in.

use spanscope_model::Timestamp;
use spanscope_model::text::first_chars;

/// How many rejected records are described. One is often the reason of all, and an answer is no log file.
const DESCRIBED: usize = 3;
/// The longest name in a description, in characters.
const SHOWN: usize = 80;
/// How many bytes may be copied beyond [`PER_BYTE`]: room for what is usual, a resource of kilobytes in hundreds of scopes.
const COPIED: usize = 64 * 1024 * 1024;
/// How many bytes may be copied for each byte of the body.
const PER_BYTE: usize = 4;

/// What was rejected of a request, and what it may still cost.
#[derive(Debug)]
pub(super) struct RequestTally {
    now: Timestamp,
    used_clock: bool,
    copies_left: usize,
    rejected: u64,
    /// How many of the rejected ones `said` is about.
    described: u64,
    said: Vec<String>,
    notes: Vec<String>,
}

impl RequestTally {
    pub(super) fn new(body: usize) -> Self {
        Self {
            now: Timestamp::now(),
            used_clock: false,
            copies_left: body.saturating_mul(PER_BYTE).saturating_add(COPIED),
            rejected: 0,
            described: 0,
            said: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// When the request came, for a record that says no time. The same request at another time is another one then.
    pub(super) fn now(&mut self) -> Timestamp {
        self.used_clock = true;
        self.now
    }

    pub(super) fn used_clock(&self) -> bool {
        self.used_clock
    }

    /// Pays for a copy of what the request says only once.
    ///
    /// Without this, a body of a megabyte could be one long name and a hundred thousand empty records under it.
    pub(super) fn copy(&mut self, bytes: usize) -> Result<(), String> {
        match self.copies_left.checked_sub(bytes) {
            Some(left) => {
                self.copies_left = left;
                Ok(())
            }
            None => Err(
                "what the request says once for many records is too long to stand beside each: send shorter names and resources, or fewer records at once"
                    .to_owned(),
            ),
        }
    }

    /// Counts records that are left out, for this reason.
    pub(super) fn reject(&mut self, records: u64, why: String) {
        self.rejected = self.rejected.saturating_add(records);
        if self.said.contains(&why) {
            self.described = self.described.saturating_add(records);
        } else if self.said.len() < DESCRIBED {
            self.described = self.described.saturating_add(records);
            self.said.push(why);
        }
    }

    /// Says something although nothing is rejected for it.
    pub(super) fn note(&mut self, what: String) {
        self.notes.push(what);
    }

    pub(super) fn rejected(&self) -> u64 {
        self.rejected
    }

    /// What there is to say to the sender.
    pub(super) fn message(&self) -> String {
        let more = self.rejected.saturating_sub(self.described);
        let mut said = self.said.clone();
        if more > 0 {
            said.push(format!("and {more} more"));
        }
        said.extend(self.notes.iter().cloned());
        said.join("; ")
    }
}

/// A name in a description: quoted, so that it can't pass for our own words, and not too long.
pub(super) fn shown(name: &str) -> String {
    format!("{:?}", first_chars(name, SHOWN))
}
