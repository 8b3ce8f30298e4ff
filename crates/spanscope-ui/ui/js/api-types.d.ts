/**
 * The answers below `api/`. Written from the server's schemas by its test
 * `types_of_the_pages_are_those_of_the_schemas`, with SPANSCOPE_WRITE_OPENAPI=1.
 */

export interface Account {
  offered: number;
  stored: number;
  dropped: Dropped;
  lost: number;
}

export interface Completion {
  text: string;
  /** The number of recent spans that have it; null if it was not counted. */
  count: number | null;
  type: string;
}

export interface Completions {
  items: Completion[];
}

export interface CriticalSum {
  duration: number;
  input: number;
  output: number;
  cost: number | null;
}

/** A truncated value. */
export interface CutValue {
  key: string;
  /** Bytes that are shown. */
  shown: number;
  /** Size of the full value, in bytes. */
  whole: number;
}

export interface Dropped {
  queue_full: number;
  write_failed: number;
  shutdown: number;
  sampled: number;
}

export interface Error {
  /** A code for programs; it never changes. */
  code: string;
  /** The message, for people. */
  message: string;
  /** How to correct the request. */
  what_to_do: string;
  /** For an invalid filter: the byte offset of the error. */
  at: number | null;
  /** For an invalid filter: the probable correction. */
  did_you_mean: string[] | null;
  /** For an unknown id: similar stored ids, the most similar first. */
  nearest: string[] | null;
}

/** Why a request failed. */
export interface Failure {
  error: Error;
}

/** One term. Positions count UTF-16 units, as in JavaScript. */
export interface FilterTermText {
  text: string;
  from: number;
  to: number;
  /** The key that it compares; null for a bare word. */
  key: string | null;
  negated: boolean;
}

export interface FilterWarning {
  key: string;
  from: number;
  to: number;
  message: string;
  did_you_mean: string | null;
}

export interface FirstError {
  span_id: SpanId;
  name: string;
  text: string;
}

export interface FoundSpans {
  /** The numbers of the matching rows of the trace's shape, ordered by start. */
  numbers: number[];
  total: number;
}

export interface Histogram {
  from: Timestamp;
  to: Timestamp;
  /** Nanoseconds of a bucket. */
  step_ns: number;
  /** Every k-th record was counted, and the counts were multiplied by k; 1 is exact. */
  every: number;
  /** The total number of records. */
  total: HistogramTotal;
  series: HistogramSeries[];
}

export interface HistogramSeries {
  name: string;
  counts: number[];
}

export interface HistogramTotal {
  count: number;
  /** Whether the number is exact, not extrapolated from a sample. */
  exact: boolean;
}

export interface IdMatch {
  trace_id: TraceId;
  /** The span's id, if the prefix is that of a span. */
  span_id: SpanId | null;
}

export interface LinkingSpan {
  trace_id: TraceId;
  span_id: SpanId;
  name: string;
  service: string;
}

export interface LogContext {
  /** Oldest first. */
  logs: LogRow[];
  /** The index of the event in the middle; null if it is no longer stored. */
  at: number | null;
}

export interface LogPage {
  logs: LogRow[];
  /** The cursor of the next page. */
  next: string | null;
  command: string | null;
}

export interface LogRow {
  id: string;
  time: Timestamp;
  severity: Severity;
  service: string;
  category: string;
  target: string;
  name: string;
  message: string;
  attributes: [string, string, string][];
  /** Whether the message or a value is truncated. */
  cut: boolean;
  trace_id: TraceId | null;
  span_id: SpanId | null;
}

export interface NameDurations {
  name: string;
  count: number;
  errors: number;
  p50_ms: number;
  p95_ms: number;
  p99_ms: number;
  total_ms: number;
}

export interface Names {
  names: NameDurations[];
  command: string;
}

export interface ParsedFilter {
  terms: FilterTermText[];
  warnings: FilterWarning[];
}

export interface ServerStatus {
  version: string;
  /** The name of the store. */
  store: string | null;
  /** Whether requests need a token. */
  tokens: boolean;
  /** The caller's tenant; null if the caller sees all tenants. */
  tenant: string | null;
  /** Whether the server has a price table. */
  prices: boolean;
  currency: string | null;
  /** How long records are kept. */
  retention_s: number | null;
  can: StoreCan;
  is_empty: boolean;
  now: Timestamp;
  traces: number;
  spans: number;
  bytes: number | null;
  /** The number of records that were dropped or lost. */
  lost: number | null;
  /** The options with which the command reads this store. */
  db: string | null;
}

