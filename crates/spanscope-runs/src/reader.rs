//! [`RunReader`]: converts records to events, one range of records after another.
//!
//! A client resumes a stream of events by reading the same ranges again, so the events of a range
//! depend only on its records and earlier ones: a span's start belongs to the range in which the
//! span was stored, and its end to the range in which the end was stored. A span's name and inputs
//! may change until it ends: events have their current values.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use spanscope_model::semconv::is_exception_event;
use spanscope_model::{LogEvent, RunInfo, RunRecords, RunSpan, RunStatus, Severity, Span, SpanId, Timestamp};

use crate::content::EventContents;
use crate::event::{PayloadFilter, RunEvent, ends_of, error_text, logged, metadata_of, start_of};
use crate::forest::Forest;
use crate::root_steps::{RootSteps, status_of};
use crate::step::{Component, Key, Step, nanos_between, seconds};
use crate::{DetailLevel, EventType, StepKind, content};

/// The error of an abandoned run.
const ABANDONED: &str = "abandoned: the program that ran it ended without finishing it";

/// Reads the events of one run from its records, incrementally.
///
/// It must receive all records of the run from the beginning, in the order of their ranges. It
/// keeps ids, names and times of the spans, but not their attributes; it keeps at most 4 MiB of
/// messages in events, because events may be stored before their span.
///
/// ```
/// use spanscope_model::{Cursor, RunInfo, RunRecords, RunSpan, RunStatus, Span, SpanId, Timestamp, TraceId};
/// use spanscope_runs::{EventType, RunReader};
///
/// let trace_id = TraceId::from_bytes([1; 16]).unwrap();
/// let began = Timestamp::from_nanos(1_000);
/// let mut agent = Span::new(trace_id, SpanId::from_bytes([2; 8]).unwrap(), "invoke_agent librarian", began);
/// agent.attributes.set("gen_ai.operation.name", "invoke_agent");
/// let mut tool = Span::new(trace_id, SpanId::from_bytes([3; 8]).unwrap(), "execute_tool search", began);
/// tool.parent_span_id = Some(agent.span_id);
/// tool.attributes.set("tool_name", "search");
/// // The run as a list shows it.
/// let info = RunInfo::new(trace_id.to_string(), trace_id, &agent.name, began, RunStatus::Running);
/// let records = RunRecords::new(info)
///     .traces(vec![trace_id])
///     .spans(vec![RunSpan::new(1, agent), RunSpan::new(2, tool)])
///     .upto(Cursor::new([2, 0, 0])) // as the store counts
///     .open(2)
///     .alive(true);
/// let mut reader = RunReader::new();
/// let events = reader.read(&records);
/// let types: Vec<EventType> = events.iter().map(|event| event.event_type).collect();
/// assert_eq!(types, [EventType::WorkflowStarted, EventType::ToolCallStarted]);
/// assert_eq!(events[1].component_name, "search");
/// assert_eq!(reader.status(&records), RunStatus::Running);
/// ```
#[derive(Debug, Clone, Default)]
pub struct RunReader {
    pub(crate) steps: Vec<Step>,
    pub(crate) index: HashMap<Key, usize>,
    wanted: PayloadFilter,
    has_begun: bool,
    first_start: Option<Timestamp>,
    last_activity: Option<Timestamp>,
    root_ended: bool,
    /// Whether one of the spans that were read was sent.
    pub(crate) has_sent: bool,
    /// The error that was logged in a span, for spans without a reason of their failure, and
    /// whether it is the span's exception.
    logged_errors: HashMap<Key, (String, bool)>,
    /// In a shared trace: spans whose task may be an ancestor that is not stored yet, because
    /// programs send spans in the order of their ends.
    waiting: Vec<(usize, Span)>,
    /// Inputs and outputs of steps in events.
    contents: EventContents,
    /// Hashes of the ids of the events that were read, because a store whose order is marked
    /// returns records again after a late one.
    known_events: HashSet<u64>,
    /// Hashes of the last messages from events, because ancestors repeat them in their outputs.
    logged_answers: VecDeque<(Key, u64)>,
    /// Hashes of the messages of ended steps, because later events repeat them.
    answers: HashMap<Key, u64>,
}

/// Maximum number of remembered messages from events.
const MAX_LOGGED_ANSWERS: usize = 64;
/// Maximum number of ancestors of an event that are compared for the same message.
const MAX_ABOVE: usize = 64;

