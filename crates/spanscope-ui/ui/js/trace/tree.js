/**
 * A value that is JSON, as a tree. What is folded has no elements, and long lists are shown in
 * steps, so that a large value costs no more than a small one until the user opens it.
 */
import { h, useState } from "../../vendor/preact.js";
import { counted } from "../format.js";
import { Text } from "../ui.js";
import { leaf, members } from "./parse.js";

/** The members that are shown at first, and added per step. */
const FIRST_MEMBERS = 100;
/** The characters of a text that are shown at first. */
const FIRST_CHARACTERS = 500;
/** The maximum length of a value whose members are unfolded at first, in characters. */
const SMALL = 1500;
/** The levels that are unfolded at first. */
const FIRST_LEVELS = 6;

/** @param {{value: object, length: number}} props `length` is that of its text */
export function Tree({ value, length }) {
  return h(
    "div",
    { class: "tree value" },
    h(Node, { name: null, value, depth: 0, unfolded: length <= SMALL }),
  );
}

/** @param {{name: string | null, value: unknown, depth: number, unfolded: boolean}} props */
function Node({ name, value, depth, unfolded }) {
  const inside = members(value);
  const isList = Array.isArray(value);
  const [open, setOpen] = useState(depth === 0 || (unfolded && depth < FIRST_LEVELS));
  const [limit, setLimit] = useState(FIRST_MEMBERS);
  const key = name === null ? null : [h(Text, { value: name, max: 200, class: "tree-key" }), ": "];
  if (!inside || inside.length === 0) return [key, h(Leaf, { value })];
  const fold = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "ArrowRight" && event.key !== "ArrowLeft") return;
    event.preventDefault();
    event.stopPropagation();
    setOpen(event.key === "ArrowRight");
  };
  const size = isList ? `[${counted(inside.length, "item")}]` : `{${counted(inside.length, "key")}}`;
  return [
    h(
      "button",
      {
        type: "button",
        class: "plain",
        "aria-expanded": open,
        onClick: () => setOpen(!open),
        onKeyDown: fold,
      },
      h("span", { class: "dim", "aria-hidden": "true" }, open ? "▾ " : "▸ "),
      key,
      h("span", { class: "dim" }, size),
    ),
    open
      ? h(
          "ul",
          null,
          inside
            .slice(0, limit)
            .map(([member, of], i) =>
              h(
                "li",
                { key: i },
                h(Node, { name: isList ? `${i}` : member, value: of, depth: depth + 1, unfolded }),
              ),
            ),
          inside.length > limit
            ? h(
                "li",
                null,
                h(
                  "button",
                  { type: "button", onClick: () => setLimit(limit + FIRST_MEMBERS) },
                  `show ${Math.min(FIRST_MEMBERS, inside.length - limit)} of ${inside.length - limit} more`,
                ),
              )
            : null,
        )
      : null,
  ];
}

/** @param {{value: unknown}} props */
function Leaf({ value }) {
  const [shown, setShown] = useState(FIRST_CHARACTERS);
  const isText = typeof value === "string";
  const text = isText ? value : leaf(value);
  const letter = { number: "i", bigint: "i", boolean: "b" }[String(typeof value)] ?? "s";
  return [
    h(
      "span",
      { class: `value-${letter}` },
      isText ? '"' : null,
      h(Text, { value: text, max: shown, lines: true }),
      isText ? '"' : null,
    ),
    text.length > shown
      ? h("button", { type: "button", class: "more", onClick: () => setShown(shown * 8) }, "show more")
      : null,
  ];
}
