/**
 * The field of the bar. It filters the list that is shown, or goes to the trace or span with an
 * id. While the user types, it suggests fields, and keys and values from the store.
 */
import { h, useEffect, useRef, useState } from "../vendor/preact.js";
import { ApiError, get } from "./api.js";
import { FIELDS, isIdLike, isTaskLike, quoted, wantedAt } from "./filter.js";
import { count } from "./format.js";
import { adjust, go, place, to } from "./page.js";
import { Text, announce } from "./ui.js";

/** Pages whose list the field filters. */
const LISTS = ["traces", "spans", "logs"];

/**
 * @typedef {{
 *   text: string,
 *   shown: string,
 *   note: string,
 *   id?: boolean,
 *   from: number,
 *   to: number,
 * }} Option
 */

/**
 * Goes to the trace or the span whose id begins with the prefix, or to the trace of the task with
 * this id.
 * @param {string} prefix
 */
export async function goToId(prefix) {
  try {
    const found = await get(["id", idOf(prefix)]);
    go(to(["traces", found.trace_id], found.span_id ? { span: found.span_id } : {}));
    return true;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404)
      announce(`no trace, span or task has the id ${prefix}`);
    return false;
  }
}

/** Returns an id as it is stored: hexadecimal digits are lower case. @param {string} text */
function idOf(text) {
  return isIdLike(text) ? text.trim().toLowerCase() : text.trim();
}

/** @param {{page: string}} props */
export function Field({ page }) {
  const isList = LISTS.includes(page);
  const applied = isList ? (place.value.query.get("q") ?? "") : "";
  const [draft, setDraft] = useState(applied);
  const [options, setOptions] = useState(/** @type {Option[]} */ ([]));
  const [active, setActive] = useState(-1);
  const [missing, setMissing] = useState("");
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  const asked = useRef(/** @type {AbortController | null} */ (null));
  useEffect(() => {
    setDraft(applied);
    setOptions([]);
  }, [applied, page]);

  const close = () => {
    asked.current?.abort();
    setOptions([]);
    setActive(-1);
  };
  /** @param {string} text */
  const offer = async (text) => {
    asked.current?.abort();
    setMissing("");
    const caret = input.current?.selectionStart ?? text.length;
    const wanted = wantedAt(text, caret);
    /** @type {Option[]} */
    const found = isIdLike(text) || isTaskLike(text)
      ? [
          {
            text: text.trim(),
            shown: `go to ${text.trim()}`,
            note: isIdLike(text) ? "trace or span" : "task",
            id: true,
            from: 0,
            to: 0,
          },
        ]
      : [];
    setActive(-1);
    if (!wanted) return setOptions(found);
    const { of, key, prefix, from, to: end } = wanted;
    if (of === "key") {
      for (const field of FIELDS) {
        if (field.startsWith(prefix))
          found.push({ text: `${field}=`, shown: field, note: "field", from, to: end });
      }
    }
    setOptions(found);
    const controller = new AbortController();
    asked.current = controller;
    await new Promise((done) => setTimeout(done, 120));
    if (controller.signal.aborted) return;
    try {
      const answer = await get(
        ["complete"],
        { of, key: of === "value" ? key : null, prefix },
        controller.signal,
      );
      const items = /** @type {import("./api-types.d.ts").Completions} */ (answer).items;
      setOptions([
        ...found,
        ...items.slice(0, 12).map((item) => ({
          text: of === "key" ? `${quoted(item.text, "key")}=` : quoted(item.text, "value"),
          shown: item.text,
          note: item.count === null ? "" : count(item.count),
          from,
          to: end,
        })),
      ]);
    } catch {
      // The user can type without suggestions.
    }
  };
  /** @param {Option} option */
  const choose = (option) => {
    if (option.id) {
      close();
      goToId(option.text).then((found) => !found && setMissing(option.text));
      return;
    }
    const text = draft.slice(0, option.from) + option.text + draft.slice(option.to);
    setDraft(text);
    close();
    input.current?.focus();
    requestAnimationFrame(() => {
      const caret = option.from + option.text.length;
      input.current?.setSelectionRange(caret, caret);
      if (option.text.endsWith("=")) offer(text);
    });
  };
  const submit = () => {
    const chosen = options[active];
    if (chosen) return choose(chosen);
    close();
    const text = draft.trim();
    if (!isList && (isIdLike(text) || isTaskLike(text)))
      return void goToId(text).then((found) => !found && setMissing(text));
    if (isList) adjust({ q: text }, true);
    else if (text) go(to(["traces"], { q: text }));
  };
  const open = options.length > 0;
  return h(
    "form",
    {
      class: "filter-form",
      role: "search",
      onSubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        submit();
      },
    },
    h("input", {
      id: "filter",
      ref: input,
      type: "text",
      name: "q",
      autocomplete: "off",
      spellcheck: false,
      autocapitalize: "off",
      maxLength: 8192,
      role: "combobox",
      "aria-label": isList ? `Filter ${page}, or go to an id` : "Filter traces, or go to an id",
      "aria-expanded": open,
      "aria-controls": "filter-options",
      "aria-autocomplete": "list",
      "aria-activedescendant": active >= 0 ? `filter-option-${active}` : undefined,
      placeholder: isList ? `filter ${page}, or an id   /` : "an id, or filter traces   /",
      value: draft,
      onInput: (/** @type {Event} */ event) => {
        const text = /** @type {HTMLInputElement} */ (event.currentTarget).value;
        setDraft(text);
        offer(text);
      },
      onBlur: () => setTimeout(close, 150),
      onKeyDown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key === "Escape" && open) {
          event.preventDefault();
          event.stopPropagation();
          close();
        } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && open) {
          event.preventDefault();
          const step = event.key === "ArrowDown" ? 1 : -1;
          setActive((active + step + options.length + 1) % (options.length + 1));
        } else if (event.key === "Tab" && active >= 0) {
          const chosen = options[active];
          if (chosen) {
            event.preventDefault();
            choose(chosen);
          }
        }
      },
    }),
    h(
      "ul",
      {
        id: "filter-options",
        class: open ? "options" : "options away",
        role: "listbox",
        "aria-label": "Suggestions",
      },
      options.map((option, i) =>
        h(
          "li",
          {
            key: option.text + i,
            id: `filter-option-${i}`,
            role: "option",
            "aria-selected": i === active,
            onPointerDown: (/** @type {Event} */ event) => {
              event.preventDefault();
              choose(option);
            },
          },
          h(Text, { value: option.shown, max: 80 }),
          h("span", { class: "dim" }, option.note),
        ),
      ),
    ),
    missing
      ? h(
          "p",
          { class: "field-note", role: "alert" },
          "no trace, span or task has the id ",
          h(Text, { value: missing, max: 40 }),
        )
      : null,
  );
}