/// Maximum number of spans of a shared trace that wait for their ancestors.
const MAX_WAITING: usize = 5_000;

/// The order of events: by time; at the same time starts, then log events, then ends; ancestors
/// start first and end last.
type SortKey = (Timestamp, Phase, (u64, Option<SpanId>), u8);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Start(u32),
    Log,
    End(Reverse<u32>),
}

/// The known ancestors of a step.
#[derive(Debug, Clone, Copy)]
struct Above {
    depth: u32,
    is_in_run: bool,
}

impl RunReader {
    /// Creates a reader that has read nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads payloads only for events whose level shows them. The events stay the same. Default:
    /// `debug`, payloads of all events.
    #[must_use]
    pub fn for_level(self, level: DetailLevel) -> Self {
        self.with_payloads(PayloadFilter::ShownAt(level))
    }

    pub(crate) fn with_payloads(self, wanted: PayloadFilter) -> Self {
        Self { wanted, ..self }
    }

    /// Returns the events of these records, in the order of time. The first records begin with the
    /// start of the run. Records that were read before have no events again.
    pub fn read(&mut self, records: &RunRecords) -> Vec<RunEvent> {
        let without_known = self.without_known_events(records);
        let records = without_known.as_ref().unwrap_or(records);
        let wanted = self.wanted;
        self.has_sent |= records.has_sent;
        if wanted != PayloadFilter::Nothing {
            self.contents.add(&records.events);
        }
        let mut waiting = std::mem::take(&mut self.waiting);
        let mut fresh = Vec::new();
        let mut ended = Vec::new();
        for stored in &records.spans {
            self.take_new(stored, records, &mut fresh);
        }
        for stored in &records.ended {
            let Some(&step) = self.index.get(&(stored.span.trace_id, stored.span.span_id)) else {
                self.take_new(stored, records, &mut fresh);
                continue;
            };
            let now = Step::of(stored, &records.info.task_id);
            if self.steps[step].end.is_none() && now.end.is_some() {
                let known = &self.steps[step];
                self.steps[step] = Step {
                    belongs: known.belongs,
                    order: known.order,
                    ..now
                };
                match waiting.iter_mut().find(|(waits, _)| *waits == step) {
                    Some((_, span)) => span.clone_from(&stored.span),
                    None => ended.push((step, &stored.span)),
                }
            }
        }
        let mut above = HashMap::new();
        let mut still_waiting = Vec::new();
        for (step, span) in &fresh {
            let is_in_run = self.above(*step, &mut above).is_in_run;
            self.steps[*step].belongs |= is_in_run;
            if !self.steps[*step].belongs && waiting.len() + still_waiting.len() < MAX_WAITING {
                still_waiting.push((*step, Span::clone(span)));
            }
        }
        // New spans may be ancestors of earlier ones.
        let (found, waits): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .partition(|(step, _)| self.above(*step, &mut above).is_in_run);
        for (step, _) in &found {
            self.steps[*step].belongs = true;
        }
        fresh.extend(found.iter().map(|(step, span)| (*step, span)));
        self.waiting = waits;
        self.waiting.append(&mut still_waiting);

        let mut events: Vec<(SortKey, RunEvent)> = Vec::new();
        for (at, span) in &fresh {
            let step = &self.steps[*at];
            if !step.belongs {
                continue;
            }
            self.first_start = Some(self.first_start.map_or(step.start, |first| first.min(step.start)));
            self.last_activity = self.last_activity.max(Some(step.start));
            if !step.is_run_itself() {
                let depth = above.get(at).copied().flatten().map_or(0, |above| above.depth);
                let place = (step.start, Phase::Start(depth), rank_of(step), 0);
                let whole = self.contents.of(span);
                let span = whole.as_ref().unwrap_or(span);
                events.push((place, start_of(step, span, self.is_pending(step), wanted)));
            }
            if step.end.is_some() {
                ended.push((*at, *span));
            }
        }
        self.note_errors(records);
        self.read_logs(records, &mut events);
        for (at, span) in ended {
            let depth = self.above(at, &mut above).depth;
            if !self.steps[at].belongs {
                continue;
            }
            let tells_message = self.tells_message(at, span);
            let step = &self.steps[at];
            let Some(end) = step.end else { continue };
            self.last_activity = self.last_activity.max(Some(end));
            self.root_ended |=
                (step.parent.is_none() && !step.is_rootless) || (records.is_shared && step.names_task);
            let whole = self.contents.of(span);
            let span = whole.as_ref().unwrap_or(span);
            let end_events = ends_of(step, span, end, tells_message, self.is_pending(step), wanted);
            let end_events = (0..).zip(end_events);
            for (sub, mut event) in end_events.filter_map(|(sub, event)| Some((sub, event?))) {
                if let Some((error, is_exception)) = self.logged_errors.get(&step.key)
                    && (event.error.as_deref() == Some(content::FAILED)
                        || (*is_exception && event.error.is_some() && content::names_error_alone(span)))
                {
                    event.error = Some(error.clone());
                }
                events.push(((end, Phase::End(Reverse(depth)), rank_of(step), sub), event));
            }
        }
        events.sort_by_key(|(place, _)| *place);
        let begun = (!self.has_begun).then(|| self.begin(records));
        begun
            .into_iter()
            .chain(events.into_iter().map(|(_, event)| event))
            .collect()
    }

