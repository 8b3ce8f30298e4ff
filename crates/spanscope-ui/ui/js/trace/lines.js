/**
 * Determines which lines of a trace are shown, by folds, groups and filters. Pure, like the model.
 */

import { count, duration, plain } from "../format.js";

/** @typedef {import("./model.js").Trace} Trace */

/**
 * The signs and names of the kinds of steps, by the letters of `shape.step`.
 * @type {Map<string, [string, string]>}
 */
export const STEPS = new Map([
  ["a", ["◈", "agent"]],
  ["w", ["⧉", "workflow"]],
  ["l", ["✦", "model call"]],
  ["r", ["⌕", "retrieval"]],
  ["t", ["⚒", "tool"]],
  ["h", ["…", "thinking"]],
  ["m", ["✉", "message"]],
  ["n", ["·", ""]],
]);

/** Kinds of lines: a span, a group, a missing parent, and spans that are not loaded. */
export const SPAN = 0;
export const GROUP = 1;
export const MISSING = 2;
export const FOLDED = 3;

/**
 * @typedef {object} View
 * @property {Set<number>} closed rows whose subtree is folded
 * @property {boolean} grouped whether groups are one line
 * @property {Set<number>} opened heads of groups that are unfolded
 * @property {Set<number>} hidden services that are not shown
 * @property {Uint8Array | null} only rows that are shown, with their ancestors
 */

/**
 * @typedef {object} Lines
 * @property {Int32Array} row
 * @property {Uint8Array} kind
 * @property {Int32Array} at the line of each row, or of the line that hides it
 * @property {number} length
 * @property {number} hiddenSpans spans of hidden services
 */

/**
 * Returns the lines that are shown.
 * @param {Trace} trace
 * @param {View} view
 * @returns {Lines}
 */
export function lines(trace, view) {
  const { n, end, shape } = trace;
  const room = n + trace.missing.size + trace.folded.size + trace.groups.size;
  const row = new Int32Array(room);
  const kind = new Uint8Array(room);
  const at = new Int32Array(n).fill(-1);
  let length = 0;
  let hiddenSpans = 0;
  const push = (/** @type {number} */ r, /** @type {number} */ k) => {
    row[length] = r;
    kind[length] = k;
    length += 1;
  };
  let r = 0;
  while (r < n) {
    const next = end[r] ?? r + 1;
    if (view.only && !view.only[r]) {
      at.fill(length - 1, r, next);
      r = next;
      continue;
    }
    const group = view.grouped && !view.only ? trace.groups.get(r) : undefined;
    if (group) {
      push(r, GROUP);
      if (!view.opened.has(r)) {
        at.fill(length - 1, r, group.end);
        r = group.end;
        continue;
      }
    }
    if (view.hidden.has(shape.service[r] ?? -1)) {
      hiddenSpans += 1;
      at[r] = length - 1;
      r += 1;
      continue;
    }
    if (trace.missing.has(r)) push(r, MISSING);
    at[r] = length;
    push(r, SPAN);
    if (view.closed.has(r)) {
      at.fill(length - 1, r, next);
      r = next;
    } else {
      if (trace.folded.has(r)) push(r, FOLDED);
      r += 1;
    }
  }
  // Whole trees that were not loaded are below no row.
  if (trace.folded.has(-1)) push(-1, FOLDED);
  return { row, kind, at, length, hiddenSpans };
}

/**
 * Returns the depth at which a line is shown. Members of an open group are below its line.
 * @param {Trace} trace
 * @param {View} view
 * @param {Lines} shown
 * @param {number} line
 */
export function lineDepth(trace, view, shown, line) {
  const row = shown.row[line] ?? 0;
  const depth = trace.depth[row] ?? 0;
  const kind = shown.kind[line];
  if (kind === MISSING) return depth - 1;
  if (kind === FOLDED) return depth + 1;
  if (kind === SPAN && view.grouped && !view.only && trace.group[row] !== -1) return depth + 1;
  return depth;
}

/** @param {Trace} trace @param {number} row */
export function hasChildren(trace, row) {
  return (trace.end[row] ?? 0) > row + 1;
}

