//! Random requests: none panics, none is lost uncounted, and both encodings give the same result.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Sent;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum, exemplar, number_data_point,
};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use prost::Message;

use super::both;
use crate::otlp::{Encoding, Signal, convert};

/// Pseudo-random numbers, the same in every run: xorshift.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> usize {
        usize::try_from(self.next() % end).unwrap()
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64)].clone()
    }

    fn list<T>(&mut self, most: u64, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| make(self)).collect()
    }

    fn id(&mut self, length: usize) -> Vec<u8> {
        let length = match self.below(30) {
            0 => 0,
            1 => length - 1,
            2 => length + 1,
            _ => length,
        };
        let byte = self.pick(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 0]);
        vec![byte; length]
    }

    fn time(&mut self) -> u64 {
        match self.below(30) {
            0 => 0,
            1 => u64::MAX,
            2 => 1 << 63,
            3 => 1,
            _ => self.next() >> 2,
        }
    }

    fn text(&mut self) -> String {
        self.pick(&[
            "",
            "a",
            "category",
            "message",
            "é\u{1f600}\"\\\n\u{0}",
            "severity",
            "exception",
        ])
        .to_owned()
    }

    /// Finite, because the JSON of `opentelemetry-proto` can't represent others.
    fn float(&mut self) -> f64 {
        self.pick(&[0.0, -1.5, 1.0, 1e300, f64::MIN_POSITIVE, 3.1])
    }

    fn value(&mut self, depth: u32) -> AnyValue {
        let kinds = if depth > 3 { 6 } else { 8 };
        let value = match self.below(kinds) {
            0 => None,
            1 => Some(Sent::StringValue(self.text())),
            2 => Some(Sent::BoolValue(self.below(2) == 0)),
            3 => Some(Sent::IntValue(self.next().cast_signed())),
            4 => Some(Sent::DoubleValue(self.float())),
            5 => Some(Sent::BytesValue(self.id(4))),
            6 => Some(Sent::ArrayValue(ArrayValue {
                values: self.list(3, |chance| chance.value(depth + 1)),
            })),
            _ => Some(Sent::KvlistValue(KeyValueList {
                values: self.list(3, |chance| chance.pair(depth + 1)),
            })),
        };
        AnyValue { value }
    }

    fn pair(&mut self, depth: u32) -> KeyValue {
        KeyValue {
            key: self.text(),
            value: (self.below(8) > 0).then(|| self.value(depth)),
            key_strindex: 0,
        }
    }

    fn pairs(&mut self) -> Vec<KeyValue> {
        let most = if self.below(50) == 0 { 200 } else { 3 };
        self.list(most, |chance| chance.pair(0))
    }

    fn span(&mut self) -> Span {
        Span {
            trace_id: self.id(16),
            span_id: self.id(8),
            trace_state: self.text(),
            parent_span_id: self.pick(&[Vec::new(), vec![8; 8], vec![1; 8], vec![1; 3]]),
            flags: 257,
            name: self.text(),
            kind: self.pick(&[0, 1, 2, 3, 4, 5, 6, -1]),
            start_time_unix_nano: self.time(),
            end_time_unix_nano: self.time(),
            attributes: self.pairs(),
            dropped_attributes_count: self.pick(&[0, 1, u32::MAX]),
            events: self.list(3, |chance| Event {
                time_unix_nano: chance.time(),
                name: chance.text(),
                attributes: chance.pairs(),
                dropped_attributes_count: 0,
            }),
            dropped_events_count: self.pick(&[0, u32::MAX]),
            links: self.list(2, |chance| Link {
                trace_id: chance.id(16),
                span_id: chance.id(8),
                attributes: chance.pairs(),
                ..Link::default()
            }),
            dropped_links_count: self.pick(&[0, u32::MAX]),
            status: (self.below(2) > 0).then(|| Status {
                message: self.text(),
                code: self.pick(&[0, 1, 2, 9]),
            }),
        }
    }

    fn log(&mut self) -> LogRecord {
        LogRecord {
            time_unix_nano: self.time(),
            // Without any time it would get the current one, which differs between two conversions.
            observed_time_unix_nano: 5,
            severity_number: self.pick(&[0, 1, 9, 24, 25, -1, i32::MAX]),
            severity_text: self.text(),
            body: (self.below(4) > 0).then(|| self.value(0)),
            attributes: self.pairs(),
            trace_id: self.id(16),
            span_id: self.id(8),
            event_name: self.text(),
            ..LogRecord::default()
        }
    }

    fn exemplar(&mut self) -> Exemplar {
        Exemplar {
            filtered_attributes: self.pairs(),
            time_unix_nano: self.time(),
            span_id: self.id(8),
            trace_id: self.id(16),
            value: Some(exemplar::Value::AsDouble(self.float())),
        }
    }

    fn number(&mut self) -> NumberDataPoint {
        NumberDataPoint {
            attributes: self.pairs(),
            start_time_unix_nano: self.time(),
            time_unix_nano: self.time(),
            exemplars: self.list(2, Self::exemplar),
            flags: 0,
            value: match self.below(3) {
                0 => None,
                1 => Some(number_data_point::Value::AsInt(self.next().cast_signed())),
                _ => Some(number_data_point::Value::AsDouble(self.float())),
            },
        }
    }

    fn metric(&mut self) -> Metric {
        let aggregation_temporality = self.pick(&[1, 2, 2, 0, 5]);
        let data = match self.below(3) {
            0 => Data::Gauge(Gauge {
                data_points: self.list(3, Self::number),
            }),
            1 => Data::Sum(Sum {
                data_points: self.list(3, Self::number),
                aggregation_temporality,
                is_monotonic: self.below(2) > 0,
            }),
            _ => Data::Histogram(Histogram {
                aggregation_temporality,
                data_points: self.list(3, |chance| HistogramDataPoint {
                    attributes: chance.pairs(),
                    start_time_unix_nano: chance.time(),
                    time_unix_nano: chance.time(),
                    count: chance.next(),
                    sum: (chance.below(2) > 0).then(|| chance.float()),
                    bucket_counts: chance.list(3, Self::next),
                    explicit_bounds: chance.list(3, Self::float),
                    exemplars: chance.list(2, Self::exemplar),
                    ..HistogramDataPoint::default()
                }),
            }),
        };
        Metric {
            name: self.text(),
            unit: self.text(),
            data: Some(data),
            ..Metric::default()
        }
    }

    pub(super) fn traces(&mut self) -> ExportTraceServiceRequest {
        super::traces(self.list(4, Self::span))
    }

    pub(super) fn logs(&mut self) -> ExportLogsServiceRequest {
        super::logs(self.list(4, Self::log))
    }

    pub(super) fn metrics(&mut self) -> ExportMetricsServiceRequest {
        super::metrics(self.list(4, Self::metric))
    }
}

