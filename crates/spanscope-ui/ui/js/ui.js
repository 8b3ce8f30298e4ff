/**
 * Small components that all pages use. Stored texts are shown with `Text`, which isolates them and
 * makes hidden characters visible.
 */
import { Component, h, signal, useEffect, useRef, useState } from "../vendor/preact.js";
import { ApiError } from "./api.js";
import { NAME_LENGTH, cut, plain, timeFull, timeShort, visible } from "./format.js";
import { utcWanted } from "./keys.js";
import { place, status } from "./page.js";

/** @typedef {import("../vendor/preact.js").ComponentChildren} Children */

/**
 * A stored text, isolated from the text direction around it, with hidden characters made visible.
 * @param {{value: string, max?: number, lines?: boolean, class?: string}} props
 */
export function Text({ value, max = NAME_LENGTH, lines = false, class: name }) {
  return h("bdi", name ? { class: name } : null, visible(cut(value, max), lines));
}

/** Whether times are shown as UTC. */
export function inUtc() {
  const asked = place.value.query.get("utc");
  return asked === null ? utcWanted.value === "1" : asked === "1";
}

/** @param {{at: string}} props */
export function Time({ at }) {
  const utc = inUtc();
  return h("time", { title: timeFull(at, utc) }, timeShort(at, utc));
}

/** Shapes on a grid of 16, shown at 14 px. */
const ICONS = {
  copy: "M5 2h8v9h-2V4H5zM3 5h7v9H3z",
  find: "M7 2a5 5 0 1 0 3 9l3 3 1-1-3-3a5 5 0 0 0-4-8m0 1.5a3.5 3.5 0 1 1 0 7 3.5 3.5 0 0 1 0-7",
  close: "M3.5 2.5 8 7l4.5-4.5 1 1L9 8l4.5 4.5-1 1L8 9l-4.5 4.5-1-1L7 8 2.5 3.500z",
  menu: "M2 3h12v2H2zm0 4h12v2H2zm0 4h12v2H2z",
  theme: "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1m0 1.500v11a5.5 5.5 0 0 1 0-11",
  error: "M8 1l7 7-7 7-7-7zM7.2 4.500v4.500h1.600V4.500zm0 5.500v1.600h1.600V10z",
  running:
    "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1m0 1.500a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11M8 4a4 4 0 0 1 0 8z",
  ended: "M6.3 12.5 2 8.200l1.2-1.2 3.1 3.1 6.5-6.600L14 4.700z",
  abandoned:
    "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1m0 1.5c1.2 0 2.3.4 3.2 1L3.5 11.2A5.5 5.5 0 0 1 8 2.5" +
    "m4.5 2.3a5.5 5.5 0 0 1-7.7 7.7z",
  up: "M8 4 2.5 9.500l1.2 1.200L8 6.400l4.3 4.3 1.2-1.200z",
  down: "M8 12 2.5 6.500l1.2-1.200L8 9.600l4.3-4.3 1.2 1.200z",
  down1: "M7 2h2v7l2.5-2.5 1.2 1.200L8 12.5 3.3 7.700l1.2-1.200L7 9zM2 13.500h12V15H2z",
};

/**
 * @param {keyof typeof ICONS} name
 * @param {string} [title] read by screen readers; without it they skip the icon
 */
export function icon(name, title) {
  return h(
    "svg",
    {
      class: `icon icon-${name}`,
      viewBox: "0 0 16 16",
      width: 14,
      height: 14,
      ...(title ? { role: "img" } : { "aria-hidden": "true" }),
    },
    title ? h("title", null, title) : null,
    h("path", { d: ICONS[name] }),
  );
}

/** @param {{state: string, status?: string | null}} props */
export function StateSign({ state, status }) {
  if (state === "running") return icon("running", "running");
  if (status === "error") return icon("error", "error");
  if (state === "abandoned") return icon("abandoned", "abandoned: its program is gone");
  return icon("ended", "ended");
}

/** Returns the CSS class of a severity, which is also shown as a word. @param {string} severity */
export const severityClass = (severity) =>
  severity === "error" || severity === "critical" ? "error-text" : severity === "warn" ? "warn" : "dim";

/** The text of the live region. */
export const announced = signal("");
let lastAnnounced = 0;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let pending;

/**
 * Announces a sentence to screen readers, at most one in 5 s. A newer one replaces one that waits.
 * @param {string} sentence
 */
export function announce(sentence) {
  clearTimeout(pending);
  pending = setTimeout(
    () => {
      lastAnnounced = Date.now();
      announced.value = sentence;
    },
    Math.max(0, lastAnnounced + 5000 - Date.now()),
  );
}

/**
 * @param {string} text
 * @returns {Promise<boolean>}
 */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // On an insecure origin, only this way to the clipboard works.
    const field = document.createElement("textarea");
    field.value = text;
    field.className = "away";
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}

/** @param {{text: string, label: string, children?: Children}} props */
export function Copy({ text, label, children }) {
  const [done, set] = useState(false);
  return h(
    "button",
    {
      type: "button",
      class: "quiet",
      title: label,
      "aria-label": label,
      onClick: async () => {
        if (!(await copyText(text))) return;
        set(true);
        announce("copied");
        setTimeout(() => set(false), 1200);
      },
    },
    done ? icon("ended") : icon("copy"),
    children,
  );
}

