/** What the frame shows once the rows are there: the stream, the size of the store, the theme. */
import { h, useEffect, useState } from "../vendor/preact.js";
import { following, lost, request, signedOut, streams } from "./api.js";
import { bytes, counted } from "./format.js";
import { theme } from "./keys.js";
import { status, to, toggleFollow } from "./page.js";
import { announce, icon } from "./ui.js";

export { Field } from "./field.js";

/** The number of records that were lost before the page was opened. */
let lostBefore = -1;

/** @param {{openKeys: () => void}} props */
export function Buttons({ openKeys }) {
  return [
    h(Live, null),
    h(
      "button",
      {
        type: "button",
        class: "quiet",
        title: `Theme: ${theme.value}`,
        "aria-label": `Theme: ${theme.value}`,
        onClick: nextTheme,
      },
      icon("theme"),
    ),
    h(
      "button",
      {
        type: "button",
        class: "quiet keys-button",
        title: "Keys",
        "aria-label": "Keys",
        onClick: openKeys,
      },
      "?",
    ),
    status.value?.tokens && !signedOut.value
      ? h("button", { type: "button", class: "quiet", onClick: signOut }, "Sign out")
      : null,
  ];
}

function Live() {
  const left = useSecondsTo(lost.value);
  if (streams.value === 0 && following.value) return null;
  const away = lost.value !== null;
  const says = away
    ? `no connection, next try in ${left} s`
    : following.value
      ? "following the store"
      : "paused";
  return h(
    "button",
    {
      type: "button",
      class: `quiet live ${away ? "live-lost" : following.value ? "live-on" : "live-off"}`,
      "aria-pressed": following.value,
      title: says,
      onClick: toggleFollow,
    },
    h("span", { class: "live-sign", "aria-hidden": "true" }, away ? "▲" : following.value ? "●" : "○"),
    h("span", { class: "live-word" }, away ? says : following.value ? "live" : "paused"),
  );
}

/**
 * Counts down the seconds until a time.
 * @param {number | null} time
 */
function useSecondsTo(time) {
  const [, tick] = useState(0);
  useEffect(() => {
    if (time === null) return;
    const timer = setInterval(() => tick((n) => n + 1), 500);
    return () => clearInterval(timer);
  }, [time !== null]);
  return time === null ? 0 : Math.max(0, Math.ceil((time - Date.now()) / 1000));
}

/** The size of the store, and how many records were lost since the page was opened. */
export function Amount() {
  const now = status.value;
  if (!now) return null;
  if (lostBefore < 0) lostBefore = now.lost ?? 0;
  const dropped = (now.lost ?? 0) - lostBefore;
  return h(
    "span",
    { class: "amount" },
    dropped > 0
      ? h(
          "a",
          { class: "warn", href: to(["store"]) },
          `${counted(dropped, "record")} dropped since this page was opened`,
        )
      : null,
    h("span", null, counted(now.spans, "span")),
    now.bytes === null ? null : h("span", null, bytes(now.bytes)),
  );
}

function nextTheme() {
  theme.value = theme.value === "system" ? "light" : theme.value === "light" ? "dark" : "system";
  announce(`theme: ${theme.value}`);
}

async function signOut() {
  await request("DELETE", "api/session").catch(() => null);
  signedOut.value = true;
  status.value = null;
}
