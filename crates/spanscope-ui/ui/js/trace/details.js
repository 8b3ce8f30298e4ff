/** The details of one span: attributes, events, links, errors, and a comparison by name. */
import { h, useEffect, useRef } from "../../vendor/preact.js";
import { get, useLoaded } from "../api.js";
import { count, cut, duration, money, plain } from "../format.js";
import { status, to } from "../page.js";
import { Tabs } from "../tabs.js";
import { Copy, Problem, StateSign, Text, icon, severityClass } from "../ui.js";
import { About } from "./about.js";
import { Attributes, Pairs } from "./attributes.js";
import { frames } from "./stack.js";

/** @typedef {import("../api-types.d.ts").SpanDetails} SpanDetails */
/** @typedef {import("../api-types.d.ts").SpanAmong} Among */
/** @typedef {import("../api-types.d.ts").SpanAround} Around */

/** The maximum number of characters of a stack trace that are shown. The copy contains all. */
const MOST_STACK = 20_000;

/** @param {{traceId: string, spanId: string, close: () => void}} props */
export function Details({ traceId, spanId, close }) {
  const state = useLoaded(`${traceId}/${spanId}`, (signal) =>
    get(["traces", traceId, "spans", spanId], {}, signal),
  );
  const span = /** @type {SpanDetails | null} */ (state.data);
  const pane = useRef(/** @type {HTMLElement | null} */ (null));
  // The comparison costs a scan, so it is requested after the span.
  const compared = useLoaded(
    span && span.state === "ended" ? `among ${traceId}/${spanId}` : null,
    (signal) => get(["traces", traceId, "spans", spanId, "among"], {}, signal),
  );
  const among = /** @type {Among | null} */ (compared.stale ? null : compared.data);
  // The spans that link to it are found by a scan too, and not every store finds them.
  const near = useLoaded(
    span && status.value?.can.around ? `around ${traceId}/${spanId}` : null,
    (signal) => get(["traces", traceId, "spans", spanId, "around"], {}, signal),
  );
  const around = /** @type {Around | null} */ (near.stale ? null : near.data);
  const tabs = span ? tabsOf(span, among, around) : [];
  useEffect(() => {
    if (span) performance.mark("ss:details");
  }, [span]);
  return h(
    "aside",
    { class: "details", ref: pane, tabIndex: -1, "aria-label": "Details of the span" },
    h(
      "div",
      { class: "head" },
      h(
        "h2",
        null,
        span
          ? [
              h(StateSign, { state: span.state, status: span.status }),
              " ",
              h(Text, { value: span.name || "(no name)" }),
            ]
          : "Span",
      ),
      h("span", { class: "space" }),
      h(
        "button",
        { type: "button", class: "quiet", "aria-label": "Close the details", onClick: close },
        icon("close"),
      ),
    ),
    state.error ? h(Problem, { error: state.error, again: state.again, retryIn: state.retryIn }) : null,
    span ? [h(Summary, { span, among }), h(Tabs, { id: "details", label: "Details", tabs })] : null,
  );
}

/**
 * @param {SpanDetails} span
 * @param {Among | null} among
 * @param {Around | null} around
 * @returns {import("../tabs.js").Tab[]}
 */
function tabsOf(span, among, around) {
  const links = span.links.length + span.links_more;
  const linking = around?.linked_by.length ?? 0;

  /** @type {(import("../tabs.js").Tab | null)[]} */
  const tabs = [
    span.errors.length > 0 || span.status === "error"
      ? { name: "error", title: "Error", content: () => h(Errors, { span }) }
      : null,
    {
      name: "attributes",
      title: `Attributes ${span.attributes.length}`,
      content: () => h(Attributes, { span }),
    },
    span.events.length > 0
      ? {
          name: "events",
          title: `Events ${span.events.length}${span.events_more ? "+" : ""}`,
          content: () => h(Events, { span }),
        }
      : null,
    links + linking > 0
      ? {
          name: "links",
          title: `Links ${links + linking}${around?.linked_by_more ? "+" : ""}`,
          content: () => [h(Links, { span }), h(LinkedBy, { around })],
        }
      : null,
    { name: "about", title: "About", content: () => h(About, { span, among }) },
  ];
  return tabs.filter((tab) => tab !== null);
}

