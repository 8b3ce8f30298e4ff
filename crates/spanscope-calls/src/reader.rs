//! The reader: bytes in, a [`ModelCall`] out.

use std::io::{self, Write};
use std::time::Duration;

use flate2::write::GzDecoder;
use serde_json::Value;

use crate::answer::Answer;
use crate::body::AnswerReader;
use crate::call::{Content, ModelCall, RequestFacts};
use crate::json::Document;
use crate::settings::ReadSettings;
use crate::{Api, CallError, Endpoint, request};

/// Reads one model call from the bytes of its request and of its response.
///
/// It does no I/O and has no clock: the caller passes the bytes in pieces of any size, with the
/// time since the start of the call.
///
/// Its memory is bounded: with the default settings about 200 KiB for each direction, plus the
/// parsed form of one document at a time. Of larger documents, contents are dropped, but never the
/// token counts.
///
/// ```
/// use std::time::Duration;
/// use spanscope_calls::{ResponseHead, CallReader, Endpoint, ReadSettings};
///
/// let endpoint = Endpoint::of("POST", "localhost", Some(8000), "/v1/chat/completions").unwrap();
/// let mut reader = CallReader::new(endpoint, ReadSettings::default());
/// reader.request_body(br#"{"model": "llama-3", "messages": [{"role": "user", "content": "Hi"}]}"#);
/// reader.response_head(ResponseHead::new(200).content_type("application/json"));
/// reader.response_body(
///     br#"{"id": "chatcmpl-1", "model": "llama-3", "choices": [{"finish_reason": "stop"}],
///          "usage": {"prompt_tokens": 12, "completion_tokens": 3}}"#,
///     Duration::from_millis(20),
/// );
/// let call = reader.finish().unwrap();
/// assert_eq!(call.span_name(), "chat llama-3");
/// assert_eq!(call.usage.unwrap().total, Some(15));
/// ```
#[derive(Debug)]
pub struct CallReader {
    endpoint: Endpoint,
    settings: ReadSettings,
    request: RequestState,
    status: Option<u16>,
    decoder: Decoder,
    answer: AnswerReader,
}

/// The parts of a response's head that are needed to read its body.
#[derive(Debug, Clone, Copy)]
pub struct ResponseHead<'h> {
    status: u16,
    content_type: &'h str,
    content_encoding: &'h str,
}

impl<'h> ResponseHead<'h> {
    /// Creates a head with a status, without a content type and without an encoding.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self {
            status,
            content_type: "",
            content_encoding: "",
        }
    }

    /// Sets the value of `content-type`. Default: none.
    #[must_use]
    pub fn content_type(mut self, value: &'h str) -> Self {
        self.content_type = value;
        self
    }

    /// Sets the value of `content-encoding`. Bodies in `gzip` are decompressed for reading; bodies
    /// in another encoding are not read. Default: none.
    #[must_use]
    pub fn content_encoding(mut self, value: &'h str) -> Self {
        self.content_encoding = value;
        self
    }
}

/// The result of reading a piece of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Progress {
    /// The number of chunks of a streamed response that the piece completed.
    pub chunks: u64,
}

#[derive(Debug)]
enum RequestState {
    Reading(Document),
    Read(Box<(RequestFacts, Option<Content>)>),
    /// The request calls no model.
    Other,
}

#[derive(Debug)]
enum Decoder {
    Plain,
    Gzip(Box<GzDecoder<DecompressedBody>>),
    /// The head names an encoding that is not supported, so the body is not read.
    Unreadable,
}

/// The output of a gzip decoder: passes the decompressed bytes to the [`AnswerReader`].
#[derive(Debug)]
struct DecompressedBody {
    answer: AnswerReader,
    at: Duration,
    progress: Progress,
}

impl Write for DecompressedBody {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.progress.chunks += self.answer.push(bytes, self.at);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl CallReader {
    /// Creates a reader for a call to this endpoint.
    #[must_use]
    pub fn new(endpoint: Endpoint, settings: ReadSettings) -> Self {
        Self {
            request: RequestState::Reading(Document::new(settings.limits())),
            settings,
            status: None,
            decoder: Decoder::Plain,
            answer: AnswerReader::new(endpoint.api, settings),
            endpoint,
        }
    }

    /// Returns the name of the operation in OpenTelemetry's conventions.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.endpoint.api.operation()
    }

    /// Returns the name of the provider.
    #[must_use]
    pub fn provider(&self) -> &str {
        self.endpoint.provider()
    }

    /// Reads the next piece of the request's body.
    pub fn request_body(&mut self, bytes: &[u8]) {
        if let RequestState::Reading(document) = &mut self.request {
            document.push(bytes);
        }
    }

    /// Ends the body of the request, and returns what the request asks for. Returns `None` if it
    /// calls no model; the response need not be read then.
    pub fn finish_request(&mut self) -> Option<&RequestFacts> {
        self.end_request(false);
        match &self.request {
            RequestState::Read(read) => Some(&read.0),
            _ => None,
        }
    }

