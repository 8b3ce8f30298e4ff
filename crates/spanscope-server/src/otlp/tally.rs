//! [`RequestTally`]: counts the rejections, repairs and copies while one request is converted.

use std::time::Duration;

use spanscope_model::Timestamp;
use spanscope_model::filter::TimeUnit;
use spanscope_model::text::first_chars;

use super::ids;

/// Maximum number of rejected records that are described. One is often the reason of all, and a
/// response is not a log file.
const DESCRIBED: usize = 3;
/// The longest name in a description, in characters.
const SHOWN: usize = 80;
/// Maximum bytes copied beyond [`PER_BYTE`]: room for usual requests, a resource of kilobytes in
/// hundreds of scopes.
const COPIED: usize = 64 * 1024 * 1024;
/// How many bytes may be copied for each byte of the body.
const PER_BYTE: usize = 4;

/// Times further ahead of this machine's clock are reported: the sender's clock is set wrong.
const AHEAD: Duration = Duration::from_secs(24 * 60 * 60);

/// The rejections and repairs of a request, and its remaining budget of copies.
#[derive(Debug)]
pub(super) struct RequestTally {
    now: Timestamp,
    used_clock: bool,
    copies_left: usize,
    rejected: u64,
    /// Whether a container of records could not be read.
    unreadable_container: bool,
    /// The number of rejected records that are described.
    described: u64,
    reasons: Vec<String>,
    notes: Vec<String>,
    /// Texts in which bytes were replaced.
    texts: u64,
    /// Attributes that were left out, and the error of the first.
    attributes: Counted,
    /// Values that are not of their declared type, and were stored as what they are.
    values: Counted,
    /// Other parts of records that were left out.
    parts: Counted,
    /// Log records that were kept without their ids, and the error of the first.
    ids: Counted,
    /// Spans that were kept without their parent, and the error of the first.
    parents: Counted,
    /// Ids that were accepted in another form.
    read_ids: Counted,
    /// Times that were accepted in another form.
    read_times: Counted,
    /// Records whose times were in another unit.
    units: [(TimeUnit, u64); 3],
    /// Records of a time that is more than a day ahead.
    ahead: u64,
    /// Records that are older than the store's retention.
    old: u64,
    retention: Option<Duration>,
}

/// How often a problem occurred, and the description of its first occurrence.
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
            unreadable_container: false,
            described: 0,
            reasons: Vec::new(),
            notes: Vec::new(),
            texts: 0,
            attributes: Counted::default(),
            values: Counted::default(),
            parts: Counted::default(),
            ids: Counted::default(),
            parents: Counted::default(),
            read_ids: Counted::default(),
            read_times: Counted::default(),
            units: [TimeUnit::Micros, TimeUnit::Millis, TimeUnit::Seconds].map(|unit| (unit, 0)),
            ahead: 0,
            old: 0,
            retention,
        }
    }

    /// Returns the request's time of arrival, for a record without a time. The same request at
    /// another time then has other records.
    pub(super) fn now(&mut self) -> Timestamp {
        self.used_clock = true;
        self.now
    }

    pub(super) fn used_clock(&self) -> bool {
        self.used_clock
    }

    /// Counts a copy of something that the request contains only once.
    ///
    /// Without this, a body of a megabyte could be one long name and a hundred thousand empty
    /// records under it.
    pub(super) fn copy(&mut self, bytes: usize) -> Result<(), String> {
        match self.copies_left.checked_sub(bytes) {
            Some(left) => {
                self.copies_left = left;
                Ok(())
            }
            None => Err(
                "the data that the request has once for many records are too long to copy to each: send shorter names and resources, or fewer records at once"
                    .to_owned(),
            ),
        }
    }

    /// Counts records that are left out for this reason.
    pub(super) fn reject(&mut self, records: u64, why: String) {
        self.rejected = self.rejected.saturating_add(records);
        if self.reasons.contains(&why) {
            self.described = self.described.saturating_add(records);
        } else if self.reasons.len() < DESCRIBED {
            self.described = self.described.saturating_add(records);
            self.reasons.push(why);
        }
    }

    /// Remembers that a container of records could not be read.
    pub(super) fn note_unreadable_container(&mut self) {
        self.unreadable_container = true;
    }

    pub(super) fn has_unreadable_container(&self) -> bool {
        self.unreadable_container
    }

    /// Adds a remark without rejecting anything.
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

    /// Counts a value that was stored as what it is, because it is not of its declared type.
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

    /// Counts a span that was kept without its parent.
    pub(super) fn leave_out_parent(&mut self, what: impl FnOnce() -> String) {
        self.parents.add(what);
    }

    /// Counts an id that was accepted in another form than OTLP's.
    pub(super) fn read_id(&mut self, what: impl FnOnce() -> String) {
        self.read_ids.add(what);
    }

    /// Counts a time that was accepted in another form than OTLP's.
    pub(super) fn read_time(&mut self, what: impl FnOnce() -> String) {
        self.read_times.add(what);
    }

    /// Checks the unit and the plausibility of a record's time, as it was sent.
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

    /// Returns the number of records and strings that were changed so that they could be stored.
    pub(super) fn repaired(&self) -> u64 {
        let units: u64 = self.units.iter().map(|(_, count)| count).sum();
        let counted = [
            &self.attributes,
            &self.values,
            &self.parts,
            &self.ids,
            &self.parents,
            &self.read_ids,
            &self.read_times,
        ];
        self.texts + counted.map(|of| of.count).iter().sum::<u64>() + units
    }

    /// Returns the message for the sender.
    pub(super) fn message(&self) -> String {
        let more = self.rejected.saturating_sub(self.described);
        let mut reasons = self.reasons.clone();
        if more > 0 {
            reasons.push(format!("and {more} more"));
        }
        reasons.extend(self.notes.iter().cloned());
        reasons.extend(self.remarks());
        reasons.join("; ")
    }

    /// Returns remarks about records that were changed, or that will be deleted soon.
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
                "{} stored as another type than declared; the first: {}",
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
        if self.parents.count > 0 {
            remarks.push(format!(
                "{} without a parent because of an unusable id; the first: {}",
                counted(self.parents.count, "span was stored", "spans were stored"),
                self.parents.first
            ));
        }
        if self.read_ids.count > 0 {
            remarks.push(format!(
                "{} read that OTLP writes otherwise; the first: {}: send bytes in protobuf and hexadecimal digits in JSON",
                counted(self.read_ids.count, "id was", "ids were"),
                self.read_ids.first
            ));
        }
        if self.read_times.count > 0 {
            remarks.push(format!(
                "{} interpreted; the first: {}: send nanoseconds since 1970",
                counted(self.read_times.count, "time was", "times were"),
                self.read_times.first
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

/// Returns a name for a message: quoted, so that it can't be confused with the message's own words,
/// and truncated.
pub(super) fn quoted(name: &str) -> String {
    format!("{:?}", first_chars(name, SHOWN))
}
