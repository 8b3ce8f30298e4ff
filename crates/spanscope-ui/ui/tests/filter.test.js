import assert from "node:assert/strict";
import { test } from "node:test";
import { attributeTerm, isIdLike, isTaskLike, quoted, wantedAt, withTerm } from "../js/filter.js";

test("a key is completed at the beginning of a term, a value after the operator", () => {
  assert.deepEqual(wantedAt("status=error gen_ai.re", 22), {
    of: "key",
    key: "",
    prefix: "gen_ai.re",
    from: 13,
    to: 22,
  });
  assert.deepEqual(wantedAt("status=er", 9), {
    of: "value",
    key: "status",
    prefix: "er",
    from: 7,
    to: 9,
  });
  assert.deepEqual(wantedAt("model=a,b", 9), { of: "value", key: "model", prefix: "b", from: 8, to: 9 });
  assert.equal(wantedAt("status=error ", 13), null);
});

test("a minus before the key is not part of it", () => {
  assert.equal(wantedAt("-sta", 4)?.prefix, "sta");
});

test("spaces in quotes belong to the term", () => {
  assert.deepEqual(wantedAt('"my key"=x', 10), {
    of: "value",
    key: '"my key"',
    prefix: "x",
    from: 9,
    to: 10,
  });
});

test("the term of an attribute matches exactly its value", () => {
  assert.equal(attributeTerm("gen_ai.request.model", "s", "llama 3"), 'gen_ai.request.model="llama 3"');
  assert.equal(attributeTerm("n", "i", "17"), "n=17");
  assert.equal(attributeTerm("n", "s", "17"), 'n="17"');
  assert.equal(attributeTerm("n", "s", "true"), 'n="true"');
  assert.equal(attributeTerm("n", "s", "a*"), 'n="a*"');
  assert.equal(attributeTerm("a b", "s", 'say "x"', true), '-"a b"="say \\"x\\""');
});

test("a term is added after the others", () => {
  assert.equal(withTerm("", "a=1"), "a=1");
  assert.equal(withTerm(" b ", "a=1"), "b a=1");
});

test("texts of 4 to 32 hexadecimal digits may be ids", () => {
  assert.ok(isIdLike("4bf9") && isIdLike("4BF92F3577B34DA6A3CE929D0E0E4736"));
  assert.ok(!isIdLike("4bf") && !isIdLike("xyz1") && !isIdLike("a".repeat(33)));
  assert.ok(isTaskLike("task-18c5") && isTaskLike("3f2b7c1e-aaaa-bbbb-cccc-0123456789ab"));
  assert.ok(!isTaskLike("weather") && !isTaskLike("status=error1") && !isTaskLike("two 2words"));
});

test("simple keys and values are not quoted", () => {
  assert.equal(quoted("http.request.method", "key"), "http.request.method");
  assert.equal(quoted("-x", "key"), '"-x"');
});
