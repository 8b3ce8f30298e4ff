//! The responses of each API.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::*;

#[test]
fn a_whole_chat_completion_is_read() {
    let mut exchange = Exchange::chat(
        json!({
            "id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o-2024-08-06", "service_tier": "default",
            "choices": [{
                "index": 0, "finish_reason": "stop",
                "message": { "role": "assistant", "content": "Hello", "refusal": null },
            }],
            "usage": { "prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12 },
        })
        .to_string(),
    );
    exchange.request = json!({
        "model": "gpt-4o", "messages": [{ "role": "user", "content": "Hi" }],
        "temperature": 0.5, "top_p": 0.9, "max_completion_tokens": 50, "seed": 7, "stop": ["END"], "n": 2,
        "frequency_penalty": 0.1, "presence_penalty": -0.1, "response_format": { "type": "json_object" },
        "reasoning_effort": "low",
    });
    let call = exchange.read().unwrap();
    assert_eq!(call.span_name(), "chat gpt-4o");
    assert_eq!(usage(&call), (Some(9), Some(3)));
    assert!(!call.is_streamed && call.is_complete && call.content.is_none());
    let attributes = call.attributes();
    let attribute = |name: &str| {
        let found = attributes.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| value.to_string())
    };
    for (name, expected) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "openai"),
        ("gen_ai.request.model", "gpt-4o"),
        ("gen_ai.request.temperature", "0.5"),
        ("gen_ai.request.top_p", "0.9"),
        ("gen_ai.request.max_tokens", "50"),
        ("gen_ai.request.seed", "7"),
        ("gen_ai.request.stop_sequences", "[\"END\"]"),
        ("gen_ai.request.choice.count", "2"),
        ("gen_ai.request.frequency_penalty", "0.1"),
        ("gen_ai.request.presence_penalty", "-0.1"),
        ("gen_ai.output.type", "json"),
        ("gen_ai.request.reasoning.level", "low"),
        ("gen_ai.response.id", "chatcmpl-1"),
        ("gen_ai.response.model", "gpt-4o-2024-08-06"),
        ("gen_ai.response.finish_reasons", "[\"stop\"]"),
        ("openai.response.service_tier", "default"),
        ("gen_ai.usage.input_tokens", "9"),
        ("gen_ai.usage.output_tokens", "3"),
    ] {
        assert_eq!(attribute(name).as_deref(), Some(expected), "{name}");
    }
    for absent in [
        "error.type",
        "gen_ai.request.stream",
        "gen_ai.input.messages",
        "gen_ai.usage.total_tokens",
    ] {
        assert_eq!(attribute(absent), None, "{absent}");
    }
}

#[test]
fn a_streamed_chat_completion_is_the_same_in_any_pieces() {
    let exchange = Exchange::chat(streamed_chat()).with_content();
    let expected = exchange.read().unwrap();
    assert_eq!(usage(&expected), (Some(100), Some(20)));
    let counts = expected.usage.unwrap();
    assert_eq!((counts.cache_read, counts.reasoning), (Some(64), Some(8)));
    assert_eq!(expected.response.finish_reasons, ["tool_calls"]);
    assert_eq!(expected.response.tool_calls.len(), 1);
    let requested = &expected.response.tool_calls[0];
    assert_eq!(
        (requested.id.as_deref(), requested.name.as_str()),
        (Some("call_1"), "weather")
    );
    assert_eq!(requested.arguments, "{\"city\":\"Paris\"}");
    assert_eq!(expected.chunk_count, 7);
    assert_eq!(expected.time_to_first_chunk, Some(Duration::from_millis(1)));
    assert_eq!(
        expected.content.as_ref().unwrap().output_messages,
        Some(json!([{
            "role": "assistant", "finish_reason": "tool_calls",
            "parts": [
                { "type": "text", "content": "Grüße \u{1F600}" },
                { "type": "tool_call", "id": "call_1", "name": "weather", "arguments": { "city": "Paris" } },
            ],
        }]))
    );
    for size in 1..exchange.answer.len() {
        let mut call = exchange.read_by(size).unwrap();
        // The first chunk arrives with the piece that completes it.
        assert!(call.time_to_first_chunk >= expected.time_to_first_chunk);
        call.time_to_first_chunk = expected.time_to_first_chunk;
        assert_eq!(call, expected, "{size} bytes at a time");
    }
}

