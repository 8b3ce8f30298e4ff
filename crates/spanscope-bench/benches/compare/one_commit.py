# What Llama Stack does for each span that ends: its tables, its statements, SQLite's
# defaults, one commit.
import json
import sqlite3
import sys
import time
import uuid

path, spans = sys.argv[1], int(sys.argv[2])
db = sqlite3.connect(path)
db.executescript("""
CREATE TABLE traces (
    trace_id TEXT PRIMARY KEY, service_name TEXT, root_span_id TEXT, start_time TIMESTAMP, end_time TIMESTAMP,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE spans (
    span_id TEXT PRIMARY KEY, trace_id TEXT REFERENCES traces (trace_id), parent_span_id TEXT, name TEXT,
    start_time TIMESTAMP, end_time TIMESTAMP, attributes TEXT, status TEXT, kind TEXT);
CREATE TABLE span_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, span_id TEXT REFERENCES spans (span_id), name TEXT, timestamp TIMESTAMP,
    attributes TEXT);
CREATE INDEX idx_traces_created_at ON traces (created_at);
""")
moment = "2026-11-21T14:03:00.123456+00:00"
start = time.perf_counter()
for number in range(spans):
    place = number % 10
    if place == 0:
        trace_id, root = uuid.uuid4().hex, uuid.uuid4().hex[:16]
    span_id = root if place == 9 else uuid.uuid4().hex[:16]
    parent = None if place == 9 else root
    attributes = json.dumps({"component": "retriever", "document": "doc-00001", "position": place, "bytes": number})
    cursor = db.cursor()
    cursor.execute(
        "INSERT INTO traces (trace_id, service_name, root_span_id, start_time, end_time) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (trace_id) DO UPDATE SET root_span_id = COALESCE(root_span_id, excluded.root_span_id),"
        " start_time = MIN(excluded.start_time, start_time), end_time = MAX(excluded.end_time, end_time)",
        (trace_id, "bench", None if parent else span_id, moment, moment))
    cursor.execute(
        "INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (span_id, trace_id, parent, "step", moment, moment, attributes, "ok", "internal"))
    cursor.execute(
        "INSERT INTO span_events (span_id, name, timestamp, attributes) VALUES (?, ?, ?, ?)",
        (span_id, "unstructured_log", moment,
         json.dumps({"message": "chunk was read", "severity": "info", "chunk": number})))
    db.commit()
print(spans / (time.perf_counter() - start))
