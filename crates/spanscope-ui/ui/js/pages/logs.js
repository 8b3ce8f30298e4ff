/** Log events: live, in context, and with links to their traces. */
import { Fragment, h, useEffect, useLayoutEffect, useRef, useState } from "../../vendor/preact.js";
import { heldAtEnd, isAtEnd, useRows } from "../rows.js";
import { Row, folded } from "../log-row.js";
import { apiPath, get, useLoaded } from "../api.js";
import { counted } from "../format.js";
import { adjust, place, useCommand, useRowsShown } from "../page.js";
import { useKeys } from "../keys.js";
import { Chips } from "../chips.js";
import {
  ListEnd,
  NewRows,
  NothingFits,
  Services,
  TimePicker,
  Toggle,
  chosen,
  useHistogram,
  useRowKeys,
} from "../list.js";
import { Problem, Text, useTitle } from "../ui.js";

/** @typedef {import("../api-types.d.ts").LogRow} LogRow */
/** @typedef {import("../api-types.d.ts").HistogramTotal | null} Total */

const SEVERITIES = ["", "debug", "info", "warn", "error", "critical"];

export function Page() {
  useTitle("Logs");
  const params = chosen([
    "q",
    "since",
    "from",
    "to",
    "service",
    "severity",
    "category",
    "trace",
    "span",
  ]);
  // Like `tail -f`: the newest event is last, and the end stays in view.
  const tail = place.value.query.get("tail") === "1";
  const rows = useRows({
    path: ["logs"],
    params: { ...params, limit: 100 },
    cursor: "before",
    rowsOf: (answer) => /** @type {LogRow[]} */ (answer.logs),
    keyOf: (row) => row.id,
    noun: "event",
    newestFirst: true,
    ...(tail ? { isHeld: heldAtEnd } : {}),
  });
  const shown = folded(tail ? [...rows.rows].reverse() : rows.rows);
  useEndInView(tail, shown.length);
  const { state, first } = rows;
  const Histogram = useHistogram(!!first);
  const [total, setTotal] = useState(/** @type {Total} */ (null));
  useCommand(first?.command, first ? apiPath(["logs"], { ...params, limit: 100 }) : null);
  useRowsShown(!!first);
  useRowKeys();
  useErrorKeys();
  const [open, setOpen] = useState(/** @type {string | null} */ (null));
  const [context, setContext] = useState(/** @type {LogRow | null} */ (null));
  const toggle = (/** @type {string} */ id) => setOpen(open === id ? null : id);
  return h(
    "section",
    null,
    h(
      "div",
      { class: "head" },
      h("h1", null, "Logs"),
      h(Services, null),
      h(Severity, null),
      params["trace"] ? h(Only, { name: "trace", id: params["trace"] }) : null,
      h(Toggle, { name: "tail", label: "newest last" }),
      h("span", { class: "space" }),
      h(TimePicker, null),
    ),
    h(Chips, null),
    state.error && !(state.error instanceof Error && "at" in state.error && state.error.at !== null)
      ? h(Problem, { error: state.error, retryIn: state.retryIn, again: state.again })
      : null,
    Histogram && rows.rows.length > 0
      ? h(Histogram, {
          path: ["logs", "histogram"],
          params,
          noun: "event",
          version: first,
          onTotal: setTotal,
        })
      : h("div", { class: "histogram" }),
    tail ? null : h(NewRows, { rows, noun: "event" }),
    tail ? h(ListEnd, { rows, noun: "event", total }) : null,
    context ? h(Context, { row: context, close: () => setContext(null) }) : null,
    rows.rows.length === 0
      ? first && !state.stale
        ? h(NothingFits, { noun: "event" })
        : null
      : h(
          "div",
          {
            class: state.stale ? "rows logs stale" : "rows logs",
            role: "table",
            "aria-label": "Log events",
            "aria-rowcount": -1,
          },
          h(
            "div",
            { class: "row row-head", role: "row" },
            ["time", "severity", "service", "category", "target", "message"].map((title) =>
              h("div", { key: title, class: `cell c-${title}`, role: "columnheader" }, title),
            ),
          ),
          shown.map(({ row, times }) =>
            h(Row, {
              key: row.id,
              row,
              times,
              open: open === row.id,
              toggle: () => toggle(row.id),
              inContext: () => setContext(row),
            }),
          ),
        ),
    tail ? h(NewRows, { rows, noun: "event", last: true }) : h(ListEnd, { rows, noun: "event", total }),
  );
}

