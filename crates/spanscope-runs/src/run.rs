//! [`Run`]: a whole run. Its views [`Run::session`], [`Run::summary`] and [`Run::analysis`] are in
//! the modules of their results.

use std::borrow::Cow;

use spanscope_model::{RunInfo, RunRecords, RunStatus, Span, Timestamp};

use crate::content::EventContents;
use crate::event::{PayloadFilter, RunEvent};
use crate::forest::Forest;
use crate::step::{Step, nanos_between};
use crate::{DetailLevel, EventType, RunReader};

/// One run, read from all of its records.
///
/// ```
/// use spanscope_model::RunRecords;
/// use spanscope_runs::{DetailLevel, Run, TraceFormat};
///
/// fn show(records: &RunRecords) {
///     let run = Run::of(records);
///     println!("{}: {}", records.info.task_id, run.status());
///     for event in run.events(DetailLevel::Standard) {
///         println!("{} {} {}", event.timestamp, event.event_type, event.component_name);
///     }
///     println!("{}", run.session(TraceFormat::Compact, DetailLevel::Standard));
///     for advice in run.analysis().recommendations {
///         println!("{advice}");
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Run<'a> {
    records: &'a RunRecords,
    reader: RunReader,
    status: RunStatus,
    ended_at: Timestamp,
    /// The span of each step, with the inputs and outputs in its events.
    spans: Vec<Cow<'a, Span>>,
    forest: Forest,
    /// The events without payloads, including the last one if the run is over.
    outline: Vec<RunEvent>,
}

impl<'a> Run<'a> {
    /// Reads a run. The records have to be complete
    /// ([`RunRange::ALL`](spanscope_model::RunRange::ALL)).
    #[must_use]
    pub fn of(records: &'a RunRecords) -> Self {
        let mut reader = RunReader::new().with_payloads(PayloadFilter::Nothing);
        let mut outline = reader.read(records);
        let status = reader.status(records);
        if status != RunStatus::Running {
            outline.push(reader.finish(records, status));
        }
        let mut spans: Vec<Option<&Span>> = vec![None; reader.steps.len()];
        for stored in records.spans.iter().chain(&records.ended) {
            let place = reader.index.get(&(stored.span.trace_id, stored.span.span_id));
            if let Some(place) = place {
                spans[*place] = spans[*place].or(Some(&stored.span));
            }
        }
        // Every step has one of these spans, so none is left out.
        let mut contents = EventContents::default();
        contents.add_all(&records.events);
        let whole = |span: &'a Span| contents.of(span).map_or(Cow::Borrowed(span), Cow::Owned);
        let spans = spans.into_iter().flatten().map(whole).collect();
        let forest = Forest::of(&reader.steps, &reader.index);
        let ended_at = reader.ended_at(&records.info);
        Self {
            records,
            reader,
            status,
            ended_at,
            spans,
            forest,
            outline,
        }
    }

    /// Returns the run's entry in a list of runs.
    #[must_use]
    pub fn info(&self) -> &RunInfo {
        &self.records.info
    }

    /// Returns the run's status.
    #[must_use]
    pub fn status(&self) -> RunStatus {
        self.status
    }

    /// Returns when its first span started.
    #[must_use]
    pub fn started_at(&self) -> Timestamp {
        self.reader.started_at(&self.records.info)
    }

    /// Returns when it ended; `None` while it runs. Steps that it left running may end later.
    #[must_use]
    pub fn completed_at(&self) -> Option<Timestamp> {
        (self.status != RunStatus::Running).then_some(self.ended_at)
    }

    /// Returns the events of a level, in the order of time, with complete payloads if the level
    /// shows payloads; [`format_event`](crate::format_event) truncates them.
    #[must_use]
    pub fn events(&self, level: DetailLevel) -> Vec<RunEvent> {
        let mut reader = RunReader::new().for_level(level);
        let mut events = reader.read(self.records);
        if self.status != RunStatus::Running {
            events.push(reader.finish(self.records, self.status));
        }
        events.retain(|event| level.shows(event.event_type));
        events
    }

    pub(crate) fn records(&self) -> &RunRecords {
        self.records
    }

    pub(crate) fn outline(&self) -> &[RunEvent] {
        &self.outline
    }

    pub(crate) fn forest(&self) -> &Forest {
        &self.forest
    }

    pub(crate) fn all_steps(&self) -> &[Step] {
        &self.reader.steps
    }

    /// Returns the steps of the run with their spans, ordered by start.
    pub(crate) fn steps(&self) -> Vec<(&Step, &Span)> {
        let steps = self.reader.steps.iter().zip(self.spans.iter().map(Cow::as_ref));
        let mut steps: Vec<(&Step, &Span)> = steps.filter(|(step, _)| step.belongs).collect();
        steps.sort_by_key(|(step, _)| (step.start, step.rank()));
        steps
    }

    pub(crate) fn span(&self, place: usize) -> &Span {
        &self.spans[place]
    }

    /// Returns when it ended, or its last activity.
    pub(crate) fn ended_at(&self) -> Timestamp {
        self.ended_at
    }

    /// Returns the nanoseconds from its start to its end, or to its last activity.
    pub(crate) fn nanos(&self) -> i64 {
        nanos_between(self.started_at(), self.ended_at)
    }

    /// Returns the error events, each error once. An error that a step logs before it fails with
    /// the same error is counted with the step's log event, and an error of the run that a step
    /// already has is counted with the step.
    pub(crate) fn errors(&self) -> Vec<&RunEvent> {
        let mut errors: Vec<&RunEvent> = Vec::new();
        let mut logged: Vec<(&str, &str)> = Vec::new();
        for event in &self.outline {
            let Some(error) = &event.error else { continue };
            let key = (event.component_id.as_str(), error.as_str());
            if event.event_type == EventType::ErrorOccurred {
                logged.push(key);
            } else if let Some(index) = logged.iter().position(|logged| *logged == key) {
                logged.swap_remove(index);
                continue;
            }
            let is_of_step = |other: &&RunEvent| {
                (other.component_id.as_str(), other.error.as_deref()) == (key.0, Some(key.1))
            };
            if event.event_id == "run:end" && errors.iter().any(is_of_step) {
                continue;
            }
            errors.push(event);
        }
        errors
    }

    /// Returns the reason of its failure; `None` if it did not fail.
    pub(crate) fn error(&self) -> Option<&str> {
        let last = self.outline.last().filter(|event| event.event_id == "run:end");
        last.and_then(|event| event.error.as_deref())
    }
}
