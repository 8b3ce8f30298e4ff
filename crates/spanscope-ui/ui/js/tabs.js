/** Tabs. The arrow keys move between them, and the address contains the selected one. */
import { h } from "../vendor/preact.js";
import { adjust, place } from "./page.js";

/**
 * @typedef {object} Tab
 * @property {string} name a fixed name for the address and for ids
 * @property {string} title
 * @property {() => import("./ui.js").Children} content
 */

/**
 * @param {{id: string, label: string, tabs: Tab[]}} props `id` is the prefix of the elements' ids.
 * The first tab is the default.
 */
export function Tabs({ id, label, tabs }) {
  const wanted = place.value.query.get("tab");
  const at = tabs.find((tab) => tab.name === wanted) ?? tabs[0];
  if (!at) return null;
  const choose = (/** @type {string} */ name) =>
    adjust({ tab: name === tabs[0]?.name ? null : name }, true);
  return [
    h(
      "div",
      { class: "tabs", role: "tablist", "aria-label": label },
      tabs.map(({ name, title }, i) =>
        h(
          "button",
          {
            key: name,
            id: `${id}-${name}`,
            type: "button",
            role: "tab",
            "aria-selected": name === at.name,
            "aria-controls": `${id}-panel`,
            tabIndex: name === at.name ? 0 : -1,
            onClick: () => choose(name),
            onKeyDown: (/** @type {KeyboardEvent} */ event) => {
              const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
              if (!step) return;
              event.preventDefault();
              event.stopPropagation();
              const next = tabs[(i + step + tabs.length) % tabs.length]?.name ?? name;
              choose(next);
              document.getElementById(`${id}-${next}`)?.focus();
            },
          },
          title,
        ),
      ),
    ),
    h(
      "div",
      { id: `${id}-panel`, role: "tabpanel", tabIndex: 0, "aria-labelledby": `${id}-${at.name}` },
      at.content(),
    ),
  ];
}
