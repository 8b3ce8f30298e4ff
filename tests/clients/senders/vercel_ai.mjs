// Calls a model with the Vercel AI SDK and its own telemetry.
//
//     vercel_ai.mjs MODEL_URL OTLP_ENDPOINT
//
// The packages are those of package-lock.json next to this file, in the folder that
// SPANSCOPE_NODE_SENDERS names.
import { createRequire } from "node:module";
import { join } from "node:path";

for (const name of Object.keys(process.env)) {
  if (name.startsWith("OTEL_")) delete process.env[name];
}
const [model, endpoint] = process.argv.slice(2);
process.env.OTEL_EXPORTER_OTLP_ENDPOINT = endpoint;
globalThis.AI_SDK_LOG_WARNINGS = false;

const require = createRequire(join(process.env.SPANSCOPE_NODE_SENDERS, "package.json"));
const { BatchSpanProcessor, NodeTracerProvider } = require("@opentelemetry/sdk-trace-node");
const { OTLPTraceExporter } = require("@opentelemetry/exporter-trace-otlp-proto");
const { resourceFromAttributes } = require("@opentelemetry/resources");
const { embed, generateText, stepCountIs, streamText, tool } = require("ai");
const { createOpenAI } = require("@ai-sdk/openai");
const { z } = require("zod");

const resource = resourceFromAttributes({ "service.name": "vercel-ai" });
const provider = new NodeTracerProvider({ resource, spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())] });
provider.register();

const openai = createOpenAI({ baseURL: model + "/v1", apiKey: "none" });
const metadata = { sessionId: "session-vercel" };
const shared = { experimental_telemetry: { isEnabled: true, functionId: "journey", metadata }, maxRetries: 0 };
const weather = tool({
  description: "The weather of a city",
  inputSchema: z.object({ city: z.string() }),
  execute: async () => "12 degrees, rain",
});
const prompt = "What is the weather in Oslo?";
await generateText({ model: openai.chat("small"), system: "Be short.", prompt, ...shared });
for await (const _ of streamText({ model: openai.chat("small"), prompt, ...shared }).textStream);
await generateText({ model: openai.responses("large"), prompt, tools: { weather }, stopWhen: stepCountIs(4), ...shared });
await embed({ model: openai.embedding("embedder"), value: "a", ...shared });
await generateText({ model: openai.chat("missing"), prompt, ...shared }).catch((error) => {
  if (error.name !== "AI_APICallError") throw error;
});
await provider.shutdown();
