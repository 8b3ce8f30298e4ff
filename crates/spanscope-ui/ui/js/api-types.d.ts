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
  /** How many of the spans that were stored last have it; null where that was not counted. */
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

/** A value of which a part is shown. */
export interface CutValue {
  key: string;
  /** Bytes that are shown. */
  shown: number;
  /** Bytes of the whole value. */
  whole: number;
}

export interface Dropped {
  queue_full: number;
  write_failed: number;
  shutdown: number;
  sampled: number;
}

export interface Error {
  /** For programs; it never changes. */
  code: string;
  /** For people. */
  message: string;
  /** How to correct the request. */
  what_to_do: string;
  /** Of a wrong filter: the byte where it is wrong. */
  at: number | null;
  /** For an invalid filter: the probable correction. */
  did_you_mean: string[] | null;
  /** Of an id that is not stored: stored ones that begin like it, the most alike first. */
  nearest: string[] | null;
}

/** Why a request failed. */
export interface Failure {
  error: Error;
}

/** One term. Places count UTF-16 units, as texts of browsers do. */
export interface FilterTermText {
  text: string;
  from: number;
  to: number;
  /** The key that it compares; null of a word alone. */
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
  /** The numbers of the shape's rows, by start. */
  numbers: number[];
  total: number;
}

export interface Histogram {
  from: Timestamp;
  to: Timestamp;
  /** Nanoseconds of a bucket. */
  step_ns: number;
  /** Every k-th record was looked at, and the counts multiplied by k; 1 is exact. */
  every: number;
  /** How many records there are in all. */
  total: HistogramTotal;
  series: HistogramSeries[];
}

export interface HistogramSeries {
  name: string;
  counts: number[];
}

export interface HistogramTotal {
  count: number;
  /** Not a multiple of a part that was looked at. */
  exact: boolean;
}

export interface IdMatch {
  trace_id: TraceId;
  /** The span, where it is one's id. */
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
  /** The index of the event in the middle; null where it is not stored any more. */
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
  /** The message or a value is cut. */
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
  /** Callers bring a token. */
  tokens: boolean;
  /** The caller's tenant; null where the caller sees everything. */
  tenant: string | null;
  /** There is a table of prices. */
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
  /** Records that were dropped or lost. */
  lost: number | null;
  /** Options that a command needs to read this store. */
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
  /** Verbose, debug, info, warn, error, critical. */
  severity: string;
  /** Events that are left out. */
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
  /** The time of the spans that it is compared with. */
  since: string;
  count: number;
  p50_ns: number;
  p95_ns: number;
  /** The part of them that took less time; null where there is none. */
  slower_than: number | null;
}

export interface SpanAround {
  /** The last failed span that began before it. */
  previous_error: SpanId | null;
  next_error: SpanId | null;
  /** The last call of a model that began before it. */
  previous_call: SpanId | null;
  next_call: SpanId | null;
  /** The spans that link to it, those that were stored last first. */
  linked_by: LinkingSpan[];
  /** There are more of them. */
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
  /** Values that are cut here, and those that were cut when they were recorded. */
  cut: CutValue[];
  /** Values that were cut when they were recorded: key, bytes that were there. */
  recorded_cut: [string, number][];
  resource: [string, string, string][];
  scope: SpanScope | null;
  trace_state: string | null;
  links: SpanLink[];
  /** Links that are left out. */
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
  /** From the outer to the inner cause. */
  causes: string[];
  stack: string | null;
}

/** Names a span: 8 bytes in hexadecimal, not all zero. */
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
  /** The name of that trace's root; null where it is not stored. */
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
}

export interface StoreFile {
  bytes: number;
  wal_bytes: number;
  free_bytes: number;
}

/** A time between 1677 and 2262. Without an offset it is UTC. */
export type Timestamp = string;

/** Names a trace: 16 bytes in hexadecimal, not all zero. */
export type TraceId = string;

export interface TracePage {
  /** Grows with each change of the store. */
  version: number;
  now: Timestamp;
  currency: string | null;
  traces: TraceRow[];
  /** The cursor of the next page. */
  next: string | null;
  /** The command that prints these traces; null where none does. */
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
  /** Null where there was no call, or the cost of one is not known. */
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

/** Times count from `start`, in `unit`. Letters stand for words, one a row. */
export interface TraceShape {
  trace_id: TraceId;
  /** Where to follow the trace from. */
  cursor: string;
  /** `ns` or `ms`. */
  unit: string;
  start: Timestamp;
  duration: number;
  state: SpanState;
  /** Spans that are stored. */
  stored: number;
  /** The trace that began right before this one; null where only a part is shown. */
  older: TraceId | null;
  /** The trace that began right after it. */
  newer: TraceId | null;
  /** Rows of this answer. */
  n: number;
  /** 16 digits for each row. */
  ids: string;
  /** The row of the parent; -1 where it has none. */
  parent: number[];
  /** Rows whose parents are not stored, and the ids of these. */
  missing: [number, SpanId][];
  start_at: number[];
  dur: (number | null)[];
  /** Tells rows apart, also where an id came twice. */
  number: number[];
  names: string[];
  name: number[];
  services: string[];
  service: number[];
  /** Internal, server, client, producer, o: consumer. */
  kind: string;
  /** Ended, running, abandoned. */
  state_of: string;
  /** Agent, workflow, llm, retrieval, tool, h: thinking, message, node. */
  step: string;
  /** Rows that failed. */
  errors: number[];
  tokens: ShapeTokens;
  models: string[];
  currency: string | null;
  dots: ShapeDots;
  /** Row (-1: none), from, to. */
  critical: [number, number, number][];
  critical_sum: CriticalSum;
  /** Row (-1: whole trees), spans that were left out below it, the longest of them. */
  folded: [number, number, number][];
  command: string;
}

export interface Without {
  terms: WithoutTerm[];
}

export interface WithoutTerm {
  /** A term of the filter, or the name of a parameter. */
  term: string;
  /** How many traces fit without it, up to 1,000. */
  count: number;
}
