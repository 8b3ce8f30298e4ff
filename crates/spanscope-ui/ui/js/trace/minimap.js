/** A strip with the whole trace, in which a time range is selected. */
import { h, useEffect, useRef, useState } from "../../vendor/preact.js";
import { onTheme } from "../keys.js";
import { adjust } from "../page.js";
import { EDGE, coloursOf, prepare } from "./paint.js";
import { setZoom } from "./zoom.js";

/** @typedef {import("./model.js").Trace} Trace */
/** @typedef {import("./paint.js").Colours} Colours */

/**
 * @param {{
 *   trace: Trace,
 *   zoom: [number, number],
 *   cursor: number,
 * }} props
 */
export function Minimap({ trace, zoom, cursor }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const [drag, setDrag] = useState(/** @type {[number, number] | null} */ (null));
  const [size, setSize] = useState(0);
  useEffect(() => {
    const redraw = () => setSize((n) => n + 1);
    const observer = new ResizeObserver(redraw);
    if (canvas.current) observer.observe(canvas.current);
    const end = onTheme(redraw);
    return () => {
      observer.disconnect();
      end();
    };
  }, []);
  const part = drag ?? zoom;
  useEffect(() => {
    const box = canvas.current;
    if (box)
      paintMinimap(
        box,
        { trace, zoom: part, cursor },
        { width: box.clientWidth, height: box.clientHeight },
        coloursOf(document.body),
      );
  }, [trace, part[0], part[1], cursor, size]);
  const at = (/** @type {PointerEvent} */ event) => {
    const box = /** @type {Element} */ (event.currentTarget).getBoundingClientRect();
    return Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)) * trace.duration;
  };
  return h("canvas", {
    ref: canvas,
    class: "minimap",
    "aria-hidden": "true",
    title: "Drag to select a time range",
    onPointerDown: (/** @type {PointerEvent} */ event) => {
      if (event.button !== 0) return;
      /** @type {Element} */ (event.currentTarget).setPointerCapture(event.pointerId);
      setDrag([at(event), at(event)]);
    },
    onPointerMove: (/** @type {PointerEvent} */ event) => drag && setDrag([drag[0], at(event)]),
    onPointerUp: () => {
      if (drag) {
        const [a, b] = drag[0] < drag[1] ? drag : [drag[1], drag[0]];
        if (b - a > trace.duration / 200) setZoom(trace, [a, b]);
      }
      setDrag(null);
    },
    onDblClick: () => adjust({ zoom: null }),
  });
}

/**
 * Draws the whole trace: when its rows run, the errors, and the time range that is shown.
 * @param {HTMLCanvasElement} canvas
 * @param {{trace: Trace, zoom: [number, number], cursor: number}} scene
 * @param {{width: number, height: number}} box
 * @param {Colours} colours
 */
function paintMinimap(canvas, scene, { width, height }, colours) {
  const context = prepare(canvas, width, height);
  if (!context) return;
  const { trace, zoom, cursor } = scene;
  const w = Math.floor(width);
  const lineHeight = Math.max(2, Math.min(4, height / Math.max(1, trace.n)));
  const rows = Math.max(1, Math.floor((height - 4) / lineHeight));
  const scale = (w - EDGE) / trace.duration;
  // By how many spans the number of running ones changes at each pixel of each line. This needs
  // only one pass, even over 100,000 spans.
  const steps = new Int32Array((w + 2) * rows);
  for (let row = 0; row < trace.n; row++) {
    const y = Math.min(rows - 1, trace.n <= rows ? row : Math.floor((row / trace.n) * rows));
    const start = trace.start[row] ?? 0;
    const stop = Number.isNaN(trace.dur[row]) ? cursor : start + (trace.dur[row] ?? 0);
    const from = Math.max(0, Math.min(w - 1, Math.floor(start * scale)));
    const to = Math.max(from + 1, Math.min(w, Math.ceil(stop * scale)));
    steps[y * (w + 2) + from] = (steps[y * (w + 2) + from] ?? 0) + 1;
    steps[y * (w + 2) + to] = (steps[y * (w + 2) + to] ?? 0) - 1;
  }
  context.fillStyle = colours.services[0] ?? colours.text;
  for (let y = 0; y < rows; y++) {
    let running = 0;
    let since = -1;
    for (let x = 0; x <= w; x++) {
      running += steps[y * (w + 2) + x] ?? 0;
      if (running > 0 && since < 0) since = x;
      else if (running <= 0 && since >= 0) {
        context.fillRect(since, 2 + y * lineHeight, x - since, Math.max(1, lineHeight - 0.8));
        since = -1;
      }
    }
  }
  context.fillStyle = colours.error;
  let marked = -9;
  for (const row of trace.shape.errors) {
    const x = Math.floor((trace.start[row] ?? 0) * scale);
    if (x === marked) continue;
    marked = x;
    context.fillRect(x - 1, 0, 3, height);
  }
  const left = zoom[0] * scale;
  const right = zoom[1] * scale + EDGE;
  if (left > 0.5 || right < w - 0.5) {
    context.globalAlpha = 0.6;
    context.fillStyle = colours.back;
    context.fillRect(0, 0, left, height);
    context.fillRect(right, 0, width - right, height);
    context.globalAlpha = 1;
    context.strokeStyle = colours.text;
    context.strokeRect(left + 0.5, 0.5, Math.max(2, right - left - 1), height - 1);
  }
}