/** @param {{span: SpanDetails, among: Among | null}} props */
function Summary({ span, among }) {
  const { usage } = span;
  const slower = among?.slower_than ?? null;
  return h(
    "p",
    { class: "summary" },
    span.duration_ns === null ? span.state : duration(span.duration_ns),
    " · ",
    h(Text, { value: span.service, max: 60 }),
    usage ? ` · ${count(usage.input ?? 0)}→${count(usage.output ?? 0)} tok` : null,
    usage && usage.cost !== null ? ` · ${money(usage.cost)}` : null,
    h(
      "span",
      { class: "among" },
      among && slower !== null && among.count > 1
        ? [
            `slower than ${Math.floor(slower * 100)} % of ${count(among.count)} `,
            h(Text, { value: among.name, max: 60 }),
            ` in the last ${among.since}`,
          ]
        : "\u00a0",
    ),
  );
}

/** @param {{span: SpanDetails}} props */
function Errors({ span }) {
  return [
    span.status_message
      ? h(
          "p",
          { class: "long error-text" },
          h(Text, { value: span.status_message, max: 2000, lines: true }),
        )
      : null,
    span.errors.filter((error) => saysMore(error, span.status_message)).map((error, i) =>
      h(
        "section",
        { key: i, class: "exception" },
        h("h3", null, h(Text, { value: error.type ?? "error", max: 200 })),
        error.message !== span.status_message
          ? h("p", { class: "long" }, h(Text, { value: error.message, max: 2000, lines: true }))
          : null,
        error.causes.length > 0
          ? h(
              "ol",
              null,
              error.causes.map((cause, j) =>
                h("li", { key: j }, "caused by ", h(Text, { value: cause, max: 1000, lines: true })),
              ),
            )
          : null,
        error.stack
          ? h(
              "div",
              { class: "code" },
              h("pre", { tabIndex: 0 }, h(Stack, { text: error.stack })),
              h(Copy, { text: error.stack, label: "Copy the stack trace" }),
            )
          : null,
      ),
    ),
    span.errors.length === 0 && !span.status_message
      ? h("p", { class: "dim" }, "The span failed and has no message.")
      : null,
  ];
}

/**
 * Returns whether an error tells more than the message of the span.
 * @param {SpanDetails["errors"][number]} error
 * @param {string | null} message
 */
function saysMore(error, message) {
  return !!error.type || !!error.stack || error.causes.length > 0 || error.message !== message;
}

/** A stack trace with the program's own frames in bold. @param {{text: string}} props */
function Stack({ text }) {
  return frames(cut(text, MOST_STACK)).map(({ text: part, own }, i) =>
    h(
      own ? "strong" : "span",
      { key: i },
      h(Text, { value: `${part}\n`, max: MOST_STACK, lines: true }),
    ),
  );
}

/** @param {{span: SpanDetails}} props */
function Events({ span }) {
  return [
    h(
      "ol",
      { class: "events" },
      span.events.map((event) =>
        h(
          "li",
          { key: event.id },
          h("span", { class: "dim" }, `+${duration(event.ns)}`),
          " ",
          h("span", { class: severityClass(event.severity) }, event.severity),
          " ",
          h(Text, { value: event.message || event.name, max: 1000, lines: true }),
          event.attributes.length > 0 ? h(Pairs, { pairs: event.attributes }) : null,
        ),
      ),
    ),
    span.events_more
      ? h(
          "p",
          null,
          h("a", { href: to(["logs"], { trace: span.trace_id, span: span.span_id }) }, "more events"),
        )
      : null,
  ];
}

/** @param {{span: SpanDetails}} props */
function Links({ span }) {
  if (span.links.length === 0) return null;
  return h(
    "ul",
    { class: "links" },
    span.links.map((link, i) =>
      h(
        "li",
        { key: i },
        link.root === null
          ? h("span", null, h("code", null, plain(link.trace_id, 32)), " is not stored")
          : h(
              "a",
              { href: to(["traces", link.trace_id], { span: link.span_id }) },
              h(Text, { value: link.root || link.trace_id, max: 100 }),
            ),
        link.attributes.length > 0 ? h(Pairs, { pairs: link.attributes }) : null,
      ),
    ),
  );
}

/** The spans that link to this one. @param {{around: Around | null}} props */
function LinkedBy({ around }) {
  if (!around || around.linked_by.length === 0) return null;
  return [
    h("h3", null, "Linked by"),
    h(
      "ul",
      { class: "links" },
      around.linked_by.map((span, i) =>
        h(
          "li",
          { key: i },
          h(
            "a",
            { href: to(["traces", span.trace_id], { span: span.span_id }) },
            h(Text, { value: span.name || span.trace_id, max: 100 }),
          ),
          h("span", { class: "dim" }, " · ", h(Text, { value: span.service, max: 60 })),
        ),
      ),
    ),
    around.linked_by_more
      ? h("p", { class: "dim" }, `more than ${count(around.linked_by.length)} spans link to it`)
      : null,
  ];
}