export interface ServiceCount {
  service: string;
  spans: number;
  errors: number;
}

/**
 * The severity of a log message.
 *
 * - `verbose`: Finest detail; `tracing`'s TRACE.
 * - `debug`: For development.
 * - `info`: Normal operation.
 * - `warn`: May become a problem.
 * - `error`: Something failed; the program continues.
 * - `critical`: The program can't continue; an ERROR event with the field `severity = "critical"`.
 */
export type Severity = "verbose" | "debug" | "info" | "warn" | "error" | "critical";

export interface ShapeDots {
  at: number[];
  ns: number[];
  /** The severity: v(erbose), d(ebug), i(nfo), w(arn), e(rror), c(ritical). */
  severity: string;
  /** The number of omitted events. */
  more: number;
}

export interface ShapeTokens {
  at: number[];
  input: number[];
  output: number[];
  cached: number[];
  model: number[];
  cost: (number | null)[];
}

export interface SpanAmong {
  name: string;
  /** The time range of the spans that it is compared with, up to now: `24h`. */
  since: string;
  count: number;
  p50_ns: number;
  p95_ns: number;
  /** The share of them that took less time; null if there are none. */
  slower_than: number | null;
}

export interface SpanAround {
  /** The last failed span that began before it. */
  previous_error: SpanId | null;
  next_error: SpanId | null;
  /** The last call of a model that began before it. */
  previous_call: SpanId | null;
  next_call: SpanId | null;
  /** The spans that link to it, the most recently stored first. */
  linked_by: LinkingSpan[];
  /** Whether there are more. */
  linked_by_more: boolean;
}

export interface SpanDetails {
  span_id: SpanId;
  trace_id: TraceId;
  parent_id: SpanId | null;
  name: string;
  kind: SpanKind;
  state: SpanState;
  status: SpanStatus | null;
  status_message: string | null;
  start: Timestamp;
  end: Timestamp | null;
  duration_ns: number | null;
  service: string;
  target: string | null;
  category: string | null;
  level: Severity | null;
  attributes: [string, string, string][];
  /**
   * Values that are truncated in this response, and those that were truncated when they were
   * recorded.
   */
  cut: CutValue[];
  /** Values that were truncated when they were recorded: key, original size in bytes. */
  recorded_cut: [string, number][];
  resource: [string, string, string][];
  scope: SpanScope | null;
  trace_state: string | null;
  links: SpanLink[];
  /** The number of omitted links. */
  links_more: number;
  events: SpanEventRow[];
  /** Whether there are more events. */
  events_more: boolean;
  errors: SpanFailure[];
  usage: SpanUsage | null;
  command: string;
}

export interface SpanEventRow {
  id: string;
  time: Timestamp;
  /** Nanoseconds since the start of the span. */
  ns: number;
  name: string;
  severity: Severity;
  message: string;
  attributes: [string, string, string][];
}

export interface SpanFailure {
  type: string | null;
  message: string;
  /** The causes, from the outermost to the innermost. */
  causes: string[];
  stack: string | null;
}

/** The id of a span: 8 bytes in hexadecimal, not all zero. */
export type SpanId = string;

/**
 * The role of a span between programs, as OpenTelemetry names it (`otel.kind`).
 *
 * - `internal`: Work inside a program; the default.
 * - `server`: Handles a request.
 * - `client`: Makes a request.
 * - `producer`: Sends a message.
 * - `consumer`: Receives a message.
 */
export type SpanKind = "internal" | "server" | "client" | "producer" | "consumer";

export interface SpanLink {
  trace_id: TraceId;
  span_id: SpanId;
  /** The name of that trace's root; null if it is not stored. */
  root: string | null;
  attributes: [string, string, string][];
}

export interface SpanPage {
  spans: SpanRow[];
  /** The cursor of the next page. */
  next: string | null;
  command: string | null;
}

export interface SpanRow {
  trace_id: TraceId;
  span_id: SpanId;
  name: string;
  service: string;
  kind: SpanKind;
  start: Timestamp;
  duration_ns: number | null;
  state: SpanState;
  status: SpanStatus | null;
  status_message: string | null;
}

export interface SpanScope {
  name: string;
  version: string;
}

/**
 * Whether a span has ended.
 *
 * - `ended`: It has an end.
 * - `running`: The span and its program still run.
 * - `abandoned`: Its program ended before the span did.
 */
