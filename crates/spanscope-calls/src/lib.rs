//! Parses calls of language models from HTTP traffic, without I/O.
//!
//! A program that calls a model over HTTP sends and receives everything that OpenTelemetry's GenAI
//! conventions define: the operation, the models, the parameters, the tokens, the finish reasons,
//! the error. [`CallReader`] reads them from the bytes of the request and of the response as they
//! pass, so that no client library has to report them.
//!
//! | API | paths | responses |
//! |---|---|---|
//! | OpenAI chat completions, and compatible APIs | `…/chat/completions`, Azure's `…/deployments/X/chat/completions` | whole, events |
//! | OpenAI legacy completions | `…/completions` | whole, events |
//! | OpenAI responses | `…/responses` | whole, events |
//! | OpenAI embeddings, moderations | `…/embeddings`, `…/moderations` | whole |
//! | Anthropic messages | `…/v1/messages` | whole, events |
//! | Ollama | `…/api/chat`, `…/api/generate`, `…/api/embed`, `…/api/embeddings` | whole, one chunk per line |
//!
//! # What is counted
//!
//! Input tokens include cache reads and writes, output tokens include reasoning. Anthropic counts
//! the cache separately, so its cache counts are added to the input. A stream may report its usage
//! at its end, with every chunk, or never; the last count applies. Events that are a part of the
//! response are chunks; pings, events of unknown types and `[DONE]` are not counted as chunks.
//!
//! # When there is no call
//!
//! [`CallReader::finish`] returns `None` for a request that calls no model, and for a successful
//! response that is not in the API's format: broken JSON, a page of HTML, a body in an encoding
//! other than gzip. Responses with a status of 400 and above are failed calls, whatever their body.
//! A response with the status 200 is a failed call if its body is an error, or if an event of its
//! stream is one.
//!
//! # Contents
//!
//! Messages and arguments of tools are kept only with [`ReadSettings::content`]. Data of images and
//! audio is never kept.

mod answer;
mod body;
mod call;
mod endpoint;
mod error;
mod events;
mod json;
mod messages;
mod pattern;
mod reader;
mod request;
mod settings;
mod skim;

pub use call::{Content, ModelCall, RequestFacts, RequestedToolCall, ResponseFacts};
pub use endpoint::{Api, Endpoint};
pub use error::CallError;
pub use reader::{CallReader, Progress, ResponseHead};
pub use settings::{DEFAULT_MAX_CONTENT, ReadSettings};
