//! The input and output of a model call, as each convention writes them. Only the response is a
//! message to the user.

use serde_json::{Value as Json, json};

use super::super::support::{Folder, json_of, traces};
use super::elsewhere::trace;
use super::remark;

/// A trace with one span, whose attributes follow a convention; its question is `Q?`, its answer
/// `A.`.
struct Row {
    convention: &'static str,
    attributes: Json,
    /// The message to the user; `None` if the span has no response.
    message: Option<&'static str>,
    /// What the input messages must contain, besides the question.
    question: Option<Json>,
    /// The reasoning.
    thoughts: Option<&'static str>,
}

fn row(convention: &'static str, attributes: Json) -> Row {
    Row {
        convention,
        attributes,
        message: Some("A."),
        question: None,
        thoughts: None,
    }
}

fn chat(more: Json) -> Json {
    let mut attributes = json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"});
    for (key, value) in more.as_object().unwrap() {
        attributes[key] = value.clone();
    }
    attributes
}

fn rows() -> Vec<Row> {
    let asked = json!([{"role": "user", "parts": [{"type": "text", "content": "Q?"}]}]);
    let answered = json!([{"role": "assistant", "finish_reason": "stop", "parts": [
        {"type": "reasoning", "content": "hm"}, {"type": "text", "content": "A."},
        {"type": "uri", "modality": "image", "uri": "https://img.test/1"},
        {"type": "blob", "modality": "audio", "content": "AAAA"}]}]);
    let openai = json!([{"role": "user", "content": "Q?"}]);
    let lang_chain = |kind: &str, text: &str| {
        json!({"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", format!("{kind}Message")],
            "kwargs": {"content": text, "type": kind.to_lowercase()}})
    };
    let quoted = json!("A.").to_string();
    vec![
        Row {
            question: Some(asked.clone()),
            thoughts: Some("hm"),
            ..row(
                "OpenTelemetry, as texts",
                chat(
                    json!({"gen_ai.input.messages": asked.to_string(), "gen_ai.output.messages": answered.to_string(),
                "gen_ai.system_instructions": "[{\"type\":\"text\",\"content\":\"be kind\"}]"}),
                ),
            )
        },
        Row {
            question: Some(asked.clone()),
            thoughts: Some("hm"),
            ..row(
                "OpenTelemetry, as structures",
                chat(json!({"gen_ai.input.messages": asked, "gen_ai.output.messages": answered})),
            )
        },
        Row {
            question: Some(asked.clone()),
            thoughts: Some("hm"),
            ..row(
                "OpenTelemetry, in an event",
                chat(
                    json!({"events": [{"name": "gen_ai.client.inference.operation.details",
                "attributes": {"gen_ai.input.messages": asked, "gen_ai.output.messages": answered}}]}),
                ),
            )
        },
        Row {
            message: None,
            ..row(
                "OpenTelemetry, a call of a tool",
                chat(
                    json!({"gen_ai.input.messages": asked, "gen_ai.output.messages": [{"role": "assistant", "parts": [
                {"type": "tool_call", "id": "1", "name": "weather", "arguments": {"city": "Oslo"}}]}]}),
                ),
            )
        },
        Row {
            message: None,
            ..row(
                "OpenTelemetry, the response of a tool",
                json!({"gen_ai.operation.name": "invoke_agent", "gen_ai.input.messages": asked, "gen_ai.output.messages":
                [{"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "response": "snow"}]}]}),
            )
        },
        row(
            "OpenInference, spread over attributes",
            json!({"openinference.span.kind": "LLM",
                "llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": "Q?",
                "llm.output_messages.0.message.role": "assistant", "llm.output_messages.0.message.content": "A.",
                "output.value": "{\"id\":\"x\",\"choices\":[]}", "output.mime_type": "application/json"}),
        ),
        row(
            "OpenInference, the state of LangGraph",
            json!({"openinference.span.kind": "CHAIN", "input.value": json!({"messages": openai}).to_string(),
                "output.value": json!({"messages": [
                    {"content": "Q?", "type": "human"},
                    {"content": "", "type": "ai", "tool_calls": [{"name": "weather", "args": {}, "id": "1"}]},
                    {"content": "snow", "type": "tool", "name": "weather"},
                    {"content": "A.", "type": "ai"}]}).to_string()}),
        ),
        Row {
            message: None,
            ..row(
                "OpenInference, an answer without text",
                json!({"openinference.span.kind": "CHAIN", "input.value": "Q?",
                "output.value": "{\"score\": 3}"}),
            )
        },
        row(
            "Vercel's AI SDK",
            json!({"ai.operationId": "ai.generateText.doGenerate", "ai.model.id": "m",
                "ai.prompt.messages": json!([{"role": "user", "content": [{"type": "text", "text": "Q?"}]}]).to_string(),
                "ai.response.text": "A."}),
        ),
        row(
            "Vercel's AI SDK, the outer span",
            json!({"ai.operationId": "ai.generateText", "ai.model.id": "m",
                "ai.prompt": json!({"messages": openai}).to_string(), "ai.response.text": "A."}),
        ),
        row(
            "Traceloop",
            json!({"llm.request.type": "chat", "gen_ai.request.model": "m",
                "gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "[{\"type\":\"text\",\"text\":\"Q?\"}]",
                "gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.content": "A.",
                "gen_ai.completion.0.finish_reason": "stop"}),
        ),
        row(
            "Traceloop, a workflow",
            json!({"traceloop.span.kind": "workflow", "traceloop.entity.name": "w",
                "traceloop.entity.input": json!({"inputs": {"question": "Q?"}, "tags": [], "kwargs": {}}).to_string(),
                "traceloop.entity.output": json!({"outputs": {"content": "A."}, "kwargs": {}}).to_string()}),
        ),
        row(
            "MLflow",
            json!({"mlflow.spanType": "\"CHAT_MODEL\"", "mlflow.spanInputs": json!({"messages": openai}).to_string(),
                "mlflow.spanOutputs": json!({"choices": [{"message": {"role": "assistant", "content": "A."}}]}).to_string()}),
        ),
        row(
            "MLflow, a text",
            json!({"mlflow.spanType": "\"AGENT\"", "mlflow.spanInputs": json!("Q?").to_string(),
                "mlflow.spanOutputs": quoted}),
        ),
        row(
            "LangSmith",
            json!({"langsmith.span.kind": "llm", "gen_ai.operation.name": "chat",
                "gen_ai.prompt": json!({"messages": [[lang_chain("Human", "Q?")]]}).to_string(),
                "gen_ai.completion": json!({"generations": [[{"text": "A.", "type": "ChatGeneration",
                    "message": lang_chain("AI", "A.")}]]}).to_string()}),
        ),
        row(
            "LangSmith, a chain",
            json!({"langsmith.span.kind": "chain", "gen_ai.operation.name": "chain",
                "gen_ai.prompt": json!({"messages": [lang_chain("Human", "Q?")]}).to_string(),
                "gen_ai.completion": json!({"messages": [lang_chain("Human", "Q?"), lang_chain("AI", "A.")]}).to_string()}),
        ),
        row(
            "Langfuse",
            json!({"langfuse.observation.type": "generation", "langfuse.observation.model.name": "m",
                "langfuse.observation.input": openai.to_string(),
                "langfuse.observation.output": json!({"role": "assistant", "content": "A."}).to_string()}),
        ),
        row(
            "Langfuse, a text",
            json!({"langfuse.observation.type": "agent", "langfuse.observation.input": json!("Q?").to_string(),
                "langfuse.observation.output": quoted}),
        ),
        row(
            "LangWatch",
            json!({"langwatch.span.type": "llm", "gen_ai.request.model": "m",
                "langwatch.input": json!({"type": "chat_messages", "value": openai}).to_string(),
                "langwatch.output": json!({"type": "text", "value": "A."}).to_string()}),
        ),
        Row {
            thoughts: Some("hm"),
            ..row(
                "Google's ADK",
                chat(
                    json!({"gcp.vertex.agent.llm_request": json!({"model": "m", "contents": [{"role": "user",
                    "parts": [{"text": "Q?"}]}]}).to_string(),
                    "gcp.vertex.agent.llm_response": json!({"content": {"role": "model", "parts":
                        [{"text": "hm", "thought": true}, {"text": "A."}]}}).to_string()}),
                ),
            )
        },
        row(
            "Braintrust",
            json!({"braintrust.span_attributes": "{\"type\":\"llm\"}", "braintrust.input_json": openai.to_string(),
                "braintrust.output_json": json!([{"message": {"role": "assistant", "content": "A."}}]).to_string()}),
        ),
        row(
            "LiveKit",
            chat(
                json!({"lk.chat_ctx": json!({"items": [{"type": "message", "role": "user", "content": ["Q?"]}]}).to_string(),
                "lk.response.text": "A."}),
            ),
        ),
        row(
            "Claude Code's own spans",
            json!({"span.type": "llm_request", "gen_ai.request.model": "m", "new_context": "[USER] Q?",
                "response.model_output": "A."}),
        ),
        row(
            "Strands and the conventions up to 1.36",
            chat(
                json!({"events": [{"name": "gen_ai.user.message", "attributes": {"content": "[{\"text\":\"Q?\"}]"}},
                {"name": "gen_ai.choice", "attributes": {"message": "[{\"text\":\"A.\"}]", "finish_reason": "end_turn"}}]}),
            ),
        ),
        row(
            "The conventions up to 1.27, Spring AI",
            chat(
                json!({"events": [{"name": "gen_ai.content.prompt", "attributes": {"gen_ai.prompt": "[\"Q?\"]"}},
                {"name": "gen_ai.content.completion", "attributes": {"gen_ai.completion": "[\"A.\"]"}}]}),
            ),
        ),
    ]
}

#[test]
fn questions_and_answers_of_every_convention_are_texts_and_structures() {
    let folder = Folder::new();
    let server = folder.serve();
    let rows = rows();
    let mut wrong = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let spans = trace(number, &[(1, 0, "call", row.attributes.clone())]);
        assert_eq!(remark(&server.post("/v1/traces", &traces(&spans))), "");
        let id = spans[0]["traceId"].as_str().unwrap();
        let answer = server.get(&format!("/traces/{id}?format=streaming&level=debug"));
        let session = json_of(&answer);
        let events = session["events"].as_array().unwrap();
        let message = events
            .iter()
            .find(|event| event["event_type"] == "message_generated");
        let message = message.map(|event| event["outputs"]["content"].clone());
        if message != row.message.map(Json::from) {
            wrong.push(format!(
                "{}: the message is {message:?}, not {:?}",
                row.convention, row.message
            ));
        }
        let started = events.iter().find(|event| event["inputs"].is_object());
        let inputs = started.map_or(Json::Null, |event| event["inputs"].clone());
        let shown = inputs.to_string();
        // A JSON quotation mark inside a text is one that was escaped.
        if !shown.contains("Q?") || shown.contains("\\\"") {
            wrong.push(format!("{}: the inputs are {inputs}", row.convention));
        }
        if let Some(question) = &row.question
            && &inputs["messages"] != question
        {
            wrong.push(format!("{}: the messages are {inputs}", row.convention));
        }
        let outputs: Vec<&Json> = events
            .iter()
            .filter(|event| event["event_type"] != "message_generated")
            .map(|event| &event["outputs"])
            .filter(|outputs| outputs.is_object())
            .collect();
        if outputs.is_empty() || outputs.iter().any(|outputs| outputs.to_string().contains("\\\"")) {
            wrong.push(format!("{}: the outputs are {outputs:?}", row.convention));
        }
        let thoughts = events.iter().find_map(|event| event["thoughts"].as_str());
        if thoughts != row.thoughts {
            wrong.push(format!("{}: the thoughts are {thoughts:?}", row.convention));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    server.stop();
}

/// The calls of one tool, `weather` in Oslo, where it snows.
fn tools() -> Vec<(&'static str, Json)> {
    let (arguments, result) = (json!({"city": "Oslo"}).to_string(), json!("snow").to_string());
    vec![
        (
            "OpenTelemetry, as texts",
            json!({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "weather",
                "gen_ai.tool.call.arguments": arguments, "gen_ai.tool.call.result": "snow"}),
        ),
        (
            "OpenTelemetry, as structures",
            json!({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "weather",
                "gen_ai.tool.call.arguments": {"city": "Oslo"}, "gen_ai.tool.call.result": "snow"}),
        ),
        (
            "OpenInference",
            json!({"openinference.span.kind": "TOOL", "tool.name": "weather", "input.value": arguments,
                "output.value": "snow"}),
        ),
        (
            "Vercel's AI SDK",
            json!({"ai.operationId": "ai.toolCall", "ai.toolCall.name": "weather", "ai.toolCall.args": arguments,
                "ai.toolCall.result": result}),
        ),
        (
            "Traceloop",
            json!({"traceloop.span.kind": "tool", "traceloop.entity.name": "weather",
                "traceloop.entity.input": arguments, "traceloop.entity.output": result}),
        ),
        (
            "MLflow",
            json!({"mlflow.spanType": "\"TOOL\"", "mlflow.spanInputs": arguments, "mlflow.spanOutputs": result}),
        ),
        (
            "LangSmith",
            json!({"langsmith.span.kind": "tool", "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "weather",
                "gen_ai.prompt": arguments, "gen_ai.completion": "snow"}),
        ),
        (
            "Langfuse",
            json!({"langfuse.observation.type": "tool", "langfuse.observation.input": arguments,
                "langfuse.observation.output": result}),
        ),
        (
            "LangWatch",
            json!({"langwatch.span.type": "tool", "langwatch.input": arguments, "langwatch.output": "snow"}),
        ),
        (
            "Laminar",
            json!({"lmnr.span.type": "TOOL", "lmnr.span.input": arguments, "lmnr.span.output": result}),
        ),
        (
            "Braintrust",
            json!({"braintrust.span_attributes": "{\"type\":\"tool\"}", "braintrust.input_json": arguments,
                "braintrust.output_json": result}),
        ),
        (
            "Spring AI",
            json!({"gen_ai.operation.name": "framework", "gen_ai.system": "spring_ai", "spring.ai.kind": "tool_call",
                "spring.ai.tool.definition.name": "weather", "spring.ai.tool.call.arguments": arguments,
                "spring.ai.tool.call.result": result}),
        ),
        (
            "LiveKit",
            json!({"lk.function_tool.name": "weather", "lk.function_tool.arguments": arguments,
                "lk.function_tool.output": "snow", "lk.function_tool.is_error": false}),
        ),
        (
            "Google's ADK",
            json!({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "weather",
                "gcp.vertex.agent.tool_call_args": arguments, "gcp.vertex.agent.tool_response": result}),
        ),
        (
            "The Gemini CLI",
            json!({"gen_ai.operation.name": "tool_call", "gen_ai.tool.name": "weather", "gen_ai.tool.call_id": "c-1",
                "gen_ai.input.messages": arguments, "gen_ai.output.messages": result}),
        ),
        (
            "Claude Code",
            json!({"span.type": "tool", "tool_name": "weather", "tool_input": arguments,
                "events": [{"name": "tool.output", "attributes": {"output": "snow"}}]}),
        ),
        (
            "Pydantic AI",
            json!({"gen_ai.tool.name": "weather", "tool_arguments": arguments, "tool_response": "snow"}),
        ),
    ]
}

#[test]
fn arguments_and_results_of_tools_of_every_convention_are_structures_and_never_messages() {
    let folder = Folder::new();
    let server = folder.serve();
    let mut wrong = Vec::new();
    for (number, (convention, attributes)) in tools().into_iter().enumerate() {
        let spans = trace(number, &[(1, 0, "weather", attributes)]);
        assert_eq!(remark(&server.post("/v1/traces", &traces(&spans))), "");
        let id = spans[0]["traceId"].as_str().unwrap();
        let answer = server.get(&format!("/traces/{id}?format=streaming&level=debug"));
        let session = json_of(&answer);
        let events = session["events"].as_array().unwrap();
        let of = |event_type: &str| events.iter().find(|event| event["event_type"] == event_type);
        let none = json!({});
        let (started, completed) = (
            of("tool_call_started").unwrap_or(&none),
            of("tool_call_completed").unwrap_or(&none),
        );
        let found = (
            &started["component_name"],
            &started["inputs"]["arguments"],
            &completed["outputs"]["result"],
        );
        if found != (&json!("weather"), &json!({"city": "Oslo"}), &json!("snow")) {
            wrong.push(format!("{convention}: {found:?}"));
        }
        if let Some(message) = of("message_generated") {
            wrong.push(format!("{convention} has the message {message}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    server.stop();
}
