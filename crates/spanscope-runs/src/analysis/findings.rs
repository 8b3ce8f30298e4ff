//! What an analysis finds, as clients see it. Nothing here is computed.

use std::collections::BTreeMap;

use serde::Serialize;
use spanscope_model::{SpanId, Timestamp};

use crate::EventType;

/// What a run's records tell of where its time went.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Analysis {
    /// The run.
    pub task_id: String,
    /// Events on all levels.
    pub total_events: u64,
    /// How many there are of each type that occurs.
    pub event_distribution: BTreeMap<EventType, u64>,
    /// Seconds of each execution, by the component's name. The run's own root is not among them.
    pub component_execution_times: BTreeMap<String, Vec<f64>>,
    /// The components, those with the largest share of the critical path first.
    pub components: Vec<ComponentTime>,
    /// The steps that the run's duration is made of, in the order of time. Their seconds add up to it.
    pub critical_path: Vec<CriticalStep>,
    /// Components that are worth making faster.
    pub bottlenecks: Vec<Bottleneck>,
    /// Everything that failed.
    pub errors: Vec<RunError>,
    /// What could be done, in words.
    pub recommendations: Vec<String>,
}

/// What the executions of a component took together, in seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ComponentTime {
    /// The component's name.
    pub component: String,
    /// What it is.
    #[serde(rename = "type")]
    pub component_type: String,
    /// How often it ran.
    pub executions: u64,
    /// How often it failed.
    pub errors: u64,
    /// From beginning to end, with what ran inside of it.
    pub total_time: f64,
    /// The same for one execution.
    pub avg_time: f64,
    /// The same for the longest one.
    pub max_time: f64,
    /// Without what ran inside of it.
    pub self_time: f64,
    /// Its part of the critical path.
    pub critical_path_time: f64,
    /// The same as a share, from 0 to 1.
    pub critical_path_share: f64,
}

/// A step on the critical path.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct CriticalStep {
    /// The component; none for time in which nothing of the run was recorded.
    pub component: Option<String>,
    /// The span; none where `component` is none.
    pub span_id: Option<SpanId>,
    /// How long the run waited for the step itself, and for nothing inside of it.
    pub seconds: f64,
}

/// A component that is worth making faster.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Bottleneck {
    /// The component's name.
    pub component: String,
    /// Seconds of one execution, without what ran inside of it.
    pub avg_execution_time: f64,
    /// How often it ran.
    pub executions: u64,
    /// Its share of the critical path, from 0 to 1.
    pub critical_path_share: f64,
    /// Why it is one.
    pub reason: BottleneckReason,
}

/// Why a component is a bottleneck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum BottleneckReason {
    /// It takes more than five seconds on average.
    #[serde(rename = "average")]
    Average,
    /// At least half of the critical path is its.
    #[serde(rename = "critical_path")]
    CriticalPath,
    /// Both.
    #[serde(rename = "average and critical_path")]
    Both,
}

/// Something that failed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct RunError {
    /// The component's name.
    pub component: String,
    /// Why.
    pub error: String,
    /// When.
    pub timestamp: Timestamp,
}
