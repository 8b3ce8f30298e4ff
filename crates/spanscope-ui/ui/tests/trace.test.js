import assert from "node:assert/strict";
import { test } from "node:test";
import {
  FOLDED,
  GROUP,
  MISSING,
  SPAN,
  ancestors,
  foldFrom,
  foldOffPath,
  lineDepth,
  lines,
  nextOf,
  reveal,
  withAncestors,
} from "../js/trace/lines.js";
import { build, idOf, rowOf, zoomOf } from "../js/trace/model.js";
import { byName, quantile, selfTimes } from "../js/trace/names.js";
import { entries } from "../js/trace/entries.js";
import { shape } from "./made.js";

const whole = () => ({
  closed: new Set(),
  grouped: true,
  opened: new Set(),
  hidden: new Set(),
  only: null,
});
const shownRows = (shown) => [...shown.row.slice(0, shown.length)];

const small = () =>
  build(
    shape([
      { name: "root", dur: 100 },
      { parent: 0, name: "a", start: 10, dur: 20 },
      { parent: 1, name: "b", start: 12, dur: 5, error: true },
      { parent: 0, name: "c", start: 50, dur: 40, service: "other" },
    ]),
  );

test("depths and subtrees are computed from the parents", () => {
  const trace = small();
  assert.deepEqual([...trace.depth], [0, 1, 2, 1]);
  assert.deepEqual([...trace.end], [4, 3, 3, 4]);
  assert.deepEqual(ancestors(trace, 2), [1, 0]);
});

test("a folded row hides its descendants, whose line is then that of the row", () => {
  const trace = small();
  const shown = lines(trace, { ...whole(), closed: new Set([1]) });
  assert.deepEqual(shownRows(shown), [0, 1, 3]);
  assert.equal(shown.at[2], 1);
  assert.deepEqual([...foldFrom(trace)], [0, 1]);
  assert.deepEqual(shownRows(lines(trace, { ...whole(), closed: foldFrom(trace) })), [0]);
});

test("the rows of a hidden service are left out and counted", () => {
  const shown = lines(small(), { ...whole(), hidden: new Set([1]) });
  assert.deepEqual(shownRows(shown), [0, 1, 2]);
  assert.equal(shown.hiddenSpans, 1);
});

test("a view of only the matches contains them and their ancestors", () => {
  const trace = small();
  const only = withAncestors(trace, [2]);
  assert.deepEqual(shownRows(lines(trace, { ...whole(), only })), [0, 1, 2]);
});

test("a row is revealed if folds and a hidden service hide it", () => {
  const trace = small();
  const view = { ...whole(), closed: new Set([0, 1]), hidden: new Set([0]) };
  const open = reveal(trace, view, 2);
  assert.ok(shownRows(lines(trace, open)).includes(2));
});

test("the next row after the last one is the first", () => {
  assert.equal(nextOf([2, 5], 2, 1), 5);
  assert.equal(nextOf([2, 5], 5, 1), 2);
  assert.equal(nextOf([2, 5], 2, -1), 5);
  assert.equal(nextOf([], 2, 1), -1);
});

test("a missing parent and spans that are not loaded have lines", () => {
  const trace = build(
    shape([{ dur: 10 }, { dur: 5 }], { missing: [[1, "4be2000000000000"]], folded: [[0, 1203, 5]] }),
  );
  const shown = lines(trace, whole());
  assert.deepEqual([...shown.kind.slice(0, shown.length)], [SPAN, FOLDED, MISSING, SPAN]);
  assert.equal(lineDepth(trace, whole(), shown, 2), 0);
  assert.equal(lineDepth(trace, whole(), shown, 3), 1);
});

/** A root with 250 equal children, one of which failed. */
const grouped = () =>
  build(
    shape([
      { name: "root", dur: 100_000 },
      ...Array.from({ length: 250 }, (_, i) => ({
        parent: 0,
        name: "GET /item",
        start: i * 10,
        dur: 5,
        error: i === 100,
      })),
    ]),
  );

test("successive equal siblings are one line, and a failed one separates them", () => {
  const trace = grouped();
  const shown = lines(trace, whole());
  assert.deepEqual([...shown.kind.slice(0, shown.length)], [SPAN, GROUP, SPAN, GROUP]);
  assert.deepEqual(shownRows(shown), [0, 1, 101, 102]);
  assert.equal(trace.groups.get(1)?.count, 100);
  assert.equal(trace.groups.get(102)?.count, 149);
  assert.equal(shown.at[50], 1);
});

