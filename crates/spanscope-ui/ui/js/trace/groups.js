/** Attributes in groups, by the first part of their keys. Pure. */

/** @typedef {import("../api-types.d.ts").SpanDetails["attributes"][number]} Attribute */

/** Fewer attributes are shown without headings. */
const GROUPS_FROM = 9;

/**
 * Groups attributes by the first part of their keys, in the order in which the parts first occur.
 * Those whose part occurs only once are in the first group, which has no name.
 * @param {Attribute[]} pairs
 * @returns {[string, Attribute[]][]}
 */
export function grouped(pairs) {
  if (pairs.length < GROUPS_FROM) return [["", pairs]];
  /** @type {Map<string, Attribute[]>} */
  const groups = new Map([["", []]]);
  const prefixOf = (/** @type {string} */ key) => /^[^.]+(?=\.)/.exec(key)?.[0] ?? "";
  const counts = new Map();
  for (const [key] of pairs) counts.set(prefixOf(key), (counts.get(prefixOf(key)) ?? 0) + 1);
  for (const pair of pairs) {
    const prefix = prefixOf(pair[0]);
    const name = counts.get(prefix) > 1 ? prefix : "";
    const known = groups.get(name);
    if (known) known.push(pair);
    else groups.set(name, [pair]);
  }
  return [...groups].filter(([, members]) => members.length > 0);
}
