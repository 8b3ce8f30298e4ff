//! Activity below a span: kept in its extensions until it ends.
//!
//! A counted call is added to all spans above it, so that none of them counts the same tokens
//! again. The nearest agent above counts its calls. This happens once, when the lower span ends; a
//! span that ends before its descendants does not include them.

use spanscope_core::capture::{FieldReader, SpanRecord, late_keys_were_set};
use spanscope_model::semconv::{CallFacts, NestedCalls, OperationKind, SemanticAttribute};
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::plan::{plan_of, values_of};

/// What one layer knows about the activity below a span. Layers differ in what their filters pass.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ChildActivity {
    owner: u32,
    /// The calls whose tokens were counted.
    pub(super) calls: NestedCalls,
    /// Whether a call's duration was measured.
    pub(super) timed: bool,
    /// Whether a model was called, with no agent between.
    pub(super) model_called: bool,
    /// Whether a tool was called, with no agent between.
    pub(super) tool_called: bool,
    /// The calls of an agent.
    pub(super) inference_calls: u32,
    pub(super) tool_calls: u32,
}

/// The classification of a span above.
#[derive(Debug, Clone, Copy, Default)]
struct Classification {
    is_agent: bool,
    /// Whether it runs an agent or a tool: spans above it do not describe calls below it.
    separates: bool,
}

/// The entry in a span's extensions: one for each layer, nearly always one.
#[derive(Debug)]
pub(super) struct SpanActivity {
    /// Its classification, which never changes.
    classification: Classification,
    first: ChildActivity,
    others: Vec<ChildActivity>,
}

impl SpanActivity {
    pub(super) fn of(&self, owner: u32) -> Option<&ChildActivity> {
        std::iter::once(&self.first)
            .chain(&self.others)
            .find(|below| below.owner == owner)
    }

    fn of_mut(&mut self, owner: u32) -> &mut ChildActivity {
        if self.first.owner == owner {
            return &mut self.first;
        }
        let place = self
            .others
            .iter()
            .position(|below| below.owner == owner)
            .unwrap_or_else(|| {
                self.others.push(ChildActivity {
                    owner,
                    ..ChildActivity::default()
                });
                self.others.len() - 1
            });
        &mut self.others[place]
    }
}

/// What an ended span reports to those above it.
#[derive(Debug, Clone, Copy)]
pub(super) struct ActivityReport<'a> {
    /// The call whose tokens were counted.
    pub(super) counted: Option<&'a CallFacts>,
    /// Whether no agent and no tool is between that call and the span that receives the report.
    pub(super) is_direct: bool,
    /// Whether its duration was measured as that of a call.
    pub(super) timed: bool,
    /// Whether it was a model call. Not reported to spans above the nearest agent.
    pub(super) model_called: bool,
    /// Whether it was a tool call. Not reported to spans above the nearest agent.
    pub(super) tool_called: bool,
}

impl ActivityReport<'_> {
    fn is_none(&self) -> bool {
        !(self.counted.is_some() || self.timed || self.model_called || self.tool_called)
    }

    /// Reports to the spans from `parent` up, as the layer sees them.
    pub(super) fn report_to_ancestors<S>(mut self, parent: Option<SpanRef<'_, S>>, owner: u32)
    where
        S: for<'a> LookupSpan<'a>,
    {
        let mut next = parent;
        while let Some(span) = next
            && !self.is_none()
        {
            {
                let mut extensions = span.extensions_mut();
                let known = extensions
                    .get_mut::<SpanActivity>()
                    .map(|below| below.classification);
                let classification = match known {
                    Some(classification) if classification.separates => classification,
                    _ if self.model_called || self.tool_called || self.is_direct => extensions
                        .get_mut::<SpanRecord>()
                        .map(|record| classify(record))
                        .unwrap_or_default(),
                    _ => known.unwrap_or_default(),
                };
                if known.is_none() {
                    let mut below = SpanActivity {
                        classification,
                        first: ChildActivity {
                            owner,
                            ..ChildActivity::default()
                        },
                        others: Vec::new(),
                    };
                    self.report_to(&mut below.first, classification.is_agent);
                    extensions.insert(below);
                } else if let Some(below) = extensions.get_mut::<SpanActivity>() {
                    below.classification = classification;
                    self.report_to(below.of_mut(owner), classification.is_agent);
                }
                self.is_direct &= !classification.separates;
            }
            next = span.parent();
        }
    }

    /// Reports to one span and changes `self` to the report for the next span above.
    fn report_to(&mut self, below: &mut ChildActivity, is_agent: bool) {
        if let Some(call) = self.counted {
            below.calls.add(call, self.is_direct);
        }
        // A span that already has the duration has reported it to those above.
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

fn classify(record: &SpanRecord) -> Classification {
    let plan = plan_of(record.metadata());
    if !(plan.names_operation || (late_keys_were_set() && record.has_watched_key())) {
        return Classification::default();
    }
    // No user code runs here, so the values may be read under the lock.
    let fields = FieldReader::new(record.fields());
    let values = values_of(fields.select(|key| plan.operation_row(key)));
    let kind = OperationKind::of(&values).0;
    let is_tool_call = kind == OperationKind::Tool
        || (kind == OperationKind::Unknown
            && values.text(SemanticAttribute::McpMethod) == Some("tools/call"));
    Classification {
        is_agent: kind == OperationKind::Agent,
        separates: kind == OperationKind::Agent || is_tool_call,
    }
}
