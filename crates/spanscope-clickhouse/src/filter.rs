//! Conditions and filters as SQL over rows of `otel_traces`.
//!
//! Each term becomes a condition that every matching span meets. Where it is met by matching spans
//! only, it is exact, and the server decides; otherwise the spans that it finds are read and
//! compared again here, by [`Filter::matches_untyped`]. So what a filter means is decided once, by
//! the model, and the server only has to look for candidates.

use spanscope_model::filter::{
    Comparison, Filter, FilterField, FilterKey, FilterOp, FilterTerm, FilterTest, Pattern, Scalar,
    TraceField, resource_key,
};
use spanscope_model::{Condition, StoreError, Timestamp, UNCATEGORIZED, semconv, wire};

use crate::sql::{Sql, joined};
use crate::tables::{AttributeForm, END, NANOS, Traces};

/// Numbers up to here are compared exactly as floats.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A filter in parts: what one span has to meet, and what its whole trace has to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Candidates {
    /// All terms, to compare the spans that were found.
    pub(crate) filter: Filter,
    /// Conditions on a span; all of them have to be met.
    pub(crate) on_span: Vec<Sql>,
    /// Conditions on `duration_nanos`, `spans` and `errors` of a trace.
    pub(crate) on_trace: Vec<Sql>,
    /// Whether every span that meets the conditions matches.
    pub(crate) is_exact: bool,
    /// Whether a term asks for the tokens of the trace.
    pub(crate) needs_tokens: bool,
}

/// A condition, and whether it is met by matching spans only.
struct Piece {
    sql: Sql,
    is_exact: bool,
}

fn exact(sql: Sql) -> Piece {
    Piece { sql, is_exact: true }
}

fn superset(sql: Sql) -> Piece {
    Piece { sql, is_exact: false }
}

impl Candidates {
    /// Reads conditions and a filter, which must all match one span.
    ///
    /// # Errors
    /// Invalid input for a condition that makes no sense.
    pub(crate) fn new(
        traces: &Traces,
        conditions: &[Condition],
        filter: &Filter,
    ) -> Result<Self, StoreError> {
        let mut all = Self {
            is_exact: true,
            ..Self::default()
        };
        for condition in conditions {
            condition.check()?;
            all.filter.terms.push(FilterTerm::from(condition));
        }
        all.filter.terms.extend(filter.terms.iter().cloned());
        for term in &all.filter.terms {
            let piece = match &term.test {
                FilterTest::Compare(Comparison {
                    key: FilterKey::Trace(field),
                    op,
                    values,
                }) => match number_of_trace(*field, *op, values)? {
                    Some(sql) => {
                        all.on_trace.push(if term.negated { not(sql) } else { sql });
                        continue;
                    }
                    None => {
                        all.needs_tokens = true;
                        superset(Sql::new("1"))
                    }
                },
                FilterTest::Compare(comparison) => match &comparison.key {
                    FilterKey::Attribute(key) => on_attribute(traces, key, comparison),
                    FilterKey::Field(field) => on_field(traces, *field, comparison),
                    FilterKey::Trace(_) => continue,
                },
                FilterTest::Text(text) => superset(word(traces, text)),
            };
            let piece = match (term.negated, piece.is_exact) {
                (false, _) => piece,
                (true, true) => exact(not(piece.sql)),
                (true, false) => superset(Sql::new("1")),
            };
            all.is_exact &= piece.is_exact;
            all.on_span.push(piece.sql);
        }
        Ok(all)
    }

    /// Whether nothing is asked of a span.
    pub(crate) fn is_empty(&self) -> bool {
        self.filter.is_empty()
    }

    /// ` AND ...` over a span.
    pub(crate) fn and_on_span(&self) -> Sql {
        all_of(&self.on_span)
    }

    /// ` AND ...` over the numbers of a trace.
    pub(crate) fn and_on_trace(&self) -> Sql {
        all_of(&self.on_trace)
    }
}

