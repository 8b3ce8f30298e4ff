/** Connections of streams. This module is loaded after the rows, which do not need it. */
import { lost } from "./api.js";

const FIRST_WAIT_MS = 500;
const MOST_WAIT_MS = 15_000;

/**
 * Keeps a stream open while the tab is visible, and closes it while the tab is hidden. A broken
 * stream is opened again after 0.5, 1, 2, 4 ... 15 s.
 * @param {() => string | null} path returns the address for each connection, with the last cursor
 * @param {(data: any) => void} onData
 * @returns {() => void} closes the stream
 */
export function connect(path, onData) {
  /** @type {EventSource | null} */
  let stream = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let wait = FIRST_WAIT_MS;
  const close = () => {
    clearTimeout(timer);
    stream?.close();
    stream = null;
  };
  const open = () => {
    clearTimeout(timer);
    const address = path();
    if (document.hidden || address === null) return;
    stream = new EventSource(address);
    stream.onmessage = (event) => {
      wait = FIRST_WAIT_MS;
      lost.value = null;
      onData(JSON.parse(event.data));
    };
    stream.onopen = () => {
      lost.value = null;
    };
    stream.onerror = () => {
      close();
      lost.value = Date.now() + wait;
      timer = setTimeout(open, wait);
      wait = Math.min(wait * 2, MOST_WAIT_MS);
    };
  };
  const seen = () => (document.hidden ? close() : (stream ?? open()));
  document.addEventListener("visibilitychange", seen);
  open();
  return () => {
    document.removeEventListener("visibilitychange", seen);
    close();
    lost.value = null;
  };
}
