/** One trace: its header and its views. */
import { h, useEffect, useMemo, useRef, useState } from "../../vendor/preact.js";
import { apiPath, get, useLoaded, useStream } from "../api.js";
import { count, counted, duration, money, parseTime, plain, tokens } from "../format.js";
import { adjust, place, to, useAfterRows, useCommand, useRowsShown } from "../page.js";
import { useKeys } from "../keys.js";
import { Copy, Guard, Problem, StateSign, Text, Time, useTitle } from "../ui.js";
import { build, rowOf } from "../trace/model.js";
import { Waterfall } from "../trace/waterfall.js";

/** @typedef {import("../api-types.d.ts").TraceShape} Shape */
/** @typedef {import("../trace/model.js").Trace} Trace */
/** @typedef {{trace: Trace, select: (row: number) => void, selected: number}} ViewProps */
/** @typedef {import("../../vendor/preact.js").ComponentType<ViewProps>} View */

const VIEWS = /** @type {const} */ (["waterfall", "log", "table", "json"]);

/**
 * Views that are loaded when they are selected.
 * @type {Record<string, () => Promise<{default: View}>>}
 */
const others = {
  log: () => import("../trace/log.js").then((module) => ({ default: module.Log })),
  table: () => import("../trace/table.js").then((module) => ({ default: module.Table })),
  json: () => import("../trace/json.js").then((module) => ({ default: module.Json })),
};

/** The largest number of spans at which a growing trace is reloaded without the user's request. */
const READ_AGAIN = 20_000;
const READ_EVERY_MS = 700;

/** @param {{rest: string[]}} props */
export function Page({ rest }) {
  const id = (rest[0] ?? "").toLowerCase();
  if (/^[0-9a-f]{32}$/.test(id)) return h(One, { id });
  return h(Missing, { id });
}

/**
 * Loads and shows the module for a trace that does not exist or could not be loaded.
 * @param {{id: string, state?: import("../api.js").Loaded<any>}} props
 */
function Missing({ id, state }) {
  const [parts, set] = useState(/** @type {typeof import("../trace/not-found.js") | null} */ (null));
  useEffect(() => {
    import("../trace/not-found.js").then((module) => set(module));
  }, []);
  if (!parts) return null;
  return state
    ? h(parts.NotFound, { id, error: state.error, again: state.again, retryIn: state.retryIn })
    : h(parts.Resolve, { prefix: id });
}

/** @param {{id: string}} props */
function One({ id }) {
  const { query } = place.value;
  const below = query.get("below");
  const [version, setVersion] = useState(0);
  const state = useLoaded(`${id} ${below ?? ""} ${version}`, (signal) =>
    get(["traces", id], { below }, signal),
  );
  const shape = /** @type {Shape | null} */ (state.data?.trace_id === id ? state.data : null);
  const runs = shape?.state === "running";
  // A missing parent may still arrive.
  const grows = runs || (shape?.missing.length ?? 0) > 0;
  const now = useNow(runs);
  // The axis of a running trace grows in steps of 10 %, so that its bars do not move all the time.
  const elapsed =
    shape && runs ? (now - parseTime(shape.start).ms) * (shape.unit === "ms" ? 1 : 1e6) : 0;
  const axis = elapsed > 0 ? growing(Math.max(elapsed, shape?.duration ?? 0)) : 0;
  const trace = useMemo(() => (shape ? build(shape, axis) : null), [shape, axis]);

  const timer = useRef(/** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined));
  useEffect(() => () => clearTimeout(timer.current), [id]);
  const readAt = useRef(0);
  useEffect(() => {
    readAt.current = Date.now();
  }, [state.data]);
  const cursor = useRef("");
  if (shape) cursor.current = shape.cursor;
  const small = (shape?.n ?? 0) <= READ_AGAIN;
  const [grown, setGrown] = useState(false);
  useStream(grows ? () => apiPath(["traces", id, "live"], { after: cursor.current }) : null, (diff) => {
    if (
      diff.new?.length === 0 &&
      diff.ended?.length === 0 &&
      !diff.events &&
      diff.state === shape?.state
    )
      return;
    if (!small) return setGrown(true);
    // The first change after a pause is loaded at once, further ones at this interval.
    const wait = Math.max(0, readAt.current + READ_EVERY_MS - Date.now());
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      setVersion((n) => n + 1);
    }, wait);
  });

  const root = shape ? (shape.names[shape.name[0] ?? 0] ?? "") : "";
  const lasted = shape && !runs ? duration(shape.duration * (shape.unit === "ms" ? 1e6 : 1)) : "running";
  useTitle(shape ? `${plain(root, 150) || "(no name)"} · ${lasted}` : "Trace");
  const asked = query.get("view") ?? "waterfall";
  const view = VIEWS.find((name) => name === asked) ?? "waterfall";
  useCommand(shape ? commandOf(view, shape) : null, shape ? requestOf(view, id) : null);
  useRowsShown(!!shape && view !== "waterfall");
  useKeys(
    "trace",
    VIEWS.map((name, i) => ({ key: String(i + 1), does: name, run: () => setView(name) })),
  );
  const [Other, setOther] = useState(/** @type {{name: string, View: View} | null} */ (null));
  const [failed, setFailed] = useState(/** @type {unknown} */ (null));
  useEffect(() => {
    const load = others[view];
    if (load) load().then((module) => setOther({ name: view, View: module.default }), setFailed);
  }, [view]);
  if (!trace)
    return state.error
      ? h(Missing, { id, state })
      : state.late
        ? h("p", { class: "dim", role: "status" }, "loading the trace")
        : null;
  const selected = rowOf(trace.shape, query.get("span") ?? "");
  const select = (/** @type {number} */ row) =>
    adjust({ view: null, span: trace.shape.ids.slice(row * 16, row * 16 + 16) }, true);
  return h(
    "section",
    { class: "trace" },
    h(Head, { trace, root, elapsed: runs ? elapsed : null, view }),
    state.error ? h(Problem, { error: state.error, again: state.again, retryIn: state.retryIn }) : null,
    grown
      ? h(
          "button",
          {
            type: "button",
            class: "new-rows",
            onClick: () => (setGrown(false), setVersion((n) => n + 1)),
          },
          "The trace has grown: reload it",
        )
      : null,
    below
      ? h(
          "p",
          { class: "warn" },
          "Only the spans below one span are shown. ",
          h("a", { href: to(["traces", id]) }, "Show the whole trace"),
        )
      : trace.folded.size > 0
        ? h(
            "p",
            { class: "warn", role: "status" },
            `${count(shape?.n ?? 0)} of ${counted(shape?.stored ?? 0, "span")} are loaded: the highest, ` +
              "those with errors, model calls and the longest. “… more spans below” opens the others.",
          )
        : null,
    view === "waterfall"
      ? h(
          Guard,
          { part: "waterfall" },
          h(Waterfall, {
            trace,
            selected,
            cursor: runs ? Math.max(elapsed, 0) : trace.duration,
          }),
        )
      : failed
        ? h(Problem, { error: failed })
        : Other?.name === view
          ? h(Guard, { part: view }, h(Other.View, { trace, select, selected }))
          : null,
  );
}

