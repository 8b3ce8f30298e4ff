import assert from "node:assert/strict";
import { test } from "node:test";
import * as format from "../js/format.js";

test("hidden characters are shown as their codes", () => {
  assert.equal(format.visible("invoice\u202egpj.exe"), "invoice⟨U+202E⟩gpj.exe");
  assert.equal(format.visible("a\u200b\u0000\u001b[31m"), "a⟨U+200B⟩⟨U+0000⟩⟨U+001B⟩[31m");
  assert.equal(format.visible("\ud800 lone"), "⟨U+D800⟩ lone");
  assert.equal(format.visible("\u{e0041}tag"), "⟨U+E0041⟩tag");
});

test("letters of every script and emoji are unchanged", () => {
  for (const text of ["é日本語 مرحبا", "👩‍👩‍👧", "naïve", "हिन्दी"]) assert.equal(format.visible(text), text);
});

test("a line break is shown as a sign unless several lines are allowed", () => {
  assert.equal(format.visible("a\nb\tc"), "a↵b⟨U+0009⟩c");
  assert.equal(format.visible("a\nb\tc", true), "a\nb\tc");
});

test("the number of shown codes of hidden characters is limited", () => {
  const shown = format.visible("\u202e".repeat(10_000));
  assert.ok(shown.length < 200 * 8 + 10);
  assert.ok(shown.endsWith("⟨…⟩"));
});

test("a text that consists of spaces is visible", () => {
  assert.equal(format.visible("  "), "␣␣");
  assert.equal(format.visible(""), "");
});

test("the number of combining marks on a letter is limited", () => {
  assert.ok(format.visible(`a${"\u0301".repeat(500)}b`).length < 20);
});

test("a text is not cut within a surrogate pair", () => {
  assert.equal(format.cut("ab😀cd", 3), "ab…");
  assert.equal(format.cut("abc", 3), "abc");
});

test("durations have about three digits and a suitable unit", () => {
  const cases = [
    [0, "0 ms"],
    [999, "999 ns"],
    [1_500, "2 µs"],
    [354_000, "354 µs"],
    [12_340_000, "12.3 ms"],
    [152_310_402, "152 ms"],
    [59_900_000_000, "59.9 s"],
    [61e9, "1m 1s"],
    [3 * 3600e9 + 5 * 60e9, "3h 5m"],
    [3 * 86400e9, "3d"],
    [27 * 3600e9, "1d 3h"],
    [-2e9, "−2.0 s"],
    [NaN, "?"],
  ];
  for (const [ns, shown] of cases) assert.equal(format.duration(ns), shown);
});

test("numbers have commas between their thousands", () => {
  assert.equal(format.count(1234567), "1,234,567");
  assert.equal(format.count(999), "999");
  assert.equal(format.counted(1, "span"), "1 span");
  assert.equal(format.counted(1200, "match", "matches"), "1,200 matches");
});

test("a missing price is distinguished from the price zero", () => {
  assert.equal(format.money(null), "–");
  assert.equal(format.money(0), "$0");
  assert.equal(format.money(0.00021), "$0.00021");
  assert.equal(format.money(12.5, "EUR"), "EUR 12.50");
});

test("times keep their nanoseconds", () => {
  const time = "2026-11-29T15:46:59.811402113Z";
  assert.equal(format.parseTime(time).digits, "811402113");
  assert.equal(format.timeFull(time, true), "2026-11-29 15:46:59.811402113 UTC");
  assert.equal(format.timeShort(time, true, Date.parse("2026-11-29T20:00:00Z")), "15:46:59.811");
  assert.equal(
    format.timeShort(time, true, Date.parse("2026-12-01T20:00:00Z")),
    "2026-11-29 15:46:59.811",
  );
  assert.equal(format.timeShort("no time", true), "?");
  assert.equal(format.timeShort("2262-04-11T23:47:16.854775807Z", true, 0), "2262-04-11 23:47:16.854");
  assert.equal(
    format.timeShort("1970-01-01T00:00:00.000000000Z", true, 1e12),
    "1970-01-01 00:00:00.000",
  );
});

test("steps of an axis are 1, 2 or 5 times a power of ten", () => {
  assert.deepEqual(format.ticks(0, 152, 4), [0, 50, 100, 150]);
  assert.deepEqual(format.ticks(0, 0, 4), [0]);
  assert.ok(format.ticks(0, 1e18, 8).length <= 12);
});

test("words of a shell are quoted if they need it", () => {
  assert.equal(format.shellWord("status=error"), "status=error");
  assert.equal(format.shellWord("it's"), "'it'\\''s'");
});
