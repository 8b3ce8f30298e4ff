/**
 * Draws the bars of the rows in view, and the axis. The colours are the custom properties of the
 * style sheet, which are read again when the theme changes.
 */
import { axisText, duration as durationText, ticks } from "../format.js";
import { GROUP, SPAN } from "./lines.js";
import { groupMedian, segmentsOf } from "./model.js";

/** @typedef {import("./model.js").Trace} Trace */
/** @typedef {import("./lines.js").Lines} Lines */

/** @typedef {{width: number, top: number, barHeight: number, x: (at: number) => number}} BarBox */
/** @typedef {typeof import("./marks.js")} Marks */

/**
 * @typedef {{
 *   text: string,
 *   dim: string,
 *   line: string,
 *   error: string,
 *   path: string,
 *   shade: string,
 *   back: string,
 *   services: string[],
 *   steps: Record<string, string>,
 *   font: string,
 * }} Colours
 */

/** The colours of bars by the kind of step: the letters of `shape.step`. */
export const STEP_COLOURS = new Map([
  ["a", 2],
  ["w", 5],
  ["l", 0],
  ["r", 1],
  ["t", 3],
  ["h", 6],
  ["m", 4],
  ["n", 7],
]);

/** @param {Element} element @returns {Colours} */
export function coloursOf(element) {
  // The value of a custom property is text. The computed style of the probe has it as a colour.
  const probe = document.createElement("span");
  probe.hidden = true;
  // Otherwise, with forced colours, every text would have the same colour.
  probe.style.forcedColorAdjust = "none";
  element.append(probe);
  const style = getComputedStyle(probe);
  const colour = (/** @type {string} */ name) => {
    probe.style.color = `var(${name})`;
    return style.color;
  };
  const colours = {
    text: colour("--ink"),
    dim: colour("--dim"),
    line: colour("--line"),
    error: colour("--error"),
    path: colour("--path"),
    shade: colour("--shade"),
    back: colour("--back"),
    services: Array.from({ length: 8 }, (_, i) => colour(`--s${i}`)),
    steps: Object.fromEntries([...STEP_COLOURS].map(([step, i]) => [step, colour(`--s${i}`)])),
    font: `11px ${style.fontFamily}`,
  };
  probe.remove();
  return colours;
}

