/** A row of the log, and the grouping of equal rows into one. */
import { h } from "../vendor/preact.js";
import { attributeTerm, withTerm } from "./filter.js";
import { plain } from "./format.js";
import { adjust, place, to } from "./page.js";
import { Copy, Text, Time, severityClass } from "./ui.js";

/** @typedef {import("./api-types.d.ts").LogRow} LogRow */

/**
 * Groups successive events with equal message, target, severity and service into one with a count.
 * @param {LogRow[]} rows
 */
export function folded(rows) {
  /** @type {{row: LogRow, times: number}[]} */
  const shown = [];
  for (const row of rows) {
    const last = shown.at(-1);
    if (
      last &&
      last.row.message === row.message &&
      last.row.target === row.target &&
      last.row.severity === row.severity &&
      last.row.service === row.service
    ) {
      last.times += 1;
    } else shown.push({ row, times: 1 });
  }
  return shown;
}

/**
 * @param {{
 *   row: LogRow,
 *   times: number,
 *   open: boolean,
 *   toggle: () => void,
 *   inContext?: () => void,
 *   at?: boolean,
 * }} props
 */
export function Row({ row, times, open, toggle, inContext, at = false }) {
  const isError = row.severity === "error" || row.severity === "critical";
  return h(
    "div",
    {
      class: ["row", isError ? "row-error" : "", at ? "row-at" : ""].join(" ").trim(),
      role: "row",
      "aria-current": at ? "true" : undefined,
    },
    h("div", { class: "cell c-start", role: "cell" }, h(Time, { at: row.time })),
    h(
      "div",
      { class: "cell c-severity", role: "cell" },
      h("span", { class: severityClass(row.severity) }, row.severity),
    ),
    h("div", { class: "cell c-service", role: "cell" }, h(Text, { value: row.service, max: 60 })),
    h("div", { class: "cell c-category", role: "cell" }, h(Text, { value: row.category, max: 60 })),
    h("div", { class: "cell c-target", role: "cell" }, h(Text, { value: row.target, max: 80 })),
    h(
      "div",
      { class: "cell c-message", role: "cell" },
      h(
        "button",
        { type: "button", class: "row-link plain", "aria-expanded": open, onClick: toggle },
        h(
          "span",
          { class: "message" },
          h(Text, { value: row.message || row.name || "(no message)", max: 300 }),
          times > 1 ? h("span", { class: "badge" }, `× ${times}`) : null,
          h(
            "span",
            { class: "dim" },
            row.attributes
              .slice(0, 6)
              .map(([key, , value]) => [
                " ",
                h(Text, { value: `${key}=`, max: 60 }),
                h(Text, { value, max: 60 }),
              ]),
            row.attributes.length > 6 ? ` +${row.attributes.length - 6}` : "",
          ),
        ),
      ),
      open ? h(Opened, { row, inContext }) : null,
    ),
  );
}

/** @param {{row: LogRow, inContext?: (() => void) | undefined}} props */
function Opened({ row, inContext }) {
  const q = place.value.query.get("q") ?? "";
  return h(
    "div",
    { class: "opened" },
    h("p", { class: "long" }, h(Text, { value: row.message, max: 2000, lines: true })),
    row.cut ? h("p", { class: "warn" }, "The message or a value is cut.") : null,
    h(
      "p",
      { class: "actions" },
      row.trace_id
        ? h(
            "a",
            { href: to(["traces", row.trace_id], row.span_id ? { span: row.span_id } : {}) },
            "open its trace",
          )
        : null,
      inContext ? h("button", { type: "button", onClick: inContext }, "in context") : null,
      h(Copy, { text: row.message, label: "Copy the message" }),
      row.target ? h("span", { class: "dim" }, h(Text, { value: row.target, max: 120 })) : null,
    ),
    h(
      "table",
      { class: "attributes" },
      h(
        "tbody",
        null,
        row.attributes.map(([key, type, value]) =>
          h(
            "tr",
            { key },
            h("th", { scope: "row" }, h(Text, { value: key, max: 200 })),
            h("td", null, h(Text, { value, max: 2000, lines: true })),
            h(
              "td",
              null,
              h(
                "button",
                {
                  type: "button",
                  class: "quiet",
                  title: "Filter for it",
                  "aria-label": `Filter for ${plain(key, 60)}`,
                  onClick: () => adjust({ q: withTerm(q, attributeTerm(key, type, value)) }, true),
                },
                "=",
              ),
            ),
          ),
        ),
      ),
    ),
  );
}