export type SpanState = "ended" | "running" | "abandoned";

/**
 * How a span ended.
 *
 * - `ok`: Without an error.
 * - `error`: With an error: set on the span, or caused by an ERROR event in it or by a panic.
 */
export type SpanStatus = "ok" | "error";

export interface SpanUsage {
  model: string;
  provider: string;
  input: number;
  output: number;
  cached_read: number;
  cached_write: number;
  cost: number | null;
}

export interface Store {
  traces: number;
  spans: number;
  events: number;
  points: number;
  bytes: number | null;
  file: StoreFile | null;
  oldest: Timestamp | null;
  newest: Timestamp | null;
  account: Account | null;
  services: ServiceCount[];
  retention_s: number | null;
  command: string;
}

/** What not every store can do. */
export interface StoreCan {
  /** It accepts records. */
  write: boolean;
  /** Spans are in it before they end. */
  run: boolean;
  /** Values of attributes keep their types; otherwise they are texts. */
  types: boolean;
  /** The neighbours of a span are found, and the spans that link to it. */
  around: boolean;
}

export interface StoreFile {
  bytes: number;
  wal_bytes: number;
  free_bytes: number;
}

/** A time between 1677 and 2262. Without an offset it is UTC. */
export type Timestamp = string;

/** The id of a trace: 16 bytes in hexadecimal, not all zero. */
export type TraceId = string;

export interface TracePage {
  /** A version that increases with each change of the store. */
  version: number;
  now: Timestamp;
  currency: string | null;
  traces: TraceRow[];
  /** The cursor of the next page. */
  next: string | null;
  /** The command that prints these traces; null if there is none. */
  command: string | null;
}

export interface TraceRow {
  trace_id: TraceId;
  root_span_id: SpanId;
  root: string;
  service: string;
  start: Timestamp;
  duration_ns: number | null;
  state: SpanState;
  status: SpanStatus | null;
  spans: number;
  errors: number;
  calls: number;
  input: number;
  output: number;
  cached: number;
  /** The cost; null if there was no call, or if the cost of one is unknown. */
  cost: number | null;
  /** Models that used tokens and have no price. */
  unpriced: string[];
  models: string[];
  run: string | null;
  agent: string | null;
  session: string | null;
  user: string | null;
  error: FirstError | null;
}

/** Times are relative to `start`, in `unit`. Words are abbreviated to one letter a row. */
export interface TraceShape {
  trace_id: TraceId;
  /** The cursor from which to follow the trace. */
  cursor: string;
  /** The unit of times: `ns` or `ms`. */
  unit: string;
  start: Timestamp;
  duration: number;
  state: SpanState;
  /** The number of stored spans. */
  stored: number;
  /** The previous trace by start; null if only a part is shown. */
  older: TraceId | null;
  /** The next trace by start. */
  newer: TraceId | null;
  /** The number of rows in this response. */
  n: number;
  /** The span ids: 16 digits for each row. */
  ids: string;
  /** The row of the parent; -1 if there is none. */
  parent: number[];
  /** Rows whose parents are not stored, and the ids of those parents. */
  missing: [number, SpanId][];
  /** The start of each row, as the difference to that of the row before: fewer digits. */
  start_steps: number[];
  dur: (number | null)[];
  /** A unique number for each row, as span ids can repeat: the difference to the row before. */
  number_steps: number[];
  names: string[];
  name: number[];
  services: string[];
  service: number[];
  /** The kind: i(nternal), s(erver), c(lient), p(roducer), or o for consumer. */
  kind: string;
  /** The state: e(nded), r(unning), a(bandoned). */
  state_of: string;
  /**
   * The step: a(gent), w(orkflow), l(lm), r(etrieval), t(ool), m(essage), n(ode), or h for
   * thinking.
   */
  step: string;
  /** Rows that failed. */
  errors: number[];
  tokens: ShapeTokens;
  models: string[];
  currency: string | null;
  dots: ShapeDots;
  /** The critical path: row (-1: none), from, to. */
  critical: [number, number, number][];
  critical_sum: CriticalSum;
  /**
   * Omitted spans: row (-1: whole trees), number of omitted spans below it, duration of the
   * longest.
   */
  folded: [number, number, number][];
  command: string;
}

export interface Without {
  terms: WithoutTerm[];
}

export interface WithoutTerm {
  /** A term of the filter, or the name of a parameter. */
  term: string;
  /** The number of traces that match without it, up to 1,000. */
  count: number;
}
