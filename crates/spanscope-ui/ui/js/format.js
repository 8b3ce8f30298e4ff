/**
 * Formats numbers, times and stored texts for people. The functions do not access the page, so they
 * are tested without a browser.
 *
 * A stored text may contain any characters. Those that change the order of others or that are
 * invisible are shown as `⟨U+202E⟩`. The set is that of `spanscope_model::text::is_hidden`.
 */

/** Hidden characters of one text beyond this number are shown as one `⟨…⟩`, as their codes take
 * about ten times their length. */
const MAX_ESCAPES = 200;

/** The characters of `is_hidden` without the newline, which depends on the caller, and lone
 * surrogates, which are not characters. */
const HIDDEN = new RegExp(
  "[\\u0000-\\u0009\\u000b-\\u001f\\u007f-\\u009f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u3164\\uffa0" +
    "\\u17b4\\u17b5\\u180e\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb" +
    "\\ud800-\\udfff\\u{1d173}-\\u{1d17a}\\u{e0000}-\\u{e007f}]",
  "gu",
);

/** More combining marks than this on one letter would cover the lines above. */
const TOWER = /(\p{M}{8})\p{M}+/gu;

/**
 * Returns the text with hidden characters replaced by their codes. Line breaks become `↵` unless
 * `lines` is set.
 * @param {string} text
 * @param {boolean} [lines]
 */
export function visible(text, lines = false) {
  // A text that consists of spaces would make a link without a name.
  if (text !== "" && /^ +$/.test(text)) return "␣".repeat(Math.min(text.length, MAX_ESCAPES));
  let shown = 0;
  const escaped = text.replace(HIDDEN, (c) => {
    if (lines && c === "\t") return c;
    shown += 1;
    if (shown > MAX_ESCAPES) return shown === MAX_ESCAPES + 1 ? "⟨…⟩" : "";
    const code = /** @type {number} */ (c.codePointAt(0)).toString(16).toUpperCase();
    return `⟨U+${code.padStart(4, "0")}⟩`;
  });
  const calm = escaped.replace(TOWER, "$1…");
  return lines ? calm : calm.replaceAll("\n", "↵");
}

/**
 * Returns the first `max` code units, without splitting a surrogate pair.
 * @param {string} text
 * @param {number} max
 */
export function cut(text, max) {
  if (text.length <= max) return text;
  const last = text.charCodeAt(max - 1);
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? max - 1 : max) + "…";
}

/** The maximum length of a name in a row. */
export const NAME_LENGTH = 300;

/**
 * Formats a stored text for an attribute such as `title` or `aria-label`, or for a canvas.
 * @param {string} text
 * @param {number} [max]
 */
export function plain(text, max = NAME_LENGTH) {
  return visible(cut(text, max));
}

/**
 * Formats a duration with about three digits: `850 µs`, `12.3 ms`, `1.2 s`, `3m 4s`, `2h 5m`.
 * @param {number} ns
 * @returns {string}
 */
export function duration(ns) {
  if (!Number.isFinite(ns)) return "?";
  if (ns < 0) return `−${duration(-ns)}`;
  const three = (/** @type {number} */ n) => (n < 99.95 ? n.toFixed(1) : n.toFixed(0));
  if (ns === 0) return "0 ms";
  if (ns < 1e3) return `${ns} ns`;
  if (ns < 999_500) return `${Math.round(ns / 1e3)} µs`;
  if (ns < 999.5e6) return `${three(ns / 1e6)} ms`;
  if (ns < 59.95e9) return `${three(ns / 1e9)} s`;
  const s = Math.round(ns / 1e9);
  if (s < 3600) return parted(s, 60, "m", 1, "s");
  if (s < 86400) return parted(s, 3600, "h", 60, "m");
  return parted(s, 86400, "d", 3600, "h");
}

/**
 * Formats a number of seconds in two units. The smaller one is left out if it is zero.
 * @param {number} s
 * @param {number} large
 * @param {string} largeUnit
 * @param {number} small
 * @param {string} smallUnit
 */
function parted(s, large, largeUnit, small, smallUnit) {
  const rest = Math.floor((s % large) / small);
  return `${Math.floor(s / large)}${largeUnit}${rest > 0 ? ` ${rest}${smallUnit}` : ""}`;
}

/**
 * Formats a number as an integer with commas between the thousands.
 * @param {number} n
 */
export function count(n) {
  return Math.round(n)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ",");
}

/**
 * Formats a number with its noun: `1 span`, `12 spans`.
 * @param {number} n
 * @param {string} one
 * @param {string} [many]
 */
export function counted(n, one, many = `${one}s`) {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/**
 * Formats a number of bytes: `512 B`, `1.5 KiB`, `278 MiB`.
 * @param {number} n
 */
export function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (n >= 1023.5 && unit < 4) {
    n /= 1024;
    unit += 1;
  }
  return `${unit > 0 && n < 99.95 ? n.toFixed(1) : Math.round(n)} ${units[unit]}`;
}

