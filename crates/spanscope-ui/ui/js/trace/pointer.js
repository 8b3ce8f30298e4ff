/** Handles the pointer on the waterfall: selecting and folding rows, and zooming the axis. */
import { useEffect, useRef } from "../../vendor/preact.js";
import { GROUP, SPAN } from "./lines.js";
import { fit, setZoom } from "./zoom.js";

/** @typedef {import("./model.js").Trace} Trace */
/** @typedef {import("./moves.js").MovesProps} MovesProps */

/** A shorter drag, in pixels, is a click. */
const LEAST_DRAG = 4;

/** @param {MovesProps} moves */
export function usePointer(moves) {
  const now = useRef(moves);
  now.current = moves;
  useEffect(() => {
    const grid = moves.grid.current;
    if (!grid) return;
    const { host, axis } = grid;
    const clicked = (/** @type {MouseEvent} */ event) => {
      const { shown, toggle, goLine, select } = now.current;
      const at = lineAt(event);
      if (at < 0) return;
      if (event.target instanceof Element && event.target.closest(".fold")?.textContent) toggle(at);
      else if (shown.kind[at] === SPAN) select(shown.row[at] ?? -1);
      else {
        goLine(at);
        toggle(at);
      }
    };
    const doubled = (/** @type {MouseEvent} */ event) => {
      const { shown, trace, cursor } = now.current;
      const at = lineAt(event);
      if (at >= 0 && shown.kind[at] !== GROUP) fit(trace, shown.row[at] ?? 0, cursor);
    };
    const wheeled = (/** @type {WheelEvent} */ event) =>
      wheel(event, now.current.trace, now.current.zoom, axis);
    const pressed = (/** @type {PointerEvent} */ event) =>
      event.button === 0 && drag(event, axis, now.current.trace, now.current.zoom);
    host.addEventListener("click", clicked);
    host.addEventListener("dblclick", doubled);
    host.addEventListener("wheel", wheeled, { passive: false });
    axis.addEventListener("pointerdown", pressed);
    return () => {
      host.removeEventListener("click", clicked);
      host.removeEventListener("dblclick", doubled);
      host.removeEventListener("wheel", wheeled);
      axis.removeEventListener("pointerdown", pressed);
    };
  }, []);
}

/** @param {MouseEvent} event */
function lineAt(event) {
  const row = event.target instanceof Element ? event.target.closest(".wrows .wrow") : null;
  return row?.id.startsWith("line-") ? Number(row.id.slice(5)) : -1;
}

/**
 * Zooms at the pointer with Ctrl and the wheel, and moves the time range with Shift and the wheel.
 * @param {WheelEvent} event
 * @param {Trace} trace
 * @param {[number, number]} zoom
 * @param {HTMLElement} axis
 */
function wheel(event, trace, zoom, axis) {
  if (!(event.ctrlKey || event.shiftKey)) return;
  event.preventDefault();
  const box = axis.getBoundingClientRect();
  const span = zoom[1] - zoom[0];
  if (event.shiftKey) {
    const step = span * (event.deltaY || event.deltaX) * 0.001;
    const moved = Math.max(-zoom[0], Math.min(trace.duration - zoom[1], step));
    return setZoom(trace, [zoom[0] + moved, zoom[1] + moved]);
  }
  const share = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
  const factor = Math.exp(event.deltaY * 0.002);
  const at = zoom[0] + span * share;
  setZoom(trace, [at - span * factor * share, at + span * factor * (1 - share)]);
}

/**
 * Selects a time range by dragging on the axis.
 * @param {PointerEvent} event
 * @param {HTMLElement} axis
 * @param {Trace} trace
 * @param {[number, number]} zoom
 */
function drag(event, axis, trace, zoom) {
  const box = axis.getBoundingClientRect();
  const from = event.clientX;
  const at = (/** @type {number} */ x) =>
    zoom[0] + Math.max(0, Math.min(1, (x - box.left) / box.width)) * (zoom[1] - zoom[0]);
  event.preventDefault();
  axis.setPointerCapture(event.pointerId);
  const mark = (/** @type {PointerEvent} */ moved) => {
    const [a, b] = [from - box.left, moved.clientX - box.left].sort((x, y) => x - y);
    const range = `transparent ${a}px, var(--select) ${a}px ${b}px, transparent ${b}px`;
    axis.style.background = `linear-gradient(to right, ${range})`;
  };
  const end = (/** @type {PointerEvent} */ moved) => {
    axis.style.background = "";
    axis.removeEventListener("pointermove", mark);
    axis.removeEventListener("pointerup", end);
    axis.removeEventListener("pointercancel", end);
    if (moved.type === "pointerup" && Math.abs(moved.clientX - from) >= LEAST_DRAG) {
      const [a, b] = [at(from), at(moved.clientX)];
      setZoom(trace, a < b ? [a, b] : [b, a]);
    }
  };
  axis.addEventListener("pointermove", mark);
  axis.addEventListener("pointerup", end);
  axis.addEventListener("pointercancel", end);
}
