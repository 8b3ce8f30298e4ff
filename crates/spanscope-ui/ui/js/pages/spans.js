/** The list of spans of all traces. */
import { h } from "../../vendor/preact.js";
import { apiPath } from "../api.js";
import { useRows } from "../rows.js";
import { duration, plain } from "../format.js";
import { adjust, to, useCommand, useRowsShown } from "../page.js";
import { Chips } from "../chips.js";
import {
  ListEnd,
  NewRows,
  NothingFits,
  Services,
  TimePicker,
  Toggle,
  chosen,
  useRowKeys,
} from "../list.js";
import { Problem, StateSign, Text, Time, useTitle } from "../ui.js";

/** @typedef {import("../api-types.d.ts").SpanRow} SpanRow */

const COLUMNS = "11.5rem minmax(12rem, 3fr) minmax(8rem, 1fr) 6rem 6.5rem";

export function Page() {
  useTitle("Spans");
  const params = chosen(["q", "since", "from", "to", "service", "errors", "sort"]);
  const sort = params["sort"] ?? "";
  const rows = useRows({
    path: ["spans"],
    params: { ...params, limit: 100 },
    cursor: "before",
    rowsOf: (answer) => /** @type {SpanRow[]} */ (answer.spans),
    keyOf: (row) => `${row.trace_id}${row.span_id}`,
    noun: "span",
    newestFirst: sort === "",
  });
  const { state, first } = rows;
  useCommand(first?.command, first ? apiPath(["spans"], { ...params, limit: 100 }) : null);
  useRowsShown(!!first);
  useRowKeys();
  const way = sort === "-duration" ? "descending" : sort === "duration" ? "ascending" : undefined;
  return h(
    "section",
    null,
    h(
      "div",
      { class: "head" },
      h("h1", null, "Spans"),
      h(Services, null),
      h(Toggle, { name: "errors", label: "errors only" }),
      h("span", { class: "space" }),
      h(TimePicker, null),
    ),
    h(Chips, null),
    state.error && !(state.error instanceof Error && "at" in state.error && state.error.at !== null)
      ? h(Problem, { error: state.error, retryIn: state.retryIn, again: state.again })
      : null,
    h(NewRows, { rows, noun: "span" }),
    rows.rows.length === 0
      ? first && !state.stale
        ? h(NothingFits, { noun: "span" })
        : null
      : h(
          "div",
          {
            class: state.stale ? "rows stale" : "rows",
            role: "table",
            "aria-label": "Spans",
            "aria-rowcount": -1,
            style: { "--cols": COLUMNS },
          },
          h(
            "div",
            { class: "row row-head", role: "row" },
            ["started", "name", "service", "kind"].map((title) =>
              h("div", { key: title, class: "cell", role: "columnheader" }, title),
            ),
            h(
              "div",
              { class: "cell number", role: "columnheader", "aria-sort": way },
              h(
                "button",
                {
                  type: "button",
                  class: "sort",
                  onClick: () =>
                    adjust({
                      sort: way === "descending" ? "duration" : way === "ascending" ? null : "-duration",
                    }),
                },
                "duration",
                way === "descending" ? " ↓" : way === "ascending" ? " ↑" : "",
              ),
            ),
          ),
          rows.rows.map((row) => h(Row, { key: row.trace_id + row.span_id, row })),
        ),
    h(ListEnd, { rows, noun: "span" }),
  );
}

/** @param {{row: SpanRow}} props */
function Row({ row }) {
  return h(
    "div",
    { class: row.status === "error" ? "row row-error" : "row", role: "row" },
    h("div", { class: "cell c-start", role: "cell" }, h(Time, { at: row.start })),
    h(
      "div",
      { class: "cell c-root", role: "cell" },
      h(StateSign, { state: row.state, status: row.status }),
      " ",
      h(
        "a",
        {
          class: "row-link",
          href: to(["traces", row.trace_id], { span: row.span_id }),
          title: plain(row.name, 500),
        },
        h(Text, { value: row.name || "(no name)" }),
      ),
      row.status_message
        ? h("div", { class: "first-error" }, h(Text, { value: row.status_message, max: 160 }))
        : null,
    ),
    h("div", { class: "cell c-service", role: "cell" }, h(Text, { value: row.service, max: 60 })),
    h("div", { class: "cell c-kind", role: "cell" }, row.kind),
    h(
      "div",
      { class: "cell c-duration number", role: "cell" },
      row.state === "running"
        ? h("span", { class: "running" }, "running")
        : row.duration_ns === null
          ? "–"
          : duration(row.duration_ns),
    ),
  );
}
