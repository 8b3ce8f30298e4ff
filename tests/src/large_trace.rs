//! A trace of any number of spans, as requests of OTLP in JSON, for tests and benchmarks of pages.

use serde_json::{Value as Json, json};
use spanscope_model::Timestamp;

/// An id for the trace.
pub const LARGE: &str = "00000000000000000000000000010000";

/// Spans of one request.
const SPANS_A_REQUEST: usize = 2_000;

/// The requests of a trace of this id and number of spans: depth up to 12, four services, an error
/// each 1,250 spans, groups of equal siblings, the last row a span with a unique name.
pub fn requests(trace_id: &str, spans: usize) -> impl Iterator<Item = Json> {
    let now = Timestamp::now().as_nanos() - 60_000_000_000;
    let services = ["gateway", "agent", "model", "tools"];
    let parents = parents(spans);
    (0..spans).step_by(SPANS_A_REQUEST).map(move |first| {
        let rows = first..spans.min(first + SPANS_A_REQUEST);
        let resources: Vec<Json> = (0..services.len())
            .map(|service| {
                let of_service = rows.clone().filter(|row| row % services.len() == service);
                let of_service: Vec<Json> = of_service
                    .map(|row| span(trace_id, row, spans, parents[row], now))
                    .collect();
                json!({"resource": resource(services[service]), "scopeSpans": [{"spans": of_service}]})
            })
            .collect();
        json!({"resourceSpans": resources})
    })
}

/// The row of each row's parent.
fn parents(spans: usize) -> Vec<Option<usize>> {
    let mut stack: Vec<usize> = Vec::new();
    let mut parents = vec![None; spans];
    for (row, parent) in parents.iter_mut().enumerate().skip(1) {
        // Pseudo-random, and the same in each run.
        let turn = row.wrapping_mul(2_654_435_761) >> 7;
        while stack.len() > 11 || (stack.len() > 1 && turn % 3 == 0 && stack.len().is_multiple_of(2)) {
            stack.pop();
        }
        *parent = Some(stack.last().copied().unwrap_or(0));
        if turn % 5 < 2 {
            stack.push(row);
        } else if turn % 11 == 0 {
            stack.clear();
        }
    }
    parents
}

fn span(trace_id: &str, row: usize, spans: usize, parent: Option<usize>, now: i64) -> Json {
    let start = now + 300_000 * i64::try_from(row * 30_000 / spans).unwrap();
    let end = if row == 0 {
        now + 10_000_000_000
    } else {
        start + 2_000_000
    };
    let name = match row {
        0 => "POST /turns".to_owned(),
        row if row + 1 == spans => "the very last".to_owned(),
        row => ["chat gpt", "execute_tool search", "GET /item", "SELECT docs"][row % 4].to_owned(),
    };
    let mut span = json!({
        "traceId": trace_id, "spanId": format!("{:016x}", row + 1), "name": name, "kind": 1,
        "startTimeUnixNano": start.to_string(), "endTimeUnixNano": end.to_string(),
        "attributes": [{"key": "row", "value": {"intValue": row.to_string()}}],
    });
    if let Some(parent) = parent {
        span["parentSpanId"] = json!(format!("{:016x}", parent + 1));
    }
    if row % 1250 == 1249 {
        span["status"] = json!({"code": 2, "message": "no answer"});
    }
    span
}

/// The resource of a service.
#[must_use]
pub fn resource(service: &str) -> Json {
    json!({"attributes": [{"key": "service.name", "value": {"stringValue": service}}]})
}
