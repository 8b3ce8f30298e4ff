/** The properties of a span besides its attributes: ids, times, and where it was recorded. */
import { h } from "../../vendor/preact.js";
import { attributeTerm } from "../filter.js";
import { count, duration, timeFull } from "../format.js";
import { to } from "../page.js";
import { Copy, Text, inUtc } from "../ui.js";
import { Pairs } from "./attributes.js";

/** @typedef {import("../api-types.d.ts").SpanDetails} SpanDetails */
/** @typedef {import("../api-types.d.ts").SpanAmong} Among */

/** @param {{span: SpanDetails, among: Among | null}} props */
export function About({ span, among }) {
  const text = (/** @type {string | null | undefined} */ value) =>
    value ? h(Text, { value, max: 300 }) : null;
  /** @type {[string, import("../ui.js").Children][]} */
  const facts = [
    [
      "span",
      [h("code", null, span.span_id), h(Copy, { text: span.span_id, label: "Copy the span id" })],
    ],
    [
      "trace",
      [h("code", null, span.trace_id), h(Copy, { text: span.trace_id, label: "Copy the trace id" })],
    ],
    [
      "parent",
      span.parent_id
        ? h(
            "a",
            { href: to(["traces", span.trace_id], { span: span.parent_id }) },
            h("code", null, span.parent_id),
          )
        : "none",
    ],
    ["kind", span.kind],
    ["state", span.state],
    ["status", span.status ?? "unset"],
    ["started", timeFull(span.start, inUtc())],
    ["ended", span.end ? timeFull(span.end, inUtc()) : null],
    ["service", text(span.service)],
    ["target", text(span.target)],
    ["category", text(span.category)],
    ["level", text(span.level)],
    ["scope", span.scope ? [text(span.scope.name), " ", text(span.scope.version)] : null],
    ["trace state", text(span.trace_state)],
    ["command", h("code", null, span.command)],
  ];
  return [
    h(
      "table",
      { class: "attributes" },
      h(
        "tbody",
        null,
        facts.map(([name, value]) =>
          value === null
            ? null
            : h("tr", { key: name }, h("th", { scope: "row" }, name), h("td", null, value)),
        ),
      ),
    ),
    among && among.p50_ns !== null && among.p95_ns !== null
      ? h(
          "p",
          null,
          h(
            "a",
            {
              href: to(["spans"], {
                q: attributeTerm("name", "s", among.name),
                sort: "-duration",
                since: among.since,
              }),
            },
            `the slowest of ${count(among.count)} with its name`,
          ),
          ` (p50 ${duration(among.p50_ns)}, p95 ${duration(among.p95_ns)})`,
        )
      : null,
    span.resource.length > 0 ? [h("h3", null, "Resource"), h(Pairs, { pairs: span.resource })] : null,
  ];
}
