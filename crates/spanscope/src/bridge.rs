//! The OTLP sinks: conversion of this crate's settings to those of the bridge.

use std::sync::Arc;
use std::time::Duration;

use spanscope_layers::metrics::MetricSink;
use spanscope_layers::{Categories, CategoryFilter};
use spanscope_otlp::{OtlpLayer, OtlpLayerBuilder, Propagator, SettingError, Signal, TailRule, propagation};

use crate::InitErrorKind;
use crate::settings::RESOURCE_VARIABLE;

/// The OTLP sinks, and the signal that each exports.
const SENT: [(&str, Signal); 3] = [
    ("otel_trace", Signal::Traces),
    ("otel_metric", Signal::Metrics),
    ("otel_log", Signal::Logs),
];

pub(crate) type SetOtlp = Box<dyn FnOnce(OtlpLayerBuilder) -> OtlpLayerBuilder>;

/// The settings of the bridge.
pub(crate) struct OtlpSettings<'a> {
    pub(crate) has: &'a dyn Fn(&str) -> bool,
    pub(crate) reads_env: bool,
    /// The endpoint from the configuration file, after its position in the file.
    pub(crate) endpoint: Option<(String, String)>,
    pub(crate) service_name: String,
    /// Resource attributes that were set in code.
    pub(crate) resource: Vec<(String, String)>,
    pub(crate) max_value_len: Option<usize>,
    pub(crate) categories: Arc<Categories>,
    pub(crate) trace_filter: Option<CategoryFilter>,
    pub(crate) log_filter: Option<CategoryFilter>,
    pub(crate) tail: Option<TailRule>,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) report_to: Vec<Arc<dyn MetricSink>>,
    /// The name of the store's file.
    pub(crate) stored_in: Option<String>,
    pub(crate) set: Vec<SetOtlp>,
}

/// Returns the builder of the bridge, if one of its sinks is on, and the invalid values in the
/// environment.
pub(crate) fn builder(settings: OtlpSettings<'_>) -> (Option<OtlpLayerBuilder>, Vec<InitErrorKind>) {
    let has = settings.has;
    if !SENT.iter().any(|(sink, _)| has(sink)) {
        return (None, Vec::new());
    }
    let mut builder = OtlpLayer::builder().shutdown_timeout(settings.shutdown_timeout);
    if let Some((place, url)) = settings.endpoint {
        builder = builder.endpoint_from_config(place, url);
    }
    let mut problems = Vec::new();
    if settings.reads_env {
        let (read, wrong) = builder.env_from(&|name| std::env::var(name).ok());
        builder = read;
        // The builder reads the resource for the store too, and has reported its errors.
        let wrong = wrong.into_iter().filter(|wrong| wrong.place != RESOURCE_VARIABLE);
        problems.extend(wrong.map(InitErrorKind::from));
    }
    for (sink, signal) in SENT {
        let is_on = builder.sends(signal) && has(sink);
        builder = builder.send(signal, is_on);
    }
    builder = builder.service_name(settings.service_name);
    for (key, value) in settings.resource {
        builder = builder.resource_attribute(key, value);
    }
    if let Some(bytes) = settings.max_value_len {
        builder = builder.max_value_len(bytes);
    }
    if let Some(rule) = settings.tail {
        builder = builder.tail(rule);
    }
    if let Some(filter) = settings.trace_filter {
        builder = builder.span_filter(filter);
    }
    if let Some(filter) = settings.log_filter {
        builder = builder.log_filter(filter);
    }
    if let Some(name) = &settings.stored_in {
        builder = builder.stored_in(name);
    }
    // The layer that counts tokens is always present.
    builder = builder.categories(settings.categories).counts_tokens(true);
    builder = settings
        .report_to
        .into_iter()
        .fold(builder, |builder, sink| builder.statistics_sink(sink));
    builder = settings
        .set
        .into_iter()
        .fold(builder, |builder, set| set(builder));
    let is_on = SENT.iter().any(|(_, signal)| builder.sends(*signal));
    (is_on.then_some(builder), problems)
}

/// Returns the propagators of a program without a bridge, and invalid values in the environment.
/// Other variables of OpenTelemetry are not read: they have no effect there.
pub(crate) fn propagators(reads_env: bool) -> (Vec<Propagator>, Vec<InitErrorKind>) {
    let get = |name: &str| {
        let is_read = reads_env && name == "OTEL_PROPAGATORS";
        is_read.then(|| std::env::var(name).ok()).flatten()
    };
    let (builder, wrong) = OtlpLayer::builder().env_from(&get);
    let wrong = wrong.into_iter().map(InitErrorKind::from).collect();
    (builder.propagators().to_vec(), wrong)
}

/// Sets the process's propagators of a program without a bridge, and returns invalid values in the
/// environment.
pub(crate) fn set_propagators(reads_env: bool) -> Vec<InitErrorKind> {
    let (propagators, wrong) = propagators(reads_env);
    propagation::set_global(&propagators);
    wrong
}

impl From<SettingError> for InitErrorKind {
    fn from(setting: SettingError) -> Self {
        Self::Setting {
            place: setting.place.into(),
            input: setting.input,
            accepted: setting.accepted,
        }
    }
}
