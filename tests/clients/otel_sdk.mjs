// Sends traces, metrics and logs with the OpenTelemetry SDK for Node, and prints what it sent as
// one JSON document, in the shape that `otel_sdk.py` describes.
//
//     SPANSCOPE_NODE_CLIENT=FOLDER_OF_NODE_MODULES \
//         node otel_sdk.mjs ENDPOINT|default http/protobuf|http/json cumulative|delta [none|gzip]
//
// It exits with 1 if an export fails, which the SDK itself only tells a logger that is not set.

import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

// Settings of the machine must not change the sent records or their destination. The SDK reads some
// of it when it is loaded.
for (const name of Object.keys(process.env)) {
  if (name.startsWith('OTEL_') || /^(http|https|all)_proxy$/i.test(name)) delete process.env[name];
}

const [endpoint, protocol, temporality, compression = 'none'] = process.argv.slice(2);
const kinds = { 'http/protobuf': 'proto', 'http/json': 'http' };
if (!(protocol in kinds)) throw new Error(`no exporter for ${protocol}`);

// Configured as users do: through the environment.
if (endpoint !== 'default') process.env.OTEL_EXPORTER_OTLP_ENDPOINT = endpoint;
if (temporality !== 'cumulative') process.env.OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE = temporality;
if (compression !== 'none') process.env.OTEL_EXPORTER_OTLP_COMPRESSION = compression;

// An import looks for packages only next to this file, and they are elsewhere.
const require = createRequire(join(resolve(process.env.SPANSCOPE_NODE_CLIENT), 'package.json'));
const { context, createTraceState, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, ValueType } =
  require('@opentelemetry/api');
const { SeverityNumber } = require('@opentelemetry/api-logs');
const { defaultResource, resourceFromAttributes } = require('@opentelemetry/resources');
const { BatchSpanProcessor, NodeTracerProvider, RandomIdGenerator } = require('@opentelemetry/sdk-trace-node');
const { BatchLogRecordProcessor, LoggerProvider } = require('@opentelemetry/sdk-logs');
const { AggregationTemporality, AggregationType, DataPointType, MeterProvider, PeriodicExportingMetricReader } =
  require('@opentelemetry/sdk-metrics');
const exporter = (signal) => require(`@opentelemetry/exporter-${signal}-otlp-${kinds[protocol]}`);
const { OTLPTraceExporter } = exporter('trace');
const { OTLPMetricExporter } = exporter('metrics');
const { OTLPLogExporter } = exporter('logs');

const sent = { spans: [], metrics: new Map(), logs: [] };
const failed = [];

// Describes the records during their export: a second reader of metrics would collect its own
// numbers and times.
function recorded(exporter, describe) {
  const send = exporter.export.bind(exporter);
  exporter.export = (batch, done) => {
    describe(batch);
    send(batch, (result) => {
      if (result.code !== 0) failed.push(`${exporter.constructor.name}: ${result.error}`);
      done(result);
    });
  };
  return exporter;
}

// A value with its type in OTLP. A number of JavaScript has none: the exporters send every whole
// one as an integer.
function typed(value) {
  if (typeof value === 'string') return { type: 'string', value };
  if (typeof value === 'boolean') return { type: 'bool', value };
  if (typeof value === 'number') return { type: Number.isInteger(value) ? 'int' : 'double', value };
  if (Array.isArray(value)) return { type: 'array', value: value.map(typed) };
  return { type: 'map', value: attributes(value) };
}

function attributes(given = {}) {
  return Object.fromEntries(Object.entries(given).map(([key, value]) => [key, typed(value)]));
}

// As text, like OTLP's own JSON: JavaScript has no numbers for it.
const nanos = ([seconds, rest]) => String(BigInt(seconds) * 1_000_000_000n + BigInt(rest));

const scope = (given) => ({
  name: given.name,
  version: given.version ?? '',
  attributes: attributes(given.attributes),
});

function describeSpans(batch) {
  for (const span of batch) {
    const { traceId, spanId, traceState } = span.spanContext();
    sent.spans.push({
      trace_id: traceId,
      span_id: spanId,
      parent_span_id: span.parentSpanContext?.spanId ?? null,
      parent_is_remote: span.parentSpanContext?.isRemote ?? false,
      trace_state: traceState?.serialize() ?? '',
      name: span.name,
      kind: SpanKind[span.kind],
      start_ns: nanos(span.startTime),
      end_ns: nanos(span.endTime),
      status: { code: SpanStatusCode[span.status.code], message: span.status.message ?? '' },
      attributes: attributes(span.attributes),
      events: span.events.map((event) => ({
        name: event.name,
        time_ns: nanos(event.time),
        attributes: attributes(event.attributes),
      })),
      links: span.links.map((link) => ({
        trace_id: link.context.traceId,
        span_id: link.context.spanId,
        trace_state: link.context.traceState?.serialize() ?? '',
        attributes: attributes(link.attributes),
      })),
      scope: scope(span.instrumentationScope),
    });
  }
}

