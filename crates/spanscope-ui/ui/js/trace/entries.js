/** Starts, ends and events of a trace in the order of time. Pure, as the model is. */
import { duration, parseTime } from "../format.js";
import { rowOf } from "./model.js";

/** @typedef {import("../api-types.d.ts").LogRow} LogRow */
/**
 * @typedef {{
 *   at: number,
 *   order: number,
 *   row: number,
 *   what: "started" | "ended" | "event",
 *   severity: string,
 *   text: string,
 * }} Entry
 */

/**
 * @param {import("./model.js").Trace} trace
 * @param {LogRow[]} logs
 */
export function entries(trace, logs) {
  const { shape } = trace;
  const zero = parseTime(shape.start);
  /** @type {Entry[]} */
  const all = [];
  for (let row = 0; row < trace.n; row++) {
    const start = trace.start[row] ?? 0;
    all.push({ at: start, order: 0, row, what: "started", severity: "", text: "started" });
    const dur = trace.dur[row] ?? NaN;
    if (!Number.isNaN(dur)) {
      all.push({
        at: start + dur,
        order: 2,
        row,
        what: "ended",
        severity: "",
        text: `ended after ${duration(dur * trace.scale)}${trace.error[row] ? " with an error" : ""}`,
      });
    }
  }
  for (const log of logs) {
    const time = parseTime(log.time);
    // Milliseconds apart and the digits below them, so that nothing is rounded.
    const ns =
      (Math.floor(time.ms) - Math.floor(zero.ms)) * 1e6 +
      (Number(time.digits.slice(3)) - Number(zero.digits.slice(3)));
    const pairs = log.attributes.slice(0, 8).map(([key, , value]) => `${key}=${value.slice(0, 80)}`);
    all.push({
      at: ns / trace.scale,
      order: 1,
      row: rowOf(shape, log.span_id ?? ""),
      what: "event",
      severity: log.severity,
      text: [log.message || log.name, ...pairs].join(" "),
    });
  }
  // Starts before what happens inside, ends behind it, children's before their parents'.
  return all.sort(
    (a, b) => a.at - b.at || a.order - b.order || (a.what === "ended" ? b.row - a.row : a.row - b.row),
  );
}
