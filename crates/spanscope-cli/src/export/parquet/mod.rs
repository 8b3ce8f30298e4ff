//! Parquet for DuckDB, Polars and Spark: a folder with a file for each of the SQL views `spans`,
//! `logs` and `metrics`, with the columns of the view.
//!
//! A file for each view, because the views have different columns. Times have nanoseconds, where
//! the views show microseconds as text.

mod table;

use std::fs;
use std::path::{Path, PathBuf};

use ::parquet::data_type::ByteArray;
use anyhow::{Context, Result};
use serde::Serialize;
use spanscope_model::{Attributes, LogEvent, NewPoint, Scope, Source, SourceRecords, Span, Timestamp};

use self::table::Kind::{Double, Int, Text, Time};
use self::table::{Kind, Table};
use crate::failure::Stop;
use crate::render::text::count;

const SPANS: [(&str, Kind); 20] = [
    ("span_id", Text),
    ("trace_id", Text),
    ("parent_span_id", Text),
    ("name", Text),
    ("start_time", Time),
    ("end_time", Time),
    ("attributes", Text),
    ("status", Text),
    ("kind", Text),
    ("duration_ms", Double),
    ("state", Text),
    ("service_name", Text),
    ("target", Text),
    ("level", Text),
    ("category", Text),
    ("status_message", Text),
    ("links", Text),
    ("trace_state", Text),
    ("resource", Text),
    ("scope", Text),
];

const LOGS: [(&str, Kind); 11] = [
    ("id", Int),
    ("timestamp", Time),
    ("severity", Text),
    ("name", Text),
    ("message", Text),
    ("target", Text),
    ("category", Text),
    ("service_name", Text),
    ("trace_id", Text),
    ("span_id", Text),
    ("attributes", Text),
];

const METRICS: [(&str, Kind); 10] = [
    ("metric", Text),
    ("value", Double),
    ("unit", Text),
    ("timestamp", Time),
    ("trace_id", Text),
    ("span_id", Text),
    ("attributes", Text),
    ("kind", Text),
    ("service_name", Text),
    ("detail", Text),
];

/// The files of a folder that are being written. Without [`finish`](Self::finish) none of them
/// appears.
pub(crate) struct Files {
    spans: Table<20>,
    logs: Table<11>,
    metrics: Table<10>,
    /// Dropped after the tables, whose temporary files are in it.
    folder: Folder,
}

/// The paths of the files in a folder.
pub(crate) fn paths(folder: &Path) -> [PathBuf; 3] {
    ["spans", "logs", "metrics"].map(|name| folder.join(format!("{name}.parquet")))
}

impl Files {
    /// Begins the files of a folder, which is created if it is missing.
    ///
    /// # Errors
    /// Fails if the path is not a folder, or if the folder can't be written.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let folder = Folder::open(path)?;
        Ok(Self {
            spans: Table::create(path, "spans", &SPANS)?,
            logs: Table::create(path, "logs", &LOGS)?,
            metrics: Table::create(path, "metrics", &METRICS)?,
            folder,
        })
    }

    /// Adds records.
    ///
    /// # Errors
    /// Fails if a file can't be written.
    pub(crate) fn add(&mut self, records: &[SourceRecords]) -> Result<()> {
        for SourceRecords {
            source,
            spans,
            events,
            points,
            ..
        } in records
        {
            let shared = Shared::of(source)?;
            for new in spans {
                self.spans.push(span_row(&new.span, source, &shared)?)?;
                for event in &new.events {
                    self.logs.push(log_row(&event.event, source)?)?;
                }
            }
            for event in events {
                self.logs.push(log_row(&event.event, source)?)?;
            }
            for point in points {
                self.metrics.push(metric_row(point, source)?)?;
            }
        }
        Ok(())
    }

    /// Completes the files, and gives them their names. Returns their counts.
    ///
    /// # Errors
    /// Fails if a file can't be written.
    pub(crate) fn finish(self) -> Result<String> {
        // The folder is dropped last, after the tables, whose temporary files are in it.
        let Self {
            mut folder,
            spans,
            logs,
            metrics,
        } = self;
        let counts = format!(
            "{}, {} and {}",
            count(spans.rows(), "span"),
            count(logs.rows(), "event"),
            count(metrics.rows(), "measurement")
        );
        // All are whole before the first replaces an earlier file.
        let complete = [spans.complete()?, logs.complete()?, metrics.complete()?];
        for file in complete {
            file.publish()?;
            folder.is_new = false;
        }
        Ok(counts)
    }
}

