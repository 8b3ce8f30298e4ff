/**
 * Keys and preferences. Keys work where no field has the focus; single letters can be switched off
 * (WCAG 2.1.4). Preferences never change what a page shows, only how: the address does that.
 */
import { effect, signal, useEffect, useRef } from "../vendor/preact.js";

/**
 * A preference of this browser. Storage may be forbidden or full; then it lasts as long as the
 * page.
 * @param {string} name
 * @param {string} fallback
 */
function preference(name, fallback) {
  let first = fallback;
  try {
    first = localStorage.getItem(`spanscope.${name}`) ?? fallback;
  } catch {
    // The default holds.
  }
  const value = signal(first);
  let told = first;
  effect(() => {
    if (value.value === told) return;
    told = value.value;
    try {
      localStorage.setItem(`spanscope.${name}`, told);
    } catch {
      // It lasts as long as the page.
    }
  });
  return value;
}

/** `system`, `light` or `dark`. */
export const theme = preference("theme", "system");
/** `1`: times are shown as UTC. The address may say so for one view. */
export const utcWanted = preference("utc", "");
/** `off`: single letters do nothing. */
export const letterKeys = preference("keys", "on");
/** Columns of the list of traces, with commas. */
export const traceColumns = preference("columns", "");
/** `compact` or `comfortable`: the height of rows. */
export const density = preference("density", "compact");
/** Saved views, as JSON: a list of names with their addresses below the base. */
export const savedViews = preference("views", "[]");
/** Widths of columns of the list of traces that were set, in pixels: `root=300,model=120`. */
export const columnWidths = preference("widths", "");
/** Percent of the trace's width that the details take. */
export const detailsWidth = preference("details", "32");
/** Percent of the grid's width that names take. */
export const nameWidth = preference("names", "34");

effect(() => {
  const root = document.documentElement;
  if (theme.value === "system") root.removeAttribute("data-theme");
  else root.setAttribute("data-theme", theme.value);
  root.setAttribute("data-density", density.value);
});

/**
 * Calls back whenever the colours change.
 * @param {() => void} changed
 * @returns {() => void} ends that
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
 * @property {string} key as `KeyboardEvent.key`, `g t` for two in turn, `Ctrl+k` with the control
 * or command key, `Shift+ArrowLeft`
 * @property {string} does what the list of keys says; an empty text is not listed
 * @property {(event: KeyboardEvent) => void} run
 * @property {boolean} [inFields] whether it works while a field has the focus
 */

/** Sets of keys, the newest first. @type {{where: string, keys: Key[]}[]} */
const sets = [];
/**
 * Keys that no set took yet: those of a page are loaded after its rows, and lose no key that is
 * pressed before.
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
    const mine = set.current;
    sets.unshift(mine);
    keysChanged.value += 1;
    const isMine = (/** @type {typeof early[number]} */ { event, path, at }) =>
      path === location.pathname &&
      Date.now() - at < EARLY_MS &&
      keys.some((key) => key.key === nameOf(event));
    const again = early.filter(isMine);
    early = early.filter((key) => !isMine(key));
    for (const { event } of again) dispatchEvent(new KeyboardEvent("keydown", event));
    return () => {
      sets.splice(sets.indexOf(mine), 1);
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
  // A focused button or link keeps the keys that it has by itself.
  if (own && (name === "Enter" || name === " ")) return;
  // An open dialog has all keys, and closes itself by Esc.
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