    /// Returns the records without the log events that were read before, if there are any.
    fn without_known_events(&mut self, records: &RunRecords) -> Option<RunRecords> {
        // Only a store gives ids.
        let mut is_new =
            |event: &LogEvent| event.id.is_empty() || self.known_events.insert(hash_of(&event.id));
        let are_new: Vec<bool> = records.events.iter().map(&mut is_new).collect();
        if !are_new.contains(&false) {
            return None;
        }
        let mut records = records.clone();
        let mut are_new = are_new.into_iter();
        records.events.retain(|_| are_new.next().unwrap_or(true));
        Some(records)
    }

    fn take_new<'a>(
        &mut self,
        stored: &'a RunSpan,
        records: &RunRecords,
        fresh: &mut Vec<(usize, &'a Span)>,
    ) {
        let key = (stored.span.trace_id, stored.span.span_id);
        if self.index.contains_key(&key) {
            return;
        }
        let mut step = Step::of(stored, &records.info.task_id);
        step.belongs = !records.is_shared;
        self.index.insert(key, self.steps.len());
        fresh.push((self.steps.len(), &stored.span));
        self.steps.push(step);
    }

    /// Remembers the errors that were logged in steps.
    fn note_errors(&mut self, records: &RunRecords) {
        for log in records
            .events
            .iter()
            .filter(|log| log.severity >= Severity::Error || is_exception_event(&log.name))
        {
            if let Some(key) = log.trace_id.zip(log.span_id)
                && self.index.contains_key(&key)
            {
                let is_exception = is_exception_event(&log.name);
                let known = self.logged_errors.get(&key);
                // An exception has priority over errors that are logged after it.
                if is_exception || known.is_none_or(|(_, was_exception)| !was_exception) {
                    self.logged_errors.insert(key, (error_text(log), is_exception));
                }
            }
        }
    }

    fn read_logs(&mut self, records: &RunRecords, events: &mut Vec<(SortKey, RunEvent)>) {
        for (order, log) in (0..).zip(&records.events) {
            let key = log.trace_id.zip(log.span_id);
            let place = key.and_then(|key| self.index.get(&key)).copied();
            let step = place.map(|place| &self.steps[place]);
            let belongs = step.map_or(!records.is_shared, |step| step.belongs);
            if !belongs {
                continue;
            }
            self.last_activity = self.last_activity.max(Some(log.timestamp));
            let answer = self.answer_in(log, place);
            let step = place.map(|place| &self.steps[place]);
            let parent = step.and_then(|step| step.parent);
            let event = match step {
                Some(step) => logged(log, &step.component, answer, parent, self.wanted),
                None => logged(log, &run_itself(&records.info), answer, parent, self.wanted),
            };
            if let Some(event) = event {
                events.push(((log.timestamp, Phase::Log, (order, None), 0), event));
            }
        }
    }

    /// Returns an event's message to the user, unless its step or an ancestor has sent the same.
    fn answer_in(&mut self, log: &LogEvent, place: Option<usize>) -> Option<String> {
        let answer = content::answer_in(log, place.map(|place| self.steps[place].kind))?;
        let hash = hash_of(&answer);
        let key = log.trace_id.zip(log.span_id);
        let said_above = |at: usize| self.answers.get(&self.steps[at].key) == Some(&hash);
        let told_below = |at: usize| {
            let mut told = self.logged_answers.iter().filter(|(_, other)| *other == hash);
            told.any(|(below, _)| Some(*below) != key && self.is_above(at, *below))
        };
        if place.is_some_and(|at| self.line_of(at).any(said_above) || told_below(at)) {
            return None;
        }
        if let Some(key) = key {
            if self.logged_answers.len() == MAX_LOGGED_ANSWERS {
                self.logged_answers.pop_front();
            }
            self.logged_answers.push_back((key, hash));
        }
        Some(answer)
    }

