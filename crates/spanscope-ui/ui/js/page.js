/**
 * The current page: its address, and what it passes to the frame around it.
 *
 * The path and query of the address alone determine what a page shows. A choice (a trace, a span, a
 * view) adds an entry to the history. An adjustment (time, zoom, sort, fold) replaces the current
 * entry, so that Back does what users expect.
 *
 * Paths are relative to the document's base, which the server sets: a program may mount the pages
 * below any prefix.
 */
import { signal, useEffect, useState } from "../vendor/preact.js";
import { following, get, rowsShown, running } from "./api.js";
import { shellWord } from "./format.js";

/**
 * @typedef {object} Place
 * @property {string} page the first part of the path
 * @property {string[]} rest the other parts, decoded
 * @property {URLSearchParams} query
 */

const base = new URL(document.baseURI);

/** @returns {Place} */
function read() {
  const path = location.pathname.startsWith(base.pathname)
    ? location.pathname.slice(base.pathname.length)
    : "";
  const parts = path.split("/").filter(Boolean).map(decoded);
  return { page: parts[0] ?? "", rest: parts.slice(1), query: new URLSearchParams(location.search) };
}

/** @param {string} part */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The current location, parsed. */
export const place = signal(read());

/**
 * Returns the address of a page. The parts are escaped, so a stored text cannot lead elsewhere.
 * @param {string[]} parts
 * @param {Record<string, string | number | null | undefined> | URLSearchParams} [query]
 */
export function to(parts, query = {}) {
  const search = new URLSearchParams();
  for (const [key, value] of query instanceof URLSearchParams ? query : Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") search.set(key, String(value));
  }
  const text = search.toString();
  return base.pathname + parts.map(encodeURIComponent).join("/") + (text ? `?${text}` : "");
}

/**
 * Goes to a page of Spanscope with a new entry of the history.
 * @param {string} path
 */
export function go(path) {
  if (path === location.pathname + location.search) return;
  remember();
  history.pushState(null, "", path);
  place.value = read();
}

/**
 * Goes to a page of Spanscope in place of the current entry of the history.
 * @param {string} path
 */
export function replace(path) {
  history.replaceState(history.state, "", path);
  place.value = read();
}

/**
 * Changes parameters of the current page; null removes one.
 * @param {Record<string, string | number | null>} changes
 * @param {boolean} [choice] whether it adds an entry to the history
 */
export function adjust(changes, choice = false) {
  const query = new URLSearchParams(location.search);
  for (const [key, value] of Object.entries(changes)) {
    if (value === null || value === "") query.delete(key);
    else query.set(key, String(value));
  }
  const text = query.toString();
  const path = location.pathname + (text ? `?${text}` : "");
  if (choice) go(path);
  else replace(path);
}

/** Switches between following the store and pausing. The address contains it too. */
export function toggleFollow() {
  following.value = !following.value;
  adjust({ live: following.value ? null : 0 });
}

/**
 * Returns what the current page restores when the user comes back, such as folds, or null.
 * @type {() => unknown}
 */
let keep = () => null;

/**
 * @param {() => unknown} save returns what is kept in this entry of the history
 * @returns {unknown} what was kept when the user left this entry
 */
export function kept(save) {
  keep = save;
  return history.state?.kept ?? null;
}

/** Stops keeping it, as the component is no longer shown. @param {() => unknown} save */
export function forget(save) {
  if (keep === save) keep = () => null;
}

function remember() {
  const value = keep();
  if (value !== null) history.replaceState({ kept: value }, "");
}

addEventListener("popstate", () => {
  place.value = read();
});
addEventListener("pagehide", remember);

// Links to pages are followed without loading the document again. The browser handles those with a
// modifier key, a target or a download.
addEventListener("click", (event) => {
  if (
    event.defaultPrevented ||
    event.button !== 0 ||
    event.ctrlKey ||
    event.metaKey ||
    event.shiftKey ||
    event.altKey
  ) {
    return;
  }
  const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
  if (!(link instanceof HTMLAnchorElement) || link.target || link.hasAttribute("download")) return;
  const url = new URL(link.href);
  if (url.origin !== base.origin || !url.pathname.startsWith(base.pathname) || link.hash) return;
  event.preventDefault();
  go(url.pathname + url.search);
});

/** @typedef {import("./api-types.d.ts").ServerStatus} Status */

/** @type {import("../vendor/preact.js").Signal<Status | null>} */
export const status = signal(null);

let marked = false;

/** Pages call it when they show their first rows. @param {boolean} [ready] */
export function useRowsShown(ready = true) {
  useEffect(() => {
    if (!ready || marked) return;
    marked = true;
    performance.mark("ss:rows");
    requestAnimationFrame(() => setTimeout(() => (rowsShown.value = true)));
  }, [ready]);
}
/**
 * Returns a module that is loaded after the rows are shown, or null until then.
 * @template T
 * @param {() => Promise<T>} load
 * @returns {T | null}
 */
export function useAfterRows(load) {
  const [module, set] = useState(/** @type {T | null} */ (null));
  const shown = rowsShown.value;
  useEffect(() => {
    if (shown) load().then((loaded) => set(() => loaded));
  }, [shown]);
  return module;
}

// The rest of the frame is loaded even if no rows are ever shown, but not while a request runs
// whose answer may bring them: its modules would delay them.
let quiet = 0;
const waiting = setInterval(() => {
  quiet = running.value > 0 ? 0 : quiet + 1;
  if (quiet === 4) rowsShown.value = true;
  if (rowsShown.value) clearInterval(waiting);
}, 500);
rowsShown.subscribe((shown) => shown && readStatus());

/** Loads the status of the store, which the footer and the empty states need. */
export async function readStatus() {
  try {
    const now = await get(["status"]);
    status.value = now;
  } catch {
    // The page's own requests report the error.
  }
}

/** @type {import("../vendor/preact.js").Signal<{words: string | null, request: string | null}>} */
const shown = signal({ words: null, request: null });

/**
 * Sets the command that prints what the page shows, and the request that is used if there is none.
 * @param {string | null | undefined} words
 * @param {string | null} [request] a path relative to the base
 */
export function useCommand(words, request = null) {
  useEffect(() => {
    shown.value = { words: words ?? null, request };
    return () => {
      shown.value = { words: null, request: null };
    };
  }, [words, request]);
}

/**
 * Returns the command that prints what the page shows, or null if there is none yet. For a tenant
 * it is a request to the server, as a tenant cannot read the file.
 */
export function commandText() {
  const { words, request } = shown.value;
  const now = status.value;
  if (words && !now?.tenant) return words + (now?.db ?? "");
  if (!request) return null;
  const token = now?.tokens ? '-H "authorization: Bearer $TOKEN" ' : "";
  return `curl ${token}${shellWord(new URL(request, base).href)}`;
}

/** The pages in the bar: name, title and key. */
export const navigation = /** @type {const} */ ([
  ["traces", "Traces", "g t"],
  ["spans", "Spans", "g p"],
  ["logs", "Logs", "g l"],
  ["store", "Store", "g o"],
  ["setup", "Set up", "g h"],
]);
