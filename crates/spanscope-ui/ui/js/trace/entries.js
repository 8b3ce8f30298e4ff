/** Starts, ends and events of a trace in chronological order. Pure, like the model. */
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
  const origin = parseTime(shape.start);
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
    // Milliseconds and the digits below them are subtracted separately, so that nothing is rounded.
    const ns =
      (Math.floor(time.ms) - Math.floor(origin.ms)) * 1e6 +
      (Number(time.digits.slice(3)) - Number(origin.digits.slice(3)));
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
  // At equal times: starts, then events, then ends, where children end before their parents.
  return all.sort(
    (a, b) => a.at - b.at || a.order - b.order || (a.what === "ended" ? b.row - a.row : a.row - b.row),
  );
}
