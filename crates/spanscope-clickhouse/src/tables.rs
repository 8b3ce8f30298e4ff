//! [`Tables`]: which of the collector's tables a database has, and of which generation they are.
//!
//! The exporter changes its tables between versions and never migrates existing ones, so columns
//! are described once when a store is opened, and statements only name what is there. A table whose
//! columns can't be read is refused, instead of being read wrongly.

use std::collections::HashMap;

use spanscope_model::StoreError;
use spanscope_model::semconv::{SemanticAttribute as A, names_of};

use crate::address::unusable;
use crate::client::Client;
use crate::sql::Sql;

const TRACES: &str = "otel_traces";
const TRACE_TIMES: &str = "otel_traces_trace_id_ts";
const LOGS: &str = "otel_logs";
/// The tables of metrics, and the names that the exporter's versions gave them.
const METRICS: [(MetricTable, &[&str]); 5] = [
    (MetricTable::Gauge, &["otel_metrics_gauge"]),
    (MetricTable::Sum, &["otel_metrics_sum"]),
    (MetricTable::Histogram, &["otel_metrics_histogram"]),
    (
        MetricTable::Exponential,
        &["otel_metrics_exponential_histogram", "otel_metrics_exp_histogram"],
    ),
    (MetricTable::Summary, &["otel_metrics_summary"]),
];

/// The kinds of tables that the exporter has for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum MetricTable {
    Gauge,
    Sum,
    Histogram,
    Exponential,
    Summary,
}

/// A column of attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttributeColumn {
    /// Its name.
    pub(crate) name: &'static str,
    pub(crate) form: AttributeForm,
    /// The column with the keys, which tables with JSON have.
    pub(crate) keys: Option<&'static str>,
    /// The column with each attribute as `key=value`, which the newest tables index.
    pub(crate) items: Option<&'static str>,
}

/// How a column keeps attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttributeForm {
    /// `Map(String, String)`: all values are texts.
    Map,
    /// `JSON`: values have types, and keys with dots are paths.
    Json,
}

/// The table of spans.
#[derive(Debug, Clone)]
pub(crate) struct Traces {
    pub(crate) attributes: AttributeColumn,
    pub(crate) resource: AttributeColumn,
    pub(crate) has_trace_state: bool,
    pub(crate) has_scope: bool,
    /// Whether there is a table with the times of each trace.
    pub(crate) has_times: bool,
}

/// The table of log records.
#[derive(Debug, Clone)]
pub(crate) struct Logs {
    pub(crate) attributes: AttributeColumn,
    pub(crate) resource: AttributeColumn,
    pub(crate) has_event_name: bool,
}

/// A table of metrics.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) kind: MetricTable,
    pub(crate) name: &'static str,
    pub(crate) attributes: AttributeColumn,
    pub(crate) resource: AttributeColumn,
}

#[derive(Debug, Clone)]
pub(crate) struct Tables {
    pub(crate) traces: Traces,
    pub(crate) logs: Option<Logs>,
    pub(crate) metrics: Vec<Metrics>,
}

impl Tables {
    /// Describes the tables of the client's database.
    pub(crate) fn detect(client: &Client) -> Result<Self, StoreError> {
        let names = [TRACES, TRACE_TIMES, LOGS]
            .into_iter()
            .chain(METRICS.iter().flat_map(|(_, names)| names.iter().copied()));
        let sql = Sql::new(
            "SELECT table, name, type FROM system.columns WHERE database = currentDatabase() AND table IN ",
        )
        .texts(names);
        let mut columns: HashMap<String, Columns> = HashMap::new();
        client.for_each(&sql, |(table, name, kind): (String, String, String)| {
            columns.entry(table).or_default().0.insert(name, kind);
            Ok(())
        })?;
        let database = &client.address().database;
        let traces = columns.get(TRACES).ok_or_else(|| {
            unusable(format!(
                "the database {database:?} has no table {TRACES} that this user may read: let the collector's ClickHouse \
                 exporter create it, or name another database in the URL"
            ))
        })?;
        let metrics = METRICS.iter().filter_map(|(kind, names)| {
            let (name, columns) = names.iter().find_map(|name| Some((*name, columns.get(*name)?)))?;
            Some(metrics(*kind, name, columns))
        });
        Ok(Self {
            traces: self::traces(traces, columns.contains_key(TRACE_TIMES))?,
            logs: columns.get(LOGS).map(logs).transpose()?,
            metrics: metrics.collect::<Result<_, _>>()?,
        })
    }
}

/// The columns of a table, with their types.
#[derive(Debug, Default)]
struct Columns(HashMap<String, String>);

