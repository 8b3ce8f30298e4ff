"""A model server for tests: OpenAI's and Anthropic's APIs with constant answers.

    model_server.py

Listens on a free port of 127.0.0.1, prints it as one line, and serves until its standard input ends.

    POST /v1/chat/completions, /v1/responses, /v1/embeddings    as OpenAI's, streamed or not
    POST /v1/messages                                            as Anthropic's, streamed or not
    GET  /calls                                                  what was called so far, as a list of JSON

Each call has its own token counts, made of its number, so that a sum tells which calls are in it. OpenAI's input
counts hold the cached part, Anthropic's don't: both are sent as those providers send them. A call with tools whose
last message is the user's is answered with a call of the first tool for "Oslo", another with a text. The model
`missing` is refused with 404. `/calls` lists the model, whether it was streamed, the status, and the tokens as
OpenTelemetry counts them: the input with its cached parts.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

calls = []
lock = threading.Lock()


def text_of(content):
    """The text of a message, whose content is a text or a list of parts."""
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content or [] if isinstance(part, dict))


def answer_to(messages):
    asked = [text_of(message.get("content")) for message in messages if message.get("role") == "user"]
    asked = [text for text in asked if text]
    return f"The answer to: {asked[-1]}" if asked else "An answer."


def arguments_for(schema):
    """Arguments for a tool: "Oslo" for each text that it requires."""
    properties = (schema or {}).get("properties") or {}
    return {name: "Oslo" if of.get("type") == "string" else 1 for name, of in properties.items()}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send(self, status, body, content_type="application/json"):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, events, named):
        lines = []
        for event in events:
            if named:
                lines.append(f"event: {event['type']}\n")
            lines.append(f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n")
        self.send(200, "".join(lines).encode(), "text/event-stream")

    def do_GET(self):
        with lock:
            self.send(200, calls)

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        path = self.path.partition("?")[0].removeprefix("/v1")
        routes = {
            "/chat/completions": self.answer_chat,
            "/responses": self.answer_response,
            "/embeddings": self.answer_embeddings,
            "/messages": self.answer_message,
        }
        route = routes.get(path)
        if route is None:
            return self.send(404, {"error": {"message": f"no {self.path}", "type": "invalid_request_error"}})
        call = {
            "path": path,
            "model": request.get("model"),
            "stream": bool(request.get("stream")),
            "status": 200,
            "input": 0,
            "output": 0,
            "cache_read": 0,
            "cache_write": 0,
            "tool": None,
        }
        with lock:
            calls.append(call)
            number = len(calls)
        if request.get("model") == "missing":
            call["status"] = 404
            error = {"type": "not_found_error", "message": "the model missing does not exist"}
            if path == "/messages":
                return self.send(404, {"type": "error", "error": error})
            return self.send(404, {"error": error | {"param": None, "code": "model_not_found"}})
        route(request, call, number)

    def count(self, call, number, with_write=False):
        call["input"], call["output"], call["cache_read"] = 100 + number, 10 + number, 64
        if with_write:
            # Anthropic's input_tokens are those neither read from the cache nor written to it.
            call["cache_write"] = 32
            call["input"] += 64 + 32

    def answer_chat(self, request, call, number):
        self.count(call, number)
        model, messages, tools = request["model"], request["messages"], request.get("tools") or []
        asked_last = messages and messages[-1].get("role") == "user"
        message, finish = {"role": "assistant", "content": answer_to(messages)}, "stop"
        if tools and asked_last:
            tool = tools[0]["function"]
            call["tool"] = tool["name"]
            function = {"name": tool["name"], "arguments": json.dumps(arguments_for(tool.get("parameters")))}
            message = {"role": "assistant", "content": None}
            message["tool_calls"] = [{"id": f"call_{number}", "type": "function", "function": function}]
            finish = "tool_calls"
        usage = {
            "prompt_tokens": call["input"],
            "completion_tokens": call["output"],
            "total_tokens": call["input"] + call["output"],
            "prompt_tokens_details": {"cached_tokens": call["cache_read"]},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }
        head = {"id": f"chatcmpl-{number}", "created": 1, "model": f"{model}-2026-01-01"}
        if not call["stream"]:
            choice = {"index": 0, "message": message, "finish_reason": finish}
            return self.send(200, head | {"object": "chat.completion", "choices": [choice], "usage": usage})
        head["object"] = "chat.completion.chunk"

        def chunk(delta, reason=None):
            return head | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}], "usage": None}

        chunks = [chunk({"role": "assistant", "content": None if message.get("tool_calls") else ""})]
        for tool_call in message.get("tool_calls", []):
            chunks.append(chunk({"tool_calls": [{"index": 0} | tool_call]}))
        for place, word in enumerate((message["content"] or "").split()):
            chunks.append(chunk({"content": f" {word}" if place else word}))
        chunks.append(chunk({}, finish))
        if (request.get("stream_options") or {}).get("include_usage"):
            chunks.append(head | {"choices": [], "usage": usage})
        else:
            # Without this option the provider sends no token counts.
            call["told"] = False
        self.stream([*chunks, "[DONE]"], named=False)

    def answer_response(self, request, call, number):
        self.count(call, number)
        given = request.get("input")
        items = [{"role": "user", "content": given}] if isinstance(given, str) else given or []
        asked_last = not items or items[-1].get("role") == "user"
        tools = [tool for tool in request.get("tools") or [] if tool.get("type") == "function"]
        if tools and asked_last:
            call["tool"] = tools[0]["name"]
            output = {
                "type": "function_call",
                "id": f"fc_{number}",
                "call_id": f"call_{number}",
                "name": tools[0]["name"],
                "arguments": json.dumps(arguments_for(tools[0].get("parameters"))),
                "status": "completed",
            }
        else:
            text = {"type": "output_text", "text": answer_to(items), "annotations": []}
            output = {"type": "message", "id": f"msg_{number}", "role": "assistant", "status": "completed"}
            output["content"] = [text]
        response = {
            "id": f"resp_{number}",
            "object": "response",
            "created_at": 1,
            "status": "completed",
            "model": f"{request['model']}-2026-01-01",
            "output": [output],
            "error": None,
            "incomplete_details": None,
            "instructions": request.get("instructions"),
            "metadata": {},
            "parallel_tool_calls": True,
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": request.get("tools") or [],
            "top_p": 1.0,
            "usage": {
                "input_tokens": call["input"],
                "input_tokens_details": {"cached_tokens": call["cache_read"]},
                "output_tokens": call["output"],
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": call["input"] + call["output"],
            },
        }
        if not call["stream"]:
            return self.send(200, response)
        begun = response | {"status": "in_progress", "output": [], "usage": None}
        at = {"output_index": 0}
        events = [{"type": "response.created", "response": begun}]
        if output["type"] == "message":
            text = output["content"][0]
            part = at | {"item_id": output["id"], "content_index": 0}
            events += [
                {"type": "response.output_item.added", "item": output | {"content": [], "status": "in_progress"}} | at,
                {"type": "response.content_part.added", "part": text | {"text": ""}} | part,
                {"type": "response.output_text.delta", "delta": text["text"], "logprobs": []} | part,
                {"type": "response.output_text.done", "text": text["text"], "logprobs": []} | part,
                {"type": "response.content_part.done", "part": text} | part,
            ]
        else:
            part = at | {"item_id": output["id"]}
            events += [
                {"type": "response.output_item.added", "item": output | {"arguments": "", "status": "in_progress"}} | at,
                {"type": "response.function_call_arguments.delta", "delta": output["arguments"]} | part,
                {"type": "response.function_call_arguments.done", "arguments": output["arguments"]} | part,
            ]
        events += [
            {"type": "response.output_item.done", "item": output} | at,
            {"type": "response.completed", "response": response},
        ]
        self.stream([event | {"sequence_number": place} for place, event in enumerate(events)], named=True)

    def answer_embeddings(self, request, call, number):
        call["input"] = 5 + number
        inputs = request["input"] if isinstance(request["input"], list) else [request["input"]]
        vectors = [[0.25, 0.5, 0.75]] * len(inputs)
        if request.get("encoding_format") == "base64":
            vectors = ["AACAPgAAAD8AAEA/"] * len(inputs)
        data = [{"object": "embedding", "index": place, "embedding": one} for place, one in enumerate(vectors)]
        usage = {"prompt_tokens": call["input"], "total_tokens": call["input"]}
        self.send(200, {"object": "list", "data": data, "model": request["model"], "usage": usage})

    def answer_message(self, request, call, number):
        self.count(call, number, with_write=True)
        messages, tools = request["messages"], request.get("tools") or []
        content, stop = [{"type": "text", "text": answer_to(messages)}], "end_turn"
        last = messages[-1]
        parts = last.get("content") if isinstance(last.get("content"), list) else []
        has_result = any(part.get("type") == "tool_result" for part in parts)
        if tools and last.get("role") == "user" and not has_result:
            call["tool"] = tools[0]["name"]
            arguments = arguments_for(tools[0].get("input_schema"))
            content = [{"type": "tool_use", "id": f"toolu_{number}", "name": tools[0]["name"], "input": arguments}]
            stop = "tool_use"
        usage = {
            "input_tokens": call["input"] - 96,
            "cache_read_input_tokens": call["cache_read"],
            "cache_creation_input_tokens": call["cache_write"],
            "output_tokens": call["output"],
        }
        message = {
            "id": f"msg_{number}",
            "type": "message",
            "role": "assistant",
            "model": request["model"],
            "content": content,
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": usage,
        }
        if not call["stream"]:
            return self.send(200, message)
        begun = message | {"content": [], "stop_reason": None, "usage": usage | {"output_tokens": 1}}
        events = [{"type": "message_start", "message": begun}]
        block = content[0]
        if block["type"] == "text":
            empty, delta = block | {"text": ""}, {"type": "text_delta", "text": block["text"]}
        else:
            empty = block | {"input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        events += [
            {"type": "content_block_start", "index": 0, "content_block": empty},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": stop, "stop_sequence": None},
                "usage": {"output_tokens": call["output"]},
            },
            {"type": "message_stop"},
        ]
        self.stream(events, named=True)


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
