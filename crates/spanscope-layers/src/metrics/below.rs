//! What happened below a span: kept in its extensions until it ends.
//!
//! A call that counted is added to all spans above it, so that none of them counts the same tokens again. Calls are
//! numbered on the nearest agent above. This happens once, when the lower span ends; a span that ends before the spans
//! in it knows nothing of them.

use spanscope_core::capture::{FieldReader, SpanRecord, late_keys_were_set};
use spanscope_model::semconv::{CallFacts, CallsBelow, OperationKind, SemanticAttribute};
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::plan::{plan_of, values_of};

/// What one layer knows of what happened below a span. Layers differ in what their filters let them see.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Below {
    owner: u32,
    /// The calls whose tokens were counted.
    pub(super) calls: CallsBelow,
    /// A call's duration was measured.
    pub(super) timed: bool,
    /// A model was called, with no agent between.
    pub(super) model_called: bool,
    /// A tool was called, with no agent between.
    pub(super) tool_called: bool,
    /// The calls of an agent.
    pub(super) inference_calls: u32,
    pub(super) tool_calls: u32,
}

/// What a span above was found to be.
#[derive(Debug, Clone, Copy, Default)]
struct Found {
    is_agent: bool,
    /// It runs an agent or a tool: calls below it are not those that spans above it describe.
    separates: bool,
}

/// In a span's extensions: one for each layer, nearly always one.
#[derive(Debug)]
pub(super) struct BelowSpan {
    /// What it was found to be, which a span does not cease to be.
    found: Found,
    first: Below,
    others: Vec<Below>,
}

impl BelowSpan {
    pub(super) fn of(&self, owner: u32) -> Option<Below> {
        std::iter::once(&self.first)
            .chain(&self.others)
            .find(|below| below.owner == owner)
            .copied()
    }

    fn of_mut(&mut self, owner: u32) -> &mut Below {
        if self.first.owner == owner {
            return &mut self.first;
        }
        let place = self
            .others
            .iter()
            .position(|below| below.owner == owner)
            .unwrap_or_else(|| {
                self.others.push(Below {
                    owner,
                    ..Below::default()
                });
                self.others.len() - 1
            });
        &mut self.others[place]
    }
}

/// What a span that ended hands to those above it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct News {
    /// The call whose tokens were counted.
    pub(super) counted: Option<CallFacts>,
    /// No agent and no tool is between that call and the span that is told.
    pub(super) is_direct: bool,
    /// Its duration was measured as that of a call.
    pub(super) timed: bool,
    /// It was a model call. Spans above the nearest agent are not told of it.
    pub(super) model_called: bool,
    /// It was a tool call. Spans above the nearest agent are not told of it.
    pub(super) tool_called: bool,
}

impl News {
    fn is_none(self) -> bool {
        !(self.counted.is_some() || self.timed || self.model_called || self.tool_called)
    }

    /// Tells the spans above, as the layer sees them.
    pub(super) fn tell_those_above<S>(mut self, span: &SpanRef<'_, S>, owner: u32)
    where
        S: for<'a> LookupSpan<'a>,
    {
        let mut next = span.parent();
        while let Some(span) = next
            && !self.is_none()
        {
            {
                let mut extensions = span.extensions_mut();
                let known = extensions.get_mut::<BelowSpan>().map(|below| below.found);
                let found = match known {
                    Some(found) if found.separates => found,
                    _ if self.model_called || self.tool_called || self.is_direct => extensions
                        .get_mut::<SpanRecord>()
                        .map(|record| found_of(record))
                        .unwrap_or_default(),
                    _ => known.unwrap_or_default(),
                };
                if known.is_none() {
                    extensions.insert(BelowSpan {
                        found,
                        first: Below {
                            owner,
                            ..Below::default()
                        },
                        others: Vec::new(),
                    });
                }
                if let Some(below) = extensions.get_mut::<BelowSpan>() {
                    below.found = found;
                    self.tell(below.of_mut(owner), found.is_agent);
                    self.is_direct &= !found.separates;
                }
            }
            next = span.parent();
        }
    }

    /// Afterwards it is what the next span above is to be told.
    fn tell(&mut self, below: &mut Below, is_agent: bool) {
        if let Some(call) = &self.counted {
            below.calls.add(call, self.is_direct);
        }
        // Who knows has told those above.
        self.timed &= !below.timed;
        below.timed |= self.timed;
        if is_agent {
            below.inference_calls = below.inference_calls.saturating_add(u32::from(self.model_called));
            below.tool_calls = below.tool_calls.saturating_add(u32::from(self.tool_called));
            self.model_called = false;
            self.tool_called = false;
        }
        below.model_called |= self.model_called;
        below.tool_called |= self.tool_called;
    }
}

fn found_of(record: &SpanRecord) -> Found {
    let plan = plan_of(record.metadata());
    if !(plan.tells_kind || (late_keys_were_set() && record.has_watched_key())) {
        return Found::default();
    }
    // Nothing here runs a user's code, so the values may be read under the lock.
    let fields = FieldReader::new(record.fields());
    let values = values_of(fields.wanted(|key| plan.operation_row(key)));
    let kind = OperationKind::of(&values).0;
    let is_tool_call = kind == OperationKind::Tool
        || (kind == OperationKind::Unknown
            && values.text(SemanticAttribute::McpMethod) == Some("tools/call"));
    Found {
        is_agent: kind == OperationKind::Agent,
        separates: kind == OperationKind::Agent || is_tool_call,
    }
}