/**
 * Formats an amount of money with two decimals, or more for small amounts.
 * @param {number | null | undefined} sum
 * @param {string | null} [currency]
 */
export function money(sum, currency = "USD") {
  if (sum === null || sum === undefined) return "–";
  const sign = currency === "USD" ? "$" : currency ? `${currency} ` : "";
  if (sum === 0) return `${sign}0`;
  const digits = Math.min(Math.max(2, 1 - Math.floor(Math.log10(Math.abs(sum)))), 8);
  return `${sign}${sum.toFixed(digits)}`;
}

/**
 * Formats input and output tokens: `396→29`.
 * @param {number | null | undefined} input
 * @param {number | null | undefined} output
 */
export function tokens(input, output) {
  return input || output ? `${count(input ?? 0)}→${count(output ?? 0)}` : "";
}

/** @param {number} n @param {number} [width] */
const two = (n, width = 2) => n.toString().padStart(width, "0");

/**
 * Parses a time of the server: the milliseconds since 1970, and the nine digits of the fraction.
 * @param {string} iso
 * @returns {{ms: number, digits: string}}
 */
export function parseTime(iso) {
  const match = /^(.*?)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$/.exec(iso);
  if (!match) return { ms: NaN, digits: "" };
  const digits = (match[2] ?? "").padEnd(9, "0").slice(0, 9);
  return { ms: Date.parse(`${match[1]}.${digits.slice(0, 3)}${match[3]}`), digits };
}

/**
 * @param {number} ms
 * @param {boolean} utc
 * @returns {[string, string, string]} day, time without fractions, zone
 */
function parts(ms, utc) {
  const d = new Date(ms);
  if (utc) {
    const iso = d.toISOString();
    const at = iso.indexOf("T");
    return [iso.slice(0, at), iso.slice(at + 1, at + 9), "Z"];
  }
  const off = -d.getTimezoneOffset();
  const zone = `${off < 0 ? "-" : "+"}${two(Math.floor(Math.abs(off) / 60))}:${two(Math.abs(off) % 60)}`;
  return [
    `${two(d.getFullYear(), 4)}-${two(d.getMonth() + 1)}-${two(d.getDate())}`,
    `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`,
    zone,
  ];
}

/**
 * Formats the time of a row: `15:47:01.812`, with the day if it is not today.
 * @param {string | number | null | undefined} time RFC 3339 or milliseconds
 * @param {boolean} utc
 * @param {number} [now]
 */
export function timeShort(time, utc, now = Date.now()) {
  const { ms, digits } =
    typeof time === "number"
      ? { ms: time, digits: two(Math.floor(time % 1000), 3) }
      : parseTime(time ?? "");
  if (!Number.isFinite(ms)) return "?";
  const [day, clock] = parts(ms, utc);
  const fraction = digits.slice(0, 3);
  return day === parts(now, utc)[0] ? `${clock}.${fraction}` : `${day} ${clock}.${fraction}`;
}

/**
 * Formats a time with nanoseconds and zone, for titles and copies.
 * @param {string | null | undefined} iso
 * @param {boolean} utc
 */
export function timeFull(iso, utc) {
  const { ms, digits } = parseTime(iso ?? "");
  if (!Number.isFinite(ms)) return iso ?? "";
  const [day, clock, zone] = parts(ms, utc);
  return `${day} ${clock}.${digits} ${zone === "Z" ? "UTC" : zone}`;
}

/**
 * Quotes the text as one word of a shell if it needs quotes.
 * @param {string} text
 */
export function shellWord(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/**
 * Returns the ticks of an axis with about `wanted` steps of 1, 2 or 5 times a power of ten.
 * @param {number} from
 * @param {number} to
 * @param {number} wanted
 */
export function ticks(from, to, wanted) {
  const rough = (to - from) / Math.max(1, wanted);
  if (!(rough > 0)) return [from];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((n) => n * power >= rough) ?? 10) * power;
  const first = Math.ceil(from / step) * step;
  const at = [];
  for (let i = 0; first + i * step <= to && i < 100; i++) at.push(first + i * step);
  return at;
}

/**
 * Formats a time of the axis in the unit of its steps, so that adjacent ticks differ.
 * @param {number} ns
 * @param {number} step
 */
export function axisText(ns, step) {
  /** @type {[number, string]} */
  const [unit, name] =
    step >= 1e9 ? [1e9, "s"] : step >= 1e6 ? [1e6, "ms"] : step >= 1e3 ? [1e3, "µs"] : [1, "ns"];
  if (step >= 60e9) return duration(Math.max(0, Math.round(ns)));
  const digits = Math.max(0, -Math.floor(Math.log10(step / unit)));
  return `${(ns / unit).toFixed(Math.min(digits, 3))} ${name}`;
}
