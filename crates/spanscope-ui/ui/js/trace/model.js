/**
 * A trace as columns, and what is derived from them: depths, subtrees and groups of equal siblings.
 * The functions are pure and do not recurse: traces may have a depth of 10,000 and 100,000 spans.
 * Rows are in depth-first order, so a subtree is the range from its row to `end[row]`.
 */

/** @typedef {import("../api-types.d.ts").TraceShape} Shape */

/** The minimum number of successive equal siblings that are shown as one line. */
const GROUP_FROM = 5;
/** Traces with fewer spans are shown without groups. */
const GROUPS_FROM_SPANS = 200;

/**
 * @typedef {object} Trace
 * @property {Shape} shape
 * @property {number} n
 * @property {number} scale nanoseconds of one unit of the shape
 * @property {number} duration in units, never 0
 * @property {Int32Array} depth
 * @property {Int32Array} end the row after the last one of the subtree
 * @property {Float64Array} start
 * @property {Float64Array} dur NaN if the span has not ended
 * @property {Uint8Array} error
 * @property {Uint8Array} path on the critical path
 * @property {Map<number, number>} tokens row to its index in `shape.tokens`
 * @property {Map<number, string>} missing row to the id of its parent
 * @property {Map<number, number>} folded row to the number of spans below it that were not loaded
 * @property {Int32Array} dotsFrom `dots` of a row are from `dotsFrom[row]` to `dotsFrom[row + 1]`
 * in `dotsAt`
 * @property {Int32Array} dotsAt
 * @property {Int32Array} group head of the group that the row is in, or -1
 * @property {Map<number, {count: number, end: number, total: number, last: number}>} groups by head
 * @property {number[]} calls rows of model calls
 */

/**
 * @param {Shape} shape
 * @param {number} [scaleNow] the duration of a running trace so far, in units of the shape
 * @returns {Trace}
 */
export function build(shape, scaleNow = 0) {
  const { n, parent } = shape;
  const depth = new Int32Array(n);
  const end = new Int32Array(n);
  let at = 0;
  const start = Float64Array.from(shape.start_steps, (step) => (at += step));
  const dur = Float64Array.from(shape.dur, (value) => value ?? NaN);
  const error = new Uint8Array(n);
  const path = new Uint8Array(n);
  for (const row of shape.errors) error[row] = 1;
  for (const [row] of shape.critical) if (row >= 0) path[row] = 1;
  const missing = new Map(shape.missing);
  for (let row = 0; row < n; row++) {
    const above = parent[row] ?? -1;
    depth[row] = above >= 0 ? (depth[above] ?? 0) + 1 : missing.has(row) ? 1 : 0;
    end[row] = row + 1;
  }
  for (let row = n - 1; row >= 0; row--) {
    const above = parent[row] ?? -1;
    if (above >= 0) end[above] = Math.max(end[above] ?? 0, end[row] ?? 0);
  }
  const { dotsFrom, dotsAt } = dotsByRow(shape);
  /** @type {Trace} */
  const trace = {
    shape,
    n,
    scale: shape.unit === "ms" ? 1e6 : 1,
    duration: Math.max(1, shape.duration, scaleNow),
    depth,
    end,
    start,
    dur,
    error,
    path,
    tokens: new Map(shape.tokens.at.map((row, i) => [row, i])),
    missing,
    folded: new Map(shape.folded.map(([row, spans]) => [row, spans])),
    dotsFrom,
    dotsAt,
    group: new Int32Array(n).fill(-1),
    groups: new Map(),
    calls: [],
  };
  for (let row = 0; row < n; row++) if (shape.step[row] === "l") trace.calls.push(row);
  if (n >= GROUPS_FROM_SPANS) findGroups(trace);
  return trace;
}

/** @param {Shape} shape */
function dotsByRow({ n, dots }) {
  const dotsFrom = new Int32Array(n + 1);
  for (const row of dots.at) dotsFrom[row + 1] = (dotsFrom[row + 1] ?? 0) + 1;
  for (let row = 0; row < n; row++) dotsFrom[row + 1] = (dotsFrom[row + 1] ?? 0) + (dotsFrom[row] ?? 0);
  const next = dotsFrom.slice();
  const dotsAt = new Int32Array(dots.at.length);
  dots.at.forEach((row, i) => {
    const at = next[row] ?? 0;
    dotsAt[at] = i;
    next[row] = at + 1;
  });
  return { dotsFrom, dotsAt };
}

/**
 * Groups successive siblings with the same name and service that have no errors or running spans,
 * and no long children.
 * @param {Trace} trace
 */
