//! The results of an analysis, as clients see them. Nothing here is computed.

use std::collections::BTreeMap;

use serde::Serialize;
use spanscope_model::{SpanId, Timestamp};

use crate::EventType;

/// Where a run spent its time, its errors, and recommendations.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Analysis {
    /// The run.
    pub task_id: String,
    /// The number of events on all levels.
    pub total_events: u64,
    /// The number of events of each type that occurs.
    pub event_distribution: BTreeMap<EventType, u64>,
    /// The seconds of each execution, by the component's name. The run's own root is not included.
    pub component_execution_times: BTreeMap<String, Vec<f64>>,
    /// The components, those with the largest share of the critical path first.
    pub components: Vec<ComponentTime>,
    /// The steps that make up the run's duration, in the order of time. Their seconds add up to it.
    pub critical_path: Vec<CriticalStep>,
    /// Components that are worth making faster.
    pub bottlenecks: Vec<Bottleneck>,
    /// All errors.
    pub errors: Vec<RunError>,
    /// Recommendations, as text.
    pub recommendations: Vec<String>,
}

/// The total time of a component's executions, in seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ComponentTime {
    /// The component's name.
    pub component: String,
    /// The component's type.
    #[serde(rename = "type")]
    pub component_type: String,
    /// The number of executions.
    pub executions: u64,
    /// The number of failed executions.
    pub errors: u64,
    /// The time from start to end, including nested steps.
    pub total_time: f64,
    /// The average of `total_time` per execution.
    pub avg_time: f64,
    /// The longest execution.
    pub max_time: f64,
    /// The time without nested steps.
    pub self_time: f64,
    /// Its part of the critical path.
    pub critical_path_time: f64,
    /// Its share of the critical path, from 0 to 1.
    pub critical_path_share: f64,
}

/// A step on the critical path.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct CriticalStep {
    /// The component; `None` for time in which nothing of the run was recorded.
    pub component: Option<String>,
    /// The span; `None` if `component` is none.
    pub span_id: Option<SpanId>,
    /// How long the run waited for the step itself, without nested steps.
    pub seconds: f64,
}

/// A component that is worth making faster.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Bottleneck {
    /// The component's name.
    pub component: String,
    /// The average seconds of an execution, without nested steps.
    pub avg_execution_time: f64,
    /// The number of executions.
    pub executions: u64,
    /// Its share of the critical path, from 0 to 1.
    pub critical_path_share: f64,
    /// The reason.
    pub reason: BottleneckReason,
}

/// Why a component is a bottleneck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum BottleneckReason {
    /// It takes more than five seconds on average.
    #[serde(rename = "average")]
    Average,
    /// It has at least half of the critical path.
    #[serde(rename = "critical_path")]
    CriticalPath,
    /// Both.
    #[serde(rename = "average and critical_path")]
    Both,
}

/// An error of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct RunError {
    /// The component's name.
    pub component: String,
    /// The error's text.
    pub error: String,
    /// When it occurred.
    pub timestamp: Timestamp,
}
