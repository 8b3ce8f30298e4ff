/** The waterfall with its minimap, tools and keys. */
import { h, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../../vendor/preact.js";
import { detailsWidth, nameWidth, tokensWidth } from "../keys.js";
import { adjust, forget, kept, place, useAfterRows, useRowsShown } from "../page.js";
import { Separator, announce } from "../ui.js";
import { Grid } from "./grid.js";
import {
  FOLDED,
  GROUP,
  MISSING,
  SPAN,
  changed,
  hasChildren,
  lines,
  nextOf,
  reveal,
  withAncestors,
} from "./lines.js";
import { hiddenServices, idOf, rowOf, rowsOf, zoomOf } from "./model.js";

/** @typedef {import("./model.js").Trace} Trace */
/** @typedef {import("./lines.js").View} View */

/** No rows match. @type {number[]} */
const NONE = [];

/** @param {{trace: Trace, selected: number, cursor: number}} props */
export function Waterfall({ trace, selected, cursor }) {
  const { shape } = trace;
  const query = place.value.query;
  const [folds, setFolds] = useFolds(trace, () => host.current);
  const hide = query.get("hide") ?? "";
  const hidden = useMemo(() => hiddenServices(shape, hide), [shape, hide]);
  const grouped = query.get("groups") !== "0";
  /** @type {View} */
  const view = useMemo(() => ({ ...folds, hidden, grouped, only: null }), [folds, hidden, grouped]);
  /** @param {(view: View) => View} change */
  const setView = (change) => {
    const next = change(view);
    setFolds({ closed: next.closed, opened: next.opened });
    if (next.grouped !== grouped) adjust({ groups: next.grouped ? null : 0 });
    if (next.hidden !== hidden)
      adjust({
        hide: next.hidden.size ? JSON.stringify([...next.hidden].map((i) => shape.services[i])) : null,
      });
  };
  // The search field is loaded after the rows, and reports its matches.
  const [matches, setMatches] = useState(/** @type {import("./find.js").Matches | null} */ (null));
  const matchRows = matches?.rows ?? NONE;
  const only = useMemo(
    () => (matches && query.get("only") === "1" ? withAncestors(trace, matches.rows) : null),
    [query.get("only"), matches, trace],
  );
  const shownView = useMemo(() => ({ ...view, only }), [view, only]);
  const shown = useMemo(() => lines(trace, shownView), [trace, shownView]);

  const path = query.get("path") === "1";
  const zoom = zoomOf(trace, query.get("zoom") ?? "");
  const pinned = rowOf(shape, query.get("pin") ?? "");
  // The current line: that of the selected span, or another one that the user moved to.
  const [hand, setHand] = useState(-1);
  const line =
    hand >= 0 &&
    hand < shown.length &&
    (selected < 0 || shown.row[hand] === selected || shown.kind[hand] !== SPAN)
      ? hand
      : selected >= 0
        ? (shown.at[selected] ?? -1)
        : hand;

  const rest = useAfterRows(() => import("./rest.js"));
  const host = useRef(/** @type {HTMLDivElement | null} */ (null));
  const rows = useRef(/** @type {HTMLDivElement | null} */ (null));
  const bars = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const axis = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const grid = useRef(/** @type {Grid | null} */ (null));
  useLayoutEffect(() => {
    if (!host.current || !rows.current || !bars.current || !axis.current) return;
    const made = new Grid(host.current, rows.current, bars.current, axis.current);
    grid.current = made;
    return () => made.close();
  }, []);
  const unfolding = useRef(-1);
  useLayoutEffect(() => {
    grid.current?.show({
      trace,
      view: shownView,
      shown,
      line,
      zoom,
      path,
      matches: matches?.marks ?? null,
      nameWidth: Number(nameWidth.value) || 34,
      tokensWidth: trace.tokens.size > 0 ? Number(tokensWidth.value) || 92 : 0,
      cursor,
      byKind: query.get("colour") === "kind",
      marks: rest?.marks ?? null,
    });
    if (unfolding.current >= 0) grid.current?.reveal(unfolding.current, true);
    unfolding.current = -1;
  });
  useRowsShown();

  /** @param {number} row @param {boolean} [center] */
  const select = (row, center = false) => {
    if (row < 0) return;
    const opened =
      shown.at[row] !== undefined &&
      shown.row[shown.at[row] ?? -1] === row &&
      shown.kind[shown.at[row] ?? -1] === SPAN
        ? null
        : reveal(trace, view, row);
    if (opened) setView(() => opened);
    if (only && !only[row]) adjust({ only: null });
    const at = opened ? (lines(trace, opened).at[row] ?? -1) : (shown.at[row] ?? -1);
    setHand(at);
    // The grid does not have the unfolded rows yet, and scrolls when it does.
    if (opened) unfolding.current = at;
    else grid.current?.reveal(at, center);
    adjust({ span: idOf(shape, row), tab: null }, place.value.query.get("span") === null);
  };
  /** @param {number} to */
  const goLine = (to) => {
    const at = Math.max(0, Math.min(shown.length - 1, to));
    if (shown.length === 0) return;
    setHand(at);
    grid.current?.reveal(at);
    if (shown.kind[at] === SPAN) adjust({ span: idOf(shape, shown.row[at] ?? 0), tab: null });
  };
  /** @param {number} at @param {boolean} [to] */
  const toggle = (at, to) => {
    const row = shown.row[at] ?? -1;
    if (shown.kind[at] === GROUP)
      setView((v) => ({ ...v, opened: changed(v.opened, row, to ?? !v.opened.has(row)) }));
    else if (shown.kind[at] === FOLDED) {
      if (row >= 0) adjust({ below: idOf(shape, row) }, true);
    } else if (shown.kind[at] !== MISSING && row >= 0 && hasChildren(trace, row))
      setView((v) => ({
        ...v,
        closed: changed(v.closed, row, to === undefined ? !v.closed.has(row) : !to),
      }));
  };
  useEffect(() => {
    if (selected >= 0) grid.current?.reveal(shown.at[selected] ?? 0, true);
  }, [shape.trace_id]);
  const jump = (
    /** @type {readonly number[]} */ among,
    /** @type {1 | -1} */ step,
    /** @type {string} */ what,
  ) => {
    const from = selected >= 0 ? selected : (shown.row[line] ?? -1);
    const row = nextOf(among, from, step);
    if (row < 0) return announce(`no ${what}`);
    select(row, true);
    announce(`${what} ${among.indexOf(row) + 1} of ${among.length}`);
  };
  const [closed, setClosed] = useState(false);
  const side = useRef(/** @type {HTMLDivElement | null} */ (null));
  const open = selected >= 0 && !closed;
  const moves = {
    trace,
    view: shownView,
    shown,
    line,
    selected,
    zoom,
    cursor,
    grid,
    goLine,
    toggle,
    select,
    jump,
    matchRows,
    path,
    setView,
    side,
    setClosed,
    pin: () => adjust({ pin: pinned === selected || selected < 0 ? null : idOf(shape, selected) }),
  };
  return h(
    "div",
    { class: "waterfall" },
    rest
      ? h(rest.Tools, { ...moves, view, setMatches, pinned })
      : h("div", { class: "tools-room" }),
    rest ? h(rest.Moves, moves) : null,
    h(
      "div",
      {
        class: open ? "side side-open" : "side",
        ref: side,
        style: { "--details": `${Number(detailsWidth.value) || 32}%` },
      },
      h(
        "div",
        {
          class: "grid",
          ref: host,
          role: "treegrid",
          tabIndex: 0,
          "aria-label": "Spans of the trace",
        },
        h(
          "div",
          { class: "wrow whead", role: "row", "aria-rowindex": 1 },
          h(
            "div",
            { class: "wname", role: "columnheader" },
            "name",
            h(Separator, {
              name: "Width of the names",
              value: Number(nameWidth.value) || 34,
              least: 12,
              most: 70,
              onChange: (percent) => (nameWidth.value = String(Math.round(percent))),
              from: () => host.current?.getBoundingClientRect(),
            }),
          ),
          h(
            "div",
            { class: "wtime", role: "columnheader" },
            h("span", { class: "away" }, "time"),
            h("canvas", { ref: axis, class: "axis", "aria-hidden": "true" }),
          ),
          trace.tokens.size > 0
            ? h(
                "div",
                { class: "wtokens", role: "columnheader" },
                h(Separator, {
                  name: "Width of the tokens",
                  value: Number(tokensWidth.value) || 92,
                  least: 60,
                  most: 300,
                  reverse: true,
                  pixels: true,
                  onChange: (px) => (tokensWidth.value = String(Math.round(px))),
                }),
                "tokens",
              )
            : null,
        ),
        h(
          "div",
          { class: "bars-box", role: "presentation" },
          h("canvas", { ref: bars, class: "bars", "aria-hidden": "true" }),
        ),
        h("div", { ref: rows, class: "wrows", role: "presentation" }),
      ),
      open && rest ? h(rest.Pane, { trace, selected, side }) : null,
    ),
  );
}

/**
 * Keeps the folds by span id, so that they persist while the trace grows and after Back.
 * @param {Trace} trace
 * @param {() => HTMLElement | null} host
 */
function useFolds(trace, host) {
  const { shape } = trace;
  const [folds, setFolds] = useState({
    closed: /** @type {Set<number>} */ (new Set()),
    opened: /** @type {Set<number>} */ (new Set()),
  });
  const before = useRef({ shape, folds });
  const set = (/** @type {{closed: string[], opened: string[]}} */ of) => {
    const next = { closed: rowsOf(trace, of.closed), opened: rowsOf(trace, of.opened) };
    before.current = { shape, folds: next };
    setFolds(next);
  };
  // Ids are made when they are needed: 100,000 rows that are folded have as many.
  const ids = () => {
    const of = (/** @type {Set<number>} */ rows) =>
      [...rows].map((row) => idOf(before.current.shape, row));
    return { closed: of(before.current.folds.closed), opened: of(before.current.folds.opened) };
  };
  if (before.current.shape !== shape) set(ids());
  else before.current.folds = folds;
  useEffect(() => {
    const save = () => ({ ...ids(), top: host()?.scrollTop ?? 0 });
    const saved = /** @type {{closed: string[], opened: string[], top: number} | null} */ (kept(save));
    if (saved?.closed) {
      set({ closed: saved.closed, opened: saved.opened ?? [] });
      requestAnimationFrame(() => host()?.scrollTo(0, saved.top));
    }
    return () => forget(save);
  }, []);
  return /** @type {const} */ ([folds, setFolds]);
}
