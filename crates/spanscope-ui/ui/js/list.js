/**
 * Shared parts of the lists of traces, spans and log events: the time range, pages that load while
 * the user scrolls, new rows, and keys.
 */
import { h, signal, useEffect, useRef } from "../vendor/preact.js";
import { get, rowsShown, useLoaded } from "./api.js";
import { count, counted, plain } from "./format.js";
import { adjust, place, status, to } from "./page.js";
import { useKeys } from "./keys.js";
import { Problem, Text, Time, icon } from "./ui.js";

const SPANS_OF_TIME = [
  ["", "all time"],
  ["15m", "last 15 min"],
  ["1h", "last 1 h"],
  ["6h", "last 6 h"],
  ["24h", "last 24 h"],
  ["7d", "last 7 d"],
];

/**
 * Returns the given parameters of the address.
 * @param {string[]} names
 * @returns {Record<string, string | null>}
 */
export function chosen(names) {
  const { query } = place.value;
  return Object.fromEntries(names.map((name) => [name, query.get(name)]));
}

/** The selection of the time range. */
export function TimePicker() {
  const { query } = place.value;
  const from = query.get("from");
  const to = query.get("to");
  const since = query.get("since") ?? "";
  const known = SPANS_OF_TIME.some(([value]) => value === since);
  if (from || to) {
    return h(
      "span",
      { class: "chip" },
      from ? h(Time, { at: from }) : "the beginning",
      " – ",
      to ? h(Time, { at: to }) : "now",
      h(
        "button",
        {
          type: "button",
          "aria-label": "All times",
          title: "All times",
          onClick: () => adjust({ from: null, to: null }, true),
        },
        icon("close"),
      ),
    );
  }
  return h(
    "select",
    {
      "aria-label": "Time",
      value: since,
      onChange: (/** @type {Event} */ event) =>
        adjust({
          since: /** @type {HTMLSelectElement} */ (event.currentTarget).value || null,
          from: null,
          to: null,
        }),
    },
    known ? null : h("option", { value: since }, `last ${since.slice(0, 20)}`),
    SPANS_OF_TIME.map(([value, label]) => h("option", { key: value, value }, label)),
  );
}

/**
 * A switch whose state is in the address.
 * @param {{name: string, label: string}} props
 */
export function Toggle({ name, label }) {
  const on = place.value.query.get(name) === "1";
  return h(
    "button",
    {
      type: "button",
      class: "toggle",
      "aria-pressed": on,
      onClick: () => adjust({ [name]: on ? null : 1 }, true),
    },
    label,
  );
}

/** The selection of a service. The names are loaded after the rows. */
export function Services() {
  const service = place.value.query.get("service") ?? "";
  const found = useLoaded(rowsShown.value ? "services" : null, (signal) =>
    get(["complete"], { of: "service" }, signal),
  );
  const items = /** @type {import("./api-types.d.ts").Completions["items"]} */ (found.data?.items ?? []);
  const names = items.map((item) => item.text);
  if (service && !names.includes(service)) names.unshift(service);
  return h(
    "select",
    {
      "aria-label": "Service",
      value: service,
      onChange: (/** @type {Event} */ event) =>
        adjust({ service: /** @type {HTMLSelectElement} */ (event.currentTarget).value || null }, true),
    },
    h("option", { value: "" }, "any service"),
    names.map((name) => h("option", { key: name, value: name }, plain(name, 60))),
  );
}

/**
 * The end of a list. It loads more rows when it comes near the view, and states how many are shown,
 * of how many if `total` is known.
 * @param {{
 *   rows: import("./rows.js").Rows<any>,
 *   noun: string,
 *   total?: import("./api-types.d.ts").HistogramTotal | null,
 * }} props
 */
export function ListEnd({ rows, noun, total = null }) {
  const ref = useRef(/** @type {HTMLDivElement | null} */ (null));
  const more = useRef(rows.more);
  more.current = rows.more;
  useEffect(() => {
    const end = ref.current;
    if (!end || !rows.hasMore) return;
    const observer = new IntersectionObserver(
      (entries) => entries.some((entry) => entry.isIntersecting) && more.current(),
      { rootMargin: "200px" },
    );
    observer.observe(end);
    return () => observer.disconnect();
  }, [rows.hasMore, rows.rows.length]);
  return h(
    "div",
    { class: "list-end", ref },
    rows.moreError ? h(Problem, { error: rows.moreError, again: rows.more }) : null,
    rows.full
      ? `${count(rows.rows.length)} ${noun}s are shown: narrow the filter to see other ones`
      : rows.hasMore
        ? [
            total && total.count > rows.rows.length
              ? h(
                  "span",
                  { class: "of-all" },
                  `${count(rows.rows.length)} of ${total.exact ? "" : "about "}${count(total.count)} `,
                )
              : null,
            h("button", { type: "button", onClick: rows.more }, "more", icon("down")),
          ]
        : rows.rows.length > 0
          ? counted(rows.rows.length, noun)
          : null,
  );
}

