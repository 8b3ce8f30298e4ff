/** Reads values that are JSON. Pure. */

/** Longer texts are shown as they are: parsing them would take too long. */
const MOST_CHARACTERS = 200_000;
/** Whether the browser passes the source of a number, so that no integer is rounded. */
const isExact = "rawJSON" in JSON;
/** What may be an integer that a number can't hold. */
const LARGE = /[:,[\s]-?\d{16}/;

/**
 * Returns the object or the array that a text contains, or undefined if it contains none. Integers
 * that a number can't hold are returned as `BigInt`; a browser that would round them gets
 * undefined.
 * @param {string} text
 * @returns {object | undefined}
 */
export function parseJson(text) {
  if (text.length > MOST_CHARACTERS || !/^\s*[[{]/.test(text)) return undefined;
  if (!isExact && LARGE.test(text)) return undefined;
  try {
    return /** @type {any} */ (JSON.parse)(text, exact);
  } catch {
    return undefined;
  }
}

/**
 * Restores the digits of a large integer.
 * @param {string} _key
 * @param {unknown} value
 * @param {{source?: string}} [context]
 */
function exact(_key, value, context) {
  const isLarge = typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value);
  return isLarge && /^-?\d+$/.test(context?.source ?? "") ? BigInt(context?.source ?? 0) : value;
}

/**
 * Returns the members of an object or an array with their keys, and undefined for other values.
 * @param {unknown} value
 * @returns {[string, unknown][] | undefined}
 */
export function members(value) {
  return value !== null && typeof value === "object" ? Object.entries(value) : undefined;
}

/** Returns the text of a number, a boolean, null, or what has no members. @param {unknown} value */
export function leaf(value) {
  return value !== null && typeof value === "object" ? JSON.stringify(value) : String(value);
}
