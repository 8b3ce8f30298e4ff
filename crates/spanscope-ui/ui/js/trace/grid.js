/**
 * The rows of the waterfall. Only those in view exist: a pool of elements is reused while the user
 * scrolls, however large the trace is. The grid keeps the focus and refers to its current row with
 * `aria-activedescendant`, so the focus is not lost when an element is reused.
 */
import { count, counted, duration, plain } from "../format.js";
import { density, onTheme } from "../keys.js";
import { FOLDED, GROUP, MISSING, SPAN, STEPS, hasChildren, lineDepth, says } from "./lines.js";
import { idOf, rowOf, siblings } from "./model.js";
import { coloursOf, paintAxis, paintBars } from "./paint.js";

/** @typedef {import("./model.js").Trace} Trace */
/** @typedef {import("./lines.js").View} View */
/** @typedef {import("./lines.js").Lines} Lines */
/** @typedef {ReturnType<typeof makeRow>} RowParts */

/**
 * @typedef {object} GridState
 * @property {Trace} trace
 * @property {View} view
 * @property {Lines} shown
 * @property {number} line the current line
 * @property {[number, number]} zoom
 * @property {boolean} path
 * @property {Uint8Array | null} matches
 * @property {number} nameWidth percent
 * @property {number} tokensWidth pixels; 0 if there is no column of tokens
 * @property {number} cursor
 * @property {boolean} byKind
 * @property {import("./paint.js").Marks | null} marks
 */

/** The number of rows above and below the view that are filled too, for fast scrolling. */
const SPARE = 1;
/** Deeper levels are not indented further. */
const MOST_DEPTH = 24;

export class Grid {
  /**
   * @param {HTMLElement} host the scrolling element with `role=treegrid`
   * @param {HTMLElement} rows the element of full height
   * @param {HTMLCanvasElement} bars
   * @param {HTMLCanvasElement} axis
   */
  constructor(host, rows, bars, axis) {
    this.host = host;
    this.rows = rows;
    this.bars = bars;
    this.axis = axis;
    /** @type {RowParts[]} */
    this.pool = [];
    /** @type {number[]} */
    this.filled = [];
    /** @type {GridState | null} */
    this.state = null;
    this.colours = coloursOf(host);
    this.frame = 0;
    this.twoLines = false;
    this.rowHeight = 24;
    this.height = 0;
    this.onScroll = () => this.schedule();
    host.addEventListener("scroll", this.onScroll, { passive: true });
    this.observer = new ResizeObserver(() => {
      this.measure();
      this.schedule();
    });
    this.observer.observe(host);
    this.endTheme = onTheme(() => {
      this.colours = coloursOf(host);
      this.schedule();
    });
    this.measure();
  }

  close() {
    cancelAnimationFrame(this.frame);
    this.observer.disconnect();
    this.endTheme();
    this.host.removeEventListener("scroll", this.onScroll);
  }

  measure() {
    const before = this.rowHeight;
    const coarse = matchMedia("(pointer: coarse)").matches;
    this.twoLines = coarse || this.host.clientWidth < 560;
    this.rowHeight = this.twoLines ? 40 : density.value === "comfortable" ? 28 : 24;
    this.host.classList.toggle("two-lines", this.twoLines);
    const height = this.height;
    this.height = this.host.clientHeight;
    if (!this.state || (before === this.rowHeight && height <= this.height)) return;
    // Keeps the same rows in view, above all the current one, for example when the details open.
    const { line, shown } = this.state;
    const top = this.host.scrollTop;
    const wasSeen = line * before < top + height && (line + 1) * before > top;
    this.filled.fill(-1);
    this.rows.style.height = `${shown.length * this.rowHeight}px`;
    this.host.scrollTop = (top / before) * this.rowHeight;
    if (line >= 0 && wasSeen) this.reveal(line);
  }

  /** @param {GridState} state */
  show(state) {
    const before = this.state;
    this.state = state;
    /** @type {(keyof GridState)[]} */
    const facts = ["shown", "trace", "view", "line", "path", "matches"];
    if (!before || facts.some((fact) => before[fact] !== state[fact])) this.filled.fill(-1);
    this.host.setAttribute("aria-rowcount", String(state.shown.length + 1));
    this.rows.style.height = `${state.shown.length * this.rowHeight}px`;
    if (before && before.trace.shape !== state.trace.shape) this.anchor(before, state);
    this.host.style.setProperty("--names", `${state.nameWidth}%`);
    this.host.style.setProperty("--tokens", `${state.tokensWidth}px`);
    this.schedule();
  }

