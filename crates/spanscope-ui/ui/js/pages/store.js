/** What the store contains, what it lost, and the durations of spans by name. */
import { h, useState } from "../../vendor/preact.js";
import { get, useChanges, useLoaded } from "../api.js";
import { attributeTerm } from "../filter.js";
import { bytes, count, duration } from "../format.js";
import { adjust, place, status, to, useCommand, useRowsShown } from "../page.js";
import { useRowKeys } from "../list.js";
import { Problem, Text, Time, useTitle } from "../ui.js";

/** @typedef {import("../api-types.d.ts").Store} StoreFacts */
/** @typedef {import("../api-types.d.ts").NameDurations} NameFacts */

const CAUSES = new Map([
  ["queue_full", "the queue was full"],
  ["write_failed", "a write failed"],
  ["shutdown", "the program ended"],
  ["sampled", "not kept by the tail rule"],
]);

export function Page() {
  useTitle("Store");
  const [version, setVersion] = useState(0);
  // Not more often, as the counts of a large store cost a scan.
  useChanges(undefined, 3000, () => setVersion((n) => n + 1));
  const state = useLoaded(`store ${version}`, (signal) => get(["store"], {}, signal));
  const facts = /** @type {StoreFacts | null} */ (state.data);
  useCommand(facts?.command, facts ? "api/store" : null);
  useRowsShown(!!facts);
  return h(
    "section",
    null,
    h("div", { class: "head" }, h("h1", null, "Store")),
    state.error ? h(Problem, { error: state.error, again: state.again, retryIn: state.retryIn }) : null,
    facts ? h(Facts, { facts }) : null,
    facts ? h(Names, null) : null,
  );
}

/** @param {{facts: StoreFacts}} props */
function Facts({ facts }) {
  const { account, file } = facts;
  const can = status.value?.can;
  return h(
    "div",
    { class: "cards" },
    h(
      Card,
      { title: "Holds" },
      line("spans", count(facts.spans)),
      line("traces", count(facts.traces)),
      line("events", count(facts.events)),
      line("measurements", count(facts.points)),
      line("oldest", facts.oldest ? h(Time, { at: facts.oldest }) : "–"),
      line("newest", facts.newest ? h(Time, { at: facts.newest }) : "–"),
      line(
        "kept for",
        facts.retention_s !== null
          ? duration(facts.retention_s * 1e9)
          : can?.write === false
            ? "as its server is set up"
            : "no limit",
      ),
      can?.write === false ? line("written by", "a collector; this server only reads") : null,
      can?.run === false ? line("running spans", "not stored before they end") : null,
      can?.types === false ? line("attribute values", "texts") : null,
      can?.around === false ? line("links to a span", "not found") : null,
    ),
    file
      ? h(
          Card,
          { title: "File" },
          line("file", bytes(file.bytes)),
          line("free space in it", bytes(file.free_bytes)),
          line("write-ahead log", bytes(file.wal_bytes)),
          h(
            "p",
            { class: "dim" },
            "Copy it while programs write: ",
            h("code", null, `spanscope backup copy.db${status.value?.db ?? ""}`),
          ),
        )
      : null,
    account
      ? h(
          Card,
          { title: "Account" },
          line("offered", count(account.offered)),
          line("stored", count(account.stored)),
          Object.entries(account.dropped).map(([cause, n]) =>
            line(CAUSES.get(cause) ?? cause, n > 0 ? h("span", { class: "error-text" }, count(n)) : "0"),
          ),
          line(
            "lost when a process died",
            account.lost > 0 ? h("span", { class: "error-text" }, count(account.lost)) : "0",
          ),
        )
      : null,
    h(
      Card,
      { title: "Services" },
      facts.services.map((service) =>
        h(
          "tr",
          { key: service.service },
          h(
            "th",
            { scope: "row" },
            h(
              "a",
              { href: to(["traces"], { service: service.service }) },
              h(Text, { value: service.service || "(no name)", max: 80 }),
            ),
          ),
          h("td", { class: "number" }, count(service.spans)),
          h(
            "td",
            { class: "number" },
            service.errors > 0 ? h("span", { class: "error-text" }, `${count(service.errors)} ✗`) : "",
          ),
        ),
      ),
    ),
  );
}