    /// Returns a step and its ancestors, the nearest first.
    fn line_of(&self, place: usize) -> impl Iterator<Item = usize> {
        let above = |place: &usize| {
            let step = &self.steps[*place];
            self.index.get(&(step.key.0, step.parent?)).copied()
        };
        std::iter::successors(Some(place), above).take(MAX_ABOVE)
    }

    /// Returns whether a step is an ancestor of this span.
    fn is_above(&self, place: usize, below: Key) -> bool {
        let below = self.index.get(&below);
        below.is_some_and(|below| self.line_of(*below).any(|step| step == place))
    }

    /// Returns whether the end of a step has a message to the user that no earlier event had.
    fn tells_message(&mut self, place: usize, span: &Span) -> bool {
        let step = &self.steps[place];
        if !content::has_message(step.kind, step.parent.is_none(), &span.attributes) {
            return false;
        }
        let outputs = content::outputs_of(step.kind, &span.attributes);
        let Some(text) = content::message_of(step.kind, &span.attributes, outputs.as_ref()) else {
            // A message component always ends with a message, even an empty one.
            return step.kind == StepKind::Message;
        };
        let hash = hash_of(&text);
        self.answers.insert(step.key, hash);
        let mut told = self.logged_answers.iter();
        !told.any(|((trace, _), other)| *trace == span.trace_id && *other == hash)
    }

    /// Returns whether a step has a parent that is not stored yet.
    fn is_pending(&self, step: &Step) -> bool {
        step.parent
            .is_some_and(|parent| !self.index.contains_key(&(step.key.0, parent)))
    }

    /// Returns the data of a step's ancestors. `known` caches them, so that no step is walked
    /// twice; a cycle ends where it closes.
    fn above(&self, step: usize, known: &mut HashMap<usize, Option<Above>>) -> Above {
        let mut path = Vec::new();
        let mut next = Some(step);
        let mut above = None;
        while let Some(place) = next {
            if let Some(have) = known.get(&place) {
                above = *have; // `None` if it is on this path
                break;
            }
            known.insert(place, None);
            path.push(place);
            let step = &self.steps[place];
            next = step
                .parent
                .and_then(|parent| self.index.get(&(step.key.0, parent)).copied());
        }
        for place in path.into_iter().rev() {
            let step = &self.steps[place];
            let here = Above {
                depth: above.map_or(0, |above| above.depth + 1),
                is_in_run: step.belongs || step.names_task || above.is_some_and(|above| above.is_in_run),
            };
            known.insert(place, Some(here));
            above = Some(here);
        }
        above.unwrap_or(Above {
            depth: 0,
            is_in_run: false,
        })
    }

    /// Creates the event that starts the run.
    fn begin(&mut self, records: &RunRecords) -> RunEvent {
        self.has_begun = true;
        let heads = self.root_steps();
        let head = heads.first_started(&self.steps).filter(|_| heads.are_certain());
        let head = head.map(|head| &self.steps[head]);
        let own = run_itself(&records.info);
        let mut event = RunEvent::bare(
            "run:start".to_owned(),
            EventType::WorkflowStarted,
            self.started_at(&records.info),
            head.map_or(&own, |head| &head.component),
        );
        event.metadata.trace_id = Some(records.info.trace_id);
        if let Some(head) = head
            && let Some(span) = span_of(head, records)
        {
            event.metadata = metadata_of(head, span, self.is_pending(head), self.wanted);
            if self.wanted.has(event.event_type) {
                let whole = self.contents.of(span);
                let span = whole.as_ref().unwrap_or(span);
                event.inputs = content::inputs_of(head.kind, &span.attributes);
            }
        }
        event
    }