  /**
   * Keeps the first row in view at its position when rows are added above it.
   * @param {GridState} before
   * @param {GridState} state
   */
  anchor(before, state) {
    const line = this.top();
    if (line === 0 || before.trace.shape.trace_id !== state.trace.shape.trace_id) return;
    const row = rowOf(state.trace.shape, idOf(before.trace.shape, before.shown.row[line] ?? 0));
    const now = row < 0 ? -1 : (state.shown.at[row] ?? -1);
    if (now >= 0) this.host.scrollTop += (now - line) * this.rowHeight;
  }

  schedule() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.draw());
  }

  /** Scrolls a line into view. @param {number} line @param {boolean} [center] */
  reveal(line, center = false) {
    const top = line * this.rowHeight;
    const head = this.headHeight();
    const room = this.host.clientHeight - head;
    const { scrollTop } = this.host;
    if (top >= scrollTop && top + this.rowHeight <= scrollTop + room) return;
    this.host.scrollTop = center ? top - room / 2 : top < scrollTop ? top : top + this.rowHeight - room;
  }

  headHeight() {
    return this.rows.offsetTop;
  }

  /** Returns the number of lines that fit in the view. */
  page() {
    return Math.max(1, Math.floor((this.host.clientHeight - this.headHeight()) / this.rowHeight) - 1);
  }

  /** Returns the line at the top of the view. */
  top() {
    return Math.floor(this.host.scrollTop / this.rowHeight);
  }

  draw() {
    const { state } = this;
    if (!state) return;
    this.rows.style.height = `${state.shown.length * this.rowHeight}px`;
    const height = Math.max(0, this.host.clientHeight - this.headHeight());
    const first = Math.max(0, this.top() - SPARE);
    const wanted = Math.ceil(height / this.rowHeight) + 2 * SPARE;
    const last = Math.min(state.shown.length, first + wanted);
    while (this.pool.length < wanted) {
      const row = makeRow();
      this.pool.push(row);
      this.filled.push(-1);
      this.rows.append(row.element);
    }
    const size = this.pool.length;
    for (let line = first; line < first + size; line++) {
      const index = line % size;
      const row = this.pool[index];
      if (!row) continue;
      if (line >= last) {
        if (this.filled[index] !== -2) {
          row.element.hidden = true;
          row.element.removeAttribute("id");
          this.filled[index] = -2;
        }
      } else if (this.filled[index] !== line) {
        this.fill(row, line, state);
        this.filled[index] = line;
      }
    }
    const current = state.line >= first && state.line < last ? `line-${state.line}` : "";
    if (current) this.host.setAttribute("aria-activedescendant", current);
    else this.host.removeAttribute("aria-activedescendant");
    const cell = this.axis.parentElement;
    const width = this.twoLines ? this.host.clientWidth : (cell?.clientWidth ?? 0);
    this.bars.style.width = `${width}px`;
    this.bars.style.height = `${height}px`;
    const box = {
      first: this.top(),
      count: Math.ceil(height / this.rowHeight) + 1,
      offset: this.host.scrollTop % this.rowHeight,
      width,
      height,
      rowHeight: this.rowHeight,
      barTop: this.twoLines ? 23 : 5,
      barHeight: this.twoLines ? 12 : 13,
    };
    paintBars(this.bars, state, box, this.colours);
    paintAxis(this.axis, state, { width: this.axis.clientWidth, height: 22 }, this.colours);
  }

  /** @param {RowParts} parts @param {number} line @param {GridState} state */
  fill(parts, line, state) {
    const { trace, view, shown } = state;
    const row = shown.row[line] ?? 0;
    const kind = shown.kind[line];
    const depth = lineDepth(trace, view, shown, line);
    const { element, names, fold, sign, name, badge, usage } = parts;
    element.hidden = false;
    element.id = `line-${line}`;
    element.style.transform = `translateY(${line * this.rowHeight}px)`;
    element.setAttribute("aria-rowindex", String(line + 2));
    element.setAttribute("aria-level", String(depth + 1));
    element.setAttribute("aria-selected", String(line === state.line));
    names.style.setProperty("--depth", String(Math.min(depth, MOST_DEPTH)));
    const dimmed =
      (state.path && kind === SPAN && !trace.path[row]) ||
      (state.matches && kind === SPAN && !state.matches[row]);
    const failed = kind === SPAN && trace.error[row];
    element.className = ["wrow", failed ? "wrow-error" : "", dimmed ? "wrow-dim" : ""].join(" ");
    fold.textContent = "";
    sign.textContent = "";
    badge.textContent = "";
    badge.className = "badge";
    usage.textContent = "";
    element.removeAttribute("aria-expanded");
    const spanName = trace.shape.names[trace.shape.name[row] ?? 0] || "(no name)";
    if (kind === MISSING) {
      const why = trace.shape.state === "running" ? "waiting for this parent" : "parent not stored";
      name.textContent = `${trace.missing.get(row)?.slice(0, 16)} (${why})`;
      element.setAttribute("aria-label", `${trace.missing.get(row)}, ${why}`);
    } else if (kind === FOLDED) {
      name.textContent = `… ${counted(trace.folded.get(row) ?? 0, "more span")} below (not loaded)`;
      element.setAttribute("aria-label", name.textContent);
    } else if (kind === GROUP) {
      const group = trace.groups.get(row);
      const open = view.opened.has(row);
      fold.textContent = open ? "▾" : "▸";
      element.setAttribute("aria-expanded", String(open));
      name.textContent = plain(spanName);
      badge.textContent = `× ${count(group?.count ?? 0)}`;
      element.setAttribute(
        "aria-label",
        `${plain(spanName)}, ${count(group?.count ?? 0)} equal siblings, ` +
          `${duration((group?.total ?? 0) * trace.scale)} in all`,
      );
    } else return this.fillSpan(parts, row, spanName, state);
    for (const attribute of ["aria-setsize", "aria-posinset", "title"])
      element.removeAttribute(attribute);
  }

  /** @param {RowParts} parts @param {number} row @param {string} spanName @param {GridState} s */
  fillSpan({ element, fold, sign, name, badge, usage }, row, spanName, { trace, view }) {
    const { shape } = trace;
    if (hasChildren(trace, row)) {
      const closed = view.closed.has(row);
      fold.textContent = closed ? "▸" : "▾";
      element.setAttribute("aria-expanded", String(!closed));
      if (closed) badge.textContent = count((trace.end[row] ?? 0) - row - 1);
    }
    sign.textContent = STEPS.get(shape.step[row] ?? "n")?.[0] ?? "·";
    name.textContent = plain(spanName);
    if (trace.error[row]) {
      badge.textContent = `${badge.textContent ? `${badge.textContent} ` : ""}✗`;
      badge.className = "badge badge-error";
    }
    const at = trace.tokens.get(row);
    if (at !== undefined)
      usage.textContent = `${count(shape.tokens.input[at] ?? 0)}→${count(shape.tokens.output[at] ?? 0)}`;
    element.setAttribute("aria-label", says(trace, row));
    const { size, position } = siblings(trace);
    element.setAttribute("aria-setsize", String(size[row] ?? 1));
    element.setAttribute("aria-posinset", String(position[row] ?? 1));
    const service = shape.services[shape.service[row] ?? 0] ?? "";
    element.title = `${plain(spanName, 500)}\n${plain(service, 100)}`;
    element.dataset["span"] = idOf(shape, row);
  }
}

/** Makes the elements of a row, which are reused. */
function makeRow() {
  const part = (/** @type {string} */ tag, /** @type {object} */ facts) =>
    Object.assign(document.createElement(tag), facts);
  const cell = (/** @type {string} */ className) => part("div", { role: "gridcell", className });
  const ornament = (/** @type {string} */ className) => part("span", { className, ariaHidden: "true" });
  const [names, usage] = [cell("wname"), cell("wtokens")];
  const [fold, sign] = [ornament("fold"), ornament("sign")];
  const [name, badge] = [part("bdi", {}), part("span", {})];
  names.append(fold, sign, name, badge);
  const element = part("div", { role: "row" });
  element.append(names, cell("wtime"), usage);
  return { element, names, fold, sign, name, badge, usage };
}
