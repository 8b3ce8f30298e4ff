//! [`AnswerReader`]: reads the decompressed body of a response, which is a stream of events or JSON.

use std::time::Duration;

use serde_json::Value;

use crate::answer::{Answer, ObjectKind};
use crate::events::Events;
use crate::json::{Document, Piece, Values};
use crate::pattern::Pattern;
use crate::settings::ReadSettings;
use crate::{Api, CallError, skim};

/// After this number of chunks, a response without an id is not expected to get one.
const MAX_UNNAMED: u64 = 8;

/// Reads the decompressed body of a response.
#[derive(Debug)]
pub(crate) struct AnswerReader {
    body: Body,
    pub(crate) documents: Documents,
}

/// Assembles a response from the documents of its body.
#[derive(Debug)]
pub(crate) struct Documents {
    settings: ReadSettings,
    pub(crate) status_failed: bool,
    pub(crate) answer: Answer,
    /// The pattern of the last chunk that contained only content.
    pattern: Pattern,
    /// The error of a failed response in an undocumented format.
    pub(crate) failure: Option<CallError>,
    pub(crate) chunks: u64,
    pub(crate) first_chunk: Option<Duration>,
    pub(crate) is_broken: bool,
    pub(crate) is_stream: bool,
}

#[derive(Debug)]
enum Body {
    /// No byte that shows the format has arrived yet.
    Unknown,
    Events(Box<Events>),
    Json(Values, Box<Document>),
    /// In an unknown format.
    Other,
}

impl AnswerReader {
    pub(crate) fn new(api: Api, settings: ReadSettings) -> Self {
        Self {
            body: Body::Unknown,
            documents: Documents {
                settings,
                status_failed: false,
                answer: Answer::new(api, &settings),
                pattern: Pattern::default(),
                failure: None,
                chunks: 0,
                first_chunk: None,
                is_broken: false,
                is_stream: false,
            },
        }
    }

    /// Creates a placeholder for a reader that was moved into a decoder.
    pub(crate) fn placeholder() -> Self {
        let mut placeholder = Self::new(Api::OpenAiChat, ReadSettings::default());
        placeholder.body = Body::Other;
        placeholder.documents.is_broken = true;
        placeholder
    }

    /// Reads a piece. Returns the number of chunks of a stream that it completed.
    pub(crate) fn push(&mut self, bytes: &[u8], at: Duration) -> u64 {
        let before = self.documents.chunks;
        let mut bytes = bytes;
        if matches!(self.body, Body::Unknown) {
            bytes = bytes.trim_ascii_start();
            let Some(first) = bytes.first() else {
                return 0;
            };
            // The media type in the head is ignored: proxies and compatible servers get it wrong.
            let limits = self.documents.settings.limits();
            self.body = match first {
                b'{' | b'[' => Body::Json(Values::default(), Box::new(Document::new(limits))),
                // Server-sent events: the first byte of a field name, a comment or a byte order
                // mark.
                b'd' | b'e' | b'i' | b'r' | b':' | 0xEF => {
                    self.documents.is_stream = true;
                    Body::Events(Box::new(Events::new(limits)))
                }
                _ => {
                    self.documents.is_broken = true;
                    Body::Other
                }
            };
        }
        match &mut self.body {
            Body::Events(events) => self.documents.read_events(events, bytes, at),
            Body::Json(values, document) => self.documents.read_values(values, document, bytes, at),
            Body::Unknown | Body::Other => {}
        }
        self.documents.chunks - before
    }

    pub(crate) fn end(&mut self, is_complete: bool) {
        let documents = &mut self.documents;
        let last = documents.first_chunk.unwrap_or_default();
        if let Body::Events(events) = &mut self.body
            && is_complete
            && events.end()
        {
            let (name, data) = events.event();
            documents.take_event(name, data, last, None);
        }
        if let Body::Json(values, document) = &mut self.body {
            if values.is_inside() {
                // A complete body with an incomplete document is broken. If the connection was cut,
                // the part that arrived is read.
                documents.is_broken |= is_complete || !documents.take_parsed("", document, last, true);
            }
            // Lines of JSON are a stream even if the head does not say so; a single one is a
            // response.
            documents.is_stream |= documents.chunks > 1;
        }
        documents.is_stream &= documents.chunks > 0;
        if !documents.is_stream {
            documents.first_chunk = None;
            documents.chunks = 0;
        }
    }
}

