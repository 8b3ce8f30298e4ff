//! Measurements that are made neither by an event nor by a span's end: of the request middleware, of streams.

use spanscope_model::MetricKind;
use tracing_core::{Dispatch, dispatcher};
use tracing_subscriber::Registry;
use tracing_subscriber::registry::{LookupSpan, SpanData};

use super::layer::TokenMetricsLayer;
use spanscope_core::capture::{Clock, RawValue, SpanIds, ids_of, is_suppressed};
use spanscope_core::metrics::{Measurement, Number};

/// Hands a measurement to the sinks of the [`TokenMetricsLayer`] that is on the current subscriber. No level and no filter
/// is in its way. One without a span belongs to the current one.
///
/// Answers whether it was handed on: without such a layer, from within a layer's callback, for NaN and infinities, and
/// on a thread that [`suppress`](crate::suppress)es, it is not.
///
/// The metrics that the conventions have renamed (`gen_ai.client.operation.duration`, `.time_to_first_chunk`,
/// `.time_per_output_chunk`) are given by these classic names, and reach the sinks under the names that the layer's
/// [`GenAiNames`](super::GenAiNames) ask for.
pub fn record(measurement: &Measurement<'_>) -> bool {
    measurement.value.as_f64().is_finite() && record_all(std::slice::from_ref(measurement))
}

/// [`record`]s several at once, for the price of finding the layer and the current span once. NaN and infinities are left
/// out.
pub fn record_all(measurements: &[Measurement<'_>]) -> bool {
    if is_suppressed() {
        return false;
    }
    with_layer(|layer, dispatch| {
        let mut current = None;
        for measurement in measurements {
            if !measurement.value.as_f64().is_finite() {
                continue;
            }
            let span = measurement
                .span
                .or_else(|| *current.get_or_insert_with(|| current_span(dispatch)));
            layer.outlet.send_renamed(&Measurement { span, ..*measurement });
        }
    })
}

/// [`record`]s a value of the current span, now.
///
/// ```
/// use spanscope_layers::metrics::record_value;
/// use spanscope_model::MetricKind;
/// // No layer takes it here, so nothing happens.
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

/// Works with the layer of the current subscriber. The dispatcher is taken out, so that what a sink does is not taken for
/// the inside of a callback.
fn with_layer(work: impl FnOnce(&TokenMetricsLayer, &Dispatch)) -> bool {
    let dispatch = dispatcher::get_default(Clone::clone);
    let Some(layer) = dispatch.downcast_ref::<TokenMetricsLayer>() else {
        return false;
    };
    work(layer, &dispatch);
    true
}

/// The ids of the current span, or of the nearest one above it that a layer of ours sees.
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
