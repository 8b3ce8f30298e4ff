/**
 * Saved views: addresses of these pages with a name. They are this browser's own; the address alone
 * says what a view shows.
 */
import { savedViews } from "./keys.js";
import { to } from "./page.js";

const MOST_VIEWS = 50;

/** The views, with their paths below the base. @returns {[name: string, path: string][]} */
export function views() {
  /** @type {unknown} */
  let saved = null;
  try {
    saved = JSON.parse(savedViews.value);
  } catch {
    // What another program wrote there is no list of views.
  }
  if (!Array.isArray(saved)) return [];
  return saved.flatMap((view) => {
    const [name, path] = Array.isArray(view) ? view : [];
    // A path of ours begins with the name of a page, never with a host or a scheme.
    return typeof name === "string" && typeof path === "string" && /^[a-z-]+(?:[/?]|$)/.test(path)
      ? [/** @type {[string, string]} */ ([name, path])]
      : [];
  });
}

/** Saves the address under a name. @param {string} name */
export function saveView(name) {
  const path = location.pathname.slice(to([]).length) + location.search;
  const others = views().filter(([known]) => known !== name);
  savedViews.value = JSON.stringify([[name, path], ...others].slice(0, MOST_VIEWS));
}

/** @param {string} name */
export function removeView(name) {
  savedViews.value = JSON.stringify(views().filter(([known]) => known !== name));
}
