/** A list of many lines of the same height. Only those in view are rendered. */
import { h, useEffect, useRef, useState } from "../vendor/preact.js";

const SPARE = 10;

/**
 * @param {{
 *   length: number,
 *   height: number,
 *   label: string,
 *   row: (index: number) => import("./ui.js").Children,
 *   at?: number,
 *   marked?: (index: number) => boolean,
 *   class?: string,
 * }} props
 */
export function Lines({ length, height, label, row, at = -1, marked, class: name = "" }) {
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const [top, setTop] = useState(0);
  const [room, setRoom] = useState(600);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setRoom(element.clientHeight));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    if (at >= 0 && box.current) box.current.scrollTop = Math.max(0, at * height - room / 2);
  }, [at]);
  const first = Math.max(0, Math.floor(top / height) - SPARE);
  const last = Math.min(length, Math.ceil((top + room) / height) + SPARE);
  const shown = [];
  for (let i = first; i < last; i++) {
    shown.push(
      h(
        "div",
        {
          key: i,
          class: marked?.(i) ? "vrow row-at" : "vrow",
          "aria-current": marked?.(i) ? "true" : undefined,
          role: "listitem",
          "aria-setsize": length,
          "aria-posinset": i + 1,
          style: { transform: `translateY(${i * height}px)`, height: `${height}px` },
        },
        row(i),
      ),
    );
  }
  return h(
    "div",
    {
      class: `vlist ${name}`,
      ref: box,
      tabIndex: 0,
      role: "list",
      "aria-label": label,
      onScroll: (/** @type {Event} */ event) =>
        setTop(/** @type {HTMLElement} */ (event.currentTarget).scrollTop),
    },
    h("div", { class: "vroom", role: "presentation", style: { height: `${length * height}px` } }, shown),
  );
}
