/**
 * Keys and preferences. Keys work while no field has the focus; single letters can be switched off
 * (WCAG 2.1.4). Preferences change only how a page shows its content. The address determines what
 * it shows.
 */
import { effect, signal, useEffect, useRef } from "../vendor/preact.js";

/**
 * A preference of this browser. If its storage is forbidden or full, it lasts as long as the page.
 * @param {string} name
 * @param {string} fallback
 */
function preference(name, fallback) {
  let first = fallback;
  try {
    first = localStorage.getItem(`spanscope.${name}`) ?? fallback;
  } catch {
    // The fallback is used.
  }
  const value = signal(first);
  let stored = first;
  effect(() => {
    if (value.value === stored) return;
    stored = value.value;
    try {
      localStorage.setItem(`spanscope.${name}`, stored);
    } catch {
      // It lasts as long as the page.
    }
  });
  return value;
}

/** `system`, `light` or `dark`. */
export const theme = preference("theme", "system");
/** `1`: times are shown as UTC. The address may override it for one view. */
export const utcWanted = preference("utc", "");
/** `off`: single letters do nothing. */
export const letterKeys = preference("keys", "on");
/** Columns of the list of traces, separated by commas. */
export const traceColumns = preference("columns", "");
/** `compact` or `comfortable`: the height of rows. */
export const density = preference("density", "compact");
/** Saved views, as JSON: a list of names with their addresses below the base. */
export const savedViews = preference("views", "[]");
/** Widths that the user set for columns of the list of traces, in pixels: `root=300,model=120`. */
export const columnWidths = preference("widths", "");
/** Percent of the trace's width that the details take. */
export const detailsWidth = preference("details", "32");
/** Percent of the grid's width that names take. */
export const nameWidth = preference("names", "34");
/** The width of the column of tokens, in pixels. */
export const tokensWidth = preference("tokens", "92");

effect(() => {
  const root = document.documentElement;
  if (theme.value === "system") root.removeAttribute("data-theme");
  else root.setAttribute("data-theme", theme.value);
  root.setAttribute("data-density", density.value);
});

/**
 * Calls `changed` whenever the colours change.
 * @param {() => void} changed
 * @returns {() => void} stops it
 */
export function onTheme(changed) {
  const queries = [
    "(prefers-color-scheme: dark)",
    "(prefers-contrast: more)",
    "(forced-colors: active)",
  ].map((query) => matchMedia(query));
  for (const query of queries) query.addEventListener("change", changed);
  const watch = new MutationObserver(changed);
  watch.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  return () => {
    watch.disconnect();
    for (const query of queries) query.removeEventListener("change", changed);
  };
}

/**
 * @typedef {object} Key
 * @property {string} key a `KeyboardEvent.key`, `g t` for two in sequence, `Ctrl+k` for the control
 * or command key, `Shift+ArrowLeft` for the shift key
 * @property {string} does the description in the list of keys; if it is empty, it is not listed
 * @property {(event: KeyboardEvent) => void} run
 * @property {boolean} [inFields] whether it works while a field has the focus
 */

/** Sets of keys, the newest first. @type {{where: string, keys: Key[]}[]} */
const sets = [];
/**
 * Pressed keys that no set has handled yet. Those of a page are loaded after its rows, and then
 * handle keys that were pressed before.
 * @type {{event: KeyboardEvent, path: string, at: number}[]}
 */
let early = [];
const EARLY_MS = 3000;

/** Counts changes of the sets, for the list of keys. */
export const keysChanged = signal(0);

/** @returns {{where: string, keys: Key[]}[]} */
export function allKeys() {
  return sets
    .map(({ where, keys }) => ({ where, keys: keys.filter((key) => key.does) }))
    .filter((s) => s.keys.length > 0);
}

/**
 * Adds keys while a component is shown.
 * @param {string} where heading in the list of keys
 * @param {Key[]} keys
 */
export function useKeys(where, keys) {
  const set = useRef({ where, keys });
  set.current.where = where;
  set.current.keys = keys;
  useEffect(() => {
    const added = set.current;
    sets.unshift(added);
    keysChanged.value += 1;
    const isMine = (/** @type {typeof early[number]} */ { event, path, at }) =>
      path === location.pathname &&
      Date.now() - at < EARLY_MS &&
      keys.some((key) => key.key === nameOf(event));
    const again = early.filter(isMine);
    early = early.filter((key) => !isMine(key));
    for (const { event } of again) dispatchEvent(new KeyboardEvent("keydown", event));
    return () => {
      sets.splice(sets.indexOf(added), 1);
      keysChanged.value += 1;
    };
  }, []);
}

/** @param {KeyboardEvent} event */
function nameOf(event) {
  if (event.ctrlKey || event.metaKey) return event.altKey ? "" : `Ctrl+${event.key.toLowerCase()}`;
  if (event.altKey) return "";
  return event.shiftKey && event.key.length > 1 ? `Shift+${event.key}` : event.key;
}

/** The first key of two. */
let prefix = "";
/** @type {ReturnType<typeof setTimeout> | undefined} */
let prefixTimer;

addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing) return;
  const target = event.target instanceof Element ? event.target : null;
  const inField = !!target?.closest("input, textarea, select, [contenteditable]");
  const own =
    !inField && target?.closest("dialog[open], [role=menu], [role=separator], summary, button, a");
  const name = nameOf(event);
  if (!name) return;
  if (name.length === 1 && name !== "?" && letterKeys.value === "off") return;
  // A focused button or link handles Enter and the space key itself.
  if (own && (name === "Enter" || name === " ")) return;
  // An open dialog receives all keys, and closes with Esc by itself.
  if (document.querySelector("dialog[open]") && name !== "Ctrl+k") return;
  const pair = prefix ? `${prefix} ${name}` : "";
  prefix = "";
  for (const { keys } of sets) {
    for (const key of keys) {
      if ((key.key === name && !pair) || (pair && key.key === pair)) {
        if (inField && !key.inFields) continue;
        event.preventDefault();
        key.run(event);
        return;
      }
    }
  }
  if (inField) return;
  if (!sets.some((set) => set.keys.some((key) => key.key.startsWith(`${name} `)))) {
    early = [...early.slice(-7), { event, path: location.pathname, at: Date.now() }];
    return;
  }
  prefix = name;
  clearTimeout(prefixTimer);
  prefixTimer = setTimeout(() => {
    prefix = "";
  }, 1500);
});