function describePoint({ attributes: labels, startTime, endTime, value }, { dataPointType, descriptor }) {
  const described = { attributes: attributes(labels), start_ns: nanos(startTime), time_ns: nanos(endTime), exemplars: [] };
  if (dataPointType === DataPointType.SUM || dataPointType === DataPointType.GAUGE) {
    // Here the instrument determines the type, whatever the number is.
    return { ...described, value: { type: descriptor.valueType === ValueType.INT ? 'int' : 'double', value } };
  }
  const { count, sum, min, max } = value;
  if (dataPointType === DataPointType.HISTOGRAM) {
    const { boundaries, counts } = value.buckets;
    return { ...described, count, sum, min, max, bounds: boundaries, bucket_counts: counts };
  }
  const side = ({ offset, bucketCounts }) => ({ offset, bucket_counts: bucketCounts });
  const [positive, negative] = [side(value.positive), side(value.negative)];
  return { ...described, count, sum, min, max, scale: value.scale, zero_count: value.zeroCount, positive, negative };
}

function describeMetrics({ scopeMetrics }) {
  for (const ofScope of scopeMetrics) {
    for (const metric of ofScope.metrics) {
      const { name, description, unit } = metric.descriptor;
      if (!sent.metrics.has(name)) {
        const isGauge = metric.dataPointType === DataPointType.GAUGE;
        sent.metrics.set(name, {
          name,
          description,
          unit,
          kind: DataPointType[metric.dataPointType].toLowerCase(),
          temporality: isGauge ? null : AggregationTemporality[metric.aggregationTemporality].toLowerCase(),
          monotonic: metric.isMonotonic ?? null,
          scope: scope(ofScope.scope),
          points: [],
        });
      }
      sent.metrics.get(name).points.push(...metric.dataPoints.map((point) => describePoint(point, metric)));
    }
  }
}

function describeLogs(batch) {
  for (const record of batch) {
    sent.logs.push({
      time_ns: nanos(record.hrTime),
      observed_ns: nanos(record.hrTimeObserved),
      severity_number: record.severityNumber,
      severity_text: record.severityText ?? '',
      event_name: record.eventName ?? '',
      body: typed(record.body),
      attributes: attributes(record.attributes),
      trace_id: record.spanContext?.traceId ?? null,
      span_id: record.spanContext?.spanId ?? null,
      scope: scope(record.instrumentationScope),
    });
  }
}

const resource = defaultResource().merge(
  resourceFromAttributes({ 'service.name': 'node-sdk', 'service.version': '1.2.3', 'worker.index': 7 }),
);
const tracers = new NodeTracerProvider({
  resource,
  spanProcessors: [new BatchSpanProcessor(recorded(new OTLPTraceExporter(), describeSpans))],
});
tracers.register(); // which makes a span the current one across calls
const loggers = new LoggerProvider({
  resource,
  processors: [new BatchLogRecordProcessor({ exporter: recorded(new OTLPLogExporter(), describeLogs) })],
});
const meters = new MeterProvider({
  resource,
  // An interval so long that it collects only on request: a slow run sends the same points.
  readers: [
    new PeriodicExportingMetricReader({
      exporter: recorded(new OTLPMetricExporter(), describeMetrics),
      exportIntervalMillis: 3_600_000,
    }),
  ],
  views: [{ instrumentName: 'app.payload', aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } }],
});

const tracer = tracers.getTracer('clients.tracer', '0.1');
const meter = meters.getMeter('clients.meter', '0.2');
const log = loggers.getLogger('clients.app');

const int = { valueType: ValueType.INT };
const requests = meter.createCounter('app.requests', { ...int, unit: '{request}', description: 'Requests that came in' });
const cost = meter.createCounter('app.cost', { unit: 'USD', description: 'What the models cost' });
const queue = meter.createUpDownCounter('app.queue', { ...int, unit: '{job}', description: 'Jobs that wait' });
const duration = meter.createHistogram('app.duration', {
  unit: 's',
  description: 'How long it took',
  advice: { explicitBucketBoundaries: [0.1, 0.5, 1, 5] },
});
const payload = meter.createHistogram('app.payload', { ...int, unit: 'By', description: 'How large it was' });
meter.createObservableGauge('app.temperature', { unit: 'Cel' }).addCallback((result) => {
  result.observe(21.5, { room: 'lab' });
  result.observe(-4.25, { room: 'yard' });
});

