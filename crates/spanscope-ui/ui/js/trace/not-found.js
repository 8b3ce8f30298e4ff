/** The page for a prefix of an id, and for an id that no trace has. */
import { h, useEffect } from "../../vendor/preact.js";
import { ApiError, get, useLoaded } from "../api.js";
import { duration } from "../format.js";
import { place, replace, status, to } from "../page.js";
import { Problem, Text, useTitle } from "../ui.js";

/** Goes to the trace whose id begins with the prefix. @param {{prefix: string}} props */
export function Resolve({ prefix }) {
  useTitle("Trace");
  const state = useLoaded(prefix, (signal) => get(["id", prefix], {}, signal));
  useEffect(() => {
    if (!state.data) return;
    const query = new URLSearchParams(place.value.query);
    if (state.data.span_id) query.set("span", state.data.span_id);
    replace(to(["traces", state.data.trace_id], query));
  }, [state.data]);
  return state.error
    ? h(NotFound, { id: prefix, error: state.error, again: state.again, retryIn: state.retryIn })
    : null;
}

/** @param {{id: string, error: unknown, again?: () => void, retryIn?: number | null}} props */
export function NotFound({ id, error, again, retryIn = null }) {
  if (!(error instanceof ApiError) || (error.status !== 404 && error.status !== 400))
    return h(Problem, { error, again, retryIn });
  const kept = status.value?.retention_s ?? null;
  return h(
    "section",
    { class: "state" },
    h("h1", null, "No trace begins with ", h(Text, { value: id, max: 40 })),
    error.status === 400 ? h("p", null, h(Text, { value: error.whatToDo, max: 300 })) : null,
    kept && error.status === 404
      ? h(
          "p",
          null,
          `It may have been deleted for its age: traces are kept for ${duration(kept * 1e9)}.`,
        )
      : null,
    error.nearest.length > 0
      ? h(
          "ul",
          null,
          error.nearest.map((near) =>
            h(
              "li",
              { key: near },
              h("a", { href: to(["traces", near]) }, h("code", null, h(Text, { value: near }))),
            ),
          ),
        )
      : null,
    h("p", null, h("a", { href: to(["traces"]) }, "All traces")),
  );
}
