/**
 * Requests to the server that served this page, and its streams. No address but its own is ever
 * asked; ids and texts are escaped into the path.
 */
import { signal, useEffect, useRef, useState } from "../vendor/preact.js";

/** What the server refused, in its own words. */
export class ApiError extends Error {
  /**
   * @param {number} status 0 where there was no answer
   * @param {{
   *   code?: string,
   *   message?: string,
   *   what_to_do?: string,
   *   at?: number,
   *   did_you_mean?: string[],
   *   nearest?: string[],
   * }} error
   * @param {number | null} [retryAfter] seconds
   */
  constructor(status, error, retryAfter = null) {
    super(error.message ?? (status ? `the server answered ${status}` : "no connection to the server"));
    this.status = status;
    this.code = error.code ?? "";
    this.whatToDo = error.what_to_do ?? "";
    this.at = error.at ?? null;
    this.didYouMean = error.did_you_mean ?? [];
    this.nearest = error.nearest ?? [];
    this.retryAfter = retryAfter;
  }
}

/** @typedef {Record<string, string | number | boolean | null | undefined>} Params */

/**
 * @param {string[]} parts
 * @param {Params} [params]
 */
export function apiPath(parts, params = {}) {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) {
    if (value !== null && value !== undefined && value !== "" && value !== false) {
      search.set(key, value === true ? "1" : String(value));
    }
  }
  const text = search.toString();
  return `api/${parts.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

/**
 * How the connection is: the time of the next try where it is lost.
 * @type {import("../vendor/preact.js").Signal<null | number>}
 */
export const lost = signal(null);
/** Whether a sign-in is needed. */
export const signedOut = signal(false);
/**
 * Whether the page has shown what it is about. What is not needed for that is loaded afterwards.
 */
export const rowsShown = signal(false);
/** Requests that run, for the line under the bar. */
export const running = signal(0);

/**
 * The newest answer of the list that is followed: while it is current, the server answers 304.
 * @type {{path: string, etag: string, data: unknown} | null}
 */
let held = null;

/**
 * @param {string[]} parts
 * @param {Params} [params]
 * @param {AbortSignal} [signal] ends the request, and with it the scan in the store
 * @returns {Promise<any>}
 */
export async function get(parts, params, signal) {
  running.value += 1;
  try {
    return await request("GET", apiPath(parts, params), undefined, signal);
  } finally {
    running.value -= 1;
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export async function request(method, path, body, signal) {
  /** @type {Record<string, string>} */
  const headers = {};
  if (body !== undefined) headers["content-type"] = "application/json";
  const known = method === "GET" && held?.path === path ? held : null;
  if (known) headers["if-none-match"] = known.etag;
  const sent = body === undefined ? null : JSON.stringify(body);
  /** @type {Response} */
  let response;
  try {
    response = await fetch(path, {
      method,
      credentials: "same-origin",
      headers,
      body: sent,
      signal: signal ?? null,
    });
    if (response.status === 304 && known) return known.data;
    if (response.status === 204) return null;
    if (response.ok) {
      const type = response.headers.get("content-type") ?? "";
      const data = await (type.startsWith("application/json") ? response.json() : response.text());
      const etag = response.headers.get("etag");
      if (etag) held = { path, etag, data };
      return data;
    }
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, { what_to_do: "is `spanscope serve` still running?" });
  }
  if (response.status === 401 && path !== "api/session") signedOut.value = true;
  const after = Number(response.headers.get("retry-after"));
  /** @type {any} */
  const answer = await response.json().catch(() => ({}));
  throw new ApiError(response.status, answer?.error ?? {}, after > 0 ? after : null);
}

/**
 * @template T
 * @typedef {object} Loaded
 * @property {T | null} data the last good answer; stays while the next one is read
 * @property {unknown} error
 * @property {boolean} late whether the answer takes longer than a blink
 * @property {boolean} stale whether `data` belongs to an earlier question
 * @property {number | null} retryIn seconds until the next try
 * @property {() => void} again
 */

/** Slower answers show that something is read; a faster one would only flicker. */
const BLINK_MS = 150;
const TRIES = 3;

/**
 * Reads something whenever `key` changes. A question that is left ends its request, so the store
 * ends its scan; an overloaded server is asked again, three times.
 * @template T
 * @param {string | null} key null reads nothing
 * @param {(signal: AbortSignal) => Promise<T>} load
 * @returns {Loaded<T>}
 */
export function useLoaded(key, load) {
  const [state, set] = useState(
    /** @returns {Omit<Loaded<T>, "again"> & {key: string | null}} */
    () => ({ key: null, data: null, error: null, late: false, stale: false, retryIn: null }),
  );
  const [turn, setTurn] = useState(0);
  const loader = useRef(load);
  loader.current = load;
  useEffect(() => {
    if (key === null) return;
    const controller = new AbortController();
    /** @type {ReturnType<typeof setTimeout>[]} */
    const timers = [setTimeout(() => set((s) => ({ ...s, late: true })), BLINK_MS)];
    set((s) => ({ ...s, stale: s.key !== key, retryIn: null }));
    let tries = 0;
    const attempt = () => {
      loader.current(controller.signal).then(
        (data) => {
          timers.forEach(clearTimeout);
          set({ key, data, error: null, late: false, stale: false, retryIn: null });
        },
        (error) => {
          if (controller.signal.aborted) return;
          timers.forEach(clearTimeout);
          const busy = error instanceof ApiError && (error.status === 429 || error.status === 503);
          const away = error instanceof ApiError && error.status === 0;
          if ((busy && tries < TRIES) || away) {
            tries += 1;
            let left = busy ? (error.retryAfter ?? 2) : Math.min(2 ** (tries - 1), 15);
            const tick = () => {
              set((s) => ({ ...s, error, late: false, retryIn: left }));
              if (left <= 0) return attempt();
              left -= 1;
              timers.push(setTimeout(tick, 1000));
            };
            return tick();
          }
          set((s) => ({ ...s, error, late: false, retryIn: null }));
        },
      );
    };
    attempt();
    const stop = () => {
      controller.abort();
      timers.forEach(clearTimeout);
      set((s) => ({
        ...s,
        late: false,
        stale: false,
        error: s.data ? s.error : new ApiError(499, { message: "stopped" }),
      }));
    };
    addEventListener("ss-stop", stop);
    return () => {
      removeEventListener("ss-stop", stop);
      controller.abort();
      timers.forEach(clearTimeout);
    };
  }, [key, turn]);
  return {
    ...state,
    stale: state.stale || (key !== null && state.key !== key),
    again: () => setTurn((n) => n + 1),
  };
}

/** Whether this page follows the store; the address of a paused page says `live=0`. */
export const following = signal(new URLSearchParams(location.search).get("live") !== "0");
/** Streams that the page has, running or paused. */
export const streams = signal(0);

/**
 * Listens to a stream while `path` is not null and the page is not paused.
 * @param {(() => string) | null} path gives the address again for each connection, with the last
 * cursor
 * @param {(data: any) => void} onData
 */
export function useStream(path, onData) {
  const handler = useRef(onData);
  handler.current = onData;
  const source = useRef(path);
  source.current = path;
  const on = path !== null;
  const follow = following.value && rowsShown.value;
  useEffect(() => {
    if (!on) return;
    streams.value += 1;
    return () => {
      streams.value -= 1;
    };
  }, [on]);
  useEffect(() => {
    if (!on || !follow) return;
    let left = false;
    /** @type {(() => void) | undefined} */
    let stop;
    import("./live.js").then(
      (live) => {
        if (!left)
          stop = live.connect(
            () => source.current?.() ?? null,
            (data) => handler.current(data),
          );
      },
      () => {},
    );
    return () => {
      left = true;
      stop?.();
    };
  }, [on, follow]);
}

/**
 * Runs something after a change of the store, once in a time at most, however often it changes.
 * @param {number | undefined} version what the page has read; unknown, the first word of the stream
 * counts as a change, because something may have come between the answer and the stream
 * @param {number} every milliseconds
 * @param {() => void} run
 */
export function useChanges(version, every, run) {
  const last = useRef(Date.now());
  const timer = useRef(/** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined));
  const seen = useRef(-1);
  useStream(
    () => "api/changes",
    (change) => {
      const known = Math.max(seen.current, version ?? -1);
      seen.current = change.version;
      if (change.version === known) return;
      clearTimeout(timer.current);
      const wait = Math.max(0, last.current + every - Date.now());
      timer.current = setTimeout(() => {
        last.current = Date.now();
        run();
      }, wait);
    },
  );
  useEffect(() => () => clearTimeout(timer.current), []);
}
