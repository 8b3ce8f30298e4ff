/** The details next to the waterfall, or below it on narrow windows. */
import { h } from "../../vendor/preact.js";
import { detailsWidth } from "../keys.js";
import { adjust } from "../page.js";
import { Guard, Separator } from "../ui.js";
import { Details } from "./details.js";
import { idOf } from "./model.js";

/**
 * @param {{
 *   trace: import("./model.js").Trace,
 *   selected: number,
 *   side: {current: HTMLElement | null},
 * }} props
 */
export function Pane({ trace, selected, side }) {
  return [
    h(Separator, {
      name: "Width of the details",
      value: Number(detailsWidth.value) || 32,
      least: 18,
      most: 70,
      reverse: true,
      onChange: (percent) => (detailsWidth.value = String(Math.round(percent))),
      from: () => side.current?.getBoundingClientRect(),
    }),
    h(
      Guard,
      { part: "details", key: selected },
      h(Details, {
        traceId: trace.shape.trace_id,
        spanId: idOf(trace.shape, selected),
        close: () => adjust({ span: null, tab: null }),
      }),
    ),
  ];
}