/**
 * Returns the ancestors of a row, the nearest first.
 * @param {Trace} trace
 * @param {number} row
 */
export function ancestors(trace, row) {
  const above = [];
  for (let r = trace.shape.parent[row] ?? -1; r >= 0; r = trace.shape.parent[r] ?? -1) above.push(r);
  return above;
}

/**
 * Returns the view with everything opened that hides the row.
 * @param {Trace} trace
 * @param {View} view
 * @param {number} row
 * @returns {View}
 */
export function reveal(trace, view, row) {
  const closed = new Set(view.closed);
  const opened = new Set(view.opened);
  const hidden = new Set(view.hidden);
  for (const r of [row, ...ancestors(trace, row)]) {
    if (r !== row) closed.delete(r);
    const head = trace.group[r] ?? -1;
    if (head >= 0) opened.add(head);
  }
  hidden.delete(trace.shape.service[row] ?? -1);
  return { ...view, closed, opened, hidden, only: view.only && !view.only[row] ? null : view.only };
}

/**
 * Marks the rows and their ancestors.
 * @param {Trace} trace
 * @param {Iterable<number>} rows
 */
export function withAncestors(trace, rows) {
  const marked = new Uint8Array(trace.n);
  for (const row of rows) {
    for (let r = row; r >= 0 && !marked[r]; r = trace.shape.parent[r] ?? -1) marked[r] = 1;
  }
  return marked;
}

/**
 * Returns all rows with children at or below a depth, to be folded.
 * @param {Trace} trace
 * @param {number} [depth]
 */
export function foldFrom(trace, depth = 0) {
  /** @type {Set<number>} */
  const closed = new Set();
  for (let row = 0; row < trace.n; row++) {
    if ((trace.depth[row] ?? 0) >= depth && hasChildren(trace, row)) closed.add(row);
  }
  return closed;
}

/**
 * Returns the rows with children that are not on the critical path, to be folded.
 * @param {Trace} trace
 */
export function foldOffPath(trace) {
  /** @type {Set<number>} */
  const closed = new Set();
  for (let row = 0; row < trace.n; row++)
    if (!trace.path[row] && hasChildren(trace, row)) closed.add(row);
  return closed;
}

/**
 * Returns the next or previous one of some rows. After the last one follows the first.
 * @param {readonly number[]} rows in their order
 * @param {number} from
 * @param {1 | -1} step
 */
export function nextOf(rows, from, step) {
  if (rows.length === 0) return -1;
  if (step > 0) return rows.find((row) => row > from) ?? rows[0] ?? -1;
  return rows.findLast((row) => row < from) ?? rows.at(-1) ?? -1;
}

/**
 * Returns a copy of the set with the value, or without it.
 * @param {Set<number>} set
 * @param {number} value
 * @param {boolean} has
 */
export function changed(set, value, has) {
  const next = new Set(set);
  if (has) next.add(value);
  else next.delete(value);
  return next;
}

/**
 * Describes the row of a span for screen readers: what its line and its bar show.
 * @param {Trace} trace
 * @param {number} row
 */
export function says(trace, row) {
  const { shape, scale } = trace;
  const words = [plain(shape.names[shape.name[row] ?? 0] || "(no name)")];
  const step = STEPS.get(shape.step[row] ?? "n")?.[1];
  if (step) words.push(step);
  if (trace.error[row]) words.push("error");
  const dur = trace.dur[row] ?? NaN;
  const open = shape.state_of[row] === "a" ? "abandoned" : "running";
  words.push(Number.isNaN(dur) ? open : duration(dur * scale));
  words.push(`starts at ${duration((trace.start[row] ?? 0) * scale)}`);
  if (shape.services.length > 1)
    words.push(`service ${plain(shape.services[shape.service[row] ?? 0] ?? "", 60)}`);
  const at = trace.tokens.get(row);
  if (at !== undefined)
    words.push(
      `${count(shape.tokens.input[at] ?? 0)} tokens in, ${count(shape.tokens.output[at] ?? 0)} out`,
    );
  if (trace.path[row]) words.push("on the critical path");
  return words.join(", ");
}
