/** Statistics of a trace by the names of its spans. Pure, like the model. */

/** @typedef {import("./model.js").Trace} Trace */

/**
 * Returns, by row, the time in which a span ran and none of its children did.
 * @param {Trace} trace
 */
export function selfTimes({ n, start, dur, shape, duration }) {
  const self = new Float64Array(n);
  const covered = new Float64Array(n).fill(-1);
  const ends = (/** @type {number} */ row) =>
    (start[row] ?? 0) + (Number.isNaN(dur[row]) ? duration - (start[row] ?? 0) : (dur[row] ?? 0));
  for (let row = 0; row < n; row++) {
    self[row] = (self[row] ?? 0) + Math.max(0, ends(row) - (start[row] ?? 0));
    const above = shape.parent[row] ?? -1;
    if (above < 0) continue;
    const from = Math.max(start[row] ?? 0, start[above] ?? 0, covered[above] ?? 0);
    const to = Math.min(ends(row), ends(above));
    if (to > from) {
      self[above] = (self[above] ?? 0) - (to - from);
      covered[above] = to;
    }
  }
  return self;
}

/**
 * Returns, by row, the time on the critical path.
 * @param {Trace} trace
 */
export function pathTimes({ n, shape }) {
  const times = new Float64Array(n);
  for (const [row, from, to] of shape.critical)
    if (row >= 0) times[row] = (times[row] ?? 0) + (to - from);
  return times;
}

/**
 * @typedef {object} NameRow
 * @property {string} name
 * @property {string} service
 * @property {number} count
 * @property {number} errors
 * @property {number} p50
 * @property {number} p95
 * @property {number} max
 * @property {number} total
 * @property {number} self
 * @property {number} path
 * @property {number} tokens
 * @property {number | null} cost
 * @property {number} first the first row of the name
 */

/**
 * Returns the statistics by name and service, with times in units of the shape.
 * @param {Trace} trace
 * @returns {NameRow[]}
 */
export function byName(trace) {
  const { shape, n } = trace;
  const self = selfTimes(trace);
  const onPath = pathTimes(trace);
  /** @type {Map<number, number[]>} */
  const rows = new Map();
  for (let row = 0; row < n; row++) {
    const key = (shape.name[row] ?? 0) * shape.services.length + (shape.service[row] ?? 0);
    const known = rows.get(key);
    if (known) known.push(row);
    else rows.set(key, [row]);
  }
  return [...rows.values()].map((members) => {
    const first = members[0] ?? 0;
    const durations = Float64Array.from(
      members.map((row) => trace.dur[row] ?? NaN).filter((d) => !Number.isNaN(d)),
    ).sort();
    const sum = (/** @type {(row: number) => number} */ of) =>
      members.reduce((total, row) => total + of(row), 0);
    const costs = members.flatMap((row) => {
      const at = trace.tokens.get(row);
      return at === undefined ? [] : [shape.tokens.cost[at] ?? null];
    });
    return {
      name: shape.names[shape.name[first] ?? 0] ?? "",
      service: shape.services[shape.service[first] ?? 0] ?? "",
      count: members.length,
      errors: sum((row) => trace.error[row] ?? 0),
      p50: quantile(durations, 0.5),
      p95: quantile(durations, 0.95),
      max: durations.at(-1) ?? NaN,
      total: durations.reduce((a, b) => a + b, 0),
      self: sum((row) => self[row] ?? 0),
      path: sum((row) => onPath[row] ?? 0),
      tokens: sum((row) => {
        const at = trace.tokens.get(row);
        return at === undefined ? 0 : (shape.tokens.input[at] ?? 0) + (shape.tokens.output[at] ?? 0);
      }),
      cost:
        costs.length === 0 || costs.includes(null)
          ? null
          : costs.reduce((/** @type {number} */ a, b) => a + (b ?? 0), 0),
      first,
    };
  });
}

/**
 * Returns the smallest value such that at least this share of all values is not greater.
 * @param {Float64Array} sorted
 * @param {number} share
 */
export function quantile(sorted, share) {
  if (sorted.length === 0) return NaN;
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * share) - 1))] ?? NaN;
}
