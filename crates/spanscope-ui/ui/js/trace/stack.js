/** Distinguishes the program's own lines of a stack trace from those of libraries. Pure. */

/** Parts of lines that belong to libraries and runtimes, in several languages. */
const FOREIGN = [
  "/rustc/",
  "/.cargo/registry/",
  "/.cargo/git/",
  "/rustlib/src/",
  "/site-packages/",
  "/dist-packages/",
  "/lib/python",
  "/node_modules/",
  "node:internal",
  "(<anonymous>)",
  "/go/pkg/mod/",
  "/usr/local/go/src/",
  "at java.",
  "at jdk.",
  "at sun.",
];
/** A frame of a Rust backtrace: its number and its function. */
const RUST_FRAME = /^\s*\d+: (?:0x[0-9a-f]+ - )?<?(.*)$/;
const RUST_LIBRARIES =
  /^(?:std|core|alloc|backtrace|tokio|futures\w*|rust_begin_unwind|__rust|_?start|__libc|clone)\b/;
/** The second line of a frame: the location of the function in the line before. */
const RUST_PLACE = /^\s+at (.+):\d+(?::\d+)?$/;
const PYTHON_FRAME = /^\s*File "(.+)", line \d+/;
const OTHER_FRAME = /^\s*(?:at .+[:(].*\d|.+\.go:\d+)/;

/**
 * Splits a stack trace into runs of lines that are the program's own, and runs of others.
 * @param {string} stack
 * @returns {{text: string, own: boolean}[]}
 */
export function frames(stack) {
  const lines = stack.split("\n");
  const own = lines.map((line, i) => isOwn(line, lines[i + 1] ?? ""));
  // A location belongs to the frame before it, and source text to the location before it.
  lines.forEach((line, i) => {
    if (RUST_PLACE.test(line) && RUST_FRAME.test(lines[i - 1] ?? "")) own[i] = own[i - 1] ?? false;
    if (/^ {4}\S/.test(line) && PYTHON_FRAME.test(lines[i - 1] ?? "")) own[i] = own[i - 1] ?? false;
  });
  /** @type {{text: string, own: boolean}[]} */
  const runs = [];
  lines.forEach((line, i) => {
    const last = runs.at(-1);
    if (last && last.own === own[i]) last.text += `\n${line}`;
    else runs.push({ text: line, own: own[i] ?? false });
  });
  return runs;
}

/**
 * @param {string} line
 * @param {string} next
 */
function isOwn(line, next) {
  const frame = RUST_FRAME.exec(line);
  if (frame) {
    const path = RUST_PLACE.exec(next)?.[1] ?? "";
    return !RUST_LIBRARIES.test(frame[1] ?? "") && !FOREIGN.some((part) => path.includes(part));
  }
  return (
    (PYTHON_FRAME.test(line) || OTHER_FRAME.test(line)) && !FOREIGN.some((part) => line.includes(part))
  );
}
