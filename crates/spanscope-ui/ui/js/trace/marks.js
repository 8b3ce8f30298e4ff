/** Events and hatching on the bars of the waterfall. They are drawn after the rows are shown. */

/** @typedef {import("./model.js").Trace} Trace */
/** @typedef {import("./paint.js").Colours} Colours */
/** @typedef {import("./paint.js").BarBox} BarBox */

/** Events that are closer than this, in pixels, are drawn as one mark with their number. */
const DOT_ROOM = 6;

/**
 * Draws events as dots, and errors as diamonds. Events that are too close to each other are one
 * mark with their number.
 * @param {CanvasRenderingContext2D} context
 * @param {Trace} trace
 * @param {number} row
 * @param {BarBox} box
 * @param {Colours} colours
 */
export function paintDots(context, trace, row, box, colours) {
  for (const { x, count, bad } of joinedDots(trace, row, box.x)) {
    if (x < -8 || x > box.width + 8) continue;
    const y = box.top + box.barHeight / 2;
    const size = count > 1 ? 5.5 : bad ? 4 : 2.5;
    context.fillStyle = bad ? colours.error : colours.text;
    context.beginPath();
    if (bad) {
      context.moveTo(x, y - size);
      context.lineTo(x + size, y);
      context.lineTo(x, y + size);
      context.lineTo(x - size, y);
    } else context.arc(x, y, size, 0, 7);
    context.fill();
    context.lineWidth = 1;
    context.strokeStyle = colours.back;
    context.stroke();
    if (count > 1) {
      const { font } = context;
      context.font = font.replace(/^\d+px/, "8px");
      context.textAlign = "center";
      context.fillStyle = colours.back;
      context.fillText(count > 9 ? "+" : String(count), x, y + 0.5);
      context.textAlign = "start";
      context.font = font;
    }
  }
}

/**
 * Returns the marks for the events of a row: their positions, how many events each stands for, and
 * whether one of these is an error.
 * @param {Trace} trace
 * @param {number} row
 * @param {(at: number) => number} toX
 */
export function joinedDots(trace, row, toX) {
  const { dots } = trace.shape;
  /** @type {{x: number, count: number, bad: boolean}[]} */
  const marks = [];
  for (let i = trace.dotsFrom[row] ?? 0; i < (trace.dotsFrom[row + 1] ?? 0); i++) {
    const dot = trace.dotsAt[i] ?? 0;
    const x = toX(dots.ns[dot] ?? 0);
    const severity = dots.severity[dot];
    const bad = severity === "e" || severity === "c";
    const last = marks.at(-1);
    if (last && x - last.x < DOT_ROOM) {
      last.count += 1;
      last.bad ||= bad;
    } else marks.push({ x, count: 1, bad });
  }
  return marks;
}

/**
 * Draws the bar of an abandoned span, whose program ended before it.
 * @param {CanvasRenderingContext2D} context
 * @param {number} x
 * @param {number} y
 * @param {number} width
 * @param {number} height
 */
export function hatch(context, x, y, width, height) {
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.strokeStyle = context.fillStyle;
  context.lineWidth = 2;
  for (let at = x - height; at < x + width; at += 6) {
    context.beginPath();
    context.moveTo(at, y + height);
    context.lineTo(at + height, y);
    context.stroke();
  }
  context.restore();
  context.strokeStyle = context.fillStyle;
  context.strokeRect(x + 0.5, y + 0.5, Math.max(1, width - 1), height - 1);
}
