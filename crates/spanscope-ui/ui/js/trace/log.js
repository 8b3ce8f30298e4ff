/** Starts, ends and events of all spans in chronological order. */
import { h, useMemo } from "../../vendor/preact.js";
import { get, useLoaded } from "../api.js";
import { counted, duration, plain } from "../format.js";
import { adjust, place } from "../page.js";
import { Problem, Text, severityClass } from "../ui.js";
import { Lines } from "../virtual.js";
import { entries } from "./entries.js";

/** @typedef {import("../api-types.d.ts").LogRow} LogRow */

const PAGE = 1000;
/** The maximum number of pages that are loaded. The page of logs shows further events. */
const MOST_PAGES = 20;
const RANK = new Map([
  ["trace", 0],
  ["verbose", 0],
  ["debug", 1],
  ["info", 2],
  ["warn", 3],
  ["error", 4],
  ["critical", 5],
]);

/**
 * @param {{
 *   trace: import("./model.js").Trace,
 *   select: (row: number) => void,
 *   selected: number,
 * }} props
 */
export function Log({ trace, select, selected }) {
  const { shape } = trace;
  const { query } = place.value;
  const least = query.get("severity") ?? "";
  const find = query.get("find") ?? "";
  const state = useLoaded(`${shape.trace_id} ${shape.cursor}`, async (signal) => {
    /** @type {LogRow[]} */
    const logs = [];
    let before = null;
    for (let page = 0; page < MOST_PAGES; page++) {
      /** @type {{logs: LogRow[], next: string | null}} */
      const answer = await get(["logs"], { trace: shape.trace_id, limit: PAGE, before }, signal);
      logs.push(...answer.logs);
      before = answer.next;
      if (before === null) break;
    }
    return { logs, more: before !== null };
  });
  const all = useMemo(() => entries(trace, state.data?.logs ?? []), [trace, state.data]);
  const shown = useMemo(() => {
    const rank = RANK.get(least) ?? -1;
    const words = find.toLowerCase();
    return all.filter(
      (entry) =>
        (rank < 0 || (entry.what === "event" && (RANK.get(entry.severity) ?? 2) >= rank)) &&
        (words === "" ||
          entry.text.toLowerCase().includes(words) ||
          nameOf(trace, entry.row).toLowerCase().includes(words)),
    );
  }, [all, least, find]);
  return h(
    "div",
    { class: "view" },
    h(
      "div",
      { class: "tools" },
      h("input", {
        class: "find-field",
        type: "search",
        "aria-label": "Find in the log",
        placeholder: "find   /",
        value: find,
        onInput: (/** @type {Event} */ event) =>
          adjust({ find: /** @type {HTMLInputElement} */ (event.currentTarget).value }),
      }),
      h(
        "select",
        {
          "aria-label": "Severity",
          value: least,
          onChange: (/** @type {Event} */ event) =>
            adjust({ severity: /** @type {HTMLSelectElement} */ (event.currentTarget).value }),
        },
        h("option", { value: "" }, "starts, ends and events"),
        ["debug", "info", "warn", "error"].map((name) =>
          h("option", { key: name, value: name }, `events, ${name} and above`),
        ),
      ),
      h(
        "span",
        { role: "status", class: "dim" },
        state.data ? counted(shown.length, "line") : "loading the events",
      ),
      state.data?.more
        ? h("span", { class: "warn" }, `the newest ${counted(MOST_PAGES * PAGE, "event")} are shown`)
        : null,
    ),
    state.error ? h(Problem, { error: state.error, again: state.again, retryIn: state.retryIn }) : null,
    h(Lines, {
      length: shown.length,
      height: 24,
      label: "Log of the trace",
      class: "log-view",
      at: selected < 0 ? -1 : shown.findIndex((entry) => entry.row === selected),
      marked: (i) => selected >= 0 && shown[i]?.row === selected,
      row: (i) => {
        const entry = shown[i];
        if (!entry) return null;
        const depth = entry.row >= 0 ? Math.min(20, trace.depth[entry.row] ?? 0) : 0;
        return [
          h("span", { class: "number at" }, `+${duration(Math.max(0, entry.at) * trace.scale)}`),
          h(
            "span",
            { class: `severity ${entry.what === "event" ? severityClass(entry.severity) : "dim"}` },
            entry.what === "event" ? entry.severity : "",
          ),
          h(
            "button",
            {
              type: "button",
              class: "plain",
              disabled: entry.row < 0,
              style: { paddingLeft: `${depth * 12}px` },
              title: plain(entry.text, 1000),
              onClick: () => entry.row >= 0 && select(entry.row),
            },
            entry.what === "event"
              ? h(Text, { value: entry.text, max: 400 })
              : [
                  h(Text, { value: nameOf(trace, entry.row) }),
                  h(
                    "span",
                    { class: trace.error[entry.row] && entry.what === "ended" ? "error-text" : "dim" },
                    ` ${entry.text}`,
                  ),
                ],
          ),
        ];
      },
    }),
  );
}

/** @param {import("./model.js").Trace} trace @param {number} row */
function nameOf({ shape }, row) {
  return shape.names[shape.name[row] ?? -1] ?? "";
}
