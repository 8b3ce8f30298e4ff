"""Calls a model with the SDK of OpenAI, instrumented by OpenInference.

    openinference_openai.py MODEL_URL OTLP_ENDPOINT
"""

from sdk import KEY, MODEL, traced

import openai
from openinference.instrumentation import using_session
from openinference.instrumentation.openai import OpenAIInstrumentor

WEATHER = {
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}

spans = traced("openinference")
OpenAIInstrumentor().instrument()
client = openai.OpenAI(base_url=MODEL + "/v1", api_key=KEY, max_retries=0)
chat = client.chat.completions
question = {"role": "user", "content": "What is the weather in Oslo?"}

with using_session("session-openinference"):
    chat.create(model="small", messages=[{"role": "system", "content": "Be short."}, question])
    for _ in chat.create(model="small", messages=[question], stream=True, stream_options={"include_usage": True}):
        pass
    tools = [{"type": "function", "function": WEATHER}]
    asked = chat.create(model="large", messages=[question], tools=tools).choices[0].message
    result = {"role": "tool", "tool_call_id": asked.tool_calls[0].id, "content": "12 degrees, rain"}
    chat.create(model="large", messages=[question, asked.model_dump(exclude_none=True), result], tools=tools)
    client.responses.create(model="small", input="Say something")
    client.embeddings.create(model="embedder", input=["a", "b"])
    try:
        chat.create(model="missing", messages=[question])
    except openai.NotFoundError:
        pass
spans.shutdown()
