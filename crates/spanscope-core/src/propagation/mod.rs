//! Trace context and baggage across process boundaries: injected into a carrier before a call,
//! extracted after it.
//!
//! ```
//! use std::collections::HashMap;
//! use spanscope_core::propagation;
//! use tracing::info_span;
//!
//! // The caller, before it sends:
//! let mut headers = HashMap::<String, String>::new();
//! propagation::inject(&info_span!("publish"), &mut headers);
//! // The callee, before it enters its span:
//! let span = info_span!("process");
//! propagation::continue_from(&span, &headers);
//! ```
//!
//! # Carriers
//!
//! | carrier | type |
//! |---|---|
//! | HTTP headers | [`http::HeaderMap`](https://docs.rs/http) (feature `http`) |
//! | gRPC metadata | tonic's `MetadataMap`, as the headers that it is made of: `request.metadata_mut().as_mut()` |
//! | maps of texts | [`HashMap`](std::collections::HashMap), [`BTreeMap`](std::collections::BTreeMap) |
//! | JSON objects, such as MCP's `params._meta` | [`serde_json::Map`] |
//! | message queues | a list of names and values, `Vec<(String, Vec<u8>)>` |
//! | a child process | [`std::process::Command`]; of tokio's `Command`, `as_std_mut()` |
//! | this process, started by another | [`Environment`] |
//! | anything else | implement [`Carrier`] |
//!
//! # Formats
//!
//! W3C [Trace Context](https://www.w3.org/TR/trace-context/) (`traceparent`, `tracestate`) and
//! [Baggage](https://www.w3.org/TR/baggage/) (`baggage`). With `spanscope-otlp`, the global
//! propagators of `opentelemetry` apply instead; it installs itself as the [`Propagator`].
//!
//! A malformed or repeated `traceparent` is ignored, and the span starts a trace. A `tracestate`
//! and the baggage are passed from the span that received them to all requests below it, and this
//! module never records them as attributes. Baggage is sent in the clear to every service that is
//! called: put no secrets in it.
//!
//! # Limits
//!
//! At most 8,192 bytes of each header are read, over all its values. Baggage keeps its first 64
//! members; a `tracestate` with more than 32 members is dropped, and a long one is shortened to 512
//! bytes, both as the recommendations require.

mod baggage;
mod carried;
mod carrier;
mod environment;
mod trace_state;
mod w3c;

pub use baggage::{Baggage, BaggageError, MAX_BAGGAGE_LEN, MAX_BAGGAGE_MEMBERS, Member};
pub use carrier::{Carrier, MAX_READ};
pub use environment::Environment;
pub use trace_state::{MAX_TRACE_STATE_LEN, MAX_TRACE_STATE_MEMBERS};

pub use carried::{Carried, carried};

use std::sync::OnceLock;

use spanscope_model::TraceParent;
use tracing::Span;

/// The trace and the baggage that travel with a request or a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Context {
    /// The parent of the receiver's span; `None` if the sender names none.
    pub parent: Option<TraceParent>,
    /// The `tracestate` of `parent`: data that tracing systems added to the trace. May be empty.
    pub trace_state: String,
    /// Names and values that the application sends along.
    pub baggage: Baggage,
}

impl Context {
    /// Creates a context.
    #[must_use]
    pub fn new(parent: Option<TraceParent>, trace_state: String, baggage: Baggage) -> Self {
        Self {
            parent,
            trace_state,
            baggage,
        }
    }

    /// Reads the W3C formats, independent of the installed [`Propagator`].
    #[must_use]
    pub fn from_w3c(carrier: &dyn Carrier) -> Self {
        w3c::read(carrier)
    }

    /// Returns whether it names no span and has no baggage.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parent.is_none() && self.baggage.is_empty()
    }
}

/// The result of making a span continue the trace in a carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Continuation {
    /// The span is a child of the carrier's span.
    Continued,
    /// The carrier names no span, or is malformed. The span's parent is unchanged.
    NoParent,
    /// The ids of the span are in use: it was entered, has a child or an event, or its ids were
    /// read. Call [`continue_from`] right after creating the span.
    TooLate,
    /// No sink of Spanscope records the span. Requests below it pass the received context on
    /// unchanged, if the subscriber is built on a `Registry`.
    NotRecorded,
}

