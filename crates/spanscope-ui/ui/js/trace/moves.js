/** The keys of the waterfall. */
import { useEffect } from "../../vendor/preact.js";
import { useKeys } from "../keys.js";
import { adjust } from "../page.js";
import { announce } from "../ui.js";
import { GROUP, SPAN, foldFrom, foldOffPath, hasChildren } from "./lines.js";
import { usePointer } from "./pointer.js";
import { fit, setZoom } from "./zoom.js";

/** @typedef {import("./lines.js").View} View */

/**
 * @typedef {object} MovesProps
 * @property {import("./model.js").Trace} trace
 * @property {View} view
 * @property {import("./lines.js").Lines} shown
 * @property {number} line
 * @property {number} selected
 * @property {[number, number]} zoom
 * @property {number} cursor
 * @property {{current: import("./grid.js").Grid | null}} grid
 * @property {(to: number) => void} goLine
 * @property {(at: number, to?: boolean) => void} toggle
 * @property {(row: number, center?: boolean) => void} select
 * @property {(among: readonly number[], step: 1 | -1, what: string) => void} jump
 * @property {readonly number[]} matchRows
 * @property {boolean} path
 * @property {(change: (view: View) => View) => void} setView
 * @property {() => void} pin
 * @property {{current: HTMLElement | null}} side
 * @property {(change: (closed: boolean) => boolean) => void} setClosed
 */

/** @param {MovesProps} moves */
export function Moves(moves) {
  const {
    trace,
    view,
    shown,
    line,
    selected,
    zoom,
    grid,
    goLine,
    toggle,
    select,
    jump,
    matchRows,
    path,
    setView,
    pin,
    side,
    setClosed,
  } = moves;
  usePointer(moves);
  const row = shown.row[line] ?? -1;
  const kind = shown.kind[line];
  const page = () => grid.current?.page() ?? 10;
  const open =
    kind === GROUP
      ? view.opened.has(row)
      : kind === SPAN && hasChildren(trace, row) && !view.closed.has(row);
  const closable = kind === GROUP || (kind === SPAN && row >= 0 && hasChildren(trace, row));
  const right = () => {
    if (closable && !open) toggle(line, true);
    else if (open) goLine(line + 1);
  };
  const left = () => {
    if (open) return toggle(line, false);
    const above = row >= 0 ? (trace.shape.parent[row] ?? -1) : -1;
    if (above >= 0) select(above);
  };
  const levels = (/** @type {1 | -1} */ step) => () => {
    // One level more or less than the deepest one that is open.
    let deepest = 0;
    for (let i = 0; i < shown.length; i++) {
      const r = shown.row[i] ?? 0;
      if (shown.kind[i] === SPAN && hasChildren(trace, r) && !view.closed.has(r))
        deepest = Math.max(deepest, (trace.depth[r] ?? 0) + 1);
    }
    const from = Math.max(0, deepest + step);
    setView((v) => ({ ...v, closed: foldFrom(trace, from) }));
    announce(`${from} levels are open`);
  };
  const zoomBy = (/** @type {number} */ factor) => () => {
    const middle = (zoom[0] + zoom[1]) / 2;
    const half = ((zoom[1] - zoom[0]) / 2) * factor;
    setZoom(trace, [middle - half, middle + half]);
  };
  const pan = (/** @type {number} */ share) => () => {
    const step = (zoom[1] - zoom[0]) * share;
    const moved = Math.max(-zoom[0], Math.min(trace.duration - zoom[1], step));
    setZoom(trace, [zoom[0] + moved, zoom[1] + moved]);
  };
  useKeys("waterfall", [
    { key: "j", does: "next row (also ↓)", run: () => goLine(line + 1) },
    { key: "k", does: "previous row (also ↑)", run: () => goLine(line - 1) },
    { key: "ArrowDown", does: "", run: () => goLine(line + 1) },
    { key: "ArrowUp", does: "", run: () => goLine(line - 1) },
    { key: "Home", does: "first and last row (also End)", run: () => goLine(0) },
    { key: "End", does: "", run: () => goLine(shown.length - 1) },
    { key: "PageDown", does: "a page down and up (also PageUp)", run: () => goLine(line + page()) },
    { key: "PageUp", does: "", run: () => goLine(line - page()) },
    { key: "ArrowRight", does: "unfold, or the first child (also l)", run: right },
    { key: "l", does: "", run: right },
    { key: "ArrowLeft", does: "fold, or the parent (also h)", run: left },
    { key: "h", does: "", run: left },
    {
      key: "Enter",
      does: "details of the row",
      run: () => (kind === SPAN ? dispatchEvent(new Event("ss-details")) : toggle(line)),
    },
    { key: "[", does: "fold all", run: () => setView((v) => ({ ...v, closed: foldFrom(trace) })) },
    { key: "]", does: "unfold all", run: () => setView((v) => ({ ...v, closed: new Set() })) },
    { key: "o", does: "one level more", run: levels(1) },
    { key: "O", does: "one level less", run: levels(-1) },
    { key: "e", does: "next error", run: () => jump(trace.shape.errors, 1, "error") },
    { key: "E", does: "previous error", run: () => jump(trace.shape.errors, -1, "error") },
    { key: "n", does: "next match", run: () => jump(matchRows, 1, "match") },
    { key: "N", does: "previous match", run: () => jump(matchRows, -1, "match") },
    { key: "c", does: "next model call", run: () => jump(trace.calls, 1, "model call") },
    { key: "C", does: "previous model call", run: () => jump(trace.calls, -1, "model call") },
    { key: "p", does: "show the critical path", run: () => adjust({ path: path ? null : 1 }) },
    {
      key: "P",
      does: "fold what is not on it",
      run: () => setView((v) => ({ ...v, closed: foldOffPath(trace) })),
    },
    {
      key: "z",
      does: "fit the selected span",
      run: () => selected >= 0 && fit(trace, selected, trace.duration),
    },
    { key: "+", does: "zoom in", run: zoomBy(0.5) },
    { key: "-", does: "zoom out", run: zoomBy(2) },
    { key: "0", does: "the whole time", run: () => adjust({ zoom: null }) },
    { key: "Shift+ArrowLeft", does: "earlier", run: pan(-0.25) },
    { key: "Shift+ArrowRight", does: "later", run: pan(0.25) },
    { key: "m", does: "pin the row", run: pin },
    { key: "i", does: "details pane", run: () => setClosed((closed) => !closed) },
  ]);
  useEffect(() => {
    const focus = (/** @type {string} */ what) => {
      const element = side.current?.querySelector(what);
      if (element instanceof HTMLElement) element.focus();
    };
    const show = () => {
      setClosed(() => false);
      requestAnimationFrame(() => focus(".details"));
    };
    const leave = () => {
      if (document.activeElement?.closest(".details")) focus(".grid");
      else adjust({ span: null, tab: null });
    };
    addEventListener("ss-details", show);
    addEventListener("ss-escape", leave);
    return () => {
      removeEventListener("ss-details", show);
      removeEventListener("ss-escape", leave);
    };
  }, []);
  return null;
}
