#!/usr/bin/env python3
"""ClickHouse's HTTP interface over libchdb, the real engine in one process, for tests.

    server.py --lib libchdb.so --path FOLDER [--port 0] [--user NAME --password WORD]

Prints the port and serves until its standard input ends, so that no server outlives its test.

It has what `spanscope-clickhouse` and its tests use: a statement as the body or as a field of a
form, parameters and settings in the address or the form, rows of an INSERT as the body behind a
statement in the address, passwords, and errors with their code. It can't show replication, roles,
quotas, row policies, TLS, or an error in the middle of an answer: a scripted peer shows those.
"""
import argparse
import base64
import ctypes
import email.parser
import email.policy
import os
import queue
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

BYTES, SIZE, POINTER = ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p
TEXTS, SIZES = ctypes.POINTER(BYTES), ctypes.POINTER(SIZE)
FUNCTIONS = {
    "chdb_connect": (ctypes.POINTER(POINTER), [ctypes.c_int, TEXTS]),
    "chdb_query_with_params_n": (
        POINTER,
        [POINTER, BYTES, SIZE, BYTES, SIZE, TEXTS, SIZES, TEXTS, SIZES, SIZE],
    ),
    "chdb_result_buffer": (POINTER, [POINTER]),
    "chdb_result_length": (SIZE, [POINTER]),
    "chdb_result_error": (BYTES, [POINTER]),
    "chdb_destroy_query_result": (None, [POINTER]),
    "chdb_stream_insert_n": (POINTER, [POINTER, BYTES, SIZE, BYTES, SIZE]),
    "chdb_stream_insert_error": (BYTES, [POINTER]),
    "chdb_stream_append": (ctypes.c_int, [POINTER, BYTES, SIZE]),
    "chdb_stream_done": (POINTER, [POINTER]),
    "chdb_stream_cancel_insert": (None, [POINTER]),
    "chdb_destroy_insert_stream": (None, [POINTER]),
}
# Parameters of a request's URL that are not settings of a query.
NOT_SETTINGS = {"query", "database", "default_format", "query_id", "user", "password", "role"}
# Settings of the HTTP interface itself, which the embedded engine does not have.
OF_HTTP = {"wait_end_of_query", "buffer_size", "http_write_exception_in_output_format"}


class EngineError(Exception):
    """The error message of a failed statement."""

    def __init__(self, text):
        super().__init__(text)
        found = re.search(r"Code: (\d+)", text)
        self.code = int(found.group(1)) if found else 0


class Engine:
    """Connections to one engine, which runs their statements concurrently."""

    def __init__(self, lib, path, connections):
        self.lib = ctypes.CDLL(lib)
        for name, (result, arguments) in FUNCTIONS.items():
            function = getattr(self.lib, name)
            function.restype, function.argtypes = result, arguments
        self.path, self.connections, self.opened = path, connections, 0
        self.idle, self.lock = queue.LifoQueue(), threading.Lock()

    def connection(self):
        with self.lock:
            if self.idle.empty() and self.opened < self.connections:
                self.opened += 1
                arguments = [b"clickhouse", b"--path=" + self.path.encode()]
                opened = self.lib.chdb_connect(len(arguments), (BYTES * len(arguments))(*arguments))
                if not opened:
                    raise SystemExit("the engine can't be opened at " + self.path)
                return opened
        return self.idle.get()

    def run(self, sql, form, database, settings, parameters, rows):
        connection = self.connection()
        try:
            # A connection is a session: the settings of one request must not apply to the next.
            if settings:
                pairs = ", ".join(f"{key} = {quoted(value)}" for key, value in settings)
                self.statement(connection, f"SET {pairs}".encode())
            self.statement(connection, b"USE `%s`" % database.replace("`", "``").encode())
            if rows is None:
                return self.statement(connection, sql, form, parameters)
            return self.insert(connection, sql, form, rows)
        finally:
            self.reset(connection, [key for key, _ in settings])
            self.idle.put(connection)

    def reset(self, connection, keys):
        if not keys:
            return
        try:
            pairs = ", ".join(f"{key} = DEFAULT" for key in keys)
            self.statement(connection, f"SET {pairs}".encode())
        except EngineError:
            # One of them is unknown, so it was not set; the others may have been.
            if len(keys) > 1:
                for key in keys:
                    self.reset(connection, [key])

    def statement(self, connection, sql, form=b"TabSeparated", parameters=()):
        names = [name.encode() for name, _ in parameters]
        values = [value.encode() for _, value in parameters]
        count = len(parameters)
        result = self.lib.chdb_query_with_params_n(
            connection[0], sql, len(sql), form, len(form),
            (BYTES * count)(*names), (SIZE * count)(*map(len, names)),
            (BYTES * count)(*values), (SIZE * count)(*map(len, values)), count,
        )
        return self.answer(result)

    def insert(self, connection, sql, form, rows):
        # Rows after the statement's text would be split into statements at their line ends.
        stream = self.lib.chdb_stream_insert_n(connection[0], sql, len(sql), form, len(form))
        try:
            error = self.lib.chdb_stream_insert_error(stream)
            if not error and self.lib.chdb_stream_append(stream, rows, len(rows)):
                error = self.lib.chdb_stream_insert_error(stream) or b"Code: 1002. refused"
            if error:
                self.lib.chdb_stream_cancel_insert(stream)
                raise EngineError(error.decode(errors="replace"))
            return self.answer(self.lib.chdb_stream_done(stream))
        finally:
            self.lib.chdb_destroy_insert_stream(stream)

    def answer(self, result):
        try:
            error = self.lib.chdb_result_error(result)
            if error:
                raise EngineError(error.decode(errors="replace"))
            size = self.lib.chdb_result_length(result)
            return ctypes.string_at(self.lib.chdb_result_buffer(result), size) if size else b""
        finally:
            self.lib.chdb_destroy_query_result(result)


