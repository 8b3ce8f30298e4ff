/** Attributes of a span, with their types, and with notes on values that were cut. */
import { h, useMemo, useState } from "../../vendor/preact.js";
import { apiPath } from "../api.js";
import { attributeTerm } from "../filter.js";
import { bytes, counted, plain } from "../format.js";
import { status, to } from "../page.js";
import { Menu, Text, copyText } from "../ui.js";
import { grouped } from "./groups.js";
import { parseJson } from "./parse.js";
import { Tree } from "./tree.js";

/** @typedef {import("../api-types.d.ts").SpanDetails} SpanDetails */
/** @typedef {import("../api-types.d.ts").SpanDetails["attributes"][number]} Attribute */

/** The part of a value that is shown at first. */
const FIRST_CHARACTERS = 2000;
const FIRST_LINES = 40;
/** The number of attributes that are shown at first, and added per step. */
const FIRST_KEYS = 200;

/** @param {{span: SpanDetails}} props */
export function Attributes({ span }) {
  const [filter, setFilter] = useState("");
  const [limit, setLimit] = useState(FIRST_KEYS);
  const wanted = filter.toLowerCase();
  const found = span.attributes.filter(
    ([key, , value]) =>
      wanted === "" || key.toLowerCase().includes(wanted) || value.toLowerCase().includes(wanted),
  );
  if (span.attributes.length === 0) return h("p", { class: "dim" }, "no attributes");
  return [
    span.attributes.length > 8
      ? h("input", {
          type: "search",
          "aria-label": "Filter the attributes",
          placeholder: "filter the attributes",
          value: filter,
          onInput: (/** @type {Event} */ event) =>
            setFilter(/** @type {HTMLInputElement} */ (event.currentTarget).value),
        })
      : null,
    grouped(found.slice(0, limit)).map(([prefix, pairs]) => [
      prefix ? h("h3", { key: prefix }, h(Text, { value: prefix, max: 60 })) : null,
      h(Pairs, { key: `of ${prefix}`, pairs, span }),
    ]),
    found.length > limit
      ? h(
          "button",
          { type: "button", onClick: () => setLimit(limit + FIRST_KEYS) },
          `${counted(found.length - limit, "more attribute")}`,
        )
      : null,
    status.value?.can.types === false
      ? h(
          "p",
          { class: "dim" },
          "Values are texts in this store. A filter with a number also finds the text of that number.",
        )
      : null,
  ];
}

/** @param {{pairs: Attribute[], span?: SpanDetails}} props */
export function Pairs({ pairs, span }) {
  return h(
    "table",
    { class: "attributes" },
    h(
      "tbody",
      null,
      pairs.map(([key, type, value], i) =>
        h(
          "tr",
          { key: i },
          h("th", { scope: "row" }, h(Text, { value: key, max: 200 })),
          h("td", null, h(Value, { name: key, type, value, ...(span ? { span } : {}) })),
          h("td", { class: "pair-menu" }, h(PairMenu, { name: key, type, value })),
        ),
      ),
    ),
  );
}

/** @param {{name: string, type: string, value: string}} props */
function PairMenu({ name, type, value }) {
  const short = value.length <= 200 && type !== "j";
  return h(
    Menu,
    { label: "⋯", name: `Actions for ${plain(name, 60)}` },
    h("button", { type: "button", onClick: () => copyText(value) }, "copy the value"),
    h("button", { type: "button", onClick: () => copyText(name) }, "copy the key"),
    short
      ? h("a", { href: to(["traces"], { q: attributeTerm(name, type, value) }) }, "traces that have it")
      : null,
    short
      ? h("a", { href: to(["spans"], { q: attributeTerm(name, type, value) }) }, "spans that have it")
      : null,
    short
      ? h(
          "a",
          { href: to(["traces"], { q: attributeTerm(name, type, value, true) }) },
          "traces without it",
        )
      : null,
  );
}

/** @param {{name: string, type: string, value: string, span?: SpanDetails}} props */
function Value({ name, type, value, span }) {
  const [shown, setShown] = useState(1);
  const parsed = useMemo(
    () => (type === "j" || type === "s" ? parseJson(value) : undefined),
    [type, value],
  );
  const lines = value.split("\n", FIRST_LINES * shown + 1);
  const text = lines.slice(0, FIRST_LINES * shown).join("\n");
  const cutHere =
    !parsed && (lines.length > FIRST_LINES * shown || text.length > FIRST_CHARACTERS * shown);
  const recorded = span?.recorded_cut.find(([key]) => key === name);
  const cutThere = span?.cut.find((entry) => entry.key === name);
  const long = value.includes("\n") || value.length > 60;
  const letter = ["s", "i", "f", "b", "j"].includes(type) ? type : "s";
  return [
    parsed
      ? h(Tree, { value: parsed, length: value.length })
      : h(
          "span",
          {
            class: `value value-${letter}${long ? " long" : ""}`,
          },
          h(Text, { value: text, max: FIRST_CHARACTERS * shown, lines: true }),
        ),
    cutHere
      ? h("button", { type: "button", class: "more", onClick: () => setShown(shown + 4) }, "show more")
      : null,
    recorded
      ? h("span", { class: "warn" }, ` cut when it was recorded, of ${bytes(recorded[1])} `)
      : null,
    cutThere
      ? h("span", { class: "warn" }, ` ${bytes(cutThere.shown)} of ${bytes(cutThere.whole)} `)
      : null,
    span && (cutThere || value.length > FIRST_CHARACTERS)
      ? h(
          "a",
          {
            href: apiPath(["traces", span.trace_id, "spans", span.span_id, "value"], { key: name }),
            download: `value-${span.span_id.slice(0, 8)}.txt`,
          },
          "whole value",
        )
      : null,
  ];
}
