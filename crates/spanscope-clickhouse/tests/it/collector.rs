//! Records as a collector's exporter writes them.

use serde_json::{Map, Value as Json, json};
use spanscope_model::{
    Attributes, LogEvent, MetricKind, NewPoint, NewRecords, Severity, Source, SourceRecords, Span,
    SpanStatus, Temporality, Tenant, Timestamp, UNCATEGORIZED, Value, wire,
};

use crate::engine::Database;

/// The resource attribute that names the tenant.
pub(crate) const TENANT: &str = "tenant.id";

/// How a generation keeps records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Generation {
    pub(crate) sql: &'static str,
    pub(crate) is_json: bool,
    pub(crate) has_event_name: bool,
    /// Whether times of measurements are whole seconds.
    pub(crate) has_seconds: bool,
}

/// What most installations have.
pub(crate) const MAP: Generation = Generation {
    sql: include_str!("../generations/map.sql"),
    is_json: false,
    has_event_name: true,
    has_seconds: true,
};
/// The tables of old exporters.
pub(crate) const OLD: Generation = Generation {
    sql: include_str!("../generations/old.sql"),
    has_event_name: false,
    has_seconds: false,
    ..MAP
};
/// The tables of new exporters on new servers.
pub(crate) const TEXT: Generation = Generation {
    sql: include_str!("../generations/text.sql"),
    ..MAP
};
/// The tables of exporters with `json: true`.
pub(crate) const JSON: Generation = Generation {
    sql: include_str!("../generations/json.sql"),
    is_json: true,
    has_seconds: false,
    ..MAP
};

/// Writes records into the tables, as the exporter does for a resource that names a tenant.
pub(crate) fn write(
    database: &Database,
    generation: Generation,
    tenant: Option<&Tenant>,
    records: &NewRecords,
) {
    let mut spans = Vec::new();
    let mut logs = Vec::new();
    let mut points: Vec<(&str, Json)> = Vec::new();
    for records in &records.sources {
        let columns = Columns::new(generation, tenant, &records.source);
        for new in &records.spans {
            spans.push(columns.span(&new.span, new.events.iter().map(|new| &new.event)));
        }
        logs.extend(records.events.iter().map(|new| columns.log(&new.event)));
        points.extend(records.points.iter().map(|point| columns.point(point)));
        assert!(ends_are_stored(records), "a collector sends spans when they end");
    }
    database.insert("otel_traces", &spans);
    database.insert("otel_logs", &logs);
    for table in ["otel_metrics_gauge", "otel_metrics_sum", "otel_metrics_histogram"] {
        let of_table = points.iter().filter(|(of, _)| *of == table);
        let rows: Vec<Json> = of_table.map(|(_, row)| row.clone()).collect();
        database.insert(table, &rows);
    }
}

fn ends_are_stored(records: &SourceRecords) -> bool {
    records.ends.is_empty()
}

struct Columns {
    generation: Generation,
    resource: Attributes,
    source: Source,
}

impl Columns {
    fn new(generation: Generation, tenant: Option<&Tenant>, source: &Source) -> Self {
        let mut resource = source.named_resource();
        if let Some(tenant) = tenant {
            resource.set(TENANT, tenant.as_str());
        }
        Self {
            generation,
            resource,
            source: source.clone(),
        }
    }

    /// A column of attributes under its name, and that of its keys.
    fn put(&self, row: &mut Map<String, Json>, name: &str, attributes: &Attributes) {
        row.insert(name.to_owned(), self.object(attributes));
        if self.generation.is_json {
            let keys: Vec<&str> = attributes.iter().map(|(key, _)| key).collect();
            row.insert(format!("{name}Keys"), json!(keys));
        }
    }

    fn object(&self, attributes: &Attributes) -> Json {
        let pairs = attributes.iter().map(|(key, value)| {
            let value = match self.generation.is_json {
                true => typed(value),
                false => text(value).into(),
            };
            (key.to_owned(), value)
        });
        Json::Object(pairs.collect())
    }