function measure(factor) {
  requests.add(3 * factor, { route: '/chat', ok: true });
  requests.add(1, { route: '/health', ok: true });
  cost.add(0.125 * factor, { model: 'large' });
  queue.add(5);
  queue.add(-2 * factor);
  for (const seconds of [0.05, 0.1, 0.75, 7.5]) duration.record(seconds * factor, { route: '/chat' });
  for (const size of [0, 1, 300, 4096 * factor]) payload.record(size);
}

const usage = { 'gen_ai.usage.input_tokens': 120, 'gen_ai.usage.output_tokens': 30 };
const chat = {
  'gen_ai.operation.name': 'chat',
  'gen_ai.provider.name': 'openai',
  'gen_ai.request.model': 'large',
  'gen_ai.request.temperature': 0.5,
  'gen_ai.response.model': 'large-2026-01-01',
  'gen_ai.response.finish_reasons': ['stop'],
};
const agent = { 'gen_ai.operation.name': 'invoke_agent', 'gen_ai.agent.name': 'planner' };

// A caller elsewhere began the trace. Its ids are new in each run, so that runs against one store
// don't mix.
const ids = new RandomIdGenerator();
const newContext = () => ({ traceId: ids.generateTraceId(), spanId: ids.generateSpanId(), traceFlags: 1, isRemote: true });
const caller = { ...newContext(), traceState: createTraceState('vendor=opaque,other=00f067') };

// Runs `work` in a span, and ends the span.
function within(name, options, work, parent = context.active()) {
  return tracer.startActiveSpan(name, options, parent, (span) => {
    try {
      return work(span);
    } finally {
      span.end();
    }
  });
}

const info = { severityNumber: SeverityNumber.INFO, severityText: 'INFO' };
log.emit({ ...info, body: 'before any span', attributes: { attempt: 1 } });
const remote = trace.setSpanContext(ROOT_CONTEXT, caller);
const producer = within('POST /chat', { kind: SpanKind.SERVER }, (server) => {
  server.setAttributes({
    text: 'grüße 🦀',
    'text.empty': '',
    yes: true,
    no: false,
    int: 42,
    'int.largest': Number.MAX_SAFE_INTEGER,
    'int.smallest': Number.MIN_SAFE_INTEGER,
    double: 0.1,
    'double.tiny': 1e-300,
    texts: ['a', 'b'],
    ints: [1, -2],
    doubles: [0.5, 1.5],
    bools: [true, false],
    empty: [],
  });
  server.addEvent('accepted', { bytes: 512, cached: false });
  server.addEvent('bare');
  log.emit({
    severityNumber: SeverityNumber.WARN,
    severityText: 'WARN',
    body: 'queue is 80 % full',
    attributes: { queue: 'chat', full: 0.8 },
  });
  measure(1);
  // The agent's span has the sum of its calls too; a sum over all spans counts them twice.
  within('invoke_agent planner', { attributes: { ...agent, ...usage } }, () => {
    within('chat large', { kind: SpanKind.CLIENT, attributes: { ...chat, ...usage } }, (span) => {
      log.emit({ severityNumber: SeverityNumber.DEBUG, severityText: 'DEBUG', body: 'asked the model' });
      span.setStatus({ code: SpanStatusCode.OK });
    });
    within('execute_tool weather', { attributes: { 'gen_ai.tool.name': 'weather' } }, (span) => {
      const error = new RangeError('no such city');
      span.recordException(error);
      span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
      log.emit({
        severityNumber: SeverityNumber.ERROR,
        severityText: 'ERROR',
        body: 'the tool failed',
        attributes: { 'exception.type': error.name, 'exception.message': error.message },
      });
    });
  });
  return within('publish', { kind: SpanKind.PRODUCER }, (span) => span.spanContext());
}, remote);

const links = [
  { context: producer, attributes: { 'messaging.offset': 9, why: 'caused by' } },
  { context: newContext() },
];
within('consume', { kind: SpanKind.CONSUMER, links }, () => {
  loggers.getLogger('clients.events', '0.3').emit({
    severityNumber: SeverityNumber.TRACE,
    eventName: 'message.read',
    body: { id: 12, parts: ['head', 0.5], done: true },
    attributes: { nested: { depth: 1 } },
  });
});
log.emit({ severityNumber: SeverityNumber.FATAL, severityText: 'FATAL', body: 'after all spans' });

await meters.forceFlush();
measure(2);
// The second collection is the shutdown's.
await Promise.all([meters, loggers, tracers].map((provider) => provider.shutdown()));

const client = {
  language: 'node',
  version: resource.attributes['telemetry.sdk.version'],
  endpoint,
  protocol,
  temporality,
  compression,
};
const metrics = [...sent.metrics.values()];
console.log(JSON.stringify({ client, resource: attributes(resource.attributes), ...sent, metrics }));
if (failed.length > 0) {
  console.error('exports failed:', failed);
  process.exitCode = 1;
}