def quoted(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # The head and the body of an answer are two packets: the second must not wait for the client.
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.handle_statement(b"")

    def do_POST(self):
        self.handle_statement(self.read_body())

    def read_body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def reply(self, status, data, **headers):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), str(value))
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def is_allowed(self, fields):
        if self.server.user is None:
            return True
        user = self.headers.get("X-ClickHouse-User") or fields.get("user")
        password = self.headers.get("X-ClickHouse-Key") or fields.get("password")
        if basic := self.headers.get("Authorization", "").partition("Basic ")[2]:
            user, _, password = base64.b64decode(basic).decode().partition(":")
        return (user, password or "") == (self.server.user, self.server.password)

    def handle_statement(self, body):
        address = urlsplit(self.path)
        pairs = parse_qsl(address.query, keep_blank_values=True)
        if address.path == "/ping":
            return self.reply(200, b"Ok.\n")
        kind = self.headers.get("Content-Type", "")
        if kind.startswith("multipart/form-data"):
            head = b"Content-Type: " + kind.encode() + b"\r\n\r\n"
            message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
            for part in message.iter_parts():
                name = part.get_param("name", header="content-disposition")
                pairs.append((name, part.get_payload(decode=True).decode()))
            body = b""
        fields = dict(pairs)
        if not self.is_allowed(fields):
            text = b"Code: 516. DB::Exception: default: Authentication failed: password is incorrect"
            return self.reply(403, text, X_ClickHouse_Exception_Code=516)
        query = fields.get("query", "").encode()
        is_insert = bool(query and body)
        sql = query or body
        found = re.search(rb"\bFORMAT\s+(\w+)\s*;?\s*$", sql)
        form = fields.get("default_format", "TabSeparated").encode()
        if found:
            form, sql = found.group(1), sql[: found.start()]
        settings = [
            (key, value) for key, value in pairs
            if key not in NOT_SETTINGS | OF_HTTP and not key.startswith("param_")
        ]
        parameters = [(key[len("param_"):], value) for key, value in pairs if key.startswith("param_")]
        try:
            data = self.server.engine.run(
                sql, form, fields.get("database", "default"), settings, parameters,
                body if is_insert else None,
            )
        except EngineError as error:
            status = 404 if error.code in (60, 81) else 500
            return self.reply(status, str(error).encode() + b"\n", X_ClickHouse_Exception_Code=error.code)
        self.reply(200, data, X_ClickHouse_Format=form.decode())


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--lib", required=True)
    arguments.add_argument("--path", required=True)
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--user")
    arguments.add_argument("--password", default="")
    given = arguments.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", given.port), Handler)
    server.daemon_threads = True
    server.user, server.password = given.user, given.password
    server.engine = Engine(given.lib, given.path, connections=8)
    server.engine.idle.put(server.engine.connection())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.buffer.read()
    os._exit(0)  # the engine's threads outlast a normal exit


if __name__ == "__main__":
    main()
