"""Runs agents of Pydantic AI with its own instrumentation.

    pydantic_agents.py MODEL_URL OTLP_ENDPOINT
"""

from sdk import KEY, MODEL, traced

import asyncio

from pydantic_ai import Agent, Embedder
from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

spans = traced("pydantic-ai")
Agent.instrument_all()
Embedder.instrument_all()
provider = OpenAIProvider(base_url=MODEL + "/v1", api_key=KEY)


async def main():
    planner = Agent(OpenAIChatModel("large", provider=provider), name="planner", system_prompt="Be short.")

    @planner.tool_plain
    def weather(city: str) -> str:
        return "12 degrees, rain"

    await planner.run("What is the weather in Oslo?", conversation_id="session-pydantic")
    teller = Agent(OpenAIChatModel("small", provider=provider), name="teller")
    async with teller.run_stream("Tell me a story") as answer:
        async for _ in answer.stream_text():
            pass
    careless = Agent(OpenAIChatModel("large", provider=provider), name="careless")

    @careless.tool_plain
    def broken(city: str) -> str:
        raise ValueError("no such city")

    try:
        await careless.run("Use the tool")
    except ValueError:
        pass
    try:
        await Agent(OpenAIChatModel("missing", provider=provider), name="lost").run("Are you there?")
    except ModelHTTPError:
        pass
    await Embedder(OpenAIEmbeddingModel("embedder", provider=provider)).embed_query("a")


asyncio.run(main())
spans.shutdown()