/**
 * Keeps the end of the page in view as long as the user does not scroll away from it.
 * @param {boolean} on
 * @param {number} length
 */
function useEndInView(on, length) {
  const atEnd = useRef(true);
  useEffect(() => {
    if (!on) return;
    atEnd.current = true;
    const scrolled = () => (atEnd.current = isAtEnd());
    addEventListener("scroll", scrolled, { passive: true });
    return () => removeEventListener("scroll", scrolled);
  }, [on]);
  useLayoutEffect(() => {
    if (on && atEnd.current) scrollTo(0, document.documentElement.scrollHeight);
  }, [on, length]);
}

function Severity() {
  const severity = place.value.query.get("severity") ?? "";
  return h(
    "select",
    {
      "aria-label": "Severity",
      value: severity,
      onChange: (/** @type {Event} */ event) =>
        adjust({ severity: /** @type {HTMLSelectElement} */ (event.currentTarget).value || null }, true),
    },
    SEVERITIES.map((name) =>
      h("option", { key: name, value: name }, name ? `${name} and above` : "any severity"),
    ),
  );
}

/** @param {{name: string, id: string}} props */
function Only({ name, id }) {
  return h(
    "span",
    { class: "chip" },
    `${name} `,
    h(Text, { value: id, max: 12 }),
    h(
      "button",
      { type: "button", "aria-label": `All ${name}s`, onClick: () => adjust({ [name]: null }, true) },
      "✕",
    ),
  );
}

/**
 * The 50 events before and the 50 after an event, of the same service, without the filter.
 * @param {{row: LogRow, close: () => void}} props
 */
function Context({ row, close }) {
  const state = useLoaded(row.id, (signal) =>
    get(["logs", "context"], { id: row.id, time: row.time, service: row.service }, signal),
  );
  const [open, setOpen] = useState(/** @type {string | null} */ (null));
  useEffect(() => {
    const closed = () => close();
    addEventListener("ss-escape", closed);
    return () => removeEventListener("ss-escape", closed);
  }, []);
  useEffect(() => {
    document.querySelector(".context .row-at")?.scrollIntoView({ block: "center" });
  }, [state.data]);
  const logs = /** @type {LogRow[]} */ (state.data?.logs ?? []);
  return h(
    "section",
    { class: "context", "aria-label": "In context" },
    h(
      "div",
      { class: "head" },
      h("h2", null, "In context"),
      h(
        "span",
        { class: "dim" },
        `${counted(logs.length, "event")} of `,
        h(Text, { value: row.service, max: 60 }),
      ),
      h("span", { class: "space" }),
      h("button", { type: "button", onClick: close }, "close"),
    ),
    state.error ? h(Problem, { error: state.error, again: state.again, retryIn: state.retryIn }) : null,
    h(
      "div",
      {
        class: "rows logs",
        role: "table",
        "aria-label": "Events around it",
      },
      h(
        Fragment,
        null,
        logs.map((log) =>
          h(Row, {
            key: log.id,
            row: log,
            times: 1,
            at: log.id === row.id,
            open: open === log.id,
            toggle: () => setOpen(open === log.id ? null : log.id),
          }),
        ),
      ),
    ),
  );
}

function useErrorKeys() {
  const jump = (/** @type {number} */ step) => () => {
    const rows = [...document.querySelectorAll(".rows .row-error")];
    const at = rows.findIndex((row) => row.contains(document.activeElement));
    const row =
      rows[at < 0 ? (step > 0 ? 0 : rows.length - 1) : (at + step + rows.length) % rows.length];
    /** @type {HTMLElement | null | undefined} */ (row?.querySelector(".row-link"))?.focus();
    row?.scrollIntoView({ block: "nearest" });
  };
  useKeys("logs", [
    { key: "e", does: "next error", run: jump(1) },
    { key: "E", does: "previous error", run: jump(-1) },
  ]);
}
