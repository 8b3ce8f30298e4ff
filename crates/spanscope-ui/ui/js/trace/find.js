/** The field that finds spans of the trace. The server searches all spans, also folded ones. */
import { h, useEffect, useMemo, useState } from "../../vendor/preact.js";
import { get, useLoaded } from "../api.js";
import { count, counted } from "../format.js";
import { adjust, place } from "../page.js";
import { Problem, icon } from "../ui.js";

/** @typedef {import("../api-types.d.ts").FoundSpans} FoundSpans */
/** The matching rows in order, and for each row whether it matches. */
/** @typedef {{rows: number[], marks: Uint8Array}} Matches */

/**
 * @param {{
 *   trace: import("./model.js").Trace,
 *   at: number,
 *   setMatches: (matches: Matches | null) => void,
 *   jump: (step: 1 | -1) => void,
 * }} props
 */
export function Find({ trace, at, setMatches, jump }) {
  const { shape } = trace;
  const { query } = place.value;
  const find = query.get("find") ?? "";
  const only = query.get("only") === "1";
  const [draft, setDraft] = useState(find);
  useEffect(() => setDraft(find), [find]);
  const found = useLoaded(find === "" ? null : `${shape.trace_id} ${find}`, (signal) =>
    get(["traces", shape.trace_id, "find"], { q: find }, signal),
  );
  const answer = /** @type {FoundSpans | null} */ (find === "" ? null : found.data);
  const matches = useMemo(() => (answer ? matchesOf(shape, answer) : null), [shape, answer]);
  useEffect(() => setMatches(matches), [matches]);
  const n = matches?.rows.length ?? 0;
  const total = `${at >= 0 ? `${count(at + 1)} of ` : ""}${counted(answer?.total ?? n, "match", "matches")}`;
  return h(
    "form",
    {
      class: "find",
      role: "search",
      "aria-label": "Find in the trace",
      onSubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        if (draft.trim() === find && n > 0) jump(1);
        else adjust({ find: draft.trim() });
      },
    },
    h("input", {
      class: "find-field",
      type: "search",
      "aria-label": "Find in the trace",
      placeholder: "find   /",
      autocomplete: "off",
      spellcheck: false,
      maxLength: 8192,
      value: draft,
      onInput: (/** @type {Event} */ event) =>
        setDraft(/** @type {HTMLInputElement} */ (event.currentTarget).value),
    }),
    find === ""
      ? null
      : [
          h(
            "span",
            { role: "status" },
            found.error ? "" : !answer ? "searching" : n === 0 ? "no match" : total,
          ),
          step("Previous match", "N", "up", () => jump(-1)),
          step("Next match", "n", "down", () => jump(1)),
          h(
            "button",
            {
              type: "button",
              class: "toggle",
              "aria-pressed": only,
              onClick: () => adjust({ only: only ? null : 1 }),
            },
            "only matches",
          ),
          h(
            "button",
            {
              type: "button",
              class: "quiet",
              "aria-label": "End the search",
              onClick: () => adjust({ find: null, only: null }),
            },
            icon("close"),
          ),
        ],
    found.error ? h(Problem, { error: found.error }) : null,
  );
}

/**
 * A button that goes to the next or previous one of some rows.
 * @param {string} name
 * @param {string} key
 * @param {"up" | "down"} sign
 * @param {() => void} run
 */
export function step(name, key, sign, run) {
  return h(
    "button",
    { key: name, type: "button", "aria-label": name, title: `${name} (${key})`, onClick: run },
    icon(sign),
  );
}

/**
 * Returns the rows that the server found. Its response contains their numbers.
 * @param {import("./model.js").Shape} shape
 * @param {FoundSpans} answer
 * @returns {Matches}
 */
function matchesOf(shape, answer) {
  const wanted = new Set(answer.numbers);
  const marks = new Uint8Array(shape.n);
  /** @type {number[]} */
  const rows = [];
  let number = 0;
  shape.number_steps.forEach((step, row) => {
    number += step;
    if (!wanted.has(number)) return;
    marks[row] = 1;
    rows.push(row);
  });
  return { rows, marks };
}
