//! Reads the `trace_store.db` of Llama Stack.
//!
//! Its tables: `traces` and `spans`, `span_events`; ids without leading zeros, times as ISO 8601
//! with an offset, a log message as an event `unstructured_log` with message and severity among its
//! attributes.

use rusqlite::{Connection, Row};
use spanscope_model::{Attributes, Severity, SpanKind, Timestamp, UNCATEGORIZED, Value};

use super::id;
use super::record::{Callsite, Group, InEvent, InSpan, Program};
use crate::file::Failure;

/// The order of both spans and events, so that they can be merged trace by trace.
const BY_TRACE: &str = " ORDER BY t.start_time, s.trace_id, ";

pub(super) fn count(db: &Connection) -> rusqlite::Result<u64> {
    let spans: i64 = db.query_row("SELECT count(*) FROM spans", [], |row| row.get(0))?;
    let events: i64 = match has_events(db)? {
        true => db.query_row("SELECT count(*) FROM span_events", [], |row| row.get(0))?,
        false => 0,
    };
    Ok(u64::try_from(spans + events).unwrap_or(0))
}

/// The columns that an import needs.
const COLUMNS: [(&str, &[&str]); 3] = [
    (
        "traces",
        &["trace_id", "service_name", "start_time", "created_at"],
    ),
    (
        "spans",
        &[
            "span_id",
            "trace_id",
            "parent_span_id",
            "name",
            "start_time",
            "end_time",
            "attributes",
            "status",
            "kind",
        ],
    ),
    (
        "span_events",
        &["id", "span_id", "name", "timestamp", "attributes"],
    ),
];

/// Returns the first column that the file lacks, as `table.column`. The table of events may be
/// missing.
pub(super) fn missing_column(db: &Connection) -> rusqlite::Result<Option<String>> {
    let mut find = db.prepare("SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2")?;
    for (table, columns) in COLUMNS {
        if table == "span_events" && !has_events(db)? {
            continue;
        }
        for column in columns {
            if !find.exists((table, column))? {
                return Ok(Some(format!("{table}.{column}")));
            }
        }
    }
    Ok(None)
}

fn has_events(db: &Connection) -> rusqlite::Result<bool> {
    db.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE name = 'span_events'",
        [],
        |row| row.get::<_, i64>(0),
    )
    .map(|found| found > 0)
}

/// Passes each trace with its events to `take`.
pub(super) fn read(
    db: &Connection,
    take: &mut dyn FnMut(Group) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut spans = db.prepare(
        &("SELECT s.trace_id, s.span_id, s.parent_span_id, s.name, s.start_time, s.end_time, s.attributes, s.status, \
           s.kind, t.service_name, t.created_at FROM spans s LEFT JOIN traces t ON t.trace_id = s.trace_id"
            .to_owned()
            + BY_TRACE
            + "s.start_time, s.rowid"),
    )?;
    let mut spans = spans.query([])?;
    let mut events = match has_events(db)? {
        true => db.prepare(
            &("SELECT s.trace_id, e.span_id, e.name, e.timestamp, e.attributes, t.service_name \
               FROM span_events e JOIN spans s ON s.span_id = e.span_id LEFT JOIN traces t ON t.trace_id = s.trace_id"
                .to_owned()
                + BY_TRACE
                + "e.id"),
        )?,
        false => db.prepare("SELECT NULL WHERE 0")?,
    };
    let mut events = events.query([])?;
    let mut current: Option<(String, Group)> = None;
    let mut waiting = next_event(&mut events)?;
    let mut finish = |key: String, mut group: Group, waiting: &mut Option<(String, Option<InEvent>)>| {
        while let Some((_, event)) = waiting.take_if(|(of, _)| *of == key) {
            match event {
                Some(event) => group.events.push(event),
                None => group.unusable += 1,
            }
            *waiting = next_event(&mut events)?;
        }
        take(group)
    };
    while let Some(row) = spans.next()? {
        let key = text(row, 0)?;
        if let Some((done, group)) = current.take_if(|(of, _)| *of != key) {
            finish(done, group, &mut waiting)?;
        }
        let (_, group) = match &mut current {
            Some(current) => current,
            None => current.insert((
                key.clone(),
                Group {
                    trace_id: Some(id::trace(&key).id),
                    created: time(&text(row, 10)?),
                    ..Group::default()
                },
            )),
        };
        match span(row, &key)? {
            Some(span) => group.spans.push(span),
            None => group.unusable += 1,
        }
    }
    if let Some((key, group)) = current {
        finish(key, group, &mut waiting)?;
    }
    take(Group {
        unusable: orphans(db)?,
        ..Group::default()
    })
}