    /// Returns the last event of a run that is over: it completed or failed. Its outputs are those
    /// of the run's root, if the root is among these records.
    pub fn finish(&mut self, records: &RunRecords, status: RunStatus) -> RunEvent {
        let heads = self.root_steps();
        let head = heads.last_started(&self.steps).map(|head| &self.steps[head]);
        let named = head.filter(|_| heads.are_certain());
        let own = run_itself(&records.info);
        let has_failed = matches!(status, RunStatus::Failed | RunStatus::Abandoned);
        let mut event = RunEvent::bare(
            "run:end".to_owned(),
            match has_failed {
                true => EventType::WorkflowFailed,
                false => EventType::WorkflowCompleted,
            },
            self.ended_at(&records.info),
            named.map_or(&own, |head| &head.component),
        );
        event.metadata.trace_id = Some(records.info.trace_id);
        if let Some(head) = named {
            event.metadata.trace_id = Some(head.key.0);
            event.metadata.span_id = Some(head.key.1);
            event.metadata.parent_id = head.parent;
        }
        if let Some(head) = named
            && let Some(span) = span_of(head, records)
        {
            event.metadata = metadata_of(head, span, self.is_pending(head), self.wanted);
            if self.wanted.has(event.event_type) && head.end.is_some() {
                let whole = self.contents.of(span);
                let span = whole.as_ref().unwrap_or(span);
                event.outputs = content::outputs_of(head.kind, &span.attributes);
            }
            event.error = content::error_of(span).filter(|_| has_failed);
        }
        event.metadata.state = Some(status);
        event.elapsed_time = Some(seconds(nanos_between(
            self.started_at(&records.info),
            event.timestamp,
        )));
        match status {
            RunStatus::Abandoned => event.error = Some(ABANDONED.to_owned()),
            RunStatus::Failed if event.error.is_none() => {
                let error = head.and_then(|head| head.error.clone());
                event.error = Some(error.unwrap_or_else(|| "failed".to_owned()));
            }
            _ => {}
        }
        event
    }

    /// Returns the span that is the run itself, to which the last event belongs; `None` if it is
    /// unknown.
    pub(crate) fn head(&self) -> Option<Key> {
        let heads = self.root_steps();
        let head = heads.last_started(&self.steps).filter(|_| heads.are_certain());
        head.map(|head| self.steps[head].key)
    }

    /// Returns the run's status. `records` must be the last ones that were read.
    ///
    /// A run that sends its spans when they end seems complete whenever none of its stored spans is
    /// open; [`root_ended`](Self::root_ended) and [`last_activity`](Self::last_activity) help to
    /// decide whether its root is yet to arrive.
    #[must_use]
    pub fn status(&self, records: &RunRecords) -> RunStatus {
        status_of(&self.steps, &self.index, records)
    }

    /// Returns whether a root span of the run was read with its end. If the trace holds other runs
    /// too, that is a span that names the run as its task.
    #[must_use]
    pub fn root_ended(&self) -> bool {
        self.root_ended
    }

    /// Returns the time of the last activity that was read.
    #[must_use]
    pub fn last_activity(&self) -> Option<Timestamp> {
        self.last_activity
    }

    /// Returns when the run itself ended; if it has not, or if the run itself is unknown, the last
    /// activity. Steps that still run may end later.
    pub(crate) fn ended_at(&self, info: &RunInfo) -> Timestamp {
        let forest = Forest::of(&self.steps, &self.index);
        let heads = RootSteps::of(&self.steps, &forest);
        heads
            .ended_at(&self.steps, &forest)
            .or(self.last_activity)
            .unwrap_or(info.created_at)
    }

    /// Returns when its first span started; the store's value if none was read.
    pub(crate) fn started_at(&self, info: &RunInfo) -> Timestamp {
        self.first_start.unwrap_or(info.created_at)
    }

    fn root_steps(&self) -> RootSteps {
        RootSteps::of(&self.steps, &Forest::of(&self.steps, &self.index))
    }
}

fn hash_of(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.trim().hash(&mut hasher);
    hasher.finish()
}

fn rank_of(step: &Step) -> (u64, Option<SpanId>) {
    let (order, id) = step.rank();
    (order, Some(id))
}

/// Returns the component that represents a run whose root is not stored.
fn run_itself(info: &RunInfo) -> Component {
    let name = [&info.name, &info.agent_id, &info.task_id]
        .into_iter()
        .find(|name| !name.is_empty());
    Component {
        id: info.task_id.clone(),
        name: name.cloned().unwrap_or_default(),
        kind: "workflow".to_owned(),
    }
}

fn span_of<'a>(step: &Step, records: &'a RunRecords) -> Option<&'a Span> {
    let spans = records.spans.iter().chain(&records.ended);
    let mut spans = spans.map(|stored| &stored.span);
    spans.find(|span| (span.trace_id, span.span_id) == step.key)
}
