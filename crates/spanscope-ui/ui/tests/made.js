/** Makes shapes like those of the server, for tests. */

/**
 * @param {{parent?: number, name?: string, service?: string, start?: number, dur?: number | null,
 * error?: boolean, step?: string}[]} spans
 * @param {object} [more] properties that replace those that are made
 */
export function shape(spans, more = {}) {
  const names = [...new Set(spans.map((span) => span.name ?? "span"))];
  const services = [...new Set(spans.map((span) => span.service ?? "service"))];
  return {
    trace_id: "4bf92f3577b34da6a3ce929d0e0e4736",
    cursor: "1",
    unit: "ns",
    start: "2026-11-29T15:46:59.811402113Z",
    duration: Math.max(...spans.map((span) => (span.start ?? 0) + (span.dur ?? 0)), 0),
    state: "ended",
    stored: spans.length,
    n: spans.length,
    ids: spans.map((_, i) => (i + 1).toString(16).padStart(16, "0")).join(""),
    parent: spans.map((span) => span.parent ?? -1),
    missing: [],
    start_steps: spans.map((span, i) => (span.start ?? 0) - (spans[i - 1]?.start ?? 0)),
    dur: spans.map((span) => (span.dur === undefined ? 10 : span.dur)),
    number_steps: spans.map((_, i) => (i === 0 ? 301 : 1)),
    names,
    name: spans.map((span) => names.indexOf(span.name ?? "span")),
    services,
    service: spans.map((span) => services.indexOf(span.service ?? "service")),
    kind: "i".repeat(spans.length),
    state_of: spans.map((span) => (span.dur === null ? "r" : "e")).join(""),
    step: spans.map((span) => span.step ?? "n").join(""),
    errors: spans.flatMap((span, i) => (span.error ? [i] : [])),
    tokens: { at: [], input: [], output: [], cached: [], model: [], cost: [] },
    models: [],
    currency: null,
    dots: { at: [], ns: [], severity: "", more: 0 },
    critical: [],
    critical_sum: { duration: 0, input: 0, output: 0, cost: null },
    folded: [],
    command: "spanscope tree 4bf92f35",
    ...more,
  };
}
