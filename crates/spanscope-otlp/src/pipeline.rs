//! The pipeline of each signal from OpenTelemetry's batch processor to the collector: the
//! processor, exporter and transport of the settings.
//!
//! Spanscope's queues and threads and the types of `tracing` do not belong here.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{BatchConfigBuilder as LogConfig, BatchLogProcessor, LogProcessor as _};
use opentelemetry_sdk::metrics::{
    Aggregation, Instrument, InstrumentKind, PeriodicReader, SdkMeterProvider, Stream,
};
use opentelemetry_sdk::trace::{BatchConfigBuilder as SpanConfig, BatchSpanProcessor, SpanProcessor as _};

use crate::account::Account;
use crate::convert::Shape;
use crate::error::OtlpError;
use crate::exporters;
use crate::outlets::{MetricOutlet, Outlet};
use crate::settings::{BatchSettings, Compression, ContentPolicy, Endpoint, Protocol, Settings, Signal};
use crate::transport::Transport;

/// Builds the outlet of each signal that is sent; `None` for one that is not.
pub(crate) struct Pipelines<'a> {
    pub(crate) settings: &'a Settings,
    /// By [`Signal::index`].
    pub(crate) accounts: &'a [Arc<Account>; 3],
    pub(crate) max_value_len: usize,
}

impl Pipelines<'_> {
    pub(crate) fn spans(&self, resource: &Resource) -> Result<Option<Outlet<BatchSpanProcessor>>, OtlpError> {
        let batch = self.settings.spans;
        let Some(wire) = self.wire(Signal::Traces, batch.export_timeout)? else {
            return Ok(None);
        };
        let (endpoint, shape) = (
            wire.endpoint,
            self.shape(self.settings.span_content, wire.protocol),
        );
        let account = self.account(Signal::Traces);
        let exporter = exporters::spans(
            wire.transport,
            Arc::clone(&account),
            wire.protocol,
            wire.compression,
        )?;
        let config = SpanConfig::default()
            .with_max_queue_size(batch.max_queue_size)
            .with_max_export_batch_size(batch_size(batch))
            .with_scheduled_delay(batch.delay)
            .build();
        let mut processor = BatchSpanProcessor::builder(exporter)
            .with_batch_config(config)
            .build();
        processor.set_resource(resource);
        Ok(Some(Outlet {
            processor,
            account,
            max_queue_size: batch.max_queue_size,
            shape,
            endpoint,
        }))
    }

    pub(crate) fn logs(&self, resource: &Resource) -> Result<Option<Outlet<BatchLogProcessor>>, OtlpError> {
        let batch = self.settings.logs;
        let Some(wire) = self.wire(Signal::Logs, batch.export_timeout)? else {
            return Ok(None);
        };
        let (endpoint, shape) = (
            wire.endpoint,
            self.shape(self.settings.log_content, wire.protocol),
        );
        let account = self.account(Signal::Logs);
        let exporter = exporters::logs(
            wire.transport,
            Arc::clone(&account),
            wire.protocol,
            wire.compression,
        )?;
        let config = LogConfig::default()
            .with_max_queue_size(batch.max_queue_size)
            .with_max_export_batch_size(batch_size(batch))
            .with_scheduled_delay(batch.delay)
            .build();
        let mut processor = BatchLogProcessor::builder(exporter)
            .with_batch_config(config)
            .build();
        processor.set_resource(resource);
        Ok(Some(Outlet {
            processor,
            account,
            max_queue_size: batch.max_queue_size,
            shape,
            endpoint,
        }))
    }

    pub(crate) fn metrics(&self, resource: Resource) -> Result<Option<MetricOutlet>, OtlpError> {
        let Some(wire) = self.wire(Signal::Metrics, self.settings.metric_timeout)? else {
            return Ok(None);
        };
        let account = self.account(Signal::Metrics);
        let exporter = exporters::metrics(
            self.settings,
            wire.transport,
            Arc::clone(&account),
            wire.protocol,
            wire.compression,
        )?;
        let reader = PeriodicReader::builder(exporter)
            .with_interval(self.settings.metric_interval)
            .build();
        let mut provider = SdkMeterProvider::builder()
            .with_resource(resource)
            .with_reader(reader);
        if self.settings.exponential_histograms {
            provider = provider.with_view(exponential);
        }
        Ok(Some(MetricOutlet {
            provider: provider.build(),
            account,
            endpoint: wire.endpoint,
        }))
    }

    fn account(&self, signal: Signal) -> Arc<Account> {
        Arc::clone(&self.accounts[signal.index()])
    }

    fn shape(&self, content: ContentPolicy, protocol: Protocol) -> Shape {
        Shape {
            content,
            limits: self.settings.limits,
            is_json: protocol == Protocol::HttpJson,
            max_value_len: self.max_value_len,
        }
    }

    /// Returns the connection of a signal to its collector; `None` if the signal is not sent.
    fn wire(&self, signal: Signal, give_up_after: Duration) -> Result<Option<Wire>, OtlpError> {
        if !self.settings.is_on[signal.index()] {
            return Ok(None);
        }
        let config = self.settings.config(signal);
        let protocol = config.protocol.unwrap_or_default();
        let endpoint = Endpoint::of(self.settings, signal, protocol).map_err(OtlpError::setting)?;
        let shown = endpoint.shown.clone();
        Ok(Some(Wire {
            transport: Transport::new(&config, endpoint, self.account(signal), give_up_after)?,
            protocol,
            compression: config.compression.unwrap_or_default(),
            endpoint: shown,
        }))
    }
}

/// The parts of a signal's exporter.
struct Wire {
    transport: Transport,
    protocol: Protocol,
    compression: Compression,
    /// The collector's name in messages.
    endpoint: String,
}

/// Returns the size of a batch, which is at most the length of the queue.
fn batch_size(batch: BatchSettings) -> usize {
    batch.max_batch_size.min(batch.max_queue_size)
}

fn exponential(instrument: &Instrument) -> Option<Stream> {
    let aggregation = Aggregation::Base2ExponentialHistogram {
        max_size: 160,
        max_scale: 20,
        record_min_max: true,
    };
    let is_histogram = instrument.kind() == InstrumentKind::Histogram;
    is_histogram.then(|| Stream::builder().with_aggregation(aggregation).build().ok())?
}
