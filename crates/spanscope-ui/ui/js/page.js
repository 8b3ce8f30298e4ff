/**
 * The page: its address, and what it tells the frame around it.
 *
 * The address is the view: what a page shows is in its path and query, and nowhere else. A choice
 * (a trace, a span, a view) makes a step of the history, an adjustment (time, zoom, sort, fold)
 * replaces the current one, so that Back does what people expect.
 *
 * Paths are relative to the document's base, which the server sets: a program may mount the pages
 * below any prefix.
 */
import { signal, useEffect, useState } from "../vendor/preact.js";
import { following, get, rowsShown } from "./api.js";
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

/** Where the browser is. */
export const place = signal(read());

/**
 * The address of a page. Each part is escaped, so no stored text can leave the path.
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
 * Goes to a page of Spanscope as a new step of the history.
 * @param {string} path
 */
export function go(path) {
  if (path === location.pathname + location.search) return;
  remember();
  history.pushState(null, "", path);
  place.value = read();
}

/**
 * Goes there in place of the current step.
 * @param {string} path
 */
export function replace(path) {
  history.replaceState(history.state, "", path);
  place.value = read();
}

/**
 * Changes parameters of the current page; null takes one out.
 * @param {Record<string, string | number | null>} changes
 * @param {boolean} [choice] whether it is a step of the history
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

/** Follows the store, or pauses: the address says so, as everything that changes what is shown. */
export function toggleFollow() {
  following.value = !following.value;
  adjust({ live: following.value ? null : 0 });
}

/**
 * What the current page wants to find again when the user comes back: folds, a scroll place.
 * @type {() => unknown}
 */
let keep = () => null;

/**
 * @param {() => unknown} save gives what is kept in this step of the history
 * @returns {unknown} what was kept when the user left it
 */
export function kept(save) {
  keep = save;
  return history.state?.kept ?? null;
}

/** Keeps nothing more: what wanted it is no longer shown. @param {() => unknown} save */
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

// Links to pages are followed without loading the page again. Those with a modifier, a target or a
// download are the browser's.
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

/** Pages call it when their first rows are there. @param {boolean} [ready] */
export function useRowsShown(ready = true) {
  useEffect(() => {
    if (!ready || marked) return;
    marked = true;
    performance.mark("ss:rows");
    requestAnimationFrame(() => setTimeout(() => (rowsShown.value = true)));
  }, [ready]);
}
/**
 * A module that is loaded once the rows are there; null until then.
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

// Where rows never come, the rest of the frame does.
setTimeout(() => (rowsShown.value = true), 2000);
rowsShown.subscribe((shown) => shown && readStatus());

/** Reads what the foot and the empty states need to know of the store. */
export async function readStatus() {
  try {
    const now = await get(["status"]);
    status.value = now;
  } catch {
    // The page's own requests report what is wrong.
  }
}

/** @type {import("../vendor/preact.js").Signal<{words: string | null, request: string | null}>} */
const shown = signal({ words: null, request: null });

/**
 * Says what prints the same as the page: a command, and the request for where there is none.
 * @param {string | null | undefined} words
 * @param {string | null} [request] a path from the base
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
 * The command that prints what the page shows; null where nothing does yet. A tenant has no file
 * that a command could read, and asks the server.
 */
export function commandText() {
  const { words, request } = shown.value;
  const now = status.value;
  if (words && !now?.tenant) return words + (now?.db ?? "");
  if (!request) return null;
  const token = now?.tokens ? '-H "authorization: Bearer $TOKEN" ' : "";
  return `curl ${token}${shellWord(new URL(request, base).href)}`;
}

/** Pages of the bar. */
export const navigation = /** @type {const} */ ([
  ["traces", "Traces", "g t"],
  ["spans", "Spans", "g p"],
  ["logs", "Logs", "g l"],
  ["store", "Store", "g o"],
  ["setup", "Set up", "g h"],
]);
