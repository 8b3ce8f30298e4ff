/**
 * The text of a filter, split for completion and assembled from terms. Only the server interprets
 * filters.
 */

/**
 * @typedef {{of: "key" | "value", key: string, prefix: string, from: number, to: number}} Wanted
 */

/** Fields of spans and traces. Other keys are attributes, which the server completes. */
export const FIELDS = [
  "name",
  "status",
  "kind",
  "duration",
  "start",
  "service",
  "category",
  "level",
  "trace.duration",
  "trace.spans",
  "trace.errors",
  "trace.tokens",
  "trace.cost",
];

/**
 * Returns what can be completed at the caret: a key, or a value of the key before it.
 * @param {string} text
 * @param {number} caret
 * @returns {Wanted | null}
 */
export function wantedAt(text, caret) {
  const before = text.slice(0, caret);
  // Inside quotes, spaces belong to the term.
  const term = /(?:^|\s)-?((?:[^\s"]|"(?:[^"\\]|\\.)*"?)*)$/.exec(before)?.[1];
  if (term === undefined) return null;
  const from = caret - term.length;
  const end = /^[^\s=!<>~]*/.exec(text.slice(caret))?.[0].length ?? 0;
  const parts = /^("(?:[^"\\]|\\.)*"|[^"=!<>~]+)(=|!=|>=|<=|>|<|~|!~)(.*)$/.exec(term);
  if (!parts) return term === "" ? null : { of: "key", key: "", prefix: term, from, to: caret + end };
  const values = parts[3] ?? "";
  const value = values.slice(values.lastIndexOf(",") + 1);
  return {
    of: "value",
    key: parts[1] ?? "",
    prefix: value.replace(/^"|"$/g, ""),
    from: caret - value.length,
    to: caret + end,
  };
}

/**
 * Returns a key or a value as it is written in a filter, in quotes if it needs them.
 * @param {string} text
 * @param {"key" | "value"} of
 */
export function quoted(text, of) {
  const simple = of === "key" ? /^[^\s"=!<>~,*-][^\s"=!<>~,*]*$/ : /^[^\s",*]+$/;
  return simple.test(text) ? text : JSON.stringify(text);
}

/**
 * Returns the filter with one more term.
 * @param {string} filter
 * @param {string} term
 */
export function withTerm(filter, term) {
  return filter.trim() === "" ? term : `${filter.trim()} ${term}`;
}

/**
 * Returns the term that matches an attribute with this value, or that excludes it.
 * @param {string} key
 * @param {string} type
 * @param {string} value
 * @param {boolean} [not]
 */
export function attributeTerm(key, type, value, not = false) {
  const literal = type === "i" || type === "f" || type === "b" ? value : quoted(value, "value");
  // Without quotes, a text that looks like a number or a boolean would not be compared as text.
  const text =
    type === "s" && /^(true|false|[-+]?[\d.]+([a-z]*|e[-+]?\d+))$/i.test(value)
      ? JSON.stringify(value)
      : literal;
  return `${not ? "-" : ""}${quoted(key, "key")}=${text}`;
}

/**
 * Whether the text looks like the beginning of an id.
 * @param {string} text
 */
export function isIdLike(text) {
  return /^[0-9a-f]{4,32}$/i.test(text.trim());
}

/**
 * Returns whether a text may be the id of a task: one word with a digit, without an operator.
 * @param {string} text
 */
export function isTaskLike(text) {
  return /^(?=\D*\d)[\w.:@/-]{4,128}$/.test(text.trim());
}