#[test]
fn both_encodings_of_a_request_have_the_same_result_and_every_record_is_kept_or_counted() {
    let mut chance = Chance(0x5eed);
    let (mut kept, mut rejected) = (0, 0);
    for _ in 0..500 {
        let request = chance.traces();
        let converted = both(Signal::Traces, &request);
        let spans: usize = converted.records.sources.iter().map(|of| of.spans.len()).sum();
        let sent = request.resource_spans[0].scope_spans[0].spans.len() as u64;
        assert_eq!(spans as u64 + converted.rejected, sent);
        // Times that are far ahead are reported too.
        assert!(converted.rejected == 0 || !converted.message.is_empty());
        kept += spans;
        rejected += converted.rejected;

        let request = chance.logs();
        let converted = both(Signal::Logs, &request);
        let sent = request.resource_logs[0].scope_logs[0].log_records.len() as u64;
        assert_eq!(converted.records.len() + converted.rejected, sent);

        let request = chance.metrics();
        let converted = both(Signal::Metrics, &request);
        let sent: usize = request.resource_metrics[0].scope_metrics[0]
            .metrics
            .iter()
            .map(|metric| match metric.data.as_ref().unwrap() {
                Data::Gauge(of) => of.data_points.len(),
                Data::Sum(of) => of.data_points.len(),
                Data::Histogram(of) => of.data_points.len(),
                _ => 0,
            })
            .sum();
        assert_eq!(converted.records.len() + converted.rejected, sent as u64);
    }
    assert!(kept > 200 && rejected > 200, "{kept} kept, {rejected} rejected");
}

#[test]
fn corrupted_bodies_cause_no_panic() {
    let mut chance = Chance(0xbad);
    for _ in 0..500 {
        let (signal, protobuf, json) = match chance.below(3) {
            0 => of(Signal::Traces, &chance.traces()),
            1 => of(Signal::Logs, &chance.logs()),
            _ => of(Signal::Metrics, &chance.metrics()),
        };
        for (encoding, mut body) in [(Encoding::Protobuf, protobuf), (Encoding::Json, json)] {
            for _ in 0..=chance.below(4) {
                if body.is_empty() {
                    break;
                }
                let position = chance.below(body.len() as u64);
                match chance.below(3) {
                    0 => body.truncate(position),
                    1 => body[position] = chance.pick(b"\x00\xff\x0a0\"[]{}-,:\\n"),
                    _ => {
                        body.remove(position);
                    }
                }
            }
            // Whether it can still be read does not matter, nor as which signal.
            for other in [signal, Signal::Traces, Signal::Metrics, Signal::Logs] {
                let _ = convert(other, encoding, &body, None);
            }
        }
    }
}

fn of<T: Message + serde::Serialize>(signal: Signal, request: &T) -> (Signal, Vec<u8>, Vec<u8>) {
    let json = serde_json::to_vec(request).unwrap();
    (signal, request.encode_to_vec(), json)
}