fn all_of(pieces: &[Sql]) -> Sql {
    pieces
        .iter()
        .fold(Sql::default(), |sql, piece| sql.push(" AND ").add(piece))
}

fn not(sql: Sql) -> Sql {
    Sql::new("(NOT ").add(&sql).push(")")
}

const fn is_not(op: FilterOp) -> bool {
    matches!(op, FilterOp::Ne | FilterOp::NotContains)
}

/// The SQL of an operator; of a negated one that of its opposite.
const fn operator(op: FilterOp) -> &'static str {
    match op {
        FilterOp::Eq | FilterOp::Ne | FilterOp::Contains | FilterOp::NotContains => " = ",
        FilterOp::Gt => " > ",
        FilterOp::Ge => " >= ",
        FilterOp::Lt => " < ",
        FilterOp::Le => " <= ",
    }
}

/// Any of the patterns for a value that is there, or none of them for a negated operator.
fn any(op: FilterOp, pieces: Vec<Piece>, is_there: Option<&Sql>) -> Piece {
    let is_exact = pieces.iter().all(|piece| piece.is_exact);
    let there = |sql: Sql| match is_there {
        Some(is_there) => joined(&[is_there.clone(), sql], " AND "),
        None => sql,
    };
    let pieces: Vec<Sql> = pieces.into_iter().map(|piece| piece.sql).collect();
    let any = match pieces.is_empty() {
        true => Sql::new("0"),
        false => joined(&pieces, " OR "),
    };
    match (is_not(op), is_exact) {
        (false, _) => Piece {
            sql: there(any),
            is_exact,
        },
        (true, true) => exact(there(not(any))),
        (true, false) => superset(is_there.cloned().unwrap_or_else(|| Sql::new("1"))),
    }
}

/// A text under an expression.
fn text_is(value: &Sql, op: FilterOp, wanted: &str) -> Sql {
    match op {
        FilterOp::Contains | FilterOp::NotContains => contains(value, wanted),
        op => Sql::default().add(value).push(operator(op)).text(wanted),
    }
}

/// Upper and lower case of ASCII are alike, as everywhere in filters.
fn contains(value: &Sql, wanted: &str) -> Sql {
    Sql::new("(positionCaseInsensitive(")
        .add(value)
        .push(", ")
        .text(wanted)
        .push(") > 0)")
}

fn begins(value: &Sql, start: &str) -> Sql {
    Sql::new("startsWith(")
        .add(value)
        .push(", ")
        .text(start)
        .push(")")
}

fn on_field(traces: &Traces, field: FilterField, comparison: &Comparison) -> Piece {
    let column = |text: &'static str| (Sql::new(text), None);
    let (value, is_there) = match field {
        FilterField::Name => column("SpanName"),
        FilterField::Service => column("ServiceName"),
        FilterField::Trace => column("TraceId"),
        FilterField::Span => column("SpanId"),
        FilterField::Status => (
            Sql::default().column(&format!("if({}, 'error', 'ok')", traces.failed())),
            None,
        ),
        FilterField::Kind => column(
            "if(SpanKind IN ('', 'Unspecified', 'SPAN_KIND_UNSPECIFIED'), 'internal', \
             lower(replaceOne(SpanKind, 'SPAN_KIND_', '')))",
        ),
        FilterField::Parent => (Sql::new("ParentSpanId"), Some(Sql::new("ParentSpanId != ''"))),
        FilterField::Category => (category(traces), None),
        FilterField::Duration => return number_is(comparison, &format!("({NANOS} / 1e6)")),
        FilterField::Start => return time_is(comparison, "toUnixTimestamp64Nano(Timestamp)"),
        FilterField::End => return time_is(comparison, END),
        FilterField::Level => return superset(Sql::new("1")),
    };
    let is_lower = matches!(
        field,
        FilterField::Trace
            | FilterField::Span
            | FilterField::Parent
            | FilterField::Status
            | FilterField::Kind
    );
    let spelled = |text: &str| match is_lower {
        true => text.to_ascii_lowercase(),
        false => text.to_owned(),
    };
    let pieces = comparison.values.iter().map(|pattern| match pattern {
        Pattern::Present => exact(Sql::new("1")),
        Pattern::Begins(start) => exact(begins(&value, &spelled(start))),
        Pattern::Is(Scalar::Text(wanted)) => exact(text_is(&value, comparison.op, &spelled(wanted))),
        Pattern::Is(Scalar::Bool(_) | Scalar::Number(..)) => exact(Sql::new("0")),
    });
    any(comparison.op, pieces.collect(), is_there.as_ref())
}

