/** Starts the pages: shows the page of the current address, and the frame around it. */
import { h, render, signal, useEffect, useRef, useState } from "../vendor/preact.js";
import { get, running, signedOut } from "./api.js";
import { useKeys, utcWanted } from "./keys.js";
import {
  adjust,
  commandText,
  go,
  navigation,
  place,
  readStatus,
  replace,
  status,
  to,
  toggleFollow,
  useAfterRows,
} from "./page.js";
import { Copy, Guard, Problem, announce, announced, copyText, icon, inUtc } from "./ui.js";

/** @typedef {import("./ui.js").Children} Children */

/** @typedef {import("../vendor/preact.js").ComponentType<any>} Page */

/**
 * Each page is a separate module, so that only the page that is shown is loaded.
 * @type {Record<string, () => Promise<{Page: Page}>>}
 */
const modules = {
  traces: () => import("./pages/traces.js"),
  trace: () => import("./pages/trace.js"),
  spans: () => import("./pages/spans.js"),
  logs: () => import("./pages/logs.js"),
  store: () => import("./pages/store.js"),
  setup: () => import("./pages/setup.js"),
  "sign-in": () => import("./pages/sign-in.js"),
};

/** Modules that are loaded. @type {import("../vendor/preact.js").Signal<Map<string, Page>>} */
const loaded = signal(new Map());
/** @type {import("../vendor/preact.js").Signal<unknown>} */
const failed = signal(null);

/** @param {string} name */
async function load(name) {
  const module = modules[name];
  if (!module || loaded.value.has(name)) return;
  try {
    const { Page } = await module();
    loaded.value = new Map(loaded.value).set(name, Page);
  } catch (error) {
    failed.value = error;
    waitForServer();
  }
}

/** Reloads when the server responds again, because a module could not be loaded. */
function waitForServer() {
  setTimeout(() => get(["status"]).then(() => location.reload(), waitForServer), 2000);
}

/** Returns the name of the module for the current address. */
function wanted() {
  if (signedOut.value) return "sign-in";
  const { page, rest } = place.value;
  return page === "traces" && rest.length > 0 ? "trace" : page;
}

function App() {
  const name = wanted();
  const first = useRef(true);
  const key = `${name}/${place.value.rest.join("/")}`;
  useEffect(() => {
    failed.value = null;
    load(name);
    // A new page begins at its top, visually and for a screen reader. For the first page, the
    // browser does that.
    if (!first.current) {
      document.getElementById("main")?.focus({ preventScroll: true });
      scrollTo(0, 0);
      setTimeout(() => announce(document.title), 300);
    }
    first.current = false;
  }, [key]);
  const Page = loaded.value.get(name);
  /** @type {import("../vendor/preact.js").ComponentChildren} */
  let content = null;
  if (failed.value) {
    content = [
      h("h1", { key: "title" }, "This page could not be loaded"),
      h(Problem, { key: "problem", error: failed.value, again: () => location.reload() }),
    ];
  }
  if (Page && !failed.value)
    content = h(Guard, { key, part: name }, h(Page, { rest: place.value.rest }));
  else if (name !== "" && !modules[name]) content = h(Missing, null);
  return h(Frame, { page: name }, content);
}

function Missing() {
  useEffect(() => {
    document.title = "No such page · Spanscope";
  }, []);
  return h(
    "section",
    { class: "state" },
    h("h1", null, "There is no page at this address"),
    h("p", null, h("a", { href: to(["traces"]) }, "Traces")),
  );
}

/** @param {"keys" | "palette"} which */
function openDialog(which) {
  import("./dialogs.js").then((dialogs) => dialogs.open(which));
}