    fn span<'a>(&self, span: &Span, events: impl Iterator<Item = &'a LogEvent>) -> Json {
        let mut attributes = span.attributes.clone();
        put_category(&mut attributes, span.category.as_deref());
        if let Some(level) = span.level.filter(|level| *level != Severity::Info) {
            attributes.set(wire::LEVEL, level.as_str());
        }
        let end = span.end_time.expect("a collector sends spans when they end");
        let mut names = Vec::new();
        let mut times = Vec::new();
        let mut details = Vec::new();
        for event in events {
            let (name, attributes) = event_of_span(event);
            names.push(name);
            times.push(moment(event.timestamp));
            details.push(self.object(&attributes));
        }
        let links = |of: fn(&spanscope_model::Link) -> String| span.links.iter().map(of).collect::<Vec<_>>();
        let mut row = Map::new();
        let kind = span.kind.as_str();
        let kind = format!("{}{}", kind[..1].to_ascii_uppercase(), &kind[1..]);
        let fields = json!({
            "Timestamp": moment(span.start_time),
            "TraceId": span.trace_id.to_string(),
            "SpanId": span.span_id.to_string(),
            "ParentSpanId": span.parent_span_id.map(|id| id.to_string()).unwrap_or_default(),
            "TraceState": span.trace_state.clone().unwrap_or_default(),
            "SpanName": span.name,
            "SpanKind": kind,
            "ServiceName": self.source.service_name,
            "ScopeName": self.source.scope_of(span.target.as_deref().unwrap_or_default()).name,
            "ScopeVersion": self.source.scope.version,
            "Duration": end.as_nanos() - span.start_time.as_nanos(),
            "StatusCode": match span.status {
                Some(SpanStatus::Error) => "Error",
                Some(SpanStatus::Ok) => "Ok",
                None => "Unset",
            },
            "StatusMessage": span.status_message.clone().unwrap_or_default(),
            "Events.Timestamp": times,
            "Events.Name": names,
            "Events.Attributes": details,
            "Links.TraceId": links(|link| link.trace_id.to_string()),
            "Links.SpanId": links(|link| link.span_id.to_string()),
            "Links.TraceState": links(|_| String::new()),
            "Links.Attributes": span.links.iter().map(|link| self.object(&link.attributes)).collect::<Vec<_>>(),
        });
        row.extend(fields.as_object().cloned().unwrap_or_default());
        self.put(&mut row, "ResourceAttributes", &self.resource);
        self.put(&mut row, "SpanAttributes", &attributes);
        Json::Object(row)
    }

    fn log(&self, event: &LogEvent) -> Json {
        let mut attributes = event.attributes.clone();
        put_category(&mut attributes, Some(&event.category));
        let mut row = Map::new();
        if self.generation.has_event_name {
            row.insert("EventName".to_owned(), event.name.as_str().into());
        } else if !event.name.is_empty() {
            attributes.set(wire::NAME, event.name.as_str());
        }
        let fields = json!({
            "Timestamp": moment(event.timestamp),
            "TraceId": event.trace_id.map(|id| id.to_string()).unwrap_or_default(),
            "SpanId": event.span_id.map(|id| id.to_string()).unwrap_or_default(),
            "SeverityText": event.severity.as_str(),
            "SeverityNumber": event.severity.number(),
            "ServiceName": self.source.service_name,
            "Body": event.message,
            "ScopeName": self.source.scope_of(&event.target).name,
        });
        row.extend(fields.as_object().cloned().unwrap_or_default());
        self.put(&mut row, "ResourceAttributes", &self.resource);
        self.put(&mut row, "LogAttributes", &attributes);
        Json::Object(row)
    }

    fn point(&self, point: &NewPoint) -> (&'static str, Json) {
        let labels: Attributes = point
            .labels
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let (start, temporality) = match point.temporality {
            Temporality::Delta => (point.timestamp, 1),
            Temporality::Cumulative { start } => (start, 2),
        };
        let time = match self.generation.has_seconds {
            true => second,
            false => moment,
        };
        let mut row = Map::new();
        let value = point.value.as_f64().unwrap_or(f64::NAN);
        let fields = json!({
            "ScopeName": self.source.scope.name,
            "ServiceName": self.source.service_name,
            "MetricName": point.metric,
            "MetricUnit": point.unit,
            "StartTimeUnix": time(start),
            "TimeUnix": time(point.timestamp),
        });
        row.extend(fields.as_object().cloned().unwrap_or_default());
        let (table, more) = match point.kind {
            MetricKind::Gauge => ("otel_metrics_gauge", json!({"Value": value})),
            MetricKind::Counter => (
                "otel_metrics_sum",
                json!({"Value": value, "AggregationTemporality": temporality, "IsMonotonic": true}),
            ),
            MetricKind::Histogram => {
                let detail = point.detail.clone().unwrap_or_default();
                let of = |key: &str, other: Json| detail.get(key).cloned().unwrap_or(other);
                let more = json!({
                    "Sum": value,
                    "Count": of("count", json!(1)),
                    "Min": of("min", if detail.is_null() { json!(value) } else { json!(0) }),
                    "Max": of("max", if detail.is_null() { json!(value) } else { json!(0) }),
                    "BucketCounts": of("bucket_counts", json!([1, 0])),
                    "ExplicitBounds": of("explicit_bounds", json!([value])),
                    "AggregationTemporality": temporality,
                });
                ("otel_metrics_histogram", more)
            }
        };
        row.extend(more.as_object().cloned().unwrap_or_default());
        self.put(&mut row, "ResourceAttributes", &self.resource);
        self.put(&mut row, "Attributes", &labels);
        (table, Json::Object(row))
    }
}