    fn end_request(&mut self, may_be_cut: bool) {
        if let RequestState::Reading(document) = &mut self.request {
            let body = document.take(may_be_cut);
            let read = body
                .as_ref()
                .and_then(Value::as_object)
                .and_then(|body| request::read(&self.endpoint, body, &self.settings));
            self.request = read.map_or(RequestState::Other, |read| RequestState::Read(Box::new(read)));
        }
    }

    /// Reads the head of the response. It may be called before the body of the request is complete,
    /// because a server may respond earlier.
    pub fn response_head(&mut self, head: ResponseHead<'_>) {
        self.status = Some(head.status);
        self.answer.documents.status_failed = head.status >= 400;
        let is = |word: &str| {
            let kind = head.content_type.split(';').next().unwrap_or_default().trim();
            kind.eq_ignore_ascii_case(word)
        };
        self.answer.documents.is_stream =
            is("text/event-stream") || is("application/x-ndjson") || is("application/jsonl");
        let encoding = head.content_encoding.trim();
        if encoding.eq_ignore_ascii_case("gzip") || encoding.eq_ignore_ascii_case("x-gzip") {
            let answer = std::mem::replace(&mut self.answer, AnswerReader::placeholder());
            self.decoder = Decoder::Gzip(Box::new(GzDecoder::new(DecompressedBody {
                answer,
                at: Duration::ZERO,
                progress: Progress::default(),
            })));
        } else if !(encoding.is_empty() || encoding.eq_ignore_ascii_case("identity")) {
            self.decoder = Decoder::Unreadable;
        }
    }

    /// Reads the next piece of the response's body, which arrived at the time `at` after the start
    /// of the call.
    pub fn response_body(&mut self, bytes: &[u8], at: Duration) -> Progress {
        match &mut self.decoder {
            Decoder::Plain => Progress {
                chunks: self.answer.push(bytes, at),
            },
            Decoder::Gzip(decoder) => {
                decoder.get_mut().at = at;
                let is_valid = decoder.write_all(bytes).and_then(|()| decoder.flush()).is_ok();
                let progress = std::mem::take(&mut decoder.get_mut().progress);
                if !is_valid {
                    decoder.get_mut().answer.documents.is_broken = true;
                }
                progress
            }
            Decoder::Unreadable => Progress::default(),
        }
    }

    /// Ends the call after the complete body. Returns `None` if it is not a model call: the request
    /// calls no model, or the response is broken or in an unknown format.
    #[must_use]
    pub fn finish(self) -> Option<ModelCall> {
        self.into_call(true)
    }

    /// Ends the call before its response was complete: the connection was cut, or the caller
    /// dropped it. The call contains the data that has arrived; `None` if that is not a model call.
    #[must_use]
    pub fn finish_incomplete(self) -> Option<ModelCall> {
        self.into_call(false)
    }

    fn into_call(mut self, is_complete: bool) -> Option<ModelCall> {
        self.end_request(true);
        let RequestState::Read(read) = self.request else {
            return None;
        };
        let (request, mut content) = *read;
        let (mut answer, is_readable) = match self.decoder {
            Decoder::Plain => (self.answer, true),
            Decoder::Gzip(mut decoder) => {
                // Finishing verifies the checksum.
                let is_whole = !is_complete || decoder.try_finish().is_ok();
                let mut answer =
                    std::mem::replace(&mut decoder.get_mut().answer, AnswerReader::placeholder());
                answer.documents.is_broken |= !is_whole;
                (answer, true)
            }
            Decoder::Unreadable => (self.answer, false),
        };
        answer.end(is_complete);
        let mut answer = answer.documents;
        let failed = self.status.filter(|status| *status >= 400);
        let is_known = match self.status {
            // A successful response belongs to a model call only if it is in the API's format. An
            // incomplete one may lack the part that shows the format.
            Some(_) if failed.is_none() => {
                is_readable && !answer.is_broken && (answer.answer.is_recognized || !is_complete)
            }
            _ => true,
        };
        if !is_known {
            return None;
        }
        let mut error = answer.answer.error.take().or(answer.failure.take());
        if let Some(status) = failed {
            error.get_or_insert_with(CallError::default).status = Some(status);
        }
        let Answer {
            mut facts,
            usage,
            outputs,
            ..
        } = answer.answer;
        facts.finish_reasons = outputs.finish_reasons();
        facts.tool_calls = outputs.tool_calls();
        if let Some(content) = &mut content {
            content.output_messages = outputs.messages();
        }
        let api = self.endpoint.api;
        let excludes_cache = api == Api::AnthropicMessages;
        Some(ModelCall {
            api,
            provider: self.endpoint.into_provider(),
            request,
            response: facts,
            usage: usage.counts(excludes_cache),
            cost: usage.cost(),
            error,
            is_streamed: answer.is_stream,
            chunk_count: answer.chunks,
            time_to_first_chunk: answer.first_chunk,
            is_complete,
            content,
        })
    }
}
