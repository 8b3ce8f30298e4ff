/** The spans as OTLP JSON, as text, and as a download. */
import { h, useMemo } from "../../vendor/preact.js";
import { ApiError, apiPath, useLoaded } from "../api.js";
import { bytes, count, visible } from "../format.js";
import { Problem } from "../ui.js";
import { Lines } from "../virtual.js";

/**
 * A longer text is only offered as a download, as the tab would hold it in memory three times.
 */
const MOST_BYTES = 16 * 1024 * 1024;
const MOST_LINE = 2000;

/** @param {{trace: import("./model.js").Trace}} props */
export function Json({ trace }) {
  const id = trace.shape.trace_id;
  const path = apiPath(["traces", id, "export"]);
  const state = useLoaded(`${id} ${trace.shape.cursor}`, (signal) => read(path, signal));
  const lines = useMemo(
    () => (state.data?.text ? pretty(state.data.text).split("\n") : []),
    [state.data],
  );
  return h(
    "div",
    { class: "view" },
    h(
      "div",
      { class: "tools" },
      h("a", { href: path, download: `trace-${id.slice(0, 8)}.json` }, "download"),
      h(
        "span",
        { class: "dim", role: "status" },
        state.data
          ? state.data.text
            ? `${count(lines.length)} lines, ${bytes(state.data.size)}`
            : `more than ${bytes(MOST_BYTES)}: download it to read it`
          : "loading the spans",
      ),
    ),
    state.error ? h(Problem, { error: state.error, again: state.again, retryIn: state.retryIn }) : null,
    h(Lines, {
      length: lines.length,
      height: 18,
      label: "OTLP JSON",
      class: "json-view",
      row: (i) =>
        h(
          "bdi",
          null,
          visible((lines[i] ?? "").slice(0, MOST_LINE)) +
            ((lines[i]?.length ?? 0) > MOST_LINE ? " …" : ""),
        ),
    }),
  );
}

/**
 * @param {string} path
 * @param {AbortSignal} signal
 */
async function read(path, signal) {
  const response = await fetch(path, { signal, credentials: "same-origin" });
  if (!response.ok || !response.body)
    throw new ApiError(response.status, (await response.json().catch(() => ({}))).error ?? {});
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return { text, size: text.length };
    text += value;
    if (text.length > MOST_BYTES) {
      await reader.cancel();
      return { text: "", size: text.length };
    }
  }
}

/** @param {string} text */
function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