impl Columns {
    /// Checks that these columns are there, with types that begin like this.
    fn check(&self, table: &str, wanted: &[(&str, &[&str])]) -> Result<(), StoreError> {
        for (name, kinds) in wanted {
            let Some(kind) = self.0.get(*name) else {
                return Err(unknown(table, &format!("it has no column {name}")));
            };
            let plain = kind.strip_prefix("LowCardinality(").unwrap_or(kind);
            if !kinds.iter().any(|wanted| plain.starts_with(wanted)) {
                return Err(unknown(
                    table,
                    &format!("its column {name} is of the type {kind}"),
                ));
            }
        }
        Ok(())
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn attributes(
        &self,
        table: &str,
        name: &'static str,
        keys: &'static str,
        items: &'static str,
    ) -> Result<AttributeColumn, StoreError> {
        let kind = self.0.get(name).map(String::as_str).unwrap_or_default();
        let form = if kind.starts_with("Map(") {
            AttributeForm::Map
        } else if kind.starts_with("JSON") {
            AttributeForm::Json
        } else {
            return Err(unknown(
                table,
                &format!("its column {name} is of the type {kind:?}"),
            ));
        };
        Ok(AttributeColumn {
            name,
            form,
            keys: self.has(keys).then_some(keys),
            items: self.has(items).then_some(items),
        })
    }
}

fn unknown(table: &str, why: &str) -> StoreError {
    unusable(format!(
        "the table {table} is of no generation of the collector's exporter that this version can read: {why}; \
         update Spanscope, or let the exporter create the table again"
    ))
}

const TEXT: &[&str] = &["String"];
const TEXTS: &[&str] = &["Array(String", "Array(LowCardinality(String"];
const MOMENT: &[&str] = &["DateTime"];
const MOMENTS: &[&str] = &["Array(DateTime"];

fn traces(columns: &Columns, has_times: bool) -> Result<Traces, StoreError> {
    columns.check(
        TRACES,
        &[
            ("Timestamp", &["DateTime64(9"]),
            ("TraceId", TEXT),
            ("SpanId", TEXT),
            ("ParentSpanId", TEXT),
            ("SpanName", TEXT),
            ("SpanKind", TEXT),
            ("ServiceName", TEXT),
            ("Duration", &["UInt64", "Int64"]),
            ("StatusCode", TEXT),
            ("StatusMessage", TEXT),
            ("Events.Timestamp", MOMENTS),
            ("Events.Name", TEXTS),
            ("Events.Attributes", &["Array(Map(", "Array(JSON"]),
            ("Links.TraceId", TEXTS),
            ("Links.SpanId", TEXTS),
            ("Links.Attributes", &["Array(Map(", "Array(JSON"]),
        ],
    )?;
    Ok(Traces {
        attributes: columns.attributes(
            TRACES,
            "SpanAttributes",
            "SpanAttributesKeys",
            "SpanAttributeItems",
        )?,
        resource: columns.attributes(
            TRACES,
            "ResourceAttributes",
            "ResourceAttributesKeys",
            "ResourceAttributeItems",
        )?,
        has_trace_state: columns.has("TraceState"),
        has_scope: columns.has("ScopeName") && columns.has("ScopeVersion"),
        has_times,
    })
}

fn logs(columns: &Columns) -> Result<Logs, StoreError> {
    columns.check(
        LOGS,
        &[
            ("Timestamp", &["DateTime64(9"]),
            ("TraceId", TEXT),
            ("SpanId", TEXT),
            ("SeverityText", TEXT),
            ("SeverityNumber", &["UInt8", "Int32"]),
            ("ServiceName", TEXT),
            ("Body", TEXT),
            ("ScopeName", TEXT),
        ],
    )?;
    Ok(Logs {
        attributes: columns.attributes(LOGS, "LogAttributes", "LogAttributesKeys", "LogAttributeItems")?,
        resource: columns.attributes(
            LOGS,
            "ResourceAttributes",
            "ResourceAttributesKeys",
            "ResourceAttributeItems",
        )?,
        has_event_name: columns.has("EventName"),
    })
}

fn metrics(kind: MetricTable, name: &'static str, columns: &Columns) -> Result<Metrics, StoreError> {
    columns.check(
        name,
        &[
            ("ServiceName", TEXT),
            ("ScopeName", TEXT),
            ("MetricName", TEXT),
            ("MetricUnit", TEXT),
            ("StartTimeUnix", MOMENT),
            ("TimeUnix", MOMENT),
        ],
    )?;
    let number: &[(&str, &[&str])] = match kind {
        MetricTable::Gauge => &[("Value", &["Float64"])],
        MetricTable::Sum => &[
            ("Value", &["Float64"]),
            ("AggregationTemporality", &["Int32"]),
            ("IsMonotonic", &["Bool", "UInt8"]),
        ],
        MetricTable::Histogram => &[
            ("Count", &["UInt64"]),
            ("Sum", &["Float64"]),
            ("BucketCounts", &["Array(UInt64"]),
            ("ExplicitBounds", &["Array(Float64"]),
            ("Min", &["Float64"]),
            ("Max", &["Float64"]),
            ("AggregationTemporality", &["Int32"]),
        ],
        MetricTable::Exponential => &[
            ("Count", &["UInt64"]),
            ("Sum", &["Float64"]),
            ("Scale", &["Int32"]),
            ("ZeroCount", &["UInt64"]),
            ("PositiveOffset", &["Int32"]),
            ("PositiveBucketCounts", &["Array(UInt64"]),
            ("NegativeOffset", &["Int32"]),
            ("NegativeBucketCounts", &["Array(UInt64"]),
            ("Min", &["Float64"]),
            ("Max", &["Float64"]),
            ("AggregationTemporality", &["Int32"]),
        ],
        MetricTable::Summary => &[("Count", &["UInt64"]), ("Sum", &["Float64"])],
    };
    columns.check(name, number)?;
    Ok(Metrics {
        kind,
        name,
        attributes: columns.attributes(name, "Attributes", "AttributesKeys", "AttributeItems")?,
        resource: columns.attributes(
            name,
            "ResourceAttributes",
            "ResourceAttributesKeys",
            "ResourceAttributeItems",
        )?,
    })
}

/// Whether a span handles what another program sent. The halves of a call may share an id.
pub(crate) const IS_RECEIVER: &str =
    "(SpanKind IN ('Server', 'Consumer', 'SPAN_KIND_SERVER', 'SPAN_KIND_CONSUMER'))";

/// The nanoseconds of a span, none of them below zero.
pub(crate) const NANOS: &str = "greatest(toInt64(Duration), 0)";
/// When a span ended, in nanoseconds since 1970.
pub(crate) const END: &str = "(toUnixTimestamp64Nano(Timestamp) + greatest(toInt64(Duration), 0))";

impl Traces {
    /// The condition that a span failed, as `spanscope_model::received` decides it.
    pub(crate) fn failed(&self) -> String {
        let errors = list_of(&[A::ErrorType]);
        let outcomes = list_of(&[A::ToolOutcome]);
        let tells = format!(
            "(k IN ({errors}) AND v NOT IN ('', 'None', 'null', 'false')) OR (k IN ({outcomes}) AND v = 'error')"
        );
        let name = self.attributes.name;
        let by_attributes = match self.attributes.form {
            AttributeForm::Map => format!(
                "arrayExists((k, v) -> {tells}, mapKeys({name}), mapValues({name})) \
                 OR ({name}['span.type'] IN ('llm_request', 'tool') AND lower({name}['success']) = 'false')"
            ),
            AttributeForm::Json => {
                let value = |key: &str| format!("ifNull(toString(getSubcolumn({name}, '{key}')), '')");
                let errors = names_of(&[A::ErrorType])
                    .map(|key| format!("{} NOT IN ('', 'None', 'null', 'false')", value(key)));
                let outcomes = names_of(&[A::ToolOutcome]).map(|key| format!("{} = 'error'", value(key)));
                let all: Vec<String> = errors.chain(outcomes).collect();
                format!(
                    "{} OR ({} IN ('llm_request', 'tool') AND lower({}) = 'false')",
                    all.join(" OR "),
                    value("span.type"),
                    value("success")
                )
            }
        };
        format!(
            "(StatusCode IN ('Error', 'STATUS_CODE_ERROR') OR (StatusCode NOT IN ('Ok', 'STATUS_CODE_OK') AND \
             (arrayExists(n -> endsWith(concat('.', n), '.exception'), Events.Name) OR {by_attributes})))"
        )
    }
}

/// The names of these meanings as literals. They are this workspace's own, and have no quotes.
fn list_of(meanings: &[A]) -> String {
    let names: Vec<String> = names_of(meanings).map(|name| format!("'{name}'")).collect();
    names.join(", ")
}

impl AttributeColumn {
    /// The condition that there is an attribute with this key; `None` if only reading all of them
    /// would show it.
    pub(crate) fn has(&self, key: &str) -> Option<Sql> {
        match (self.form, self.keys) {
            (AttributeForm::Map, _) => Some(
                Sql::new("mapContains(")
                    .column(self.name)
                    .push(", ")
                    .text(key)
                    .push(")"),
            ),
            (AttributeForm::Json, Some(keys)) => {
                Some(Sql::new("has(").column(keys).push(", ").text(key).push(")"))
            }
            (AttributeForm::Json, None) => None,
        }
    }

