//! [`RequestTally`]: what is kept in mind while one request is taken in.

use std::time::Duration;

use spanscope_model::Timestamp;
use spanscope_model::filter::TimeUnit;
use spanscope_model::text::first_chars;

use super::ids;

/// How many rejected records are described. One is often the reason of all, and an answer is no log file.
const DESCRIBED: usize = 3;
/// The longest name in a description, in characters.
const SHOWN: usize = 80;
/// How many bytes may be copied beyond [`PER_BYTE`]: room for what is usual, a resource of kilobytes in hundreds of scopes.
const COPIED: usize = 64 * 1024 * 1024;
/// How many bytes may be copied for each byte of the body.
const PER_BYTE: usize = 4;

/// Times further ahead of this machine's clock are reported: no clock is a day wrong by itself.
const AHEAD: Duration = Duration::from_secs(24 * 60 * 60);

/// What was rejected or repaired of a request, and what it may still cost.
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
    /// Texts in which bytes were replaced.
    texts: u64,
    /// Attributes that were left out, and what was wrong with the first.
    attributes: Counted,
    /// Values that are not of the type that they were sent as, and were stored as what they are.
    values: Counted,
    /// Other parts of records that were left out.
    parts: Counted,
    /// Log records that were kept without their ids, and what was wrong with the first.
    ids: Counted,
    /// Records whose times were in another unit.
    units: [(TimeUnit, u64); 3],
    /// Records of a time that is more than a day ahead.
    ahead: u64,
    /// Records that are older than the store keeps them.
    old: u64,
    retention: Option<Duration>,
}

/// How often something was the matter, and the first description.
#[derive(Debug, Default)]
struct Counted {
    count: u64,
    first: String,
}

impl Counted {
    fn add(&mut self, what: impl FnOnce() -> String) {
        self.count += 1;
        if self.count == 1 {
            self.first = what();
        }
    }
}

impl RequestTally {
    pub(super) fn new(body: usize, retention: Option<Duration>) -> Self {
        Self {
            now: Timestamp::now(),
            used_clock: false,
            copies_left: body.saturating_mul(PER_BYTE).saturating_add(COPIED),
            rejected: 0,
            described: 0,
            said: Vec::new(),
            notes: Vec::new(),
            texts: 0,
            attributes: Counted::default(),
            values: Counted::default(),
            parts: Counted::default(),
            ids: Counted::default(),
            units: [TimeUnit::Micros, TimeUnit::Millis, TimeUnit::Seconds].map(|unit| (unit, 0)),
            ahead: 0,
            old: 0,
            retention,
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

    /// Counts texts in which bytes that are not UTF-8 were replaced.
    pub(super) fn repair_texts(&mut self, texts: u64) {
        self.texts += texts;
    }

    pub(super) fn repaired_texts(&self) -> u64 {
        self.texts
    }

    /// Counts a value that was stored as what it is, because it is not what its sender calls it.
    pub(super) fn keep_as_it_is(&mut self, what: impl FnOnce() -> String) {
        self.values.add(what);
    }

    /// Counts a field, an event or a link of a record that was left out.
    pub(super) fn leave_out_part(&mut self, what: impl FnOnce() -> String) {
        self.parts.add(what);
    }

    /// Counts an attribute that was left out.
    pub(super) fn leave_out_attribute(&mut self, what: impl FnOnce() -> String) {
        self.attributes.add(what);
    }

    /// Counts a log record that was kept without an id.
    pub(super) fn leave_out_id(&mut self, what: impl FnOnce() -> String) {
        self.ids.add(what);
    }

    /// Looks at the time of a record as it was sent.
    pub(super) fn see_time(&mut self, sent: u64) {
        let Ok(Some(time)) = ids::time(sent, "") else {
            return;
        };
        let unit = ids::time_unit(sent);
        if let Some((_, count)) = self.units.iter_mut().find(|(known, _)| *known == unit) {
            *count += 1;
        }
        let ahead = i64::try_from(AHEAD.as_nanos()).unwrap_or(i64::MAX);
        if time.as_nanos().saturating_sub(self.now.as_nanos()) > ahead {
            self.ahead += 1;
        } else if self
            .retention
            .is_some_and(|retention| time < self.now.before(retention))
        {
            self.old += 1;
        }
    }

    pub(super) fn rejected(&self) -> u64 {
        self.rejected
    }

    /// How many records and texts were changed so that they could be stored.
    pub(super) fn repaired(&self) -> u64 {
        let units: u64 = self.units.iter().map(|(_, count)| count).sum();
        let counted = [&self.attributes, &self.values, &self.parts, &self.ids];
        self.texts + counted.map(|of| of.count).iter().sum::<u64>() + units
    }

    /// What there is to say to the sender.
    pub(super) fn message(&self) -> String {
        let more = self.rejected.saturating_sub(self.described);
        let mut said = self.said.clone();
        if more > 0 {
            said.push(format!("and {more} more"));
        }
        said.extend(self.notes.iter().cloned());
        said.extend(self.remarks());
        said.join("; ")
    }

    /// What was stored otherwise than it was sent, or will not be stored for long.
    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.texts > 0 {
            remarks.push(format!(
                "{} not UTF-8, and the wrong bytes were replaced by U+FFFD",
                counted(self.texts, "text is", "texts are")
            ));
        }
        if self.attributes.count > 0 {
            remarks.push(format!(
                "{} left out as unreadable; the first: {}",
                counted(self.attributes.count, "attribute was", "attributes were"),
                self.attributes.first
            ));
        }
        if self.values.count > 0 {
            remarks.push(format!(
                "{} stored as what it is, not as what it is called; the first: {}",
                counted(self.values.count, "value was", "values were"),
                self.values.first
            ));
        }
        if self.parts.count > 0 {
            remarks.push(format!(
                "{} left out as unreadable; the first: {}",
                counted(self.parts.count, "part of a record was", "parts of records were"),
                self.parts.first
            ));
        }
        if self.ids.count > 0 {
            remarks.push(format!(
                "{} without ids that can't be used; the first: {}",
                counted(self.ids.count, "log record was stored", "log records were stored"),
                self.ids.first
            ));
        }
        for (unit, count) in self.units.iter().filter(|(_, count)| *count > 0) {
            remarks.push(format!(
                "{} times in {unit}, which were read as such: send nanoseconds since 1970",
                counted(*count, "record has", "records have")
            ));
        }
        if self.ahead > 0 {
            remarks.push(format!(
                "{} more than a day ahead of this machine's clock, and was stored so: look at the sender's clock",
                counted(self.ahead, "record is", "records are")
            ));
        }
        if let (1.., Some(retention)) = (self.old, self.retention) {
            remarks.push(format!(
                "{} older than the {} h that this store keeps records, and will be deleted soon",
                counted(self.old, "record is", "records are"),
                retention.as_secs() / 3600
            ));
        }
        remarks
    }
}

fn counted(count: u64, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

/// A name in a description: quoted, so that it can't pass for our own words, and not too long.
pub(super) fn shown(name: &str) -> String {
    format!("{:?}", first_chars(name, SHOWN))
}