/// The folder of the files.
struct Folder {
    path: PathBuf,
    /// Whether it was created here, and has no file yet.
    is_new: bool,
}

impl Folder {
    fn open(path: &Path) -> Result<Self> {
        let is_new = match fs::metadata(path) {
            Ok(found) if found.is_dir() => false,
            Ok(_) => {
                return Err(Stop::usage(format_args!(
                    "{} is a file: --to parquet writes several files, so name a folder",
                    path.display()
                )));
            }
            Err(_) => {
                fs::create_dir(path)
                    .with_context(|| format!("could not create the folder {}", path.display()))?;
                true
            }
        };
        Ok(Self {
            path: path.to_owned(),
            is_new,
        })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_new {
            // An export failed, and its error is reported.
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// The texts that all spans of a source share.
struct Shared {
    resource: Option<ByteArray>,
    scope: Option<ByteArray>,
}

impl Shared {
    fn of(source: &Source) -> Result<Self> {
        let resource = (source.resource != Attributes::new()).then_some(&source.resource);
        let scope = (source.scope != Scope::default()).then_some(&source.scope);
        Ok(Self {
            resource: resource.map(json).transpose()?,
            scope: scope.map(json).transpose()?,
        })
    }
}

fn json(value: &impl Serialize) -> Result<ByteArray> {
    Ok(serde_json::to_vec(value)?.into())
}

fn nanos(time: Timestamp) -> i64 {
    time.as_nanos()
}

fn span_row(span: &Span, source: &Source, shared: &Shared) -> Result<[table::Cell; 20]> {
    let links = (!span.links.is_empty()).then_some(&span.links);
    Ok([
        span.span_id.to_string().into(),
        span.trace_id.to_string().into(),
        span.parent_span_id.map(|id| id.to_string()).into(),
        span.name.as_str().into(),
        nanos(span.start_time).into(),
        span.end_time.map(nanos).into(),
        json(&span.attributes)?.into(),
        span.status.map(|status| status.as_str()).into(),
        span.kind.as_str().into(),
        span.duration_ms().into(),
        span.state.as_str().into(),
        source.service_name.as_str().into(),
        span.target.as_deref().into(),
        span.level.map(|level| level.as_str()).into(),
        span.category.as_deref().into(),
        span.status_message.as_deref().into(),
        links.map(json).transpose()?.into(),
        span.trace_state.as_deref().into(),
        shared.resource.clone().into(),
        shared.scope.clone().into(),
    ])
}

fn log_row(event: &LogEvent, source: &Source) -> Result<[table::Cell; 11]> {
    Ok([
        event.id.parse::<i64>().ok().into(),
        nanos(event.timestamp).into(),
        event.severity.as_str().into(),
        event.name.as_str().into(),
        event.message.as_str().into(),
        event.target.as_str().into(),
        event.category.as_str().into(),
        source.service_name.as_str().into(),
        event.trace_id.map(|id| id.to_string()).into(),
        event.span_id.map(|id| id.to_string()).into(),
        json(&event.attributes)?.into(),
    ])
}

fn metric_row(point: &NewPoint, source: &Source) -> Result<[table::Cell; 10]> {
    let labels: Attributes = point
        .labels
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    Ok([
        point.metric.as_str().into(),
        point.value.as_f64().into(),
        point.unit.as_str().into(),
        nanos(point.timestamp).into(),
        point.trace_id.map(|id| id.to_string()).into(),
        point.span_id.map(|id| id.to_string()).into(),
        json(&labels)?.into(),
        point.kind.as_str().into(),
        source.service_name.as_str().into(),
        point.detail.as_ref().map(json).transpose()?.into(),
    ])
}
