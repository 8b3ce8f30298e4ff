/**
 * Counts over time as bars, and the same numbers as a table. A range is selected with the pointer
 * or the keys.
 */
import { h, useEffect, useRef, useState } from "../vendor/preact.js";
import { get, useLoaded } from "./api.js";
import { count, parseTime } from "./format.js";
import { adjust } from "./page.js";
import { Problem, Time, announce } from "./ui.js";

const BUCKETS = 60;
const HEIGHT = 44;

/** Milliseconds between two requests while the store changes, as each may cost a scan. */
const EVERY_MS = 2000;

/** @typedef {import("./api-types.d.ts").Histogram} Counts */

/**
 * @param {{
 *   path: string[],
 *   params: import("./api.js").Params,
 *   noun: string,
 *   version: unknown,
 *   onTotal: (total: Counts["total"] | null) => void,
 * }} props `version` changes whenever the store does; `onTotal` receives the number of all records
 */
export function Histogram({ path, params, noun, version, onTotal }) {
  const state = useLoaded(JSON.stringify([path, params]), (signal) =>
    get(path, { ...params, buckets: BUCKETS }, signal),
  );
  const [range, setRange] = useState(/** @type {[number, number] | null} */ (null));
  const drag = useRef(-1);
  const data = /** @type {Counts | null} */ (state.data);
  const total = state.stale ? null : (data?.total ?? null);
  useEffect(() => onTotal(total), [total]);
  const read = useRef(version);
  const timer = useRef(/** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined));
  useEffect(() => {
    if (read.current === version) return;
    read.current = version;
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      state.again();
    }, EVERY_MS);
  }, [version]);
  useEffect(() => () => clearTimeout(timer.current), []);
  if (!data)
    return state.error
      ? h(Problem, { error: state.error, again: state.again, retryIn: state.retryIn })
      : h("div", { class: "histogram" });
  const from = parseTime(data.from).ms;
  const step = (parseTime(data.to).ms - from) / BUCKETS;
  const sums = Array.from({ length: BUCKETS }, (_, i) =>
    data.series.reduce((sum, series) => sum + (series.counts[i] ?? 0), 0),
  );
  const top = Math.max(1, ...sums);
  const time = (/** @type {number} */ bucket) => new Date(from + bucket * step).toISOString();
  const choose = (/** @type {[number, number]} */ chosen) => {
    setRange(null);
    adjust({ from: time(chosen[0]), to: time(chosen[1] + 1), since: null }, true);
  };
  const bucketAt = (/** @type {PointerEvent} */ event) => {
    const box = /** @type {Element} */ (event.currentTarget).getBoundingClientRect();
    return Math.max(
      0,
      Math.min(BUCKETS - 1, Math.floor(((event.clientX - box.left) / box.width) * BUCKETS)),
    );
  };
  return h(
    "figure",
    { class: state.stale ? "histogram stale" : "histogram" },
    h(
      "svg",
      {
        viewBox: `0 0 ${BUCKETS * 10} ${HEIGHT}`,
        preserveAspectRatio: "none",
        tabIndex: 0,
        role: "slider",
        "aria-label": `${noun}s over time. Shift and the arrow keys select a range, Enter applies it`,
        "aria-valuemin": 0,
        "aria-valuemax": BUCKETS - 1,
        "aria-valuenow": range ? range[1] : BUCKETS - 1,
        "aria-valuetext": range ? `${count(range[1] - range[0] + 1)} of ${BUCKETS} steps` : "all",
        onPointerDown: (/** @type {PointerEvent} */ event) => {
          if (event.button !== 0) return;
          /** @type {Element} */ (event.currentTarget).setPointerCapture(event.pointerId);
          drag.current = bucketAt(event);
        },
        onPointerMove: (/** @type {PointerEvent} */ event) => {
          if (drag.current < 0) return;
          const at = bucketAt(event);
          setRange([Math.min(drag.current, at), Math.max(drag.current, at)]);
        },
        onPointerUp: () => {
          drag.current = -1;
          if (range && range[1] > range[0]) choose(range);
          else setRange(null);
        },
        onDblClick: () => adjust({ from: null, to: null }, true),
        onKeyDown: (/** @type {KeyboardEvent} */ event) => {
          const move = event.key === "ArrowLeft" ? -1 : event.key === "ArrowRight" ? 1 : 0;
          if (move) {
            event.preventDefault();
            const [a, b] = range ?? [BUCKETS - 10, BUCKETS - 1];
            const wider = event.shiftKey;
            const start = Math.max(0, Math.min(BUCKETS - 1, wider ? a : a + move));
            const end = Math.max(start, Math.min(BUCKETS - 1, b + move));
            setRange([start, end]);
            announce(`${count(sums.slice(start, end + 1).reduce((x, y) => x + y, 0))} ${noun}s`);
          } else if (event.key === "Enter" && range) {
            event.preventDefault();
            choose(range);
          } else if (event.key === "Escape" && range) setRange(null);
        },
      },
      sums.map((_, i) => {
        let y = HEIGHT;
        return data.series.map((series) => {
          const n = series.counts[i] ?? 0;
          if (n === 0) return null;
          const height = Math.max(1.5, (n / top) * (HEIGHT - 2));
          y -= height;
          return h("rect", {
            key: `${series.name}${i}`,
            class: `bar-${knownName(series.name)}`,
            x: i * 10 + 1,
            y,
            width: 8,
            height,
          });
        });
      }),
      range
        ? h("rect", {
            class: "range",
            x: range[0] * 10,
            y: 0,
            width: (range[1] - range[0] + 1) * 10,
            height: HEIGHT,
          })
        : null,
    ),
    h(
      "figcaption",
      null,
      h(Time, { at: data.from }),
      h(
        "span",
        { class: "legend" },
        data.series.map((series) =>
          h(
            "span",
            { key: series.name },
            h("i", { class: `key bar-${knownName(series.name)}` }),
            series.name,
          ),
        ),
        data.every > 1 ? h("span", { class: "dim" }, `sampled: every ${data.every}th`) : null,
        h("span", { class: "dim drag-note" }, "drag to select a time range"),
      ),
      h(Time, { at: data.to }),
    ),
    h(
      "div",
      { class: "away" },
      h(
        "table",
        null,
        h("caption", null, `${noun}s over time`),
        h(
          "thead",
          null,
          h(
            "tr",
            null,
            h("th", null, "from"),
            data.series.map((series) => h("th", { key: series.name }, series.name)),
          ),
        ),
        h(
          "tbody",
          null,
          sums.map((sum, i) =>
            sum === 0
              ? null
              : h(
                  "tr",
                  { key: i },
                  h("th", null, time(i)),
                  data.series.map((series) =>
                    h("td", { key: series.name }, count(series.counts[i] ?? 0)),
                  ),
                ),
          ),
        ),
      ),
    ),
  );
}

const SERIES = ["ok", "error", "running", "trace", "debug", "info", "warn", "critical", "verbose"];
/** Only known names become CSS classes. @param {string} name */
const knownName = (name) => (SERIES.includes(name) ? name : "ok");
