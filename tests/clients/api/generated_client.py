"""Generates a client from a server's OpenAPI document, and filters with it.

    generated_client.py URL

Prints the client's results as one JSON document.
"""

import importlib
import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

URL = sys.argv[1]

with tempfile.TemporaryDirectory() as folder:
    document = Path(folder, "openapi.json")
    with urllib.request.urlopen(f"{URL}/openapi.json") as answer:
        document.write_bytes(answer.read())
    # The generated files are only imported, so no hook is needed.
    settings = Path(folder, "settings.yaml")
    settings.write_text("post_hooks: []\n")
    generate = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none", "--config", str(settings)]
    generate += ["--path", str(document), "--output-path", str(Path(folder, "spanscope_client"))]
    subprocess.run(generate, check=True, stdout=sys.stderr)
    sys.path.insert(0, folder)
    client = importlib.import_module("spanscope_client").Client(base_url=URL)
    api = "spanscope_client.api.default."
    runs = importlib.import_module(api + "get_traces").sync(client=client, agent_id="planner", page_size=5)
    events = importlib.import_module(api + "get_traces_task_id_events").sync
    task = runs.sessions[0].task_id
    status = importlib.import_module("spanscope_client.models.get_traces_status").GetTracesStatus
    failed = importlib.import_module(api + "get_traces").sync(client=client, status=status("failed"))
    query = importlib.import_module("spanscope_client.models.trace_query").TraceQuery()
    traces = importlib.import_module(api + "post_telemetry_traces").sync(client=client, body=query, filter_="name~chat")
    tools = events(task, client=client, event_types="tool_call_started,tool_call_completed", limit=1)
    print(json.dumps({
        "agents": [run.agent_id for run in runs.sessions],
        "page_size": runs.page_size,
        "failed": failed.total,
        "traces": len(traces.data),
        "tools": {"count": tools.count, "total": tools.total},
    }))