/// An event as our bridge sends it.
fn event_of_span(event: &LogEvent) -> (String, Attributes) {
    let mut attributes = event.attributes.clone();
    put_category(&mut attributes, Some(&event.category));
    let put = |attributes: &mut Attributes, key: &str, value: &str| match attributes.get(key) {
        Some(_) => attributes.set(wire::fallback_key(key), value),
        None => attributes.set(key, value),
    };
    put(&mut attributes, wire::SEVERITY, event.severity.as_str());
    put(&mut attributes, wire::TARGET, &event.target);
    let name = match event.name.as_str() {
        "" => event.message.clone(),
        name => {
            put(&mut attributes, wire::MESSAGE, &event.message);
            name.to_owned()
        }
    };
    if event.name.is_empty() && attributes.get(wire::MESSAGE).is_some() {
        attributes.set(wire::NAME, "");
    }
    (name, attributes)
}

fn put_category(attributes: &mut Attributes, category: Option<&str>) {
    let category = category.filter(|category| !matches!(*category, "" | UNCATEGORIZED));
    if let Some(category) = category {
        match attributes.get(wire::CATEGORY) {
            Some(_) => attributes.set(wire::fallback_key(wire::CATEGORY), category),
            None => attributes.set(wire::CATEGORY, category),
        }
    }
}

/// A value as a text: the exporter writes a whole float without its point.
fn text(value: &Value) -> String {
    match value {
        Value::F64(number) if number.fract() == 0.0 => format!("{number:.0}"),
        value => value.to_string(),
    }
}

fn typed(value: &Value) -> Json {
    match value {
        Value::F64(number) if number.fract() == 0.0 && number.abs() < 1e15 => json!(*number as i64),
        value => serde_json::to_value(value).unwrap(),
    }
}

/// A time as ClickHouse reads it.
fn moment(time: Timestamp) -> String {
    let nanos = time.as_nanos().rem_euclid(1_000_000_000);
    format!("{}.{nanos:09}", second(time))
}

/// The second of a time.
fn second(time: Timestamp) -> String {
    time.to_sql_text()[..19].to_owned()
}
