/** Shows how to send to this store. If it is empty, opens the first trace when it arrives. */
import { h } from "../../vendor/preact.js";
import { get, useStream } from "../api.js";
import { replace, status, to, useCommand, useRowsShown } from "../page.js";
import { Tabs } from "../tabs.js";
import { Copy, useTitle } from "../ui.js";

export function Page() {
  useTitle("Set up");
  const empty = status.value?.is_empty ?? false;
  useCommand("spanscope stats", "api/status");
  useRowsShown();
  useStream(empty ? () => "api/changes" : null, async () => {
    const answer = await get(["traces"], { limit: 1 });
    const first = answer.traces[0];
    if (first) replace(to(["traces", first.trace_id]));
  });
  // Programs send to the address that served this page.
  const endpoint = location.origin;
  const token = status.value?.tokens ? "TOKEN" : null;
  return h(
    "section",
    { class: "setup" },
    h("div", { class: "head" }, h("h1", null, "Set up")),
    empty
      ? h(
          "p",
          { class: "waiting", role: "status" },
          h("span", { class: "pulse", "aria-hidden": "true" }),
          " The store is empty. This page opens the first trace when it arrives.",
        )
      : h(
          "p",
          null,
          "This store already has traces: ",
          h("a", { href: to(["traces"]) }, "view them"),
          ".",
        ),
    status.value?.can.write === false
      ? h(
          "p",
          null,
          "This server only reads its store, so programs can't send here. Send to the collector that " +
            "writes the store: its records are shown here some seconds later.",
        )
      : h(Tabs, {
          id: "way",
          label: "Ways to send",
          tabs: [
            { name: "any", title: "Any language", content: () => ways(endpoint, token)["any"] },
            { name: "rust", title: "Rust", content: () => ways(endpoint, token)["rust"] },
            { name: "demo", title: "Demo", content: () => ways(endpoint, token)["demo"] },
            { name: "curl", title: "curl", content: () => ways(endpoint, token)["curl"] },
          ],
        }),
  );
}

/**
 * @param {string} endpoint
 * @param {string | null} token
 * @returns {Record<string, import("../ui.js").Children>}
 */
function ways(endpoint, token) {
  const address = `export OTEL_EXPORTER_OTLP_ENDPOINT=${endpoint}`;
  const headers = token ? `export OTEL_EXPORTER_OTLP_HEADERS='authorization=Bearer ${token}'\n` : "";
  const note = token
    ? h("p", { class: "dim" }, "TOKEN is one of the server's tokens; this page does not show any.")
    : null;
  const span = JSON.stringify({
    resourceSpans: [
      {
        resource: { attributes: [{ key: "service.name", value: { stringValue: "by-hand" } }] },
        scopeSpans: [
          {
            spans: [
              {
                traceId: "5b8aa5a2d2c872e8321cf37308d69df2",
                spanId: "051581bf3cb55c13",
                name: "hello",
                kind: 1,
                startTimeUnixNano: "NOW",
                endTimeUnixNano: "NOW",
              },
            ],
          },
        ],
      },
    ],
  }).replaceAll('"NOW"', "\"'$(date +%s%N)'\"");
  const auth = token ? ` -H 'authorization: Bearer ${token}'` : "";
  return {
    any: [
      h("p", null, "Every OpenTelemetry SDK sends here with its exporter for OTLP over HTTP:"),
      h(Code, {
        text: `${address}\nexport OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\n${headers}`,
      }),
      note,
    ],
    rust: [
      h(
        "p",
        null,
        "A program that uses ",
        h("code", null, "tracing"),
        " sends its spans here through the layer for OTLP:",
      ),
      h(Code, { text: "cargo add spanscope --features otlp" }),
      h(Code, { text: "let _guard = spanscope::init();" }),
      h(Code, {
        text: `export TELEMETRY_SINKS=console,otel_trace\n${address}\n${headers}`,
      }),
      h(
        "p",
        { class: "dim" },
        "Without an endpoint the program writes its own file, which ",
        h("code", null, "spanscope serve --db FILE"),
        " shows.",
      ),
      note,
    ],
    demo: [
      h("p", null, "A small agent whose spans are written into the same file:"),
      h(Code, { text: `spanscope demo${status.value?.db ?? ""}` }),
    ],
    curl: [
      h("p", null, "One span by hand:"),
      h(Code, {
        text: `curl ${endpoint}/v1/traces${auth} -H 'content-type: application/json' -d '${span}'`,
      }),
      note,
    ],
  };
}

/** @param {{text: string}} props */
function Code({ text }) {
  const trimmed = text.trimEnd();
  return h(
    "div",
    { class: "code" },
    h("pre", { tabIndex: 0 }, trimmed),
    h(Copy, { text: trimmed, label: "Copy" }),
  );
}