/** @param {{page: string, children?: Children}} props */
function Frame({ page, children }) {
  const bar = useAfterRows(() => import("./bar.js"));
  const words = commandText();
  useKeys("everywhere", [
    { key: "?", does: "this list of keys", run: () => openDialog("keys") },
    { key: "Escape", does: "cancel loading, close, leave a field", inFields: true, run: escape },
    {
      key: "Ctrl+k",
      does: "go to a page or run an action",
      inFields: true,
      run: () => openDialog("palette"),
    },
    { key: "/", does: "filter or find", run: focusField },
    ...navigation.map(([name, title, key]) => ({ key, does: title, run: () => go(to([name])) })),
    {
      key: "y",
      does: "copy the command",
      run: () => words && copyText(words).then(() => announce("command copied")),
    },
    {
      key: "Y",
      does: "copy the link",
      run: () => copyText(location.href).then(() => announce("link copied")),
    },
    { key: "t", does: "times in UTC or local", run: toggleUtc },
    { key: "f", does: "follow or pause", run: toggleFollow },
  ]);
  return [
    h("a", { class: "skip", href: "#main", onClick: skip }, "Skip to the content"),
    h(
      "header",
      { class: "bar" },
      h(
        "a",
        { class: "brand", href: to(["traces"]) },
        h("span", { "aria-hidden": "true" }, "◆"),
        h("span", { class: "brand-name" }, " Spanscope"),
      ),
      h(Navigation, { page }),
      h(Guard, { part: "filter" }, bar ? h(bar.Field, { page }) : h(FieldRoom, null)),
      bar ? h(bar.Buttons, { openKeys: () => openDialog("keys") }) : null,
      h(Reading, null),
    ),
    h("main", { id: "main", tabIndex: -1 }, children),
    h(
      "footer",
      { class: "foot" },
      words ? h("code", { class: "command", id: "command" }, `$ ${words}`) : null,
      words ? h(Copy, { text: words, label: "Copy the command" }) : null,
      h("span", { class: "space" }),
      bar ? h(bar.Amount, null) : null,
    ),
    h("div", { class: "away", role: "status", "aria-live": "polite" }, announced.value),
  ];
}

/** Shown in place of the field of the bar until its module is loaded. */
function FieldRoom() {
  const value = place.value.query.get("q") ?? "";
  return h(
    "div",
    { class: "filter-form" },
    h("input", { disabled: true, "aria-label": "Filter", value }),
  );
}

/** Focuses the page's own field if it has one, otherwise the field of the bar. */
function focusField() {
  const field = document.querySelector(".find-field") ?? document.getElementById("filter");
  if (field instanceof HTMLInputElement) {
    field.focus();
    field.select();
  }
}

/** @param {Event} event */
function skip(event) {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

/** @param {{page: string}} props */
function Navigation({ page }) {
  const at = page === "trace" ? "traces" : page;
  const links = navigation.map(([name, title]) =>
    h(
      "li",
      { key: name },
      h("a", { href: to([name]), "aria-current": name === at ? "page" : undefined }, title),
    ),
  );
  const [open, set] = useState(false);
  useEffect(() => set(false), [page]);
  return h(
    "nav",
    { "aria-label": "Pages", class: open ? "pages open" : "pages" },
    h(
      "button",
      {
        type: "button",
        class: "quiet pages-button",
        "aria-expanded": open,
        "aria-label": "Pages",
        onClick: () => set(!open),
      },
      icon("menu"),
    ),
    h("ul", null, links),
  );
}

/**
 * The line under the bar while a response takes longer than 150 ms, with words after a second.
 */
function Reading() {
  const [late, set] = useState(0);
  const reads = running.value > 0;
  useEffect(() => {
    set(0);
    if (!reads) return;
    const timers = [setTimeout(() => set(1), 150), setTimeout(() => set(2), 1000)];
    return () => timers.forEach(clearTimeout);
  }, [reads]);
  useEffect(() => {
    document.getElementById("main")?.setAttribute("aria-busy", String(reads));
  }, [reads]);
  if (!reads || late === 0) return null;
  return h(
    "div",
    { class: "reading" },
    late === 2 ? h("span", { role: "status" }, "still loading · Esc cancels") : null,
  );
}

function toggleUtc() {
  const utc = !inUtc();
  utcWanted.value = utc ? "1" : "";
  if (place.value.query.has("utc")) adjust({ utc: utc ? 1 : 0 });
  announce(utc ? "times in UTC" : "local times");
}

function escape() {
  const field = document.activeElement;
  if (running.value > 0) dispatchEvent(new Event("ss-stop"));
  if (field instanceof HTMLElement && field.matches("input, textarea, select")) field.blur();
  else dispatchEvent(new Event("ss-escape"));
}

load(wanted());
const root = document.getElementById("app");
if (root) render(h(App, null), root);

// The base address leads to the traces, or to the set-up page if the store is empty.
place.subscribe(({ page }) => {
  if (page !== "") return;
  readStatus();
  const stop = status.subscribe((now) => {
    if (!now) return;
    queueMicrotask(() => stop());
    if (place.value.page === "") replace(to([now.is_empty ? "setup" : "traces"]));
  });
});
