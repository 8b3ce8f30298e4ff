"""Calls every method of `client.telemetry` of the public client llama-stack-client, and prints the answers as one JSON
document: {client, methods, ids, times, answers}, with `answers[method][call]` as the client gives it.

    llama_stack.py BASE_URL [TOKEN]

The client is strict: an answer that is not of the shape it knows raises, like a status that is not 2xx. The first such
call ends the script with a traceback and a status other than 0; only those under `refused` are meant to fail. To this
client every number is a float. The ids are constants, so a store is good for one run.
"""

import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

# The server is on this machine; a proxy of the environment would be asked for it, and the client
# has its own variables.
for name in list(os.environ):
    if name.lower() in ("http_proxy", "https_proxy", "all_proxy") or name.startswith("LLAMA_STACK_"):
        del os.environ[name]

from llama_stack_client import APIStatusError, LlamaStackClient

# The client puts ids into paths as they are: 32 and 16 hexadecimal digits.
IDS = {
    "trace": "4bf92f3577b34da6a3ce929d0e0e4736",
    "turn": "00f067aa0ba902b7",
    "inference": "00f067aa0ba902b8",
    "tool": "00f067aa0ba902b9",
    "second_trace": "0af7651916cd43dd8448eb211c80319c",
    "second": "b7ad6b7169203331",
    "running_trace": "80f198ee56343ba864fe8b2a57d3eff7",
    "running": "e457b5a2e4d86bd1",
    "orphan_trace": "5b8aa5a2d2c872e8321cf37308d69df2",
    "orphan": "5fb397be34d26b51",  # only a log names it
    "unknown_trace": "ffffffffffffffffffffffffffffffff",
    "unknown": "ffffffffffffffff",
}
RUN = {"key": "run", "op": "eq", "value": "client"}
TTL = 3600