/** @param {{title: string, children?: import("../ui.js").Children}} props */
function Card({ title, children }) {
  const list = Array.isArray(children) ? children.flat() : [children];
  const rows = list.filter(
    (child) => child && typeof child === "object" && "type" in child && child.type === "tr",
  );
  const rest = list.filter((child) => !rows.includes(child));
  return h(
    "section",
    { class: "card" },
    h("h2", null, title),
    h("table", null, h("tbody", null, rows)),
    rest,
  );
}

/**
 * @param {string} name
 * @param {import("../ui.js").Children} value
 */
function line(name, value) {
  return h("tr", { key: name }, h("th", { scope: "row" }, name), h("td", { class: "number" }, value));
}

const SORTS = /** @type {const} */ ([
  ["name", "name"],
  ["count", "count"],
  ["errors", "errors"],
  ["p50_ms", "p50"],
  ["p95_ms", "p95"],
  ["p99_ms", "p99"],
  ["total_ms", "total"],
]);

const SINCE = ["1h", "24h", "7d"];

function Names() {
  const { query } = place.value;
  const since = SINCE.find((value) => value === query.get("since")) ?? "24h";
  const sort = SORTS.find(([key]) => key === query.get("sort"))?.[0] ?? "total_ms";
  const state = useLoaded(`names ${since}`, (signal) => get(["store", "names"], { since }, signal));
  useRowKeys();
  const names = /** @type {NameFacts[]} */ ([...(state.data?.names ?? [])]);
  names.sort((a, b) => (sort === "name" ? (a.name < b.name ? -1 : 1) : (b[sort] ?? 0) - (a[sort] ?? 0)));
  return h(
    "section",
    null,
    h(
      "div",
      { class: "head" },
      h("h2", null, "Durations by name"),
      h(
        "select",
        {
          "aria-label": "Time",
          value: since,
          onChange: (/** @type {Event} */ event) =>
            adjust({ since: /** @type {HTMLSelectElement} */ (event.currentTarget).value }),
        },
        SINCE.map((value) => h("option", { key: value, value }, `last ${value}`)),
      ),
      state.late ? h("span", { class: "dim" }, "reading all spans of this time") : null,
    ),
    state.error ? h(Problem, { error: state.error, again: state.again, retryIn: state.retryIn }) : null,
    names.length === 0 && state.data ? h("p", { class: "dim" }, "No span ended in this time.") : null,
    names.length > 0
      ? h(
          "div",
          { class: "scroll-x", tabIndex: 0, role: "region", "aria-label": "Durations by name" },
          h(
            "table",
            { class: "data rows" },
            h(
              "thead",
              null,
              h(
                "tr",
                null,
                SORTS.map(([key, title]) =>
                  h(
                    "th",
                    {
                      key,
                      scope: "col",
                      class: key === "name" ? "" : "number",
                      "aria-sort":
                        sort === key ? (key === "name" ? "ascending" : "descending") : undefined,
                    },
                    h(
                      "button",
                      {
                        type: "button",
                        class: "sort",
                        onClick: () => adjust({ sort: key === "total_ms" ? null : key }),
                      },
                      title,
                      sort === key ? (key === "name" ? " ↑" : " ↓") : "",
                    ),
                  ),
                ),
              ),
            ),
            h(
              "tbody",
              null,
              names.map((row) =>
                h(
                  "tr",
                  { key: row.name, class: "row-plain" },
                  h(
                    "th",
                    { scope: "row" },
                    h(
                      "a",
                      {
                        class: "row-link",
                        href: to(["spans"], {
                          q: attributeTerm("name", "s", row.name),
                          since,
                          sort: "-duration",
                        }),
                      },
                      h(Text, { value: row.name || "(no name)", max: 120 }),
                    ),
                  ),
                  h("td", { class: "number" }, count(row.count)),
                  h(
                    "td",
                    { class: "number" },
                    row.errors > 0 ? h("span", { class: "error-text" }, count(row.errors)) : "–",
                  ),
                  [row.p50_ms, row.p95_ms, row.p99_ms, row.total_ms].map((ms, i) =>
                    h("td", { key: i, class: "number" }, ms === null ? "–" : duration(ms * 1e6)),
                  ),
                ),
              ),
            ),
          ),
        )
      : null,
  );
}
