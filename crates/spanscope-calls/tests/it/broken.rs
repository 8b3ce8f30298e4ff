//! Responses that are cut off, compressed, huge, failed or in an unknown format.

use std::io::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

#[test]
fn the_end_mark_may_be_missing_and_unknown_events_are_skipped() {
    let body = streamed_chat().replace("data: [DONE]\n\n", "");
    assert_eq!(
        usage(&Exchange::chat(body).read().unwrap()),
        (Some(100), Some(20))
    );
    let body = format!(
        ": OPENROUTER PROCESSING\n\nevent: x\ndata: {{\"type\":\"x\"}}\n\ndata: no json\n\n{}",
        streamed_chat()
    );
    let call = Exchange::chat(body).read().unwrap();
    assert_eq!((usage(&call), call.chunk_count), ((Some(100), Some(20)), 7));
}

#[test]
fn a_truncated_stream_keeps_the_data_that_arrived() {
    let exchange = Exchange::chat(streamed_chat()).with_content();
    for end in 0..exchange.answer.len() {
        let call = exchange.read_cut(end).unwrap_or_else(|| panic!("cut at {end}"));
        assert!(!call.is_complete);
        assert_eq!(call.request.model, "gpt-4o");
    }
    let call = exchange.read_cut(exchange.answer.len() - 20).unwrap();
    assert_eq!(call.chunk_count, 6, "a truncated event is not counted");
    assert_eq!(call.response.finish_reasons, ["tool_calls"]);
    // A whole response that is cut off still has its first part.
    let whole = json!({ "id": "chatcmpl-1", "model": "gpt-4o-2024", "choices": [{ "message": { "content": "Grüße" } }] });
    let exchange = Exchange::chat(whole.to_string());
    let call = exchange.read_cut(exchange.answer.len() - 3).unwrap();
    assert_eq!(call.response.id.as_deref(), Some("chatcmpl-1"));
    for end in 0..exchange.answer.len() {
        assert!(exchange.read_cut(end).is_some(), "cut at {end}");
    }
}

#[test]
fn errors_keep_the_providers_message() {
    let openai = json!({ "error": { "message": "Rate limit reached", "type": "tokens", "code": "rate_limit_exceeded" } });
    let anthropic =
        json!({ "type": "error", "error": { "type": "overloaded_error", "message": "Overloaded" } });
    let vllm = json!({ "object": "error", "message": "no such model", "type": "NotFoundError", "code": 404 });
    for (status, body, error_type, message) in [
        (
            429,
            openai.to_string(),
            "rate_limit_exceeded",
            "Rate limit reached",
        ),
        (
            200,
            openai.to_string(),
            "rate_limit_exceeded",
            "Rate limit reached",
        ),
        (529, anthropic.to_string(), "overloaded_error", "Overloaded"),
        (404, vllm.to_string(), "404", "no such model"),
        (
            404,
            "{\"error\":\"model 'x' not found\"}".to_owned(),
            "404",
            "model 'x' not found",
        ),
        (422, "{\"detail\":\"bad\"}".to_owned(), "422", "bad"),
        (502, "<html>Bad Gateway</html>".to_owned(), "502", ""),
        (500, String::new(), "500", ""),
    ] {
        let call = Exchange::chat(body.clone())
            .status(status)
            .read()
            .unwrap_or_else(|| panic!("{body}"));
        let error = call.error.unwrap();
        assert_eq!(error.error_type(), error_type, "{body}");
        assert_eq!(error.message, message, "{body}");
    }
    // In the middle of a stream.
    let body = format!(
        "{}data: {openai}\n\n",
        events(&[chunk(json!({ "content": "x" }), Value::Null)])
    );
    let call = Exchange::chat(body).read().unwrap();
    assert_eq!(
        (call.error.unwrap().error_type().as_ref(), call.chunk_count),
        ("rate_limit_exceeded", 1)
    );
    let body = named(&[anthropic]);
    let request = json!({ "model": "claude", "messages": [] });
    let call = Exchange::new(MESSAGES, request, body).read().unwrap();
    assert_eq!(call.error.unwrap().error_type(), "overloaded_error");
    let body = named(&[
        json!({ "type": "response.failed", "response": { "id": "r", "status": "failed", "error": { "code": "server_error", "message": "Oops" } } }),
    ]);
    let call = Exchange::new(RESPONSES, json!({ "model": "gpt-5", "input": "Hi" }), body)
        .read()
        .unwrap();
    assert_eq!(
        (
            call.error.unwrap().error_type().as_ref(),
            call.response.id.as_deref()
        ),
        ("server_error", Some("r"))
    );
}