/**
 * Returns the command that prints what a view shows.
 * @param {string} view
 * @param {Shape} shape
 */
function commandOf(view, { command: tree, trace_id }) {
  if (view === "log") return `spanscope logs --trace ${trace_id} --limit 1000`;
  return view === "json" ? `spanscope export ${trace_id} --to otlp-json` : tree;
}

/** Returns the request for what a view shows. @param {string} view @param {string} id */
function requestOf(view, id) {
  if (view === "log") return apiPath(["logs"], { trace: id, limit: 1000 });
  return apiPath(["traces", id, ...(view === "json" ? ["export"] : [])]);
}

/** @param {string} view */
function setView(view) {
  adjust({ view: view === "waterfall" ? null : view }, true);
}

/** Returns the current time, updated four times a second while `on` is set. @param {boolean} on */
function useNow(on) {
  const [now, set] = useState(Date.now());
  useEffect(() => {
    if (!on) return;
    const timer = setInterval(() => !document.hidden && set(Date.now()), 250);
    return () => clearInterval(timer);
  }, [on]);
  return now;
}

/** Rounds a time up to the next power of 1.1. @param {number} elapsed */
export function growing(elapsed) {
  return 1.1 ** Math.ceil(Math.log(elapsed) / Math.log(1.1));
}

/** @param {{trace: Trace, root: string, elapsed: number | null, view: string}} props */
function Head({ trace, root, elapsed, view }) {
  const actions = useAfterRows(() => import("../trace/actions.js"));
  const { shape } = trace;
  const input = shape.tokens.input.reduce((a, b) => a + b, 0);
  const output = shape.tokens.output.reduce((a, b) => a + b, 0);
  const costs = shape.tokens.cost;
  const cost = costs.some((value) => value !== null)
    ? costs.reduce((/** @type {number} */ a, b) => a + (b ?? 0), 0)
    : null;
  const errors = shape.errors.length;
  const id = shape.trace_id;
  return h(
    "header",
    { class: "trace-head" },
    h(
      "div",
      { class: "head" },
      h(
        "h1",
        null,
        h(StateSign, { state: shape.state, status: errors > 0 ? "error" : null }),
        " ",
        h(Text, { value: root || "(no name)" }),
      ),
      h(
        "dl",
        { class: "facts" },
        fact(
          "duration",
          elapsed === null
            ? duration(shape.duration * trace.scale)
            : `running ${duration(elapsed * trace.scale)}`,
        ),
        fact("spans", counted(shape.stored, "span")),
        errors > 0 ? fact("errors", h("span", { class: "error-text" }, counted(errors, "error"))) : null,
        trace.calls.length > 0 ? fact("calls", counted(trace.calls.length, "call")) : null,
        input + output > 0 ? fact("tokens", `${tokens(input, output)} tok`) : null,
        cost !== null
          ? fact("cost", `${costs.includes(null) ? "≥ " : ""}${money(cost, shape.currency)}`)
          : null,
        fact(
          "services",
          shape.services.length > 1
            ? counted(shape.services.length, "service")
            : h(Text, { value: shape.services[0] ?? "", max: 40 }),
        ),
        fact("started", h(Time, { at: shape.start })),
        fact("id", [
          h("code", null, `${id.slice(0, 8)}…`),
          h(Copy, { text: id, label: "Copy the trace id" }),
        ]),
      ),
      h(
        "div",
        { class: "head-end" },
        h(
          "div",
          { class: "views", role: "group", "aria-label": "Views" },
          VIEWS.map((name) =>
            h(
              "button",
              {
                key: name,
                type: "button",
                class: "toggle",
                "aria-pressed": name === view,
                onClick: () => setView(name),
              },
              name,
            ),
          ),
        ),
        actions ? h(actions.Actions, { shape }) : null,
      ),
    ),
  );
}

/** @param {string} name @param {import("../ui.js").Children} value */
function fact(name, value) {
  return h("div", { key: name }, h("dt", { class: "away" }, name), h("dd", null, value));
}
