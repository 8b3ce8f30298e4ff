/** The list of traces. */
import { h, useRef, useState } from "../../vendor/preact.js";
import { apiPath } from "../api.js";
import { useRows } from "../rows.js";
import { COLUMNS, FIXED, Row, fitting, setWidth, template, widths } from "../trace-row.js";
import { adjust, replace, status, to, useCommand, useRowsShown } from "../page.js";
import { traceColumns } from "../keys.js";
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
import { Menu, Problem, Separator, useTitle } from "../ui.js";

/** @typedef {import("../api-types.d.ts").TraceRow} TraceRow */
/** @typedef {import("../api-types.d.ts").HistogramTotal | null} Total */

const SORTS = ["start", "duration", "spans"];

export function Page() {
  useTitle("Traces");
  const params = { ...chosen(["q", "since", "from", "to", "service", "errors", "running", "sort"]) };
  const sort = params["sort"] ?? "-start";
  const rows = useRows({
    path: ["traces"],
    params: { ...params, limit: 100 },
    cursor: "before",
    rowsOf: (answer) => /** @type {TraceRow[]} */ (answer.traces),
    keyOf: (row) => row.trace_id,
    noun: "trace",
    newestFirst: sort === "-start",
  });
  const { state, first } = rows;
  useCommand(first?.command, first ? apiPath(["traces"], { ...params, limit: 100 }) : null);
  useRowsShown(!!first);
  useRowKeys();
  const Histogram = useHistogram(!!first);
  const [total, setTotal] = useState(/** @type {Total} */ (null));
  const now = status.value;
  if (now?.is_empty && first && rows.rows.length === 0) {
    queueMicrotask(() => replace(to(["setup"])));
    return null;
  }
  const prices = !!first?.currency;
  const wanted = traceColumns.value
    ? traceColumns.value.split(",")
    : COLUMNS.filter((c) => c[3]).map((c) => c[0]);
  const columns = fitting(
    COLUMNS.filter(
      ([name]) => FIXED.includes(name) || (wanted.includes(name) && (name !== "cost" || prices)),
    ),
  );
  const longest = Math.max(...rows.rows.map((row) => row.duration_ns ?? 0), 1);
  const histogramParams = { ...params };
  delete histogramParams["sort"];
  return h(
    "section",
    null,
    h(
      "div",
      { class: "head" },
      h("h1", null, "Traces"),
      h(Services, null),
      h(Toggle, { name: "errors", label: "errors only" }),
      h(Toggle, { name: "running", label: "running" }),
      h("span", { class: "space" }),
      h(TimePicker, null),
      h(Columns, { wanted, prices }),
    ),
    h(Chips, null),
    state.error && !(state.error instanceof Error && "at" in state.error && state.error.at !== null)
      ? h(Problem, { error: state.error, retryIn: state.retryIn, again: state.again })
      : null,
    Histogram && rows.rows.length > 0
      ? h(Histogram, {
          path: ["traces", "histogram"],
          params: histogramParams,
          noun: "trace",
          version: first,
          onTotal: setTotal,
        })
      : h("div", { class: "histogram" }),
    h(NewRows, { rows, noun: "trace" }),
    rows.rows.length === 0
      ? first && !state.stale
        ? h(NothingFits, { noun: "trace" })
        : null
      : h(
          "div",
          {
            class: state.stale ? "rows stale" : "rows",
            role: "table",
            "aria-label": "Traces",
            "aria-rowcount": -1,
            style: { "--cols": template(columns) },
          },
          h(
            "div",
            { class: "row row-head", role: "row" },
            columns.map(([name, title]) => h(Heading, { key: name, name, title, sort })),
          ),
          rows.rows.map((row) =>
            h(Row, { key: row.trace_id, row, columns, longest, currency: first?.currency }),
          ),
        ),
    h(ListEnd, { rows, noun: "trace", total }),
  );
}

/** @param {{wanted: string[], prices: boolean}} props */
function Columns({ wanted, prices }) {
  return h(
    Menu,
    { label: "columns", name: "Columns" },
    COLUMNS.filter(([name]) => !FIXED.includes(name) && (name !== "cost" || prices)).map(
      ([name, title]) =>
        h(
          "label",
          { key: name },
          h("input", {
            type: "checkbox",
            checked: wanted.includes(name),
            onChange: () => {
              traceColumns.value = COLUMNS.map((c) => /** @type {string} */ (c[0]))
                .filter((c) => (c === name ? !wanted.includes(name) : wanted.includes(c)))
                .join(",");
            },
          }),
          ` ${title}`,
        ),
    ),
  );
}

/** @param {{name: string, title: string, sort: string}} props */
function Heading({ name, title, sort }) {
  const way = sort === name ? "ascending" : sort === `-${name}` ? "descending" : undefined;
  const canSort = SORTS.includes(name);
  const cell = useRef(/** @type {HTMLElement | null} */ (null));
  return h(
    "div",
    { ref: cell, class: `cell c-${name}`, role: "columnheader", "aria-sort": way },
    canSort
      ? h(
          "button",
          {
            type: "button",
            class: "sort",
            onClick: () =>
              adjust({
                sort:
                  way === "descending"
                    ? name === "spans"
                      ? null
                      : name
                    : name === "start"
                      ? null
                      : `-${name}`,
              }),
          },
          title,
          way === "descending" ? " ↓" : way === "ascending" ? " ↑" : "",
        )
      : title,
    h(Separator, {
      name: `Width of ${title}`,
      value: widths().get(name) ?? cell.current?.clientWidth ?? 100,
      least: 40,
      most: 900,
      pixels: true,
      onChange: (px) => setWidth(name, px),
    }),
  );
}
