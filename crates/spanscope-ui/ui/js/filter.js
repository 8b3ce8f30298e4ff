/**
 * What the pages do with the text of a filter. Its meaning is the server's alone: here a text is
 * only split where a user types, and put together again.
 */

/**
 * @typedef {{of: "key" | "value", key: string, prefix: string, from: number, to: number}} Wanted
 */

/** Fields of spans and traces; other keys are attributes, which the server completes. */
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
 * What can be completed where the caret is: a key, or a value of the key before it.
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
 * A key or a value as a filter has it, in quotes where it needs them.
 * @param {string} text
 * @param {"key" | "value"} of
 */
export function quoted(text, of) {
  const simple = of === "key" ? /^[^\s"=!<>~,*-][^\s"=!<>~,*]*$/ : /^[^\s",*]+$/;
  return simple.test(text) ? text : JSON.stringify(text);
}

/**
 * A filter with one more term.
 * @param {string} filter
 * @param {string} term
 */
export function withTerm(filter, term) {
  return filter.trim() === "" ? term : `${filter.trim()} ${term}`;
}

/**
 * A term that an attribute holds.
 * @param {string} key
 * @param {string} type
 * @param {string} value
 * @param {boolean} [not]
 */
export function attributeTerm(key, type, value, not = false) {
  const literal = type === "i" || type === "f" || type === "b" ? value : quoted(value, "value");
  // A text that reads as a number or a truth is a text in quotes only.
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