#[test]
fn usage_counts_once_wherever_a_stream_reports_it() {
    let text = |usage: Value| {
        let mut chunk = chunk(json!({ "content": "x" }), Value::Null);
        chunk["usage"] = usage;
        chunk
    };
    let of = |input: u64, output: u64| json!({ "prompt_tokens": input, "completion_tokens": output });
    let every = [text(of(9, 1)), text(of(9, 2)), text(of(9, 3))];
    assert_eq!(
        usage(&Exchange::chat(events(&every)).read().unwrap()),
        (Some(9), Some(3))
    );
    let never = [text(Value::Null), text(Value::Null)];
    let call = Exchange::chat(events(&never)).read().unwrap();
    assert_eq!((call.usage, call.chunk_count), (None, 2));
    let groq = json!({ "choices": [], "x_groq": { "usage": of(4, 5) } });
    let call = Exchange::chat(events(&[text(Value::Null), groq])).read().unwrap();
    assert_eq!(usage(&call), (Some(4), Some(5)));
    let deepseek = json!({ "choices": [], "usage": { "prompt_tokens": 10, "completion_tokens": 1, "prompt_cache_hit_tokens": 6 } });
    let call = Exchange::chat(deepseek.to_string()).read().unwrap();
    assert_eq!(call.usage.unwrap().cache_read, Some(6));
}

