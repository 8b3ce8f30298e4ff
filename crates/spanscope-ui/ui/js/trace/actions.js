/** The menu of actions for a trace. */
import { h } from "../../vendor/preact.js";
import { apiPath } from "../api.js";
import { commandText, place, to } from "../page.js";
import { Menu, copyText } from "../ui.js";

/** @param {{shape: import("./model.js").Shape}} props */
export function Actions({ shape }) {
  const id = shape.trace_id;
  return [
    shape.older || shape.newer
      ? h(
          "nav",
          { class: "near", "aria-label": "Traces before and after this one" },
          shape.older ? h(Near, { id: shape.older, words: "‹ older" }) : null,
          shape.newer ? h(Near, { id: shape.newer, words: "newer ›" }) : null,
        )
      : null,
    h(
      Menu,
      { label: "actions", name: "Actions" },
      h("button", { type: "button", onClick: () => copyText(location.href) }, "copy the link"),
      h("button", { type: "button", onClick: () => copyText(commandText() ?? "") }, "copy the command"),
      h("a", { href: to(["logs"], { trace: id }) }, "log events"),
      h(
        "a",
        { href: apiPath(["traces", id, "export"]), download: `trace-${id.slice(0, 8)}.json` },
        "download as OTLP JSON",
      ),
    ),
  ];
}

/**
 * A trace that began next to this one, in the same view.
 * @param {{id: string, words: string}} props
 */
function Near({ id, words }) {
  return h("a", { href: to(["traces", id], { view: place.value.query.get("view") }) }, words);
}
