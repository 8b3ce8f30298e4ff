/** The terms of the filter as chips, and the server's warnings and errors about them. */
import { Fragment, h } from "../vendor/preact.js";
import { ApiError, get, useLoaded } from "./api.js";
import { plain } from "./format.js";
import { adjust, place } from "./page.js";
import { Text, icon } from "./ui.js";

/** The terms of the filter, each of which can be removed, and the server's warnings. */
export function Chips() {
  const q = place.value.query.get("q") ?? "";
  const parsed = useLoaded(q === "" ? null : q, (signal) => get(["filter"], { q }, signal));
  const answer = /** @type {import("./api-types.d.ts").ParsedFilter | null} */ (
    q === "" || parsed.stale ? null : parsed.data
  );
  if (q === "") return null;
  if (!answer) {
    return parsed.error instanceof ApiError && parsed.error.status === 400
      ? h(WrongFilter, { error: parsed.error, q })
      : null;
  }
  return h(
    Fragment,
    null,
    h(
      "ul",
      { class: "chips", "aria-label": "Terms of the filter" },
      answer.terms.map((term) =>
        h(
          "li",
          { class: "chip", key: `${term.from}` },
          h(Text, { value: term.text, max: 80 }),
          h(
            "button",
            {
              type: "button",
              title: "Remove",
              "aria-label": `Remove ${plain(term.text, 80)}`,
              onClick: () => adjust({ q: withoutPart(q, term.from, term.to) }, true),
            },
            icon("close"),
          ),
        ),
      ),
    ),
    answer.warnings.map((warning) =>
      h(
        "p",
        { class: "warn", role: "status", key: warning.from },
        h(Text, { value: warning.message, max: 300 }),
        warning.did_you_mean
          ? [
              " ",
              h(
                "button",
                {
                  type: "button",
                  onClick: () =>
                    adjust(
                      { q: q.slice(0, warning.from) + warning.did_you_mean + q.slice(warning.to) },
                      true,
                    ),
                },
                h(Text, { value: warning.did_you_mean, max: 80 }),
              ),
            ]
          : null,
      ),
    ),
  );
}

/**
 * Returns the filter without the part between two indices.
 * @param {string} filter
 * @param {number} from
 * @param {number} to
 */
export function withoutPart(filter, from, to) {
  return `${filter.slice(0, from).trimEnd()} ${filter.slice(to).trimStart()}`.trim();
}

/** @param {{error: ApiError, q: string}} props */
function WrongFilter({ error, q }) {
  const at = error.at ?? 0;
  return h(
    "div",
    { class: "problem", role: "alert" },
    h("p", null, icon("error"), " ", h(Text, { value: error.message, max: 400 })),
    h(
      "pre",
      null,
      h(Text, { value: q.slice(Math.max(0, at - 40), at) }),
      h("mark", null, h(Text, { value: q.slice(at, at + 40) || "⌷" })),
    ),
  );
}
