//! OpenTelemetry's exporters, with statistics.

use std::fmt::Debug;
use std::future::ready;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use opentelemetry_otlp::{
    LogExporter, MetricExporter, RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::LogBatch;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::SpanData;
use spanscope_core::capture::suppress;
use spanscope_core::sync::lock;

use crate::account::{Account, Outcome};
use crate::error::OtlpError;
use crate::settings::{Compression, Protocol, Settings, Temporality};
use crate::transport::{Client, Finished, Transport};

/// An exporter of OpenTelemetry's, whose batches are counted.
#[derive(Debug)]
pub(crate) struct Counted<E> {
    inner: E,
    account: Arc<Account>,
    endpoint: String,
    finished: Arc<Mutex<Option<Finished>>>,
}

impl<E> Counted<E> {
    /// Sends a batch on this thread. Events of the exporter are suppressed meanwhile.
    fn run(&self, records: u64, export: impl Future<Output = OTelSdkResult>) -> OTelSdkResult {
        let _quiet = suppress();
        // The HTTP client of the exporter blocks, so that one poll completes the future.
        let result = match pin!(export).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(OTelSdkError::InternalFailure(
                "the exporter did not finish".to_owned(),
            )),
        };
        let finished = lock(&self.finished).take();
        // Without an outcome, the request did not reach the client: it could not be encoded.
        let finished = finished.unwrap_or_else(|| Finished {
            outcome: match &result {
                Ok(()) => Outcome::Accepted { rejected: 0 },
                Err(_) => Outcome::Refused,
            },
            failure: result.as_ref().err().map(ToString::to_string),
        });
        // Counted before it is reported, so that the report includes it.
        self.account.finish(records, &finished.outcome);
        match &finished.failure {
            Some(reason) => self.account.note_failure(&self.endpoint, reason, false),
            None => self.account.note_success(&self.endpoint),
        }
        result
    }
}

impl opentelemetry_sdk::trace::SpanExporter for Counted<SpanExporter> {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        let records = batch.len() as u64;
        ready(self.run(records, self.inner.export(batch)))
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl opentelemetry_sdk::logs::LogExporter for Counted<LogExporter> {
    fn export(&self, batch: LogBatch<'_>) -> impl Future<Output = OTelSdkResult> + Send {
        let records = batch.iter().count() as u64;
        ready(self.run(records, self.inner.export(batch)))
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl PushMetricExporter for Counted<MetricExporter> {
    fn export(&self, metrics: &ResourceMetrics) -> impl Future<Output = OTelSdkResult> + Send {
        let points = points_of(metrics);
        if points == 0 {
            return ready(Ok(()));
        }
        self.account.offer(points);
        ready(self.run(points, self.inner.export(metrics)))
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> opentelemetry_sdk::metrics::Temporality {
        self.inner.temporality()
    }
}

fn points_of(metrics: &ResourceMetrics) -> u64 {
    fn of<T>(data: &MetricData<T>) -> usize {
        match data {
            MetricData::Gauge(gauge) => gauge.data_points().count(),
            MetricData::Sum(sum) => sum.data_points().count(),
            MetricData::Histogram(histogram) => histogram.data_points().count(),
            MetricData::ExponentialHistogram(histogram) => histogram.data_points().count(),
        }
    }
    let counts = metrics
        .scope_metrics()
        .flat_map(|scope| scope.metrics())
        .map(|metric| match metric.data() {
            AggregatedMetrics::F64(data) => of(data),
            AggregatedMetrics::U64(data) => of(data),
            AggregatedMetrics::I64(data) => of(data),
        });
    counts.sum::<usize>() as u64
}

macro_rules! exporter {
    ($transport:expr, $account:expr, $protocol:expr, $compression:expr, $builder:expr) => {{
        let finished = Arc::new(Mutex::new(None));
        let endpoint = $transport.endpoint().clone();
        let mut builder = $builder
            .with_http()
            .with_http_client(Client {
                transport: $transport,
                finished: Arc::clone(&finished),
            })
            .with_retry_policy(RetryPolicy::disabled())
            .with_protocol(match $protocol {
                Protocol::HttpJson => opentelemetry_otlp::Protocol::HttpJson,
                Protocol::HttpProtobuf | Protocol::Grpc => opentelemetry_otlp::Protocol::HttpBinary,
            })
            .with_endpoint(endpoint.uri.to_string());
        // The gRPC transport compresses by itself.
        if $compression == Compression::Gzip && $protocol != Protocol::Grpc {
            builder = builder.with_compression(opentelemetry_otlp::Compression::Gzip);
        }
        Ok(Counted {
            inner: builder.build().map_err(OtlpError::exporter)?,
            account: $account,
            endpoint: endpoint.shown,
            finished,
        })
    }};
}

pub(crate) fn spans(
    transport: Transport,
    account: Arc<Account>,
    protocol: Protocol,
    compression: Compression,
) -> Result<Counted<SpanExporter>, OtlpError> {
    exporter!(transport, account, protocol, compression, SpanExporter::builder())
}

pub(crate) fn logs(
    transport: Transport,
    account: Arc<Account>,
    protocol: Protocol,
    compression: Compression,
) -> Result<Counted<LogExporter>, OtlpError> {
    exporter!(transport, account, protocol, compression, LogExporter::builder())
}

pub(crate) fn metrics(
    settings: &Settings,
    transport: Transport,
    account: Arc<Account>,
    protocol: Protocol,
    compression: Compression,
) -> Result<Counted<MetricExporter>, OtlpError> {
    let temporality = match settings.temporality {
        Temporality::Cumulative => opentelemetry_sdk::metrics::Temporality::Cumulative,
        Temporality::Delta => opentelemetry_sdk::metrics::Temporality::Delta,
        Temporality::LowMemory => opentelemetry_sdk::metrics::Temporality::LowMemory,
    };
    exporter!(
        transport,
        account,
        protocol,
        compression,
        MetricExporter::builder().with_temporality(temporality)
    )
}
