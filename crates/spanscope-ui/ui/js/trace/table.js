/** A table of the trace by the names of its spans. */
import { h, useMemo, useState } from "../../vendor/preact.js";
import { count, duration, money } from "../format.js";
import { adjust, place } from "../page.js";
import { Text } from "../ui.js";
import { byName } from "./names.js";

const COLUMNS = /** @type {const} */ ([
  ["name", "name"],
  ["service", "service"],
  ["count", "count"],
  ["errors", "errors"],
  ["p50", "p50"],
  ["p95", "p95"],
  ["max", "max"],
  ["total", "total"],
  ["self", "self"],
  ["path", "on critical path"],
  ["tokens", "tokens"],
  ["cost", "cost"],
]);
const TEXTS = ["name", "service"];
/** The number of rows that are shown at first, and added per step. */
const FIRST = 200;

/** @param {{trace: import("./model.js").Trace, select: (row: number) => void}} props */
export function Table({ trace, select }) {
  const wanted = place.value.query.get("sort");
  const sort = COLUMNS.find(([key]) => key === wanted)?.[0] ?? "self";
  const [limit, setLimit] = useState(FIRST);
  const rows = useMemo(() => byName(trace), [trace]);
  const used = rows.some((row) => row.tokens > 0);
  const priced = rows.some((row) => row.cost !== null);
  const columns = COLUMNS.filter(
    ([key]) =>
      (key !== "tokens" || used) &&
      (key !== "cost" || priced) &&
      (key !== "path" || trace.shape.critical.length > 0),
  );
  const sorted = [...rows].sort((a, b) => {
    const [x, y] = [a[sort], b[sort]];
    return typeof x === "string" ? (x < String(y) ? -1 : 1) : Number(y || 0) - Number(x || 0);
  });
  const time = (/** @type {number} */ value) =>
    Number.isNaN(value) ? "–" : duration(value * trace.scale);
  return h(
    "div",
    { class: "view scroll-x", tabIndex: 0, role: "region", "aria-label": "Names of the trace" },
    h(
      "table",
      { class: "data" },
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          columns.map(([key, title]) =>
            h(
              "th",
              {
                key,
                scope: "col",
                class: TEXTS.includes(key) ? "" : "number",
                "aria-sort":
                  sort === key ? (TEXTS.includes(key) ? "ascending" : "descending") : undefined,
              },
              h(
                "button",
                {
                  type: "button",
                  class: "sort",
                  onClick: () => adjust({ sort: key === "self" ? null : key }),
                },
                title,
                sort === key ? (TEXTS.includes(key) ? " ↑" : " ↓") : "",
              ),
            ),
          ),
        ),
      ),
      h(
        "tbody",
        null,
        sorted.slice(0, limit).map((row) =>
          h(
            "tr",
            { key: row.first },
            columns.map(([key]) => {
              if (key === "name")
                return h(
                  "th",
                  { key, scope: "row" },
                  h(
                    "button",
                    { type: "button", class: "plain link", onClick: () => select(row.first) },
                    h(Text, { value: row.name || "(no name)", max: 120 }),
                  ),
                );
              if (key === "service") return h("td", { key }, h(Text, { value: row.service, max: 60 }));
              if (key === "count") return h("td", { key, class: "number" }, count(row.count));
              if (key === "errors")
                return h(
                  "td",
                  { key, class: "number" },
                  row.errors > 0 ? h("span", { class: "error-text" }, count(row.errors)) : "–",
                );
              if (key === "tokens")
                return h("td", { key, class: "number" }, row.tokens > 0 ? count(row.tokens) : "–");
              if (key === "cost")
                return h("td", { key, class: "number" }, money(row.cost, trace.shape.currency));
              if (key === "path")
                return h(
                  "td",
                  { key, class: "number" },
                  row.path > 0
                    ? `${Math.round((row.path / Math.max(1, trace.shape.critical_sum.duration)) * 100)} %`
                    : "–",
                );
              return h("td", { key, class: "number" }, time(row[key]));
            }),
          ),
        ),
      ),
    ),
    rows.length > limit
      ? h(
          "button",
          { type: "button", onClick: () => setLimit(limit + FIRST) },
          `${count(rows.length - limit)} more names`,
        )
      : null,
  );
}
