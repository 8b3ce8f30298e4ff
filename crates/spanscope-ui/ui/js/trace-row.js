/** The columns of the list of traces, and a row of it. */
import { h, signal } from "../vendor/preact.js";
import { count, duration, money, plain, tokens } from "./format.js";
import { columnWidths } from "./keys.js";
import { to } from "./page.js";
import { StateSign, Text, Time } from "./ui.js";

/** @typedef {import("./api-types.d.ts").TraceRow} TraceRow */
/** @typedef {typeof COLUMNS[number]} Column */

/** Name, heading, width, and whether it is shown by default. The first two are always shown. */
export const COLUMNS = /** @type {const} */ ([
  ["start", "started", "11.5rem", true],
  ["root", "root", "minmax(12rem, 3fr)", true],
  ["service", "service", "minmax(6rem, 1fr)", true],
  ["duration", "duration", "9.5rem", true],
  ["spans", "spans", "4.2rem", true],
  ["errors", "errors", "3.6rem", true],
  ["calls", "calls", "3.4rem", true],
  ["tokens", "tokens", "6.5rem", true],
  ["cost", "cost", "5rem", true],
  ["model", "model", "minmax(6rem, 1fr)", true],
  ["run", "run", "minmax(5rem, 1fr)", false],
  ["agent", "agent", "minmax(5rem, 1fr)", false],
  ["session", "session", "minmax(5rem, 1fr)", false],
  ["user", "user", "minmax(5rem, 1fr)", false],
  ["id", "trace id", "7.5rem", false],
]);
export const FIXED = ["start", "root"];
/** The columns that a narrow window leaves out, in this order. */
const GIVE_WAY = [
  "model",
  "run",
  "agent",
  "user",
  "session",
  "calls",
  "id",
  "cost",
  "tokens",
  "service",
  "spans",
];
/** The minimum widths of columns, in pixels. */
const LEAST = new Map(
  Object.entries({
    root: 204,
    start: 196,
    duration: 164,
    spans: 79,
    errors: 70,
    calls: 66,
    tokens: 116,
    cost: 92,
    id: 132,
  }),
);
const width = signal(innerWidth);
addEventListener("resize", () => (width.value = innerWidth));
const NUMBERS = ["duration", "spans", "errors", "calls", "tokens", "cost"];

/**
 * Returns the columns that fit in the window. Below 720 px rows are cards, which show all.
 * @param {Column[]} columns
 */
export function fitting(columns) {
  const set = widths();
  const least = (/** @type {string} */ name) =>
    set.has(name) ? (set.get(name) ?? 0) + 12 : (LEAST.get(name) ?? 108);
  let room = width.value - 40;
  for (const [name] of columns) room -= least(name);
  let left = columns;
  for (const name of GIVE_WAY) {
    if (room >= 0 || width.value < 720) break;
    if (!left.some((column) => column[0] === name)) continue;
    left = left.filter((column) => column[0] !== name);
    room += least(name);
  }
  return left;
}

/** Returns the widths that the user set, in pixels. */
export function widths() {
  const pairs = columnWidths.value.split(",").map((pair) => pair.split("="));
  return new Map(pairs.flatMap(([name, px]) => (name && Number(px) > 0 ? [[name, Number(px)]] : [])));
}

/** @param {string} name @param {number} px */
export function setWidth(name, px) {
  const next = widths().set(name, Math.round(px));
  columnWidths.value = [...next].map(([column, value]) => `${column}=${value}`).join(",");
}

/** Returns the widths of the columns for a CSS grid. @param {Column[]} columns */
export function template(columns) {
  const set = widths();
  return columns.map(([name, , usual]) => (set.has(name) ? `${set.get(name)}px` : usual)).join(" ");
}

/** @param {{row: TraceRow, columns: Column[], longest: number, currency: string | null}} props */
export function Row({ row, columns, longest, currency }) {
  return h(
    "div",
    { class: row.status === "error" ? "row row-error" : "row", role: "row" },
    columns.map(([name]) =>
      h(
        "div",
        { key: name, class: `cell c-${name}${NUMBERS.includes(name) ? " number" : ""}`, role: "cell" },
        cell(name, row, longest, currency),
      ),
    ),
  );
}

/**
 * @param {string} name
 * @param {TraceRow} row
 * @param {number} longest
 * @param {string | null} currency
 * @returns {import("./ui.js").Children}
 */
function cell(name, row, longest, currency) {
  switch (name) {
    case "start":
      return h(Time, { at: row.start });
    case "root":
      return [
        h(StateSign, { state: row.state, status: row.errors > 0 ? "error" : row.status }),
        " ",
        h(
          "a",
          { class: "row-link", href: to(["traces", row.trace_id]), title: plain(row.root, 500) },
          h(Text, { value: row.root || "(no name)" }),
        ),
        row.error
          ? h(
              "div",
              { class: "first-error" },
              row.error.name === row.root ? null : [h(Text, { value: row.error.name, max: 60 }), ": "],
              h(Text, { value: row.error.text, max: 160 }),
            )
          : null,
      ];
    case "service":
      return h(Text, { value: row.service, max: 60 });
    case "duration":
      return [
        h(
          "span",
          { class: "log-bar", "aria-hidden": "true" },
          h("i", { style: { width: `${logShare(row.duration_ns ?? 0, longest)}%` } }),
        ),
        h(
          "span",
          { class: row.state === "running" ? "took running" : "took" },
          row.duration_ns !== null
            ? duration(row.duration_ns)
            : row.state === "running"
              ? "running"
              : "–",
        ),
      ];
    case "spans":
      return [count(row.spans), h("span", { class: "unit" }, row.spans === 1 ? " span" : " spans")];
    case "errors":
      return row.errors > 0
        ? [
            h("span", { class: "error-text" }, count(row.errors)),
            h("span", { class: "unit" }, row.errors === 1 ? " error" : " errors"),
          ]
        : "–";
    case "calls":
      return row.calls > 0 ? count(row.calls) : "–";
    case "tokens":
      return h(
        "span",
        { title: `${tokens(row.input, row.output)} (input → output)` },
        row.input + row.output > 0 ? count(row.input + row.output) : "–",
      );
    case "cost":
      return row.unpriced.length > 0
        ? h(
            "span",
            { title: `no price for ${plain(row.unpriced.join(", "))}` },
            row.cost === null ? "–" : `≥ ${money(row.cost, currency)}`,
          )
        : row.calls > 0
          ? money(row.cost, currency)
          : "–";
    case "model":
      return h(Text, { value: row.models.join(", "), max: 80 });
    case "run":
      return h(Text, { value: row.run ?? "", max: 60 });
    case "agent":
      return h(Text, { value: row.agent ?? "", max: 60 });
    case "session":
      return h(Text, { value: row.session ?? "", max: 60 });
    case "user":
      return h(Text, { value: row.user ?? "", max: 60 });
    default:
      return h("code", null, row.trace_id.slice(0, 12));
  }
}

/**
 * Returns the length of a bar in percent, on a logarithmic scale that begins at 10 µs.
 * @param {number} ns
 * @param {number} longest
 */
function logShare(ns, longest) {
  if (ns <= 0) return 0;
  const floor = 4;
  const all = Math.max(1, Math.log10(longest) - floor);
  return Math.max(2, Math.min(100, ((Math.log10(ns) - floor) / all) * 100));
}
