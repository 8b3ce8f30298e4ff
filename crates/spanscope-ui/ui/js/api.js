/**
 * Requests to the server that served this page, and its streams. No other server is contacted, and
 * ids and texts are escaped in the path.
 */
import { signal, useEffect, useRef, useState } from "../vendor/preact.js";

/** A failed request, with the error that the server reported if there was a response. */
export class ApiError extends Error {
  /**
   * @param {number} status 0 if there was no response
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
 * The time of the next attempt if the connection is lost, otherwise null.
 * @type {import("../vendor/preact.js").Signal<null | number>}
 */
export const lost = signal(null);
/** Whether a sign-in is needed. */
export const signedOut = signal(false);
/**
 * Whether the page has shown its main content. Everything else is loaded afterwards.
 */
export const rowsShown = signal(false);
/** The number of running requests, for the line under the bar. */
export const running = signal(0);

/**
 * The newest response with an ETag: while it is current, the server responds with 304.
 * @type {{path: string, etag: string, data: unknown} | null}
 */
let cached = null;

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
  const known = method === "GET" && cached?.path === path ? cached : null;
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
      if (etag) cached = { path, etag, data };
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
 * @property {T | null} data the last successful response, kept until the next one arrives
 * @property {unknown} error
 * @property {boolean} late whether the response takes longer than `BLINK_MS`
 * @property {boolean} stale whether `data` belongs to an earlier key
 * @property {number | null} retryIn seconds until the next attempt
 * @property {() => void} again
 */

/** After this time the page shows that it loads. For faster responses it would only flicker. */
const BLINK_MS = 150;
const TRIES = 3;

/**
 * Loads something whenever `key` changes. The request for an earlier key is cancelled, so that the
 * store ends its scan. If the server is overloaded, the request is repeated up to three times.
 * @template T
 * @param {string | null} key null loads nothing
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
          const offline = error instanceof ApiError && error.status === 0;
          if ((busy && tries < TRIES) || offline) {
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

/** Whether this page follows the store. The address of a paused page contains `live=0`. */
export const following = signal(new URLSearchParams(location.search).get("live") !== "0");
/** The number of streams of the page, running or paused. */
export const streams = signal(0);

/**
 * Listens to a stream while `path` is not null and the page is not paused.
 * @param {(() => string) | null} path returns the address for each connection, with the last cursor
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
 * Calls `run` after changes of the store, at most once per interval.
 * @param {number | undefined} version the version of the store that the page has loaded. If it is
 * unknown, the first event of the stream counts as a change, because records may have arrived
 * between the response and the stream.
 * @param {number} every the interval in milliseconds
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
