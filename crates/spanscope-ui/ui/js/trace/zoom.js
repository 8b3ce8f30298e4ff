/**
 * Sets the time range that is shown. The address contains it, in milliseconds from the start of the
 * trace.
 */
import { adjust } from "../page.js";

/** @typedef {import("./model.js").Trace} Trace */

/** @param {Trace} trace @param {[number, number]} zoom */
export function setZoom(trace, [from, to]) {
  const least = Math.max(trace.duration / 1e6, 1e-3);
  const a = Math.max(0, Math.min(from, trace.duration - least));
  const b = Math.min(trace.duration, Math.max(to, a + least));
  const unit = trace.shape.unit === "ms" ? 1 : 1e6;
  const all = a <= 0 && b >= trace.duration;
  adjust({ zoom: all ? null : `${+(a / unit).toFixed(6)}-${+(b / unit).toFixed(6)}` });
}

/** @param {Trace} trace @param {number} row @param {number} cursor */
export function fit(trace, row, cursor) {
  const start = trace.start[row] ?? 0;
  const end = Number.isNaN(trace.dur[row]) ? cursor : start + (trace.dur[row] ?? 0);
  const room = Math.max((end - start) * 0.05, trace.duration / 1e5);
  setZoom(trace, [start - room, end + room]);
}