#[test]
fn the_responses_api_is_read_whole_and_streamed() {
    let request = json!({
        "model": "gpt-5", "instructions": "Be brief", "max_output_tokens": 9, "previous_response_id": "resp_0",
        "reasoning": { "effort": "high" },
        "input": [
            { "role": "user", "content": [{ "type": "input_text", "text": "Hi" }] },
            { "type": "function_call", "call_id": "c0", "name": "f", "arguments": "{\"a\":1}" },
            { "type": "function_call_output", "call_id": "c0", "output": "2" },
        ],
    });
    let response = json!({
        "id": "resp_1", "object": "response", "status": "completed", "model": "gpt-5-2025", "error": null,
        "output": [
            { "type": "reasoning", "summary": [{ "type": "summary_text", "text": "Hm" }] },
            { "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "Hello" }] },
            { "type": "function_call", "call_id": "c1", "name": "f", "arguments": "{\"a\":2}" },
        ],
        "usage": {
            "input_tokens": 30, "input_tokens_details": { "cached_tokens": 10 },
            "output_tokens": 12, "output_tokens_details": { "reasoning_tokens": 5 }, "total_tokens": 42,
        },
    });
    let whole = Exchange::new(RESPONSES, request.clone(), response.to_string()).with_content();
    let whole = whole.read().unwrap();
    let stream = named(&[
        json!({ "type": "response.created", "response": { "id": "resp_1", "object": "response", "status": "in_progress", "model": "gpt-5-2025", "output": [], "usage": null } }),
        json!({ "type": "response.output_text.delta", "output_index": 1, "delta": "Hel" }),
        json!({ "type": "response.new_thing", "output_index": 1 }),
        json!({ "type": "response.completed", "response": response }),
    ]);
    let exchange = Exchange::new(RESPONSES, request, stream).with_content();
    let streamed = exchange.read().unwrap();
    assert_eq!(streamed.chunk_count, 4);
    for call in [&whole, &streamed] {
        assert_eq!(usage(call), (Some(30), Some(12)));
        assert_eq!(call.usage.unwrap().reasoning, Some(5));
        assert_eq!(call.response.id.as_deref(), Some("resp_1"));
        assert_eq!(call.response.finish_reasons, ["tool_calls"]);
        assert_eq!(call.request.max_tokens, Some(9));
        assert_eq!(call.request.reasoning_level.as_deref(), Some("high"));
        assert_eq!(call.request.previous_response.as_deref(), Some("resp_0"));
        let content = call.content.as_ref().unwrap();
        assert_eq!(
            content.system_instructions,
            Some(json!([{ "type": "text", "content": "Be brief" }]))
        );
        assert_eq!(
            content.input_messages,
            Some(json!([
                { "role": "user", "parts": [{ "type": "text", "content": "Hi" }] },
                { "role": "assistant", "parts": [{ "type": "tool_call", "id": "c0", "name": "f", "arguments": { "a": 1 } }] },
                { "role": "tool", "parts": [{ "type": "tool_call_response", "id": "c0", "response": "2" }] },
            ]))
        );
        assert_eq!(
            content.output_messages.as_ref().unwrap()[0]["parts"],
            json!([
                { "type": "reasoning", "content": "Hm" },
                { "type": "text", "content": "Hello" },
                { "type": "tool_call", "id": "c1", "name": "f", "arguments": { "a": 2 } },
            ])
        );
    }
    let end = exchange
        .answer
        .windows(18)
        .position(|part| part == b"response.completed")
        .unwrap();
    let cut = exchange.read_cut(end).unwrap();
    let content = cut.content.unwrap().output_messages.unwrap();
    assert_eq!(content[0]["parts"], json!([{ "type": "text", "content": "Hel" }]));
}

#[test]
fn anthropics_cache_is_a_part_of_the_input() {
    let request = json!({
        "model": "claude-sonnet", "max_tokens": 10, "stop_sequences": ["a"], "system": "Be brief", "top_k": 5,
        "messages": [{ "role": "user", "content": [{ "type": "text", "text": "Hi" }, { "type": "tool_result", "tool_use_id": "t0", "content": [{ "type": "text", "text": "7" }] }] }],
    });
    let reported = json!({ "input_tokens": 2, "cache_read_input_tokens": 129_017, "cache_creation_input_tokens": 840, "output_tokens": 30 });
    let whole = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4", "stop_reason": "tool_use",
        "content": [{ "type": "text", "text": "Hello" }, { "type": "tool_use", "id": "t1", "name": "f", "input": { "a": 1 } }],
        "usage": reported,
    });
    let stream = named(&[
        json!({ "type": "message_start", "message": { "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4", "content": [], "usage": { "input_tokens": 2, "cache_read_input_tokens": 129_017, "cache_creation_input_tokens": 840, "output_tokens": 1 } } }),
        json!({ "type": "ping" }),
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": "Hello" } }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "content_block_start", "index": 1, "content_block": { "type": "tool_use", "id": "t1", "name": "f", "input": {} } }),
        json!({ "type": "content_block_delta", "index": 1, "delta": { "type": "input_json_delta", "partial_json": "{\"a\":" } }),
        json!({ "type": "content_block_delta", "index": 1, "delta": { "type": "input_json_delta", "partial_json": "1}" } }),
        json!({ "type": "content_block_stop", "index": 1 }),
        json!({ "type": "something_new" }),
        json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" }, "usage": { "input_tokens": 0, "output_tokens": 30 } }),
        json!({ "type": "message_stop" }),
    ]);
    let whole = Exchange::new(MESSAGES, request.clone(), whole.to_string())
        .with_content()
        .read()
        .unwrap();
    let streamed = Exchange::new(MESSAGES, request, stream)
        .with_content()
        .read()
        .unwrap();
    assert_eq!(streamed.chunk_count, 10);
    for call in [whole, streamed] {
        assert_eq!(call.span_name(), "chat claude-sonnet");
        assert_eq!(call.provider, "anthropic");
        let counts = call.usage.unwrap();
        assert_eq!(
            (counts.input, counts.output, counts.cache_read, counts.cache_write),
            (Some(129_859), Some(30), Some(129_017), Some(840))
        );
        assert_eq!(call.response.finish_reasons, ["tool_use"]);
        assert_eq!((call.request.top_k, call.request.max_tokens), (Some(5), Some(10)));
        let content = call.content.unwrap();
        assert_eq!(
            content.output_messages.unwrap()[0]["parts"],
            json!([
                { "type": "text", "content": "Hello" },
                { "type": "tool_call", "id": "t1", "name": "f", "arguments": { "a": 1 } },
            ])
        );
        assert_eq!(
            content.input_messages.unwrap()[0]["parts"][1],
            json!({ "type": "tool_call_response", "id": "t0", "response": "7" })
        );
    }
    // The rule for parts that are larger than their whole does not apply here: the input is larger
    // than the cache reads.
    let request = json!({ "model": "claude", "messages": [] });
    let answer = json!({ "type": "message", "usage": { "input_tokens": 1000, "cache_read_input_tokens": 500, "output_tokens": 1 } });
    let call = Exchange::new(MESSAGES, request, answer.to_string())
        .read()
        .unwrap();
    assert_eq!(usage(&call), (Some(1500), Some(1)));
}