impl Continuation {
    /// Returns whether the span is a child of the carrier's span.
    #[must_use]
    pub fn is_continued(self) -> bool {
        self == Self::Continued
    }
}

/// Writes the context of a span into a carrier, replacing its `traceparent` and `tracestate`.
///
/// A disabled span stands for the current span. If no span is known, nothing is written: the
/// carrier is unchanged.
pub fn inject<C: Carrier>(span: &Span, carrier: &mut C) {
    match installed() {
        Some(propagator) => propagator.inject(span, carrier),
        None => w3c::write(&carried::outgoing(span), carrier),
    }
}

/// Reads the context of a carrier only: the current span is not part of it.
///
/// For links, as in a consumer of a batch of messages, and for baggage; a span becomes a child by
/// [`continue_from`].
#[must_use]
pub fn extract<C: Carrier>(carrier: &C) -> Context {
    match installed() {
        Some(propagator) => propagator.extract(carrier),
        None => w3c::read(carrier),
    }
}

/// Makes a span a child of the carrier's span, and sets the carrier's baggage on it, in place of
/// its ancestors' baggage.
///
/// Call it right after creating the span. The result says what happened; a request without a trace
/// is not an error.
pub fn continue_from<C: Carrier>(span: &Span, carrier: &C) -> Continuation {
    match installed() {
        Some(propagator) => propagator.continue_from(span, carrier),
        None => carried::continue_with(span, w3c::read(carrier)),
    }
}

/// Does the same as [`continue_from`] with a context that was read before.
pub fn continue_with(span: &Span, context: Context) -> Continuation {
    carried::continue_with(span, context)
}

/// Returns what [`inject`] would write for a span.
#[must_use]
pub fn context(span: &Span) -> Context {
    match installed() {
        Some(propagator) => propagator.context(span),
        None => carried::outgoing(span),
    }
}

/// Adds a member to the baggage of a span: requests in it and below it send the member in addition
/// to their other baggage. A later value of a key replaces it.
///
/// ```
/// use spanscope_core::propagation::{self, BaggageError};
/// # use tracing_subscriber::prelude::*;
/// # let _registry = tracing_subscriber::registry().set_default();
/// let span = tracing::info_span!("order");
/// propagation::add_baggage(&span, "tenant", "acme")?;
/// assert_eq!(propagation::context(&span).baggage.get("tenant").as_deref(), Some("acme"));
/// # Ok::<(), BaggageError>(())
/// ```
///
/// # Errors
/// Fails if the key is not a token, the baggage would exceed its limits, or the span is disabled or
/// has no `Registry`.
pub fn add_baggage(span: &Span, key: &str, value: &str) -> Result<(), BaggageError> {
    carried::add_baggage(span, key, value)
}

/// Reads and writes contexts for [`inject`], [`extract`] and [`continue_from`]; the default uses
/// the W3C formats.
///
/// `spanscope-otlp` implements it with the propagators of `opentelemetry`, so that this crate needs
/// none.
pub trait Propagator: Send + Sync {
    /// Writes the context of a span into a carrier.
    fn inject(&self, span: &Span, carrier: &mut dyn Carrier);
    /// Reads the context of a carrier.
    fn extract(&self, carrier: &dyn Carrier) -> Context;
    /// Makes a span a child of the carrier's span.
    fn continue_from(&self, span: &Span, carrier: &dyn Carrier) -> Continuation;
    /// Returns what `inject` would write.
    fn context(&self, span: &Span) -> Context;
}

static PROPAGATOR: OnceLock<&'static dyn Propagator> = OnceLock::new();

/// Installs the process's [`Propagator`]. Later calls have no effect.
pub fn install(propagator: &'static dyn Propagator) {
    let _ = PROPAGATOR.set(propagator);
}

fn installed() -> Option<&'static dyn Propagator> {
    PROPAGATOR.get().copied()
}
