//! Chunks that are counted without being parsed, because they differ from the last one in their
//! content only, in the streams of each API.

use std::time::Duration;

use serde_json::{Value, json};
use spanscope_calls::ModelCall;

use crate::support::*;

#[test]
fn chunks_that_are_not_parsed_change_nothing_but_the_contents() {
    let piece = |text: &str| chunk(json!({ "content": text }), Value::Null);
    let mut chunks = vec![chunk(json!({ "role": "assistant" }), Value::Null)];
    chunks.extend(["a", "\"usage\": {}", "größer", "{}"].map(piece));
    chunks.push(chunk(json!({}), json!("stop")));
    chunks.push(json!({ "choices": [], "usage": { "prompt_tokens": 3, "completion_tokens": 4 } }));
    for body in [events(&chunks), streamed_chat()] {
        let exchange = Exchange::chat(body);
        let skimmed = exchange.read().unwrap();
        let mut parsed = exchange.with_content().read().unwrap();
        parsed.content = None;
        for call in &mut parsed.response.tool_calls {
            call.arguments.clear();
        }
        assert_eq!(skimmed, parsed);
    }
}

/// The body of a stream, and where its events end.
struct Stream {
    path: &'static str,
    events: Vec<String>,
}

/// A stream of each API, with many chunks that differ in a piece of content, a number, or nothing.
fn long_streams() -> Vec<Stream> {
    let pieces = [
        "a",
        " b",
        "",
        "\"usage\": {}",
        "größer \u{1F600}",
        "\\",
        "\n",
        "{}",
        "a",
        "a",
    ];
    let pieces = || (0_u64..).zip(pieces.iter().cycle().take(40));
    let data = |event: &Value, line_end: &str| format!("data: {event}{line_end}{line_end}");
    let named = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    let mut streams = Vec::new();
    for line_end in ["\n", "\r\n"] {
        let mut chat = vec![chunk(json!({ "role": "assistant", "content": "" }), Value::Null)];
        chat.extend(pieces().map(|(number, text)| {
            let key = if number < 20 {
                "reasoning_content"
            } else {
                "content"
            };
            chunk(json!({ key: text }), Value::Null)
        }));
        let call =
            json!([{ "index": 0, "id": "call_1", "function": { "name": "weather", "arguments": "{}" } }]);
        chat.push(chunk(json!({ "tool_calls": call }), Value::Null));
        chat.push(chunk(json!({}), json!("tool_calls")));
        chat.push(json!({ "choices": [], "usage": { "prompt_tokens": 3, "completion_tokens": 40 } }));
        let mut events: Vec<_> = chat.iter().map(|event| data(event, line_end)).collect();
        events.insert(9, format!(": ping{line_end}{line_end}"));
        events.push(format!("data: [DONE]{line_end}{line_end}"));
        streams.push(Stream { path: CHAT, events });
    }
    let response =
        |status: &str| json!({ "object": "response", "id": "resp_1", "model": "gpt-4o", "status": status });
    let mut responses = vec![json!({ "type": "response.created", "response": response("in_progress") })];
    responses.extend(pieces().map(|(number, text)| {
        json!({ "type": "response.output_text.delta", "output_index": 0, "delta": text, "sequence_number": number })
    }));
    let mut last = response("completed");
    last["usage"] = json!({ "input_tokens": 3, "output_tokens": 40 });
    responses.push(json!({ "type": "response.completed", "response": last }));
    streams.push(Stream {
        path: RESPONSES,
        events: responses.iter().map(named).collect(),
    });
    let message =
        json!({ "id": "msg_1", "model": "claude-4", "usage": { "input_tokens": 3, "output_tokens": 1 } });
    let mut messages = vec![json!({ "type": "message_start", "message": message })];
    messages.extend(pieces().map(|(_, text)| {
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": text } })
    }));
    messages.push(json!({ "type": "ping" }));
    messages.push(json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" }, "usage": { "output_tokens": 40 } }));
    streams.push(Stream {
        path: MESSAGES,
        events: messages.iter().map(named).collect(),
    });
    let mut lines: Vec<_> = pieces()
        .map(|(number, text)| {
            json!({ "model": "llama", "created_at": format!("12:00:{number}"), "message": { "content": text }, "done": false })
        })
        .collect();
    lines.push(json!({ "model": "llama", "message": {}, "done": true, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 40 }));
    streams.push(Stream {
        path: "/api/chat",
        events: lines.iter().map(|line| format!("{line}\n")).collect(),
    });
    streams
}

#[test]
fn chunks_that_repeat_the_last_one_count_in_any_pieces() {
    for Stream { path, events } in long_streams() {
        let request = json!({ "model": "m", "messages": [{ "role": "user", "content": "Hi" }], "input": "Hi", "max_tokens": 9 });
        let exchange = Exchange::new(path, request, events.concat());
        let mut parsed = exchange.clone().with_content().read().unwrap();
        assert!(parsed.chunk_count >= 41, "{path}: {}", parsed.chunk_count);
        assert_eq!(usage(&parsed), (Some(3), Some(40)), "{path}");
        parsed.content = None;
        for call in &mut parsed.response.tool_calls {
            call.arguments.clear();
        }
        let check = |mut call: ModelCall, how: &str| {
            call.time_to_first_chunk = parsed.time_to_first_chunk;
            assert_eq!(call, parsed, "{path} {how}");
        };
        for size in (1..300).chain([1000, 4000, events.concat().len()]) {
            check(
                exchange.read_by(size).unwrap(),
                &format!("{size} bytes at a time"),
            );
        }
        // As servers send them: one event in each piece, which is one chunk or none.
        let mut reader = exchange.reader();
        let mut counts = Vec::new();
        for event in &events {
            counts.push(
                reader
                    .response_body(event.as_bytes(), Duration::from_millis(1))
                    .chunks,
            );
        }
        assert!(counts.iter().all(|count| *count <= 1), "{path} {counts:?}");
        assert_eq!(counts.iter().sum::<u64>(), parsed.chunk_count, "{path}");
        check(reader.finish().unwrap(), "an event at a time");
        // Wherever the stream is cut, the complete chunks count.
        for end in (0..exchange.answer.len()).step_by(37) {
            let mut with_content = exchange.clone().with_content();
            with_content.answer.truncate(end);
            let (skimmed, parsed) = (exchange.read_cut(end), with_content.read_cut(end));
            let of = |call: &Option<ModelCall>| {
                let call = call.as_ref()?;
                Some((call.chunk_count, call.response.id.clone(), call.usage))
            };
            assert_eq!(of(&skimmed), of(&parsed), "{path} cut at {end}");
        }
    }
}

#[test]
fn chunks_are_parsed_until_one_has_the_id_and_the_model() {
    // As Azure sends it.
    let unnamed = json!({ "id": "", "model": "", "object": "", "choices": [], "prompt_filter_results": [] });
    let mut body = events(&[unnamed]);
    for text in ["Hello", " World"] {
        body += &events(&[chunk(json!({ "content": text }), Value::Null)]);
    }
    let exchange = Exchange::chat(body);
    let call = exchange.read_cut(exchange.answer.len()).unwrap();
    assert_eq!(call.chunk_count, 3);
    assert!(call.response.id.is_some() && call.response.model.is_some());
}