/// The category that a span's own attributes name.
fn category(traces: &Traces) -> Sql {
    let value = |key: &str| Sql::new("trimBoth(").add(&traces.attributes.value(key)).push(")");
    Sql::new("coalesce(nullIf(")
        .add(&value(&wire::fallback_key(wire::CATEGORY)))
        .push(", ''), nullIf(")
        .add(&value(wire::CATEGORY))
        .push(", ''), ")
        .text(UNCATEGORIZED)
        .push(")")
}

/// A number of milliseconds, or of a trace, which `value` is.
fn number_is(comparison: &Comparison, value: &str) -> Piece {
    let pieces = comparison.values.iter().map(|pattern| match pattern {
        Pattern::Present => exact(Sql::new("1")),
        Pattern::Is(scalar @ Scalar::Number(..)) => match in_unit_of(&comparison.key, scalar) {
            Some(number) => exact(
                Sql::default()
                    .column(value)
                    .push(operator(comparison.op))
                    .real(number),
            ),
            None => exact(Sql::new("0")),
        },
        _ => exact(Sql::new("0")),
    });
    any(comparison.op, pieces.collect(), None)
}

fn time_is(comparison: &Comparison, value: &str) -> Piece {
    let is = |nanos: i64| {
        Sql::default()
            .column(value)
            .push(operator(comparison.op))
            .integer(nanos)
    };
    let pieces = comparison.values.iter().map(|pattern| match pattern {
        Pattern::Present => exact(Sql::new("1")),
        Pattern::Is(Scalar::Text(text)) => match text.parse::<Timestamp>() {
            Ok(time) => exact(is(time.as_nanos())),
            Err(_) => exact(Sql::new("0")),
        },
        Pattern::Is(Scalar::Number(number, None)) => match number.as_i64() {
            Some(nanos) => exact(is(nanos)),
            None => superset(Sql::new("1")),
        },
        _ => exact(Sql::new("0")),
    });
    any(comparison.op, pieces.collect(), None)
}

/// Returns a number in the unit of what is under the key.
fn in_unit_of(key: &FilterKey, scalar: &Scalar) -> Option<f64> {
    // The whole-trace duration has the unit of a span's.
    let key = match key {
        FilterKey::Trace(_) => FilterKey::Field(FilterField::Duration),
        key => key.clone(),
    };
    let term = FilterTerm {
        negated: false,
        test: FilterTest::Compare(Comparison {
            key,
            op: FilterOp::Eq,
            values: vec![Pattern::Is(scalar.clone())],
        }),
    };
    term.to_condition()?.value.as_f64()
}

fn number_of_trace(field: TraceField, op: FilterOp, values: &[Pattern]) -> Result<Option<Sql>, StoreError> {
    let value = match field {
        TraceField::Duration => "(duration_nanos / 1e6)",
        TraceField::Spans => "span_count",
        TraceField::Errors => "error_count",
        TraceField::Tokens => return Ok(None),
        TraceField::Cost => {
            return Err(StoreError::invalid(
                "trace.cost: a store has no prices, so it knows no costs; use trace.tokens",
            ));
        }
    };
    let comparison = Comparison {
        key: FilterKey::Trace(field),
        op,
        values: values.to_vec(),
    };
    Ok(Some(number_is(&comparison, value).sql))
}