function findGroups(trace) {
  const { n, shape, end, dur, error } = trace;
  const { parent, name, service } = shape;
  const plain = new Uint8Array(n).fill(1);
  for (let row = n - 1; row >= 0; row--) {
    const above = parent[row] ?? -1;
    if (error[row] || Number.isNaN(dur[row])) plain[row] = 0;
    if (above < 0) continue;
    if (!plain[row] || (dur[row] ?? 0) > trace.duration / 100) plain[above] = 0;
  }
  // The last child of each parent. Roots share the index after the last row.
  const last = new Int32Array(n + 1).fill(-1);
  const head = new Int32Array(n).fill(-1);
  const counts = new Int32Array(n);
  for (let row = 0; row < n; row++) {
    const above = parent[row] ?? -1;
    const parentIndex = above >= 0 ? above : n;
    const before = last[parentIndex] ?? -1;
    const same =
      before >= 0 &&
      plain[row] &&
      plain[before] &&
      name[before] === name[row] &&
      service[before] === service[row] &&
      !trace.missing.has(row);
    const first = same ? (head[before] ?? row) : row;
    head[row] = first;
    counts[first] = (counts[first] ?? 0) + 1;
    last[parentIndex] = row;
  }
  for (let row = 0; row < n; row++) {
    const first = head[row] ?? -1;
    if (first < 0 || (counts[first] ?? 0) < GROUP_FROM) continue;
    trace.group[row] = first;
    const group = trace.groups.get(first) ?? { count: 0, end: 0, total: 0, last: 0 };
    group.count += 1;
    group.end = end[row] ?? row + 1;
    group.last = row;
    group.total += dur[row] ?? 0;
    trace.groups.set(first, group);
  }
}

/**
 * @param {Shape} shape
 * @param {number} row
 */
export function idOf(shape, row) {
  return shape.ids.slice(row * 16, row * 16 + 16);
}

/**
 * Returns the row of a span, or -1.
 * @param {Shape} shape
 * @param {string} id
 */
export function rowOf(shape, id) {
  if (!/^[0-9a-f]{16}$/.test(id)) return -1;
  // The text may also occur across the boundary between two ids.
  for (let at = shape.ids.indexOf(id); at >= 0; at = shape.ids.indexOf(id, at + 1))
    if (at % 16 === 0) return at / 16;
  return -1;
}

/** Returns the rows of some ids. @param {Trace} trace @param {string[]} ids */
export function rowsOf(trace, ids) {
  return new Set(ids.map((id) => rowOf(trace.shape, id)).filter((row) => row >= 0));
}

/**
 * Returns the time range of the address in units of the shape. The address contains it in
 * milliseconds from the start of the trace.
 * @param {Trace} trace
 * @param {string} text `FROM-TO`
 * @returns {[number, number]}
 */
export function zoomOf(trace, text) {
  const match = /^([\d.]+)-([\d.]+)$/.exec(text);
  if (!match) return [0, trace.duration];
  const unit = trace.shape.unit === "ms" ? 1 : 1e6;
  const from = Math.max(0, Number(match[1]) * unit);
  const to = Math.min(trace.duration, Number(match[2]) * unit);
  return to > from ? [from, to] : [0, trace.duration];
}

/**
 * The segments of the critical path by row, computed once for a trace.
 * @type {WeakMap<Trace, Map<number, Shape["critical"]>>}
 */
const segments = new WeakMap();

/** @param {Trace} trace @param {number} row */
export function segmentsOf(trace, row) {
  let map = segments.get(trace);
  if (!map) {
    map = new Map();
    for (const segment of trace.shape.critical) {
      const known = map.get(segment[0]);
      if (known) known.push(segment);
      else map.set(segment[0], [segment]);
    }
    segments.set(trace, map);
  }
  return map.get(row) ?? [];
}

/** @type {WeakMap<Trace, {size: Int32Array, position: Int32Array}>} */
const families = new WeakMap();

/** Returns the number of siblings of each row, and its position among them. @param {Trace} trace */
export function siblings(trace) {
  let known = families.get(trace);
  if (!known) {
    const { n, shape } = trace;
    const children = new Int32Array(n + 1);
    const position = new Int32Array(n);
    for (let row = 0; row < n; row++) {
      const above = shape.parent[row] ?? -1;
      const at = above >= 0 ? above : n;
      children[at] = (children[at] ?? 0) + 1;
      position[row] = children[at] ?? 1;
    }
    const size = Int32Array.from(
      { length: n },
      (_, row) => children[(shape.parent[row] ?? -1) >= 0 ? (shape.parent[row] ?? 0) : n] ?? 1,
    );
    known = { size, position };
    families.set(trace, known);
  }
  return known;
}

/** @type {WeakMap<Trace, Map<number, number>>} */
const medians = new WeakMap();

/**
 * Returns the median duration of a group of equal siblings.
 * @param {Trace} trace
 * @param {number} head
 */
export function groupMedian(trace, head) {
  let known = medians.get(trace);
  if (!known) medians.set(trace, (known = new Map()));
  let median = known.get(head);
  if (median === undefined) {
    const durations = [];
    const last = trace.groups.get(head)?.end ?? head;
    for (let row = head; row < last; row = trace.end[row] ?? last) durations.push(trace.dur[row] ?? 0);
    durations.sort((a, b) => a - b);
    median = durations[Math.max(0, Math.ceil(durations.length / 2) - 1)] ?? 0;
    known.set(head, median);
  }
  return median;
}

/**
 * Returns the services that the address hides. It contains a list of their names as JSON.
 * @param {Shape} shape
 * @param {string} text
 */
export function hiddenServices(shape, text) {
  /** @type {unknown} */
  let names = [];
  try {
    names = JSON.parse(text || "[]");
  } catch {
    // An invalid list hides nothing.
  }
  const all = Array.isArray(names) ? names.map((name) => shape.services.indexOf(name)) : [];
  return new Set(all.filter((service) => service >= 0));
}
