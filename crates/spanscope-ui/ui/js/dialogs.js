/** The list of keys, and the palette, which finds pages, recent traces and actions by name. */
import { h, render, useEffect, useMemo, useRef, useState } from "../vendor/preact.js";
import { get } from "./api.js";
import { goToId } from "./field.js";
import { isIdLike, isTaskLike } from "./filter.js";
import { duration } from "./format.js";
import { allKeys, density, letterKeys, theme, utcWanted } from "./keys.js";
import { commandText, go, navigation, to } from "./page.js";
import { removeView, saveView, views } from "./views.js";
import { Text, announce, copyText, icon } from "./ui.js";

/** @type {HTMLElement | null} */
let host = null;
/** @type {Element | null} */
let before = null;

/** @param {"keys" | "palette"} which */
export function open(which) {
  if (!host) {
    host = document.createElement("div");
    document.body.append(host);
  }
  if (host.querySelector("dialog[open]")) return close();
  before = document.activeElement;
  render(h(which === "keys" ? Keys : Palette, { key: Date.now() }), host);
}

function close() {
  if (host) render(null, host);
  if (before instanceof HTMLElement) before.focus();
}

/** @param {{label: string, class: string, children?: import("./ui.js").Children}} props */
function Dialog({ label, class: name, children }) {
  const ref = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => ref.current?.showModal(), []);
  return h(
    "dialog",
    {
      ref,
      class: name,
      "aria-label": label,
      onClose: close,
      onClick: (/** @type {MouseEvent} */ event) => event.target === ref.current && ref.current?.close(),
    },
    children,
  );
}

const SHOWN = new Map([
  ["ArrowLeft", "←"],
  ["ArrowRight", "→"],
  ["ArrowUp", "↑"],
  ["ArrowDown", "↓"],
  ["Escape", "Esc"],
]);

function Keys() {
  return h(
    Dialog,
    { label: "Keys", class: "keys" },
    h(
      "div",
      { class: "head" },
      h("h2", null, "Keys"),
      h("span", { class: "space" }),
      h(
        "button",
        { type: "button", "aria-label": "Close", class: "quiet", onClick: close },
        icon("close"),
      ),
    ),
    h(
      "label",
      null,
      h("input", {
        type: "checkbox",
        checked: letterKeys.value === "on",
        onChange: () => (letterKeys.value = letterKeys.value === "on" ? "off" : "on"),
      }),
      " single letters work",
    ),
    allKeys().map((set, i) =>
      h(
        "section",
        { key: set.where + i },
        h("h3", null, set.where),
        h(
          "dl",
          null,
          set.keys.map((key) =>
            h(
              "div",
              { key: key.key },
              h(
                "dt",
                null,
                key.key
                  .split(/(?<=.)[ +](?=.)/)
                  .map((part, j) => [j ? " " : "", h("kbd", { key: part }, SHOWN.get(part) ?? part)]),
              ),
              h("dd", null, key.does),
            ),
          ),
        ),
      ),
    ),
  );
}

/** @typedef {{name: string, note: string, run: () => void, names?: boolean}} Action */

/** Returns the actions of the keys of the page. @returns {Action[]} */
function pageActions() {
  return allKeys()
    .filter((set) => set.where !== "everywhere")
    .flatMap(({ keys }) =>
      keys.map((key) => ({
        name: key.does.replace(/ \(also .*\)$/, ""),
        note: key.key,
        run: () => key.run(new KeyboardEvent("keydown")),
      })),
    );
}

function Palette() {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  // The name of a view that is saved is entered in the same field.
  const [naming, setNaming] = useState(false);
  const [recent, setRecent] = useState(/** @type {import("./api-types.d.ts").TraceRow[]} */ ([]));
  useEffect(() => {
    const controller = new AbortController();
    get(["traces"], { limit: 20 }, controller.signal).then(
      (answer) => setRecent(answer.traces),
      () => {},
    );
    return () => controller.abort();
  }, []);
  const all = useMemo(
    /** @returns {Action[]} */
    () => [
      ...navigation.map(([name, title]) => ({ name: title, note: "page", run: () => go(to([name])) })),
      {
        name: "Copy the link",
        note: "action",
        run: () => copyText(location.href).then(() => announce("link copied")),
      },
      {
        name: "Copy the command",
        note: "action",
        run: () => copyText(commandText() ?? "").then(() => announce("command copied")),
      },
      { name: "Save this view …", note: "saved views", names: true, run: () => {} },
      ...views().map(([name, path]) => ({ name, note: "saved view", run: () => go(to([]) + path) })),
      {
        name: utcWanted.value === "1" ? "Times: local" : "Times: UTC",
        note: "action",
        run: () => (utcWanted.value = utcWanted.value === "1" ? "" : "1"),
      },
      ...["system", "light", "dark"].map((name) => ({
        name: `Theme: ${name}`,
        note: "action",
        run: () => (theme.value = name),
      })),
      {
        name: density.value === "comfortable" ? "Rows: compact" : "Rows: comfortable",
        note: "action",
        run: () => (density.value = density.value === "comfortable" ? "compact" : "comfortable"),
      },
      ...pageActions(),
      ...views().map(([name]) => ({
        name: `Remove the view ${name}`,
        note: "saved views",
        run: () => removeView(name),
      })),
      ...recent.map((trace) => ({
        name: trace.root,
        note: `trace · ${trace.duration_ns === null ? trace.state : duration(trace.duration_ns)}`,
        run: () => go(to(["traces", trace.trace_id])),
      })),
    ],
    [recent],
  );
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = all.filter((action) =>
    words.every((word) => `${action.name} ${action.note}`.toLowerCase().includes(word)),
  );
  if (isIdLike(text) || isTaskLike(text))
    found.unshift({
      name: `go to ${text.trim()}`,
      note: "trace, span or task",
      run: () => void goToId(text),
    });
  const shown = naming ? [] : found.slice(0, 30);
  const run = (/** @type {Action | undefined} */ action) => {
    if (naming) {
      if (text.trim() === "") return;
      saveView(text.trim());
      announce("view saved");
      return close();
    }
    if (!action) return;
    if (action.names) {
      setText("");
      return setNaming(true);
    }
    close();
    action.run();
  };
  return h(
    Dialog,
    { label: "Go to a page or run an action", class: "palette" },
    h("input", {
      type: "text",
      role: "combobox",
      "aria-label": naming ? "Name of the view" : "Page, trace or action",
      "aria-expanded": shown.length > 0,
      "aria-controls": "palette-list",
      "aria-activedescendant": shown.length > 0 ? `palette-${at}` : undefined,
      autocomplete: "off",
      spellcheck: false,
      placeholder: naming ? "name of the view, then Enter" : "page, trace, id or action",
      value: text,
      onInput: (/** @type {Event} */ event) => {
        setText(/** @type {HTMLInputElement} */ (event.currentTarget).value);
        setAt(0);
      },
      onKeyDown: (/** @type {KeyboardEvent} */ event) => {
        const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
        if (step) {
          event.preventDefault();
          setAt((at + step + shown.length) % Math.max(1, shown.length));
        } else if (event.key === "Enter") {
          event.preventDefault();
          run(shown[at]);
        }
      },
    }),
    h(
      "ul",
      { id: "palette-list", role: "listbox", "aria-label": "Found" },
      shown.map((action, i) =>
        h(
          "li",
          {
            key: i,
            id: `palette-${i}`,
            role: "option",
            "aria-selected": i === at,
            onClick: () => run(action),
          },
          h(Text, { value: action.name, max: 80 }),
          h("span", { class: "dim" }, action.note),
        ),
      ),
    ),
  );
}