fn on_attribute(traces: &Traces, key: &str, comparison: &Comparison) -> Piece {
    let (own, shared) = (&traces.attributes, &traces.resource);
    let of_resource = resource_key(key);
    if of_resource.is_empty() {
        // An index on the keys of a map does not find an empty one.
        return superset(Sql::new("1"));
    }
    let (Some(in_own), Some(in_shared)) = (own.has(key), shared.has(of_resource)) else {
        return superset(Sql::new("1"));
    };
    let is_there = joined(&[in_own.clone(), in_shared], " OR ");
    if own.form == AttributeForm::Json || shared.form == AttributeForm::Json {
        // Its values have types that differ between rows, and the text of a list is not that of the
        // model.
        return superset(is_there);
    }
    let value = Sql::new("if(")
        .add(&in_own)
        .push(", ")
        .add(&own.value(key))
        .push(", ")
        .add(&shared.value(of_resource))
        .push(")");
    let number = Sql::new("toFloat64OrNull(trimBoth(").add(&value).push("))");
    let op = comparison.op;
    // What the names of numbers have is shown as a number, which no text equals.
    let text = match semconv::is_number(key) {
        true => superset,
        false => exact,
    };
    let pieces = comparison.values.iter().map(|pattern| match pattern {
        Pattern::Present => exact(Sql::new("1")),
        Pattern::Begins(start) => text(begins(&value, start)),
        Pattern::Is(Scalar::Text(wanted)) if op == FilterOp::Eq => {
            // Written so that an index on values, or on items, finds it.
            let found = joined(&[own.is(key, wanted), shared.is(of_resource, wanted)], " OR ");
            text(joined(&[found, text_is(&value, op, wanted)], " AND "))
        }
        Pattern::Is(Scalar::Text(wanted)) => text(text_is(&value, op, wanted)),
        Pattern::Is(Scalar::Bool(wanted)) => match op {
            FilterOp::Eq | FilterOp::Ne => exact(text_is(&value, op, if *wanted { "true" } else { "false" })),
            _ => exact(Sql::new("0")),
        },
        Pattern::Is(scalar @ Scalar::Number(..)) => match in_unit_of(&comparison.key, scalar) {
            Some(wanted) => Piece {
                sql: Sql::new("ifNull(")
                    .add(&number)
                    .push(operator(op))
                    .real(wanted)
                    .push(" AND isFinite(")
                    .add(&number)
                    .push("), 0)"),
                is_exact: wanted.abs() < EXACT,
            },
            None => exact(Sql::new("0")),
        },
    });
    let mut piece = any(op, pieces.collect(), Some(&is_there));
    let is_number = |pattern: &Pattern| matches!(pattern, Pattern::Is(Scalar::Number(..)));
    if !piece.is_exact && !is_not(op) && comparison.values.iter().any(is_number) {
        // A number beyond 2^53: the neighbours are compared here.
        piece.sql = is_there;
    }
    piece
}

/// A span in which a text may be: in its name, its status, its attributes or its events.
fn word(traces: &Traces, text: &str) -> Sql {
    let mut places = vec![
        contains(&Sql::new("SpanName"), text),
        contains(&Sql::new("StatusMessage"), text),
        Sql::new("arrayExists(x -> ")
            .add(&contains(&Sql::new("x"), text))
            .push(", Events.Name)"),
    ];
    match traces.attributes.texts() {
        Some(values) => {
            let inner = contains(&Sql::new("x"), text);
            places.push(
                Sql::new("arrayExists(x -> ")
                    .add(&inner)
                    .push(", ")
                    .column(&values)
                    .push(")"),
            );
            places.push(
                Sql::new("arrayExists(m -> arrayExists(x -> ")
                    .add(&inner)
                    .push(", mapValues(m)), Events.Attributes)"),
            );
        }
        // A text is escaped in JSON, so that only plain ones are found in it.
        None if text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b' ') =>
        {
            let in_json = |column: &'static str| Sql::new("toJSONString(").push(column).push(")");
            places.push(contains(&in_json("SpanAttributes"), text));
            places.push(contains(&in_json("Events.Attributes"), text));
        }
        None => return Sql::new("1"),
    }
    joined(&places, " OR ")
}