    /// The value under a key as a text, empty if there is none.
    pub(crate) fn value(&self, key: &str) -> Sql {
        match self.form {
            AttributeForm::Map => Sql::default().column(self.name).push("[").text(key).push("]"),
            AttributeForm::Json => Sql::new("ifNull(toString(getSubcolumn(")
                .column(self.name)
                .push(", ")
                .text(key)
                .push(")), '')"),
        }
    }

    /// The condition that a tenant's name is under a key. It is written for an index.
    pub(crate) fn is(&self, key: &str, value: &str) -> Sql {
        match self.items {
            Some(items) => Sql::new("(has(")
                .column(items)
                .push(", ")
                .text(&format!("{key}={value}"))
                .push(") AND ")
                .add(&self.value(key))
                .push(" = ")
                .text(value)
                .push(")"),
            None => self.value(key).push(" = ").text(value),
        }
    }

    /// What a statement reads of the column: the attributes, and their keys.
    pub(crate) fn select(&self) -> String {
        format!("{}, {}", self.name, self.keys.unwrap_or("[]"))
    }

    /// The texts of all values, for a search of a word in them; `None` if they are not texts.
    pub(crate) fn texts(&self) -> Option<String> {
        match self.form {
            AttributeForm::Map => Some(format!("mapValues({})", self.name)),
            AttributeForm::Json => None,
        }
    }
}