#[test]
fn ollama_is_read_line_by_line_and_whole() {
    let request = json!({ "model": "llama3.2", "messages": [{ "role": "user", "content": "Hi" }], "options": { "temperature": 0.2, "num_predict": 20 } });
    let end = json!({ "model": "llama3.2", "message": { "role": "assistant", "content": "lo" }, "done": true, "done_reason": "stop", "prompt_eval_count": 26, "eval_count": 4 });
    let first =
        json!({ "model": "llama3.2", "message": { "role": "assistant", "content": "Hel" }, "done": false });
    let mut exchange =
        Exchange::new("/api/chat", request.clone(), format!("{first}\n{end}\n")).with_content();
    exchange.content_type = "application/x-ndjson";
    let expected = exchange.read().unwrap();
    assert!(expected.is_streamed && expected.chunk_count == 2);
    assert_eq!(
        (expected.provider.as_ref(), expected.request.temperature),
        ("ollama", Some(0.2))
    );
    assert_eq!(usage(&expected), (Some(26), Some(4)));
    let output = expected
        .content
        .as_ref()
        .unwrap()
        .output_messages
        .as_ref()
        .unwrap();
    assert_eq!(output[0]["parts"][0]["content"], "Hello");
    for size in 1..exchange.answer.len() {
        assert_eq!(exchange.read_by(size).unwrap().usage, expected.usage);
    }
    let whole = Exchange::new("/api/chat", request, end.to_string())
        .read()
        .unwrap();
    assert!(!whole.is_streamed && usage(&whole) == (Some(26), Some(4)));
    let generate = json!({ "model": "llama3.2", "response": "x", "done": true, "done_reason": "length", "prompt_eval_count": 1, "eval_count": 2 });
    let request = json!({ "model": "llama3.2", "prompt": "Hi", "stream": false });
    let call = Exchange::new("/api/generate", request, generate.to_string())
        .read()
        .unwrap();
    assert_eq!(
        (call.span_name().as_str(), usage(&call)),
        ("text_completion llama3.2", (Some(1), Some(2)))
    );
    let embed = json!({ "model": "nomic", "embeddings": [[0.1, 0.2, 0.3]], "prompt_eval_count": 8 });
    let call = Exchange::new(
        "/api/embed",
        json!({ "model": "nomic", "input": "x" }),
        embed.to_string(),
    )
    .read()
    .unwrap();
    assert_eq!((usage(&call).0, call.response.dimensions), (Some(8), Some(3)));
    let older = Exchange::new(
        "/api/embeddings",
        json!({ "model": "nomic", "prompt": "x" }),
        "{\"embedding\":[1,2]}",
    );
    assert_eq!(older.read().unwrap().response.dimensions, Some(2));
}

#[test]
fn embeddings_moderations_and_legacy_completions_are_read() {
    let answer = json!({ "object": "list", "data": [{ "embedding": [0.1, 0.2] }], "model": "e3", "usage": { "prompt_tokens": 8, "total_tokens": 8 } });
    let request = json!({ "model": "text-embedding-3", "input": ["x"], "encoding_format": "float" });
    let call = Exchange::new("/v1/embeddings", request, answer.to_string())
        .read()
        .unwrap();
    assert_eq!(
        (call.span_name().as_str(), usage(&call)),
        ("embeddings text-embedding-3", (Some(8), None))
    );
    assert_eq!(call.request.encoding_formats, ["float"]);
    let request = json!({ "input": "x" });
    let answer = json!({ "id": "modr-1", "model": "omni", "results": [{ "flagged": false }] });
    let call = Exchange::new("/v1/moderations", request, answer.to_string())
        .read()
        .unwrap();
    assert_eq!(
        (call.span_name().as_str(), call.response.model.as_deref()),
        ("moderation", Some("omni"))
    );
    let request = json!({ "model": "davinci", "prompt": "Hi" });
    let answer = json!({ "id": "cmpl-1", "choices": [{ "text": "Hello", "index": 0, "finish_reason": "length" }], "usage": { "prompt_tokens": 1, "completion_tokens": 2 } });
    let call = Exchange::new("/v1/completions", request, answer.to_string())
        .with_content()
        .read()
        .unwrap();
    assert_eq!(call.response.finish_reasons, ["length"]);
    assert_eq!(
        call.content.unwrap().input_messages.unwrap()[0]["parts"][0]["content"],
        "Hi"
    );
}

#[test]
fn images_are_described_without_their_data() {
    let answer = json!({ "choices": [], "usage": {} });
    let mut exchange = Exchange::chat(answer.to_string()).with_content();
    exchange.request = json!({ "model": "gpt-4o", "messages": [{ "role": "user", "content": [
        { "type": "text", "text": "What is it?" },
        { "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } },
        { "type": "image_url", "image_url": { "url": "https://example.com/a.png" } },
    ] }] });
    let content = exchange.read().unwrap().content.unwrap().input_messages.unwrap();
    assert_eq!(
        content[0]["parts"],
        json!([
            { "type": "text", "content": "What is it?" },
            { "type": "blob", "modality": "image", "mime_type": "image/png", "size": 26 },
            { "type": "uri", "modality": "image", "uri": "https://example.com/a.png" },
        ])
    );
}