/** @param {string} title */
export function useTitle(title) {
  useEffect(() => {
    document.title = `${title} · Spanscope`;
  }, [title]);
}

/**
 * A menu that opens below its button. Esc or a click elsewhere closes it.
 * @param {{label: Children, name: string, children?: Children}} props
 */
export function Menu({ label, name, children }) {
  const ref = useRef(/** @type {HTMLDetailsElement | null} */ (null));
  useEffect(() => {
    const close = (/** @type {Event} */ event) => {
      const menu = ref.current;
      if (!menu?.open) return;
      if (event instanceof KeyboardEvent) {
        if (event.key !== "Escape") return;
        event.preventDefault();
        menu.open = false;
        menu.querySelector("summary")?.focus();
      } else if (!(event.target instanceof Node && menu.contains(event.target))) menu.open = false;
    };
    addEventListener("click", close);
    addEventListener("keydown", close, true);
    return () => {
      removeEventListener("click", close);
      removeEventListener("keydown", close, true);
    };
  }, []);
  return h(
    "details",
    { class: "menu", ref },
    h("summary", { "aria-label": name }, label),
    h("div", { class: "menu-box" }, children),
  );
}

/**
 * An error with the message of the server, and its advice.
 * @param {{error: unknown, retryIn?: number | null, again?: () => void}} props
 */
export function Problem({ error, retryIn = null, again }) {
  const known = error instanceof ApiError;
  const message = known
    ? error.message
    : `this part failed: ${error instanceof Error ? error.message : String(error)}`;
  return h(
    "div",
    { class: "problem", role: "alert" },
    h("p", null, icon("error"), " ", h(Text, { value: message, max: 1000 })),
    known && error.whatToDo
      ? h("p", { class: "dim" }, h(Text, { value: error.whatToDo, max: 1000 }))
      : null,
    retryIn !== null ? h("p", { class: "dim" }, `next try in ${retryIn} s`) : null,
    again && (!known || error.status !== 404)
      ? h("button", { type: "button", onClick: again }, "Try again")
      : null,
  );
}

/**
 * Confines an error of a part of a page to this part.
 * @extends {Component<{children?: Children, part: string}, {failed: Error | null}>}
 */
export class Guard extends Component {
  /** @param {{children?: Children, part: string}} props */
  constructor(props) {
    super(props);
    /** @type {{failed: Error | null}} */
    this.state = { failed: null };
  }
  /** @param {Error} failed */
  componentDidCatch(failed) {
    this.setState({ failed });
  }
  render() {
    const { failed } = this.state;
    if (!failed) return this.props.children;
    // The values of the parameters are left out, as they may be private.
    const names = [...new URLSearchParams(location.search).keys()].join("&");
    const version = status.value?.version ?? "";
    const report = `spanscope ${version}\n${failed.stack ?? failed.message}\n${location.pathname}?${names}`;
    return h(
      "div",
      { class: "problem", role: "alert" },
      h("p", null, icon("error"), ` this part failed (${this.props.part})`),
      h("pre", null, plain(report, 2000)),
      h(Copy, { text: report, label: "Copy the report" }, " copy the report"),
    );
  }
}

/**
 * A border that is moved with the pointer or the arrow keys. Its value is a percentage of the box,
 * or a width in pixels. The default box is the parent element.
 * @param {{
 *   name: string,
 *   value: number,
 *   least: number,
 *   most: number,
 *   onChange: (percent: number) => void,
 *   from?: () => DOMRect | undefined,
 *   reverse?: boolean,
 *   pixels?: boolean,
 * }} props
 */
export function Separator({ name, value, least, most, onChange, from, reverse, pixels }) {
  const by = pixels ? 10 : 2;
  const clamp = (/** @type {number} */ n) => Math.min(most, Math.max(least, n));
  return h("div", {
    class: "separator",
    role: "separator",
    tabIndex: 0,
    "aria-label": name,
    "aria-orientation": "vertical",
    "aria-valuenow": Math.round(value),
    "aria-valuemin": least,
    "aria-valuemax": most,
    onKeyDown: (/** @type {KeyboardEvent} */ event) => {
      const step = event.key === "ArrowLeft" ? -by : event.key === "ArrowRight" ? by : 0;
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      onChange(clamp(value + (reverse ? -step : step)));
    },
    onPointerDown: (/** @type {PointerEvent} */ event) => {
      const handle = /** @type {HTMLElement} */ (event.currentTarget);
      const box = from ? from() : handle.parentElement?.getBoundingClientRect();
      if (!box) return;
      event.preventDefault();
      handle.setPointerCapture(event.pointerId);
      const move = (/** @type {PointerEvent} */ e) => {
        const part = reverse ? box.right - e.clientX : e.clientX - box.left;
        onChange(clamp(pixels ? part : (part / box.width) * 100));
      };
      handle.addEventListener("pointermove", move);
      handle.addEventListener("pointerup", () => handle.removeEventListener("pointermove", move), {
        once: true,
      });
    },
  });
}
