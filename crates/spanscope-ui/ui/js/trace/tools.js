/** The tools above the waterfall. */
import { h, useMemo } from "../../vendor/preact.js";
import { count, counted, duration, money } from "../format.js";
import { nameWidth } from "../keys.js";
import { adjust, place } from "../page.js";
import { Menu, Text, icon } from "../ui.js";
import { Find, step } from "./find.js";
import { STEPS, changed, foldOffPath } from "./lines.js";
import { Minimap } from "./minimap.js";
import { STEP_COLOURS } from "./paint.js";

/** @typedef {import("./model.js").Trace} Trace */
/** @typedef {import("./lines.js").View} View */

/**
 * @typedef {object} ToolsProps
 * @property {Trace} trace
 * @property {View} view
 * @property {(change: (view: View) => View) => void} setView
 * @property {import("./lines.js").Lines} shown
 * @property {[number, number]} zoom
 * @property {number} cursor
 * @property {boolean} path
 * @property {readonly number[]} matchRows
 * @property {(matches: import("./find.js").Matches | null) => void} setMatches
 * @property {number} selected
 * @property {(among: readonly number[], step: 1 | -1, what: string) => void} jump
 * @property {number} pinned
 */

/** @param {ToolsProps} props */
export function Tools(props) {
  const { trace, view, setView, shown, zoom, cursor, path, matchRows, selected } = props;
  const { setMatches, jump, pinned } = props;
  const { shape } = trace;
  return [
    h(Minimap, { trace, zoom, cursor }),
    h(
      "div",
      { class: "tools" },
      h(Find, {
        trace,
        at: matchRows.indexOf(selected),
        setMatches,
        jump: (step) => jump(matchRows, step, "match"),
      }),
      shape.errors.length > 0
        ? h(
            "span",
            { class: "steps" },
            step("Previous error", "E", "up", () => jump(shape.errors, -1, "error")),
            h("span", { class: "error-text" }, counted(shape.errors.length, "error")),
            step("Next error", "e", "down", () => jump(shape.errors, 1, "error")),
          )
        : null,
      shape.critical.length > 0
        ? h(
            "button",
            {
              type: "button",
              class: "toggle",
              "aria-pressed": path,
              title: "Critical path (p); P folds the rest",
              onClick: () => adjust({ path: path ? null : 1 }),
            },
            `critical path${path ? `: ${pathSum(trace)}` : ""}`,
          )
        : null,
      trace.groups.size > 0
        ? h(
            "button",
            {
              type: "button",
              class: "toggle",
              "aria-pressed": view.grouped,
              onClick: () => setView((v) => ({ ...v, grouped: !v.grouped })),
            },
            "group equal siblings",
          )
        : null,
      shape.services.length > 1 ? h(Services, { trace, view, setView }) : null,
      /[^n]/.test(shape.step) ? h(Colours, null) : null,
      path
        ? h(
            "button",
            { type: "button", onClick: () => setView((v) => ({ ...v, closed: foldOffPath(trace) })) },
            "fold the rest",
          )
        : null,
      place.value.query.get("zoom")
        ? h("button", { type: "button", onClick: () => adjust({ zoom: null }) }, "whole time (0)")
        : null,
    ),
    shown.hiddenSpans > 0
      ? h(
          "p",
          { class: "warn", role: "status" },
          `${counted(shown.hiddenSpans, "span")} of ${counted(view.hidden.size, "service")} hidden`,
        )
      : null,
    shape.dots.more > 0
      ? h("p", { class: "dim" }, `${counted(shape.dots.more, "more event")} without a mark`)
      : null,
    pinned >= 0 ? h(Pinned, { trace, row: pinned, zoom, close: () => adjust({ pin: null }) }) : null,
  ];
}

/** @param {Trace} trace */
function pathSum({ shape, scale }) {
  const sum = shape.critical_sum;
  const used = sum.input + sum.output;
  return [
    duration(sum.duration * scale),
    used > 0 ? `${count(used)} tok` : "",
    sum.cost === null ? "" : money(sum.cost, shape.currency),
  ]
    .filter(Boolean)
    .join(", ");
}

/** The choice between colouring bars by service and by kind of step. */
function Colours() {
  const byKind = place.value.query.get("colour") === "kind";
  const choice = (/** @type {string} */ label, /** @type {boolean} */ kind) =>
    h(
      "label",
      null,
      h("input", {
        type: "radio",
        name: "colour",
        checked: byKind === kind,
        onChange: () => adjust({ colour: kind ? "kind" : null }),
      }),
      ` ${label}`,
    );
  return h(
    Menu,
    { label: "colours", name: "Colours" },
    choice("by service", false),
    choice("by kind of step", true),
    byKind
      ? [...STEP_COLOURS].map(([step, i]) =>
          h(
            "span",
            { key: step },
            h("i", { class: `key service-${i}` }),
            STEPS.get(step)?.[1] || "other",
          ),
        )
      : null,
  );
}

/** @param {{trace: Trace, view: View, setView: (change: (view: View) => View) => void}} props */
function Services({ trace, view, setView }) {
  const { shape } = trace;
  const counts = useMemo(() => {
    const of = new Int32Array(shape.services.length);
    for (const service of shape.service) of[service] = (of[service] ?? 0) + 1;
    return of;
  }, [shape]);
  return h(
    Menu,
    { label: `services${view.hidden.size ? ` (${view.hidden.size} hidden)` : ""}`, name: "Services" },
    shape.services.map((service, i) =>
      h(
        "label",
        { key: i },
        h("input", {
          type: "checkbox",
          checked: !view.hidden.has(i),
          onChange: () => setView((v) => ({ ...v, hidden: changed(v.hidden, i, !v.hidden.has(i)) })),
        }),
        h("i", { class: `key service-${i % 8}` }),
        h(Text, { value: service || "(no name)", max: 60 }),
        h("span", { class: "dim" }, ` ${count(counts[i] ?? 0)}`),
      ),
    ),
  );
}

/** @param {{trace: Trace, row: number, zoom: [number, number], close: () => void}} props */
function Pinned({ trace, row, zoom, close }) {
  const share = (/** @type {number} */ at) =>
    Math.max(0, Math.min(100, ((at - zoom[0]) / (zoom[1] - zoom[0])) * 100));
  const start = trace.start[row] ?? 0;
  const end = Number.isNaN(trace.dur[row]) ? trace.duration : start + (trace.dur[row] ?? 0);
  return h(
    "div",
    { class: "pinned" },
    h(
      "span",
      { class: "pinned-name", style: { width: `${nameWidth.value}%` } },
      h(
        "button",
        { type: "button", class: "quiet", "aria-label": "Unpin", onClick: close },
        icon("close"),
      ),
      h(Text, { value: trace.shape.names[trace.shape.name[row] ?? 0] ?? "" }),
    ),
    h(
      "span",
      { class: "pinned-time" },
      h("i", {
        class: `service-${(trace.shape.service[row] ?? 0) % 8}`,
        style: { left: `${share(start)}%`, width: `${Math.max(0.2, share(end) - share(start))}%` },
      }),
    ),
    h(
      "span",
      null,
      Number.isNaN(trace.dur[row]) ? "running" : duration((trace.dur[row] ?? 0) * trace.scale),
    ),
  );
}
