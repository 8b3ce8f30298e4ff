import assert from "node:assert/strict";
import { test } from "node:test";
import { grouped } from "../js/trace/groups.js";
import { says } from "../js/trace/lines.js";
import { joinedDots } from "../js/trace/marks.js";
import { build, groupMedian, hiddenServices } from "../js/trace/model.js";
import { leaf, members, parseJson } from "../js/trace/parse.js";
import { frames } from "../js/trace/stack.js";
import { shape } from "./made.js";

/** @param {string} stack */
const own = (stack) =>
  frames(stack)
    .filter((run) => run.own)
    .map((run) => run.text);

test("frames of the program are separated from those of its libraries", () => {
  const rust = [
    "   0: std::backtrace::Backtrace::create",
    "             at /rustc/abc/library/std/src/backtrace.rs:331:13",
    "   1: shop::pay::charge",
    "             at ./src/pay.rs:41:9",
    "   2: <shop::Order as core::ops::Drop>::drop",
    "             at ./src/order.rs:7:5",
    "   3: tokio::runtime::task::raw::poll",
    "             at /home/me/.cargo/registry/src/index/tokio-1.49/src/runtime/task/raw.rs:1:1",
    "   4: hyper::proto::h1::dispatch",
    "             at /home/me/.cargo/registry/src/index/hyper-1.8/src/proto/h1/dispatch.rs:1:1",
  ];
  assert.deepEqual(own(rust.join("\n")), [rust.slice(2, 6).join("\n")]);
  const python = [
    "Traceback (most recent call last):",
    '  File "/app/main.py", line 3, in run',
    "    call()",
    '  File "/usr/lib/python3.12/site-packages/httpx/_client.py", line 9, in send',
    "    raise exc",
    "ValueError: no",
  ];
  assert.deepEqual(own(python.join("\n")), [python.slice(1, 3).join("\n")]);
  const node = "Error: no\n    at pay (/app/pay.js:3:9)\n    at node:internal/process/task_queues:95:5";
  assert.deepEqual(own(node), ["    at pay (/app/pay.js:3:9)"]);
  assert.deepEqual(own("nothing known\n<script>"), []);
  // Joined again, the runs are the whole text.
  const text = rust.join("\n");
  assert.equal(
    frames(text)
      .map((run) => run.text)
      .join("\n"),
    text,
  );
});

test("attributes are grouped by the first part of their keys, in order of occurrence", () => {
  /** @param {string[]} keys */
  const of = (keys) =>
    grouped(keys.map((key) => [key, "s", ""])).map(([name, all]) => [name, all.length]);
  const few = ["a.x", "a.y", "b"];
  assert.deepEqual(of(few), [["", 3]]);
  const many = [
    "gen_ai.a",
    "http.a",
    "plain",
    "gen_ai.b",
    "alone.x",
    "__proto__.a",
    "__proto__.b",
    "http.b",
    "gen_ai.c",
  ];
  assert.deepEqual(of(many), [
    ["", 2],
    ["gen_ai", 3],
    ["http", 2],
    ["__proto__", 2],
  ]);
});

test("events that are close to each other are one mark with their number", () => {
  const trace = build(
    shape([{ dur: 1000 }], {
      dots: { at: [0, 0, 0, 0], ns: [0, 3, 5, 500], severity: "iiei", more: 0 },
    }),
  );
  const marks = joinedDots(trace, 0, (at) => at);
  assert.deepEqual(
    marks.map(({ x, count, bad }) => [x, count, bad]),
    [
      [0, 3, true],
      [500, 1, false],
    ],
  );
});

test("the median of a group is that of its members, without their children", () => {
  const spans = [{ dur: 1e9 }];
  for (let i = 0; i < 300; i++) spans.push({ parent: 0, name: "GET", start: i, dur: i + 1 });
  const trace = build(shape(spans));
  const [head] = [...trace.groups.keys()];
  assert.equal(groupMedian(trace, head), 150);
});

test("the address hides exactly the services that it lists", () => {
  const two = shape([{ service: "a" }, { parent: 0, service: '["b"' }]);
  const hidden = (/** @type {unknown} */ text) => [...hiddenServices(two, /** @type {string} */ (text))];
  assert.deepEqual(hidden('["a","gone"]'), [0]);
  assert.deepEqual(hidden(JSON.stringify(['["b"'])), [1]);
  for (const invalid of ["", "[", "{}", "1", "null", '[null,{"a":1}]'])
    assert.deepEqual(hidden(invalid), []);
});

test("the description of a row contains what its line and its bar show", () => {
  const trace = build(
    shape(
      [
        { name: "turn", dur: 120e6, step: "a" },
        { parent: 0, name: "chat tiny", start: 35e6, dur: 119e6, step: "l", error: true },
      ],
      {
        tokens: { at: [1], input: [462], output: [83], cached: [0], model: [0], cost: [null] },
        critical: [[1, 35e6, 120e6]],
      },
    ),
  );
  assert.equal(
    says(trace, 1),
    "chat tiny, model call, error, 119 ms, starts at 35.0 ms, 462 tokens in, 83 out, on the critical path",
  );
});

test("values that are JSON are parsed, without rounding their integers", () => {
  const large = parseJson('{"id": 1234567890123456789}');
  // Older engines would round it: there the text is shown.
  if ("rawJSON" in JSON) assert.equal(leaf(members(large)?.[0]?.[1]), "1234567890123456789");
  else assert.equal(large, undefined);
  const found = members(parseJson(' {"id": 123456789012345, "x": 1.5, "__proto__": [1, null]}')) ?? [];
  assert.deepEqual(
    found.map(([key]) => key),
    ["id", "x", "__proto__"],
  );
  assert.deepEqual(
    found.slice(0, 2).map(([, value]) => leaf(value)),
    ["123456789012345", "1.5"],
  );
  assert.equal(members(found[2]?.[1])?.length, 2);
  for (const text of ["", "1", '"a"', "{", "[1", `[${"1,".repeat(150_000)}1]`])
    assert.equal(parseJson(text), undefined);
  assert.equal(members(null), undefined);
  // A text this deep is shown as a text, or parsed: neither overflows the stack.
  parseJson("[".repeat(90_000) + "]".repeat(90_000));
});