# Five to ten minutes ago, so that nothing is too old. All times are in the three minutes from here
# on, and as these begin at a multiple of five, no midnight and no full hour is among them: which
# steps of a metric there are is always the same.
BASE = datetime.fromtimestamp(int(time.time()) // 300 * 300 - 300, UTC)


def at(seconds):
    return BASE + timedelta(seconds=seconds)


telemetry = LlamaStackClient(
    base_url=sys.argv[1],
    api_key=sys.argv[2] if len(sys.argv) > 2 else None,
    max_retries=0,
    timeout=10,
    _strict_response_validation=True,
).telemetry
# The two `with_` names are not methods of the API but other ways to call them.
methods = [name for name in dir(telemetry) if not name.startswith(("_", "with_"))]
answers = {}


def plain(answer):
    """The value that the client returns, as JSON."""
    if isinstance(answer, list):
        return [plain(one) for one in answer]
    if isinstance(answer, dict):
        return {key: plain(one) for key, one in answer.items()}
    return None if answer is None else answer.model_dump(mode="json")


def call(method, name, *arguments, **options):
    answers.setdefault(method, {})[name] = plain(getattr(telemetry, method)(*arguments, **options))


def refused(method, *arguments, **options):
    try:
        getattr(telemetry, method)(*arguments, **options)
    except APIStatusError as error:
        answer = {"error": type(error).__name__, "status": error.status_code, "body": error.body}
        answers.setdefault("refused", {})[method] = answer
    else:
        sys.exit(f"{method}{arguments}{options} was not refused")


def log(name, trace, span, seconds, ttl=TTL, **event):
    ids = {"trace_id": IDS[trace], "span_id": IDS[span], "timestamp": at(seconds)}
    call("log_event", name, event=ids | event, ttl_seconds=ttl)


def start(trace, span, seconds, parent=None, **attributes):
    payload = {"type": "span_start", "name": f"the {span}"}
    if parent:
        payload["parent_span_id"] = IDS[parent]
    attributes["run"] = "client"
    log(f"start_{span}", trace, span, seconds, type="structured_log", payload=payload, attributes=attributes)


def end(trace, span, seconds, status, **more):
    payload = {"type": "span_end", "status": status}
    log(f"end_{span}", trace, span, seconds, type="structured_log", payload=payload, **more)


def measure(name, seconds, value, model):
    # The same numbers twice: those of a counter add up, of a gauge the last one counts. The counter
    # is the one that Llama Stack logs for every model call, and its documented name in queries
    # is another one.
    for kind, metric, unit in (("counter", "total_tokens", "tokens"), ("gauge", "client_load", "%")):
        log(f"{kind}_{name}", "trace", "inference", seconds, type="metric", metric=metric, unit=unit, value=value,
            attributes={"model_id": model, "provider_id": "here"})


start("trace", "turn", 0.25, session_id="s-1", turn=3, score=0.5, cached=False, nothing=None)
start("trace", "inference", 0.5, parent="turn", model_id="llama-3", input_tokens=120)
start("trace", "tool", 0.75, parent="inference", tool_name="weather")
for index, severity in enumerate(("verbose", "debug", "info", "warn", "error", "critical")):
    log(f"log_{severity}", "trace", "inference", 1 + index / 10, type="unstructured_log", severity=severity,
        message=f"it is {severity}", attributes={"index": index, "half": index + 0.5, "first": index == 0})
log("log_of_orphan", "orphan_trace", "orphan", 1, type="unstructured_log", severity="info", message="whose am I?")
end("trace", "tool", 2, "error", attributes={"reason": "no such city"})
end("trace", "inference", 2.5, "ok", attributes={"output_tokens": 30})
end("trace", "turn", 2.750125, "ok")
start("second_trace", "second", 60, turn=4)
end("second_trace", "second", 60.5, "ok", ttl=7 * 86400)
start("running_trace", "running", 120, turn=5)
# Two of the four are in the same minute.
measure("1", 1, 10, "small")
measure("2", 61, 20, "small")
measure("3", 62.5, 30.5, "small")
measure("4", 121, 5, "large")

call("query_traces", "everything")
call("query_traces", "run", attribute_filters=[RUN])
call("query_traces", "not_the_first", attribute_filters=[RUN, {"key": "turn", "op": "ne", "value": 3}])
call("query_traces", "later", attribute_filters=[RUN, {"key": "turn", "op": "gt", "value": 3}])
call("query_traces", "earlier", attribute_filters=[RUN, {"key": "turn", "op": "lt", "value": 4}])
call("query_traces", "none", attribute_filters=[{"key": "run", "op": "eq", "value": "unknown"}])
call("query_traces", "oldest_two", attribute_filters=[RUN], order_by=["start_time"], limit=2)
call("query_traces", "newest", attribute_filters=[RUN], order_by=["-start_time"], limit=1)
call("query_traces", "second_oldest", attribute_filters=[RUN], order_by=["start_time"], limit=1, offset=1)

for trace in ("trace", "second_trace", "running_trace"):
    call("get_trace", trace, IDS[trace])
for span in ("turn", "inference", "tool"):
    call("get_span", span, IDS[span], trace_id=IDS["trace"])
call("get_span", "running", IDS["running"], trace_id=IDS["running_trace"])

call("get_span_tree", "whole", IDS["turn"])
call("get_span_tree", "two_levels", IDS["turn"], max_depth=2)
call("get_span_tree", "below", IDS["inference"], attributes_to_return=["model_id", "tool_name"])

# The filters choose traces; of their spans come those that have all the attributes.
MODEL = {"key": "model_id", "op": "eq", "value": "llama-3"}
call("query_spans", "run", attribute_filters=[RUN], attributes_to_return=["run"])
call("query_spans", "turns", attribute_filters=[RUN], attributes_to_return=["run", "turn"])
call("query_spans", "model", attribute_filters=[MODEL], attributes_to_return=["input_tokens"], max_depth=2)
call("query_spans", "too_shallow", attribute_filters=[MODEL], attributes_to_return=["input_tokens"], max_depth=1)
call("query_spans", "trace_of_model", attribute_filters=[MODEL], attributes_to_return=[])
call("query_spans", "none", attribute_filters=[{"key": "input_tokens", "op": "gt", "value": 120}], attributes_to_return=[])

call("save_spans_to_dataset", "run", attribute_filters=[RUN], attributes_to_save=["run", "turn"], dataset_id="client",
     max_depth=3)

# The end of the range is exclusive, and after all measurements.
window = {"start_time": int(at(0).timestamp()), "end_time": int(at(180).timestamp())}
COUNTER = "llama_stack_tokens_total"
call("query_metrics", "by_default", COUNTER, query_type="range", **window)
call("query_metrics", "minutes", COUNTER, query_type="range", granularity="1m", **window)
call("query_metrics", "by_the_event's_name", "total_tokens", query_type="range", granularity="1m", **window)
call("query_metrics", "part_of_a_minute", COUNTER, query_type="range", granularity="1m",
     start_time=window["start_time"] + 62, end_time=window["start_time"] + 121)
call("query_metrics", "until_now", COUNTER, query_type="range", start_time=window["start_time"], granularity="1h")
call("query_metrics", "instant", COUNTER, query_type="instant", **window)
call("query_metrics", "gauge_minutes", "client_load", query_type="range", granularity="1m", **window)
call("query_metrics", "gauge_instant", "client_load", query_type="instant", **window)
call("query_metrics", "no_such_metric", "no_such_metric", query_type="range", **window)
for name, operator, value in (
    ("equal", "=", "small"),
    ("not_equal", "!=", "small"),
    ("matches", "=~", "l.*e|tiny"),
    ("matches_not", "!~", "l.*e|tiny"),
):
    matcher = {"name": "model_id", "operator": operator, "value": value}
    call("query_metrics", name, COUNTER, query_type="range", granularity="1m", label_matchers=[matcher], **window)

refused("get_trace", IDS["unknown_trace"])
refused("get_span", IDS["unknown"], trace_id=IDS["trace"])
refused("query_traces", limit=-1)
refused("get_span_tree", IDS["unknown"])
refused("query_spans", attribute_filters=[{"key": "run", "op": "like", "value": "client"}], attributes_to_return=[])
refused("save_spans_to_dataset", attribute_filters=[RUN], attributes_to_save=[], dataset_id="../client")
refused("log_event", event={"type": "metric", "trace_id": IDS["trace"], "span_id": IDS["turn"], "timestamp": at(1),
                            "metric": "total_tokens", "unit": "tokens", "value": "many"}, ttl_seconds=TTL)
refused("query_metrics", COUNTER, query_type="range", granularity="never", **window)

print(json.dumps({
    "client": version("llama-stack-client"),
    "methods": methods,
    "ids": IDS,
    "times": {"base": BASE.isoformat(), **window},
    "answers": answers,
}))