test("an open group shows its members one level deeper", () => {
  const trace = grouped();
  const view = { ...whole(), opened: new Set([1]) };
  const shown = lines(trace, view);
  assert.equal(shown.length, 1 + 1 + 100 + 1 + 1);
  assert.equal(lineDepth(trace, view, shown, 2), 2);
  assert.ok(shownRows(lines(trace, reveal(trace, whole(), 200))).includes(200));
});

test("an ungrouped view has a line for every span", () => {
  assert.equal(lines(grouped(), { ...whole(), grouped: false }).length, 251);
});

test("rows that are not on the critical path are folded", () => {
  const trace = build(
    shape(
      [
        { dur: 100 },
        { parent: 0, dur: 90 },
        { parent: 1, dur: 80 },
        { parent: 0, dur: 5 },
        { parent: 3, dur: 4 },
      ],
      {
        critical: [
          [0, 0, 10],
          [1, 10, 20],
          [2, 20, 100],
        ],
      },
    ),
  );
  assert.deepEqual([...foldOffPath(trace)], [3]);
});

test("ids are not found across the boundary of two others", () => {
  const s = shape([{}, {}, {}], { ids: "00000000000000010000000000000010" + "1000000000000000" });
  assert.equal(rowOf(s, "0000000000000010"), 1);
  assert.equal(rowOf(s, "0000000000001000"), -1);
  assert.equal(rowOf(s, "no id"), -1);
  assert.equal(idOf(s, 2), "1000000000000000");
});

test("the time that overlapping children cover is subtracted once from a span's own", () => {
  const trace = build(
    shape([
      { dur: 100 },
      { parent: 0, start: 10, dur: 30 },
      { parent: 0, start: 20, dur: 40 },
      { parent: 0, start: 95, dur: 50 },
    ]),
  );
  assert.deepEqual([...selfTimes(trace)].slice(0, 2), [100 - 50 - 5, 30]);
});

test("the table has counts, errors and quantiles by name", () => {
  const rows = byName(grouped());
  const items = rows.find((row) => row.name === "GET /item");
  assert.deepEqual([items?.count, items?.errors, items?.p50, items?.total], [250, 1, 5, 1250]);
  assert.equal(quantile(Float64Array.from([1, 2, 3, 4]), 0.5), 2);
  assert.equal(quantile(new Float64Array(), 0.5), NaN);
});

test("the time range is read from the address, and an invalid one is the whole time", () => {
  const trace = build(shape([{ dur: 100e6 }]));
  assert.deepEqual(zoomOf(trace, "10-20.5"), [10e6, 20.5e6]);
  for (const text of ["", "20-10", "a-b", "1e9-2e9", "-5-3", "500-600"])
    assert.deepEqual(zoomOf(trace, text), [0, 100e6]);
});

test("at the same time, the log has starts before events and events before ends", () => {
  const trace = build(
    shape([
      { name: "root", dur: 100 },
      { parent: 0, name: "a", start: 0, dur: 100, error: true },
    ]),
  );
  const log = {
    time: "2026-11-29T15:46:59.811402213Z",
    severity: "info",
    message: "said",
    name: "",
    attributes: [["k", "s", "v"]],
    span_id: idOf(trace.shape, 1),
  };
  const all = entries(trace, [log]);
  assert.deepEqual(
    all.map((entry) => [entry.what, entry.row]),
    [
      ["started", 0],
      ["started", 1],
      ["event", 1],
      ["ended", 1],
      ["ended", 0],
    ],
  );
  assert.equal(all[2]?.at, 100);
  assert.equal(all[2]?.text, "said k=v");
  assert.match(all[3]?.text ?? "", /with an error/);
});

test("a depth of 10,000 and 100,000 spans need neither recursion nor quadratic time", () => {
  const n = 100_000;
  const deep = build(
    shape(
      Array.from({ length: n }, (_, i) => ({
        parent: i < 10_000 ? i - 1 : 9_999,
        dur: 1,
        name: i < 10_000 ? "deep" : `n${i % 2}`,
      })),
    ),
  );
  assert.equal(deep.depth[9_999], 9_999);
  assert.equal(lines(deep, whole()).length, n);
  assert.equal(selfTimes(deep).length, n);
});