/** @param {{rows: import("./rows.js").Rows<any>, noun: string, last?: boolean}} props */
export function NewRows({ rows, noun, last = false }) {
  if (rows.waiting === 0) return null;
  return h(
    "button",
    {
      type: "button",
      class: last ? "new-rows new-last" : "new-rows",
      onClick: () => {
        rows.showNew();
        requestAnimationFrame(() => scrollTo(0, last ? document.documentElement.scrollHeight : 0));
        if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
      },
    },
    counted(rows.waiting, `new ${noun}`),
    icon(last ? "down" : "up"),
  );
}

/** The labels of the parameters that exclude rows as terms do. */
const SWITCHES = new Map([
  ["errors", "errors only"],
  ["running", "running"],
  ["service", "the service"],
]);

/**
 * The state in which no row matches: it shows which terms exclude most, and offers a longer time.
 * @param {{noun: string}} props
 */
export function NothingFits({ noun }) {
  const { query } = place.value;
  const since = query.get("since");
  const q = query.get("q") ?? "";
  // This is requested only when it is needed, as it costs a scan per term.
  const params = chosen(["q", "since", "from", "to", "service", "errors", "running"]);
  const asks = noun === "trace" && (q || params["errors"] || params["service"]);
  const found = useLoaded(asks ? JSON.stringify(params) : null, (signal) =>
    get(["traces", "without"], params, signal),
  );
  const all = /** @type {import("./api-types.d.ts").WithoutTerm[]} */ (found.data?.terms ?? []);
  const without = all.filter((term) => term.count > 0);
  if (status.value?.is_empty)
    return h("p", { class: "state" }, "The store is empty.", h("a", { href: to(["setup"]) }, "Set up"));
  return h(
    "section",
    { class: "state" },
    h("h2", null, `No ${noun}s ${since ? `of the last ${since.slice(0, 20)} ` : ""}match`),
    without.map(({ term, count: n }) => {
      const change = q.includes(term)
        ? { q: q.replace(term, " ").trim() }
        : SWITCHES.has(term)
          ? { [term]: null }
          : null;
      return h(
        "p",
        { key: term },
        "without ",
        h("code", null, h(Text, { value: SWITCHES.get(term) ?? term, max: 80 })),
        `: ${count(n)} `,
        change
          ? h("button", { type: "button", onClick: () => adjust(change, true) }, "remove it")
          : null,
      );
    }),
    h(
      "p",
      null,
      since && since !== "24h" && since !== "7d"
        ? h("button", { type: "button", onClick: () => adjust({ since: "24h" }) }, "the last 24 h")
        : null,
      " ",
      since || query.get("from")
        ? h(
            "button",
            { type: "button", onClick: () => adjust({ since: null, from: null, to: null }) },
            "all time",
          )
        : null,
      " ",
      q || query.get("errors") || query.get("service") || query.get("running")
        ? h(
            "button",
            {
              type: "button",
              onClick: () =>
                adjust({ q: null, errors: null, service: null, running: null, severity: null }, true),
            },
            "remove the filter",
          )
        : null,
    ),
  );
}

/** Keys that move the focus between the links of the rows. The browser opens a link on Enter. */
export function useRowKeys() {
  const rows = () => [
    .../** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".rows .row-link")),
  ];
  /** @param {(at: number, length: number) => number} next */
  const move = (next) => () => {
    const all = rows();
    const at = all.findIndex((row) => row === document.activeElement);
    const row = all[Math.max(0, Math.min(all.length - 1, next(at, all.length)))];
    row?.focus();
    row?.closest(".row")?.scrollIntoView({ block: "nearest" });
  };
  const down = move((at) => at + 1);
  const up = move((at) => at - 1);
  useKeys("lists", [
    { key: "j", does: "next row (also ↓)", run: down },
    { key: "k", does: "previous row (also ↑)", run: up },
    { key: "ArrowDown", does: "", run: down },
    { key: "ArrowUp", does: "", run: up },
    { key: "Home", does: "first and last row (also End)", run: move(() => 0) },
    { key: "End", does: "", run: move((_, n) => n - 1) },
    { key: "PageDown", does: "10 rows down and up (also PageUp)", run: move((at) => at + 10) },
    { key: "PageUp", does: "", run: move((at) => at - 10) },
    {
      key: "Enter",
      does: "open the row",
      run: () => document.activeElement instanceof HTMLElement && document.activeElement.click(),
    },
  ]);
}

/** Loads the histogram after the rows, so that it does not delay them. @param {boolean} ready */
export function useHistogram(ready) {
  const wanted = ready && rowsShown.value;
  useEffect(() => {
    if (wanted && !histogram.value)
      import("./histogram.js").then((module) => (histogram.value = module.Histogram));
  }, [wanted]);
  return histogram.value;
}
/**
 * @type {import("../vendor/preact.js").Signal<null | typeof import("./histogram.js").Histogram>}
 */
const histogram = signal(null);