/// Counts events of spans that the source does not have. They can't be stored.
fn orphans(db: &Connection) -> Result<u64, Failure> {
    if !has_events(db)? {
        return Ok(0);
    }
    let found: i64 = db.query_row(
        "SELECT count(*) FROM span_events WHERE span_id IS NULL OR span_id NOT IN (SELECT span_id FROM spans)",
        [],
        |row| row.get(0),
    )?;
    Ok(u64::try_from(found).unwrap_or(0))
}

fn span(row: &Row<'_>, trace: &str) -> Result<Option<InSpan>, Failure> {
    let Some(start) = time(&text(row, 4)?) else {
        return Ok(None);
    };
    let duration = time(&text(row, 5)?).map(|end| end.saturating_sub(start).max(0));
    let original = text(row, 1)?;
    let span_id = id::span(&original);
    let parent = Some(text(row, 2)?)
        .filter(|parent| !parent.is_empty())
        .map(|parent| id::span(&parent).id);
    let mut attributes = attributes(&text(row, 6)?);
    if span_id.is_derived {
        attributes.set("import.original_id", original);
    }
    if id::trace(trace).is_derived {
        attributes.set("import.original_trace_id", trace);
    }
    let status = text(row, 7)?.to_ascii_lowercase();
    Ok(Some(InSpan {
        id: span_id.id,
        parent,
        callsite: callsite(text(row, 3)?, Severity::Info),
        name: None,
        start,
        status: duration.map(|_| i64::from(status.ends_with("error"))),
        duration,
        kind: kind(&text(row, 8)?),
        attributes: json(&attributes),
        extra: None,
        category: None,
        half: None,
        program: of_service(text(row, 9)?),
    }))
}

type EventOfTrace = (String, Option<InEvent>);

fn next_event(events: &mut rusqlite::Rows<'_>) -> Result<Option<EventOfTrace>, Failure> {
    match events.next()? {
        Some(row) => Ok(Some((text(row, 0)?, event(row)?))),
        None => Ok(None),
    }
}

fn event(row: &Row<'_>) -> Result<Option<InEvent>, Failure> {
    let Some(time) = time(&text(row, 3)?) else {
        return Ok(None);
    };
    let name = text(row, 2)?;
    let mut attributes = attributes(&text(row, 4)?);
    let mut severity = Severity::Info;
    let mut message = String::new();
    let is_log = name == "unstructured_log";
    if is_log {
        if let Some(found) = attributes.get("message").map(Value::to_string) {
            message = found;
        }
        let found = attributes.get("severity").and_then(Value::as_str);
        if let Some(found) = found.and_then(|word| word.parse().ok()) {
            severity = found;
            attributes.retain(|key, _| key != "severity");
        }
        attributes.retain(|key, _| key != "message");
    }
    Ok(Some(InEvent {
        span: Some(id::span(&text(row, 1)?).id),
        callsite: callsite(if is_log { String::new() } else { name }, severity),
        name: None,
        time,
        severity: None,
        message,
        attributes: (!attributes.is_empty()).then(|| json(&attributes)),
        expires: None,
        category: None,
        program: of_service(text(row, 5)?),
    }))
}

/// Llama Stack stores only the service of a program.
fn of_service(service: String) -> Program {
    Program {
        service,
        ..Program::default()
    }
}

fn callsite(name: String, level: Severity) -> Callsite {
    Callsite {
        name,
        target: String::new(),
        level: level.number(),
        category: UNCATEGORIZED.to_owned(),
    }
}

/// Returns the column as text, of any type; empty for NULL.
fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    use rusqlite::types::ValueRef;
    Ok(match row.get_ref(column)? {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) | ValueRef::Blob(text) => String::from_utf8_lossy(text).into_owned(),
    })
}

fn time(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_nanos)
}

/// Parses attributes. A text that is not a JSON object is kept unchanged as `import.attributes`.
fn attributes(text: &str) -> Attributes {
    if text.is_empty() {
        return Attributes::new();
    }
    serde_json::from_str(text).unwrap_or_else(|_| [("import.attributes", text)].into_iter().collect())
}

fn json(attributes: &Attributes) -> String {
    serde_json::to_string(attributes).unwrap_or_else(|_| "{}".to_owned())
}

/// The field may contain `internal`, `INTERNAL` or `SpanKind.INTERNAL`.
fn kind(text: &str) -> i64 {
    let word = text.rsplit('.').next().unwrap_or_default();
    match word.parse() {
        Ok(SpanKind::Server) => 1,
        Ok(SpanKind::Client) => 2,
        Ok(SpanKind::Producer) => 3,
        Ok(SpanKind::Consumer) => 4,
        Ok(SpanKind::Internal) | Err(_) => 0,
    }
}
