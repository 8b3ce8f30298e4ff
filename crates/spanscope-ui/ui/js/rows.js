/** The rows of a list, and how they are loaded and updated. */
import { useEffect, useRef, useState } from "../vendor/preact.js";
import { get, useChanges, useLoaded } from "./api.js";
import { counted } from "./format.js";
import { announce } from "./ui.js";

/** After this number of rows, a list loads no further ones and suggests a narrower filter. */
const MOST_ROWS = 5000;

/**
 * @template T
 * @typedef {object} Rows
 * @property {T[]} rows
 * @property {any} first the newest response for the first page
 * @property {import("./api.js").Loaded<any>} state
 * @property {number} waiting the number of new rows that are not shown yet
 * @property {() => void} showNew
 * @property {() => void} more
 * @property {boolean} hasMore
 * @property {boolean} full
 * @property {unknown} moreError
 */

/**
 * Loads the rows of a list: the first page again whenever the store changes, others by cursor.
 * @template T
 * @param {object} of
 * @param {string[]} of.path
 * @param {import("./api.js").Params} of.params
 * @param {string} of.cursor the parameter for the cursor of the next page
 * @param {(answer: any) => T[]} of.rowsOf
 * @param {(row: T) => string} of.keyOf
 * @param {string} of.noun
 * @param {boolean} of.newestFirst whether new rows are added at the top
 * @param {() => boolean} [of.isHeld] whether new rows must not move the list under the user
 * @returns {Rows<T>}
 */
export function useRows({ path, params, cursor, rowsOf, keyOf, noun, newestFirst, isHeld = heldAtTop }) {
  const question = JSON.stringify([path, params]);
  const [version, setVersion] = useState(0);
  const state = useLoaded(`${question} ${version}`, async (signal) => ({
    question,
    answer: await get(path, params, signal),
  }));
  const [older, setOlder] = useState({
    question: "",
    rows: /** @type {T[]} */ ([]),
    next: /** @type {string | number | null} */ (null),
  });
  const [shown, setShown] = useState({ question: "", rows: /** @type {T[]} */ ([]) });
  const [moreError, setMoreError] = useState(/** @type {unknown} */ (null));
  const busy = useRef(false);
  const leaving = useRef(new AbortController());
  useEffect(() => {
    const controller = new AbortController();
    leaving.current = controller;
    return () => controller.abort();
  }, [question]);

  useChanges(state.data?.answer.version, 500, () => setVersion((n) => n + 1));

  const fresh = state.data?.question === question ? rowsOf(state.data.answer) : null;
  const known = new Set(shown.rows.map(keyOf));
  const added =
    fresh && shown.question === question ? fresh.filter((row) => !known.has(keyOf(row))).length : 0;
  const held = added > 0 && newestFirst && older.question === question && isHeld();
  useEffect(() => {
    if (!fresh) return;
    if (held) {
      // The rows that are shown are updated, and new ones wait.
      const now = new Map(fresh.map((row) => [keyOf(row), row]));
      setShown((s) => ({ question, rows: s.rows.map((row) => now.get(keyOf(row)) ?? row) }));
      announce(`${counted(added, `new ${noun}`)}`);
    } else setShown({ question, rows: fresh });
    if (older.question !== question)
      setOlder({ question, rows: [], next: state.data?.answer.next ?? null });
    else if (older.rows.length === 0 && !held)
      setOlder({ question, rows: [], next: state.data?.answer.next ?? null });
  }, [state.data]);

  const firstKeys = new Set(shown.rows.map(keyOf));
  const rows = [
    ...shown.rows,
    ...(older.question === shown.question ? older.rows.filter((row) => !firstKeys.has(keyOf(row))) : []),
  ];
  const full = rows.length >= MOST_ROWS;
  const hasMore = older.question === question && older.next !== null && !full;
  return {
    rows,
    first: state.data?.answer ?? null,
    state,
    waiting: held ? added : 0,
    showNew: () => fresh && setShown({ question, rows: fresh }),
    hasMore,
    full,
    moreError,
    more: async () => {
      if (busy.current || !hasMore) return;
      busy.current = true;
      setMoreError(null);
      try {
        const answer = await get(path, { ...params, [cursor]: older.next }, leaving.current.signal);
        setOlder((o) =>
          o.question === question
            ? { question, rows: [...o.rows, ...rowsOf(answer)], next: answer.next }
            : o,
        );
      } catch (error) {
        if (!(error instanceof DOMException)) setMoreError(error);
      } finally {
        busy.current = false;
      }
    },
  };
}

/** Whether the user has scrolled away from the top, or uses a row. */
const heldAtTop = () => scrollY > 60 || hasRowInHand();
/** Whether the user has scrolled away from the end, or uses a row. */
export const heldAtEnd = () => !isAtEnd() || hasRowInHand();
/** Whether the end of the page is in view, or nearly. */
export const isAtEnd = () => innerHeight + scrollY > document.documentElement.scrollHeight - 80;

const hasRowInHand = () =>
  !!document.activeElement?.closest(".rows") || String(getSelection() ?? "") !== "";
