//! A sink that stores its measurements, and a program that runs with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use spanscope_core::capture::{RawValue, SpanIds};
use spanscope_layers::TokenMetricsLayer;
use spanscope_layers::metrics::{
    GenAiNames, Measurement, MetricSink, Number, TokenMetricsHandle, TokenMetricsLayerBuilder,
    TokenMetricsStats,
};
use spanscope_model::MetricKind;
use tracing_subscriber::prelude::*;

/// A measurement that outlives its span.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kept {
    pub(crate) name: String,
    pub(crate) value: Number,
    pub(crate) unit: String,
    pub(crate) kind: MetricKind,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) span: Option<SpanIds>,
    pub(crate) is_event: bool,
}

impl Kept {
    pub(crate) fn label(&self, key: &str) -> &str {
        self.labels.get(key).map_or("", String::as_str)
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Vec<Kept>>>);

impl MetricSink for Recorder {
    fn record(&self, measurement: &Measurement<'_>) {
        let text = |value: &RawValue<'_>| match value {
            RawValue::Text(text, _) => (*text).to_owned(),
            RawValue::Bool(value) => value.to_string(),
            RawValue::I64(value) => value.to_string(),
            RawValue::U64(value) => value.to_string(),
            RawValue::F64(value) => value.to_string(),
        };
        let labels = measurement.labels.iter();
        self.0.lock().unwrap().push(Kept {
            name: measurement.name.to_owned(),
            value: measurement.value,
            unit: measurement.unit.to_owned(),
            kind: measurement.kind,
            labels: labels
                .map(|(key, value)| ((*key).to_owned(), text(value)))
                .collect(),
            span: measurement.span,
            is_event: measurement.is_event,
        });
    }
}

impl Recorder {
    pub(crate) fn all(&self) -> Vec<Kept> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn layer(&self) -> TokenMetricsLayerBuilder {
        TokenMetricsLayer::builder().sink(self.clone())
    }
}

/// The measurements of a program.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) all: Vec<Kept>,
    pub(crate) stats: TokenMetricsStats,
}

impl Outcome {
    pub(crate) fn named(&self, name: &str) -> Vec<&Kept> {
        self.all.iter().filter(|kept| kept.name == name).collect()
    }

    /// Returns the values of the three counters, in order.
    pub(crate) fn tokens(&self) -> [Vec<i64>; 3] {
        ["prompt_tokens", "completion_tokens", "total_tokens"].map(|name| self.integers(name))
    }

    pub(crate) fn integers(&self, name: &str) -> Vec<i64> {
        let integer = |kept: &Kept| match kept.value {
            Number::I64(value) => value,
            other => panic!("{other:?} is no integer"),
        };
        self.named(name).into_iter().map(integer).collect()
    }

    pub(crate) fn one(&self, name: &str) -> &Kept {
        let named = self.named(name);
        assert_eq!(named.len(), 1, "{name} in {:#?}", self.all);
        named[0]
    }
}

/// Runs a program with only a token layer.
pub(crate) fn run(program: impl FnOnce()) -> Outcome {
    run_with(|builder| builder, program)
}

pub(crate) fn run_named(names: GenAiNames, program: impl FnOnce()) -> Outcome {
    run_with(|builder| builder.genai_names(names), program)
}

pub(crate) fn run_with(
    set: impl FnOnce(TokenMetricsLayerBuilder) -> TokenMetricsLayerBuilder,
    program: impl FnOnce(),
) -> Outcome {
    let recorder = Recorder::default();
    let layer = set(recorder.layer()).build();
    let handle = layer.handle();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), program);
    outcome(&recorder, &handle)
}

pub(crate) fn outcome(recorder: &Recorder, handle: &TokenMetricsHandle) -> Outcome {
    Outcome {
        all: recorder.all(),
        stats: handle.stats(),
    }
}
