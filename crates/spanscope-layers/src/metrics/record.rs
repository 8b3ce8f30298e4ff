//! Measurements that come neither from an event nor from a span's end, such as those of the request
//! middleware and of streams.

use spanscope_model::MetricKind;
use tracing_core::{Dispatch, dispatcher};
use tracing_subscriber::Registry;
use tracing_subscriber::registry::{LookupSpan, SpanData};

use super::layer::TokenMetricsLayer;
use spanscope_core::capture::{Clock, RawValue, SpanIds, ids_of, is_suppressed};
use spanscope_core::metrics::{Measurement, Number};

/// Passes a measurement to the sinks of the [`TokenMetricsLayer`] on the current subscriber. No
/// level and no filter applies to it. A measurement without a span belongs to the current span.
///
/// Returns whether it was passed on: `false` without such a layer, within a layer's callback, for
/// NaN and infinities, and on a [suppressed](crate::suppress) thread.
///
/// Use the classic names for the metrics that the conventions have renamed
/// (`gen_ai.client.operation.duration`, `.time_to_first_chunk`, `.time_per_output_chunk`); they
/// reach the sinks under the names of the layer's [`GenAiNames`](super::GenAiNames).
pub fn record(measurement: &Measurement<'_>) -> bool {
    measurement.value.as_f64().is_finite() && record_all([*measurement])
}

/// Records several measurements as [`record`] does, with one lookup of the layer and the current
/// span. NaN and infinities are left out.
pub fn record_all<'m>(measurements: impl IntoIterator<Item = Measurement<'m>>) -> bool {
    if is_suppressed() {
        return false;
    }
    with_layer(|layer, dispatch| {
        let mut current = None;
        for mut measurement in measurements {
            if !measurement.value.as_f64().is_finite() {
                continue;
            }
            if measurement.span.is_none() {
                measurement.span = *current.get_or_insert_with(|| current_span(dispatch));
            }
            layer.outlet.send_renamed(&measurement);
        }
    })
}

/// Records a value for the current span, at the current time.
///
/// ```
/// use spanscope_layers::metrics::record_value;
/// use spanscope_model::MetricKind;
/// // No layer receives it here, so nothing happens.
/// assert!(!record_value("queue_length", 17_i64, "requests", MetricKind::Gauge, &[("queue", "embeddings")]));
/// ```
pub fn record_value(
    name: &str,
    value: impl Into<Number>,
    unit: &str,
    kind: MetricKind,
    labels: &[(&str, &str)],
) -> bool {
    let value = value.into();
    if is_suppressed() || !value.as_f64().is_finite() {
        return false;
    }
    with_layer(|layer, dispatch| {
        let labels: Vec<_> = labels
            .iter()
            .map(|(key, value)| (*key, RawValue::from(*value)))
            .collect();
        layer.outlet.send_renamed(&Measurement {
            name,
            value,
            unit,
            kind,
            labels: &labels,
            span: current_span(dispatch),
            time: Clock::global().now(),
            is_event: false,
        });
    })
}

/// Calls `work` with the layer of the current subscriber. The dispatcher is taken out, so that a
/// sink's work does not count as inside a callback.
fn with_layer(work: impl FnOnce(&TokenMetricsLayer, &Dispatch)) -> bool {
    let dispatch = dispatcher::get_default(Clone::clone);
    let Some(layer) = dispatch.downcast_ref::<TokenMetricsLayer>() else {
        return false;
    };
    work(layer, &dispatch);
    true
}

/// Returns the ids of the current span, or of its nearest ancestor that a Spanscope layer sees.
fn current_span(dispatch: &Dispatch) -> Option<SpanIds> {
    let registry = dispatch.downcast_ref::<Registry>()?;
    let mut next = dispatch.current_span().id().cloned();
    while let Some(id) = next {
        let data = registry.span_data(&id)?;
        if let Some(ids) = ids_of(&data, dispatch, &id) {
            return Some(ids);
        }
        next = data.parent().cloned();
    }
    None
}
