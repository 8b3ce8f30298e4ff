/**
 * Saved views: named addresses of these pages, stored in the browser. The address alone determines
 * what a view shows.
 */
import { savedViews } from "./keys.js";
import { to } from "./page.js";

const MOST_VIEWS = 50;

/** Returns the views with their paths below the base. @returns {[name: string, path: string][]} */
export function views() {
  /** @type {unknown} */
  let saved = null;
  try {
    saved = JSON.parse(savedViews.value);
  } catch {
    // Something else than a list of views was stored there.
  }
  if (!Array.isArray(saved)) return [];
  return saved.flatMap((view) => {
    const [name, path] = Array.isArray(view) ? view : [];
    // A path must begin with the name of a page, not with a host or a scheme.
    return typeof name === "string" && typeof path === "string" && /^[a-z-]+(?:[/?]|$)/.test(path)
      ? [/** @type {[string, string]} */ ([name, path])]
      : [];
  });
}

/** Saves the current address under a name. @param {string} name */
export function saveView(name) {
  const path = location.pathname.slice(to([]).length) + location.search;
  const others = views().filter(([known]) => known !== name);
  savedViews.value = JSON.stringify([[name, path], ...others].slice(0, MOST_VIEWS));
}

/** @param {string} name */
export function removeView(name) {
  savedViews.value = JSON.stringify(views().filter(([known]) => known !== name));
}