impl Documents {
    /// Reads a piece of a stream of events.
    fn read_events(&mut self, events: &mut Events, mut bytes: &[u8], at: Duration) {
        while !bytes.is_empty() {
            let is_between = events.is_between();
            if is_between {
                let after = self.skip_repeated(bytes);
                if after.len() < bytes.len() {
                    events.skipped(&bytes[..bytes.len() - after.len()]);
                    bytes = after;
                    continue;
                }
            }
            let (is_end, after) = events.read(bytes);
            if is_end {
                let whole = is_between.then(|| &bytes[..bytes.len() - after.len()]);
                let (name, data) = events.event();
                self.take_event(name, data, at, whole);
                events.begin_next();
            }
            bytes = after;
        }
    }

    /// Reads a piece of a response that is one JSON object, or one per line.
    fn read_values(&mut self, values: &mut Values, document: &mut Document, mut bytes: &[u8], at: Duration) {
        while !bytes.is_empty() && !self.is_broken {
            let is_between = !values.is_inside();
            if is_between {
                bytes = bytes.trim_ascii_start();
                let after = self.skip_repeated(bytes);
                if after.len() < bytes.len() {
                    bytes = after;
                    continue;
                }
            }
            let (part, piece, rest) = values.split(bytes);
            document.push(part);
            match piece {
                Piece::Part => {}
                Piece::End => {
                    let whole = is_between.then_some(part);
                    self.is_broken |= !self.take_document("", document, at, whole);
                }
                Piece::Broken => self.is_broken = true,
            }
            bytes = rest;
        }
    }

    /// Returns whether chunks with only content need no parsing. Until the id and the model of the
    /// response are known, each chunk may contain them: Azure's first chunk does not.
    fn may_skim(&self) -> bool {
        let is_named = self.answer.facts.id.is_some() && self.answer.facts.model.is_some();
        let is_begun = self.chunks > 0 && (is_named || self.chunks >= MAX_UNNAMED);
        is_begun && !self.settings.content
    }

    /// Counts the chunks at the start of `bytes` that equal the last one except for its content.
    /// Returns the bytes after them.
    fn skip_repeated<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        if !self.may_skim() {
            return bytes;
        }
        let (count, after) = self.pattern.skip(bytes);
        self.chunks += count;
        after
    }

    /// Reads an event. `whole` has all its bytes, if they arrived in one piece.
    fn take_event(&mut self, name: &[u8], data: &mut Document, at: Duration, whole: Option<&[u8]>) {
        let is_end = data.whole().is_some_and(|data| data.trim_ascii() == b"[DONE]");
        if !is_end {
            let name = std::str::from_utf8(name).unwrap_or_default();
            // An event in an unknown format is skipped.
            let _ = self.take_document(name, data, at, whole);
        }
    }

    /// Reads a document, and returns whether it is an object. `whole` has all bytes of its chunk,
    /// if they arrived in one piece.
    fn take_document(
        &mut self,
        name: &str,
        document: &mut Document,
        at: Duration,
        whole: Option<&[u8]>,
    ) -> bool {
        let is_piece = |chunk: &[u8]| skim::has_only_content(self.answer.api, chunk);
        if self.may_skim() && document.whole().is_some_and(is_piece) {
            if let Some(whole) = whole {
                self.pattern.learn(whole);
            }
            document.clear();
            self.chunks += 1;
            return true;
        }
        self.take_parsed(name, document, at, false)
    }

    fn take_parsed(&mut self, name: &str, document: &mut Document, at: Duration, may_be_cut: bool) -> bool {
        let is_reduced = document.is_reduced();
        let Some(Value::Object(object)) = document.take(may_be_cut) else {
            return false;
        };
        if self.status_failed {
            self.failure.get_or_insert_with(|| CallError::in_failure(&object));
        } else if self.answer.take(name, &object, is_reduced) == ObjectKind::Chunk {
            self.chunks += 1;
            self.first_chunk.get_or_insert(at);
        }
        true
    }
}