/**
 * Fits a canvas to its box in device pixels, and clears it.
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 */
export function prepare(canvas, width, height) {
  const ratio = devicePixelRatio || 1;
  const w = Math.max(1, Math.round(width * ratio));
  const h = Math.max(1, Math.round(height * ratio));
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  const context = canvas.getContext("2d");
  if (!context) return null;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** The minimum width of a bar, so that it is visible. */
const LEAST = 2;
/** The space at the right edge, so that the end of the last bar is visible. */
export const EDGE = 4;
/**
 * @typedef {object} Scene
 * @property {Trace} trace
 * @property {Lines} shown
 * @property {[number, number]} zoom in units of the shape
 * @property {boolean} path whether the critical path is shown
 * @property {Uint8Array | null} matches
 * @property {number} cursor the end of the bars of running spans
 * @property {boolean} byKind whether the kind of step determines the colour, not the service
 * @property {Marks | null} marks
 */

/**
 * Draws the bars of the lines from `first` on.
 * @param {HTMLCanvasElement} canvas
 * @param {Scene} scene
 * @param {{
 *   first: number,
 *   count: number,
 *   offset: number,
 *   width: number,
 *   height: number,
 *   rowHeight: number,
 *   barTop: number,
 *   barHeight: number,
 * }} box
 * @param {Colours} colours
 */
export function paintBars(canvas, scene, box, colours) {
  const context = prepare(canvas, box.width, box.height);
  if (!context) return;
  const { shown, zoom } = scene;
  const scale = (box.width - EDGE) / (zoom[1] - zoom[0]);
  const x = (/** @type {number} */ at) => (at - zoom[0]) * scale;
  context.font = colours.font;
  context.textBaseline = "middle";
  context.strokeStyle = colours.line;
  context.lineWidth = 1;
  // If the names are above the bars, lines would cross them.
  for (const at of box.barTop < box.rowHeight / 2 ? ticks(zoom[0], zoom[1], box.width / 110) : []) {
    const line = Math.round(x(at)) + 0.5;
    context.beginPath();
    context.moveTo(line, 0);
    context.lineTo(line, box.height);
    context.stroke();
  }
  for (let i = 0; i < box.count; i++) {
    const line = box.first + i;
    if (line >= shown.length) break;
    const kind = shown.kind[line];
    if (kind !== SPAN && kind !== GROUP) continue;
    const top = i * box.rowHeight - box.offset + box.barTop;
    paintBar(context, scene, line, { ...box, top, x }, colours);
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {number} line
 * @param {BarBox} box
 * @param {Colours} colours
 */
function paintBar(context, scene, line, box, colours) {
  const { trace, shown, path, matches, cursor, marks } = scene;
  const row = shown.row[line] ?? 0;
  const group = shown.kind[line] === GROUP ? trace.groups.get(row) : undefined;
  const start = trace.start[row] ?? 0;
  const open = Number.isNaN(trace.dur[row]);
  const last = group ? group.last : row;
  const stop = open ? cursor : (trace.start[last] ?? 0) + (trace.dur[last] ?? 0);
  const left = box.x(start);
  const right = Math.max(box.x(stop), left + LEAST);
  if (right < 0 || left > box.width) return;
  const from = Math.max(-2, left);
  const to = Math.min(box.width + 2, right);
  const { top, barHeight } = box;
  const dimmed = (path && !trace.path[row]) || (matches && !matches[row] && !group);
  context.globalAlpha = dimmed ? 0.35 : 1;
  const colour = scene.byKind
    ? colours.steps[trace.shape.step[row] ?? "n"]
    : colours.services[(trace.shape.service[row] ?? 0) % colours.services.length];
  context.fillStyle = colour ?? colours.text;
  if (marks && trace.shape.state_of[row] === "a") {
    marks.hatch(context, from, top, to - from, barHeight);
  } else if (group) {
    context.fillRect(from, top + barHeight / 2 - 1.5, to - from, 3);
  } else {
    context.fillRect(from, top, to - from, barHeight);
    shadeChildren(context, trace, row, box, colours);
    if (open) {
      // A running span has an open end, which pulses as a running trace is drawn again and again.
      context.fillStyle = pulses() ? colours.text : colours.back;
      context.beginPath();
      context.moveTo(to, top);
      context.lineTo(to - 5, top + barHeight / 2);
      context.lineTo(to, top + barHeight);
      context.fill();
    }
  }
  if (trace.error[row]) {
    context.fillStyle = colours.error;
    context.fillRect(from, top, Math.max(LEAST, Math.min(3, to - from)), barHeight);
  }
  if (path && trace.path[row]) {
    context.fillStyle = colours.path;
    for (const [r, a, b] of segmentsOf(trace, row)) {
      if (r === row)
        context.fillRect(
          Math.max(0, box.x(a)),
          top + barHeight + 1,
          Math.max(1, box.x(b) - Math.max(0, box.x(a))),
          3,
        );
    }
  }
  marks?.paintDots(context, trace, row, box, colours);
  const text = group
    ? `${durationText(group.total * trace.scale)}, p50 ${durationText(groupMedian(trace, row) * trace.scale)}`
    : open
      ? "running"
      : durationText((trace.dur[row] ?? 0) * trace.scale);
  const wide = context.measureText(text).width + 8;
  if (to + wide < box.width) {
    context.fillStyle = colours.text;
    context.fillText(text, to + 5, top + barHeight / 2 + 0.5);
  } else if (from - wide > 0) {
    context.fillStyle = colours.text;
    context.fillText(text, from - wide + 3, top + barHeight / 2 + 0.5);
  } else {
    context.fillStyle = colours.back;
    const inside = Math.max(4, from + 5);
    context.globalAlpha = 0.85;
    context.fillRect(inside - 3, top + 1, wide - 2, barHeight - 2);
    context.globalAlpha = 1;
    context.fillStyle = colours.text;
    context.fillText(text, inside, top + barHeight / 2 + 0.5);
  }
  context.globalAlpha = 1;
}

const stillness = matchMedia("(prefers-reduced-motion: reduce)");
const pulses = () => !stillness.matches && Math.floor(performance.now() / 500) % 2 === 1;

/** The maximum number of children that are drawn on one bar. More could not be distinguished. */
const CHILDREN = 400;

/**
 * Makes a bar lighter where children cover it.
 * @param {CanvasRenderingContext2D} context
 * @param {Trace} trace
 * @param {number} row
 * @param {BarBox} box
 * @param {Colours} colours
 */
function shadeChildren(context, trace, row, box, colours) {
  const end = trace.end[row] ?? row + 1;
  context.fillStyle = colours.shade;
  let covered = -1;
  const most = Number.isNaN(trace.dur[row])
    ? Infinity
    : box.x((trace.start[row] ?? 0) + (trace.dur[row] ?? 0));
  for (let child = row + 1, i = 0; child < end && i < CHILDREN; child = trace.end[child] ?? end, i++) {
    if (Number.isNaN(trace.dur[child])) continue;
    const from = Math.max(0, covered, box.x(trace.start[child] ?? 0));
    const to = Math.min(box.width, most, box.x((trace.start[child] ?? 0) + (trace.dur[child] ?? 0)));
    if (to - from < 0.5) continue;
    context.fillRect(from, box.top, to - from, box.barHeight);
    covered = to;
  }
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Scene} scene
 * @param {{width: number, height: number}} box
 * @param {Colours} colours
 */
export function paintAxis(canvas, { trace, zoom }, { width, height }, colours) {
  const context = prepare(canvas, width, height);
  if (!context) return;
  const scale = (width - EDGE) / (zoom[1] - zoom[0]);
  context.font = colours.font;
  context.textBaseline = "middle";
  const marks = ticks(zoom[0], zoom[1], width / 110);
  const step = ((marks[1] ?? zoom[1]) - (marks[0] ?? 0)) * trace.scale;
  for (const at of marks) {
    const x = (at - zoom[0]) * scale;
    context.fillStyle = colours.line;
    context.fillRect(Math.round(x), height - 5, 1, 5);
    context.fillStyle = colours.dim;
    const text = axisText(at * trace.scale, step);
    const wide = context.measureText(text).width;
    context.fillText(text, Math.min(Math.max(0, x + 3), width - wide), height / 2);
  }
}