#[test]
fn a_response_that_no_model_sends_is_not_a_call() {
    for body in [
        "",
        "   ",
        "<html>",
        "{",
        "{\"a\":1}",
        "[]",
        "null",
        "{\"choices\": [}",
        "data: x\n\n",
        ": ping\n\n",
        "hello",
    ] {
        assert_eq!(Exchange::chat(body).read(), None, "{body}");
    }
    let mut exchange = Exchange::chat(streamed_chat());
    exchange.encoding = "br";
    assert_eq!(exchange.read(), None, "brotli is not supported");
}

#[test]
fn a_request_without_a_model_is_not_a_call() {
    let answer =
        json!({ "choices": [], "usage": { "prompt_tokens": 1, "completion_tokens": 1 } }).to_string();
    for request in [
        json!({}),
        json!([]),
        json!({ "model": "x" }),
        json!({ "messages": [] }),
        json!("x"),
        json!({ "model": "", "messages": [] }),
    ] {
        let mut exchange = Exchange::chat(answer.clone());
        exchange.request = request.clone();
        assert_eq!(exchange.read(), None, "{request}");
    }
}

#[test]
fn compressed_responses_are_read() {
    let mut exchange = Exchange::chat(gzip(streamed_chat().as_bytes()));
    exchange.encoding = "gzip";
    for size in [1, 2, 7, 100, exchange.answer.len()] {
        let call = exchange.read_by(size).unwrap();
        assert_eq!((usage(&call), call.chunk_count), ((Some(100), Some(20)), 7));
    }
    for end in 0..exchange.answer.len() {
        let call = exchange.read_cut(end);
        assert!(call.is_some_and(|call| !call.is_complete), "cut at {end}");
    }
    let mut broken = exchange.clone();
    let len = broken.answer.len();
    broken.answer[len / 2] ^= 0x55;
    assert_eq!(broken.read(), None);
    let mut plain = Exchange::chat(streamed_chat());
    plain.encoding = "gzip";
    assert_eq!(plain.read(), None, "the body is not gzip, as its head claims");
}

#[test]
fn a_response_of_100_mb_is_counted_in_little_memory() {
    let head = "{\"id\":\"chatcmpl-1\",\"choices\":[{\"finish_reason\":\"stop\",\"message\":{\"content\":\"";
    let tail = "\"}}],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":8}}";
    for content in [false, true] {
        let exchange = Exchange {
            content,
            ..Exchange::chat(head)
        };
        let mut reader = exchange.reader();
        reader.response_body(head.as_bytes(), Duration::ZERO);
        let filling = vec![b'x'; 1 << 20];
        for _ in 0..if content { 100 } else { 10 } {
            reader.response_body(&filling, Duration::ZERO);
        }
        reader.response_body(tail.as_bytes(), Duration::ZERO);
        let call = reader.finish().unwrap();
        assert_eq!(usage(&call), (Some(7), Some(8)));
        assert_eq!(call.response.finish_reasons, ["stop"]);
        if let Some(content) = call.content {
            let messages = content.output_messages.unwrap().to_string();
            assert!(
                messages.len() <= 16 * 1024 && messages.len() > 1024,
                "{}",
                messages.len()
            );
        }
    }
    // One event of that size.
    let mut reader = Exchange::chat("").reader();
    reader.response_body(format!("data: {head}").as_bytes(), Duration::ZERO);
    for _ in 0..5 {
        reader.response_body(&vec![b'x'; 1 << 20], Duration::ZERO);
    }
    reader.response_body(format!("{tail}\n\n").as_bytes(), Duration::ZERO);
    assert_eq!(usage(&reader.finish().unwrap()), (Some(7), Some(8)));
}

#[test]
fn large_requests_keep_their_settings_and_the_ends_of_their_messages() {
    let message = |text: &str| json!({ "role": "user", "content": text });
    let mut messages = vec![message("the first"); 1];
    messages.extend((0..2000).map(|_| message(&"x".repeat(500))));
    messages.push(message("the last"));
    let answer = json!({ "choices": [], "usage": { "prompt_tokens": 1, "completion_tokens": 1 } });
    let mut exchange = Exchange::chat(answer.to_string()).with_content();
    exchange.request = json!({ "messages": messages, "model": "gpt-4o", "temperature": 0.5 });
    let call = exchange.read().unwrap();
    assert_eq!(
        (call.request.model.as_str(), call.request.temperature),
        ("gpt-4o", Some(0.5))
    );
    let kept = call.content.unwrap().input_messages.unwrap();
    assert!(kept.to_string().len() <= 16 * 1024);
    assert_eq!(kept[0]["parts"][0]["content"], "the first");
}
