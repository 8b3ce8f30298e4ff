//! Model servers other than the bundled one: the members that they omit or send in a different
//! form, and their failures.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use spanscope_demo::{ChatClient, Librarian, MAX_ANSWER, MAX_CALLS, ModelServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{
    PLAIN_QUESTION, Scripted, answer, calculation, completion_with, delta, streamed_completion,
};

/// Returns the error of a run with these responses, with all causes.
async fn failure_of(answers: Vec<String>) -> String {
    let server = Scripted::start(answers).await;
    let failed = server.librarian().answer(PLAIN_QUESTION).await;
    format!("{:#}", failed.unwrap_err())
}

#[tokio::test]
async fn an_invalid_response_fails_with_a_message() {
    for (given, expected) in [
        (
            answer("401 Unauthorized", "{\"error\":\"no such key\"}"),
            "refused with 401 Unauthorized: {\"error\":\"no such key\"}",
        ),
        (answer("503 Service Unavailable", ""), "refused with 503"),
        (
            answer("200 OK", "<html>"),
            "not a chat completion: expected value",
        ),
        (answer("200 OK", ""), "not a chat completion: EOF"),
        (answer("200 OK", "{}"), "no choice"),
        (answer("200 OK", "{\"choices\":[{}]}"), "no message"),
        (
            answer("200 OK", "{\"error\":{\"message\":\"overloaded\"}}"),
            "the server failed: {\"message\":\"overloaded\"}",
        ),
        (
            completion_with(&json!({ "role": "assistant", "content": "" })),
            "response is empty",
        ),
        (
            completion_with(&json!({ "role": "assistant", "content": null })),
            "response is empty",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_owned(),
            "can't read the response",
        ),
        (
            "HTTP/1.1 301 Moved\r\nlocation: /v2\r\ncontent-length: 0\r\n\r\n".to_owned(),
            "refused with 301",
        ),
        ("no HTTP at all\r\n\r\n".to_owned(), "the HTTP exchange failed"),
        (String::new(), "the HTTP exchange failed"),
        (
            answer("200 OK", &" ".repeat(MAX_ANSWER + 1)),
            "can't read the response: length limit exceeded",
        ),
    ] {
        let failure = failure_of(vec![given]).await;
        assert!(failure.contains(expected), "{failure:?} has no {expected:?}");
    }
}

#[tokio::test]
async fn a_long_refusal_is_truncated() {
    let failure = failure_of(vec![answer("400 Bad Request", &"ö".repeat(100_000))]).await;
    assert!(failure.contains("ööö"), "{failure}");
    assert!(failure.chars().count() < 1_100, "{failure}");
}

#[tokio::test]
async fn a_broken_stream_fails_with_a_message() {
    let begin = completion_with(&json!({ "tool_calls": [calculation("1", "1+1")] }));
    let half = delta(json!({ "content": "It is" }));
    for (stream, expected) in [
        (format!("data: {half}\n\n"), "ended after 1 chunks without [DONE]"),
        ("data: nonsense\n\n".to_owned(), "an invalid chunk"),
        (
            format!("data: {half}\n\ndata: {{\"error\":\"overloaded\"}}\n\n"),
            "the server failed: \"overloaded\"",
        ),
        (
            format!("data: {}", "x".repeat(MAX_ANSWER)),
            "the stream broke: length limit exceeded",
        ),
    ] {
        let failure = failure_of(vec![begin.clone(), answer("200 OK", &stream)]).await;
        assert!(failure.contains(expected), "{failure:?} has no {expected:?}");
    }
}

#[tokio::test]
async fn pieces_arrive_as_the_server_sends_them_and_a_failure_comes_last() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let client = ChatClient::new(&url, "some-model").unwrap();
    let librarian = Librarian::new(client).unwrap().streams_every_call();
    let mut pieces = librarian.answer_in_pieces(PLAIN_QUESTION);
    let (first, mut stream) = tokio::join!(pieces.next(), async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let begin = answer(
            "200 OK",
            &format!("data: {}\n\n", delta(json!({ "content": "It " }))),
        );
        stream.write_all(begin.as_bytes()).await.unwrap();
        stream
    });
    // The server has not sent more than this yet.
    assert_eq!(first.unwrap().unwrap(), "It ");
    let rest = format!(
        "data: {}\n\ndata: {{\"error\":7}}\n\n",
        delta(json!({ "content": "is" }))
    );
    stream.write_all(rest.as_bytes()).await.unwrap();
    assert_eq!(pieces.next().await.unwrap().unwrap(), "is");
    let failure = pieces.next().await.unwrap().unwrap_err();
    assert_eq!(failure.to_string(), "the server failed: 7");
    assert!(pieces.next().await.is_none());
    assert!(pieces.next().await.is_none());
}

#[tokio::test]
async fn dropping_the_pieces_closes_the_connection() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let client = ChatClient::new(&url, "some-model").unwrap();
    let mut pieces = Librarian::new(client).unwrap().answer_in_pieces(PLAIN_QUESTION);
    let mut stream = tokio::select! {
        _ = pieces.next() => panic!("an answer without a server"),
        accepted = listener.accept() => accepted.unwrap().0,
    };
    drop(pieces);
    // Ends only when the other side has closed the connection.
    stream.read_to_end(&mut Vec::new()).await.unwrap();
}

#[tokio::test]
async fn a_model_that_only_requests_tools_is_stopped() {
    let call = json!([calculation("1", "1+1")]);
    let whole = completion_with(&json!({ "tool_calls": call }));
    let failure = failure_of(vec![
        whole,
        streamed_completion(&[delta(json!({ "tool_calls": call }))]),
    ])
    .await;
    assert_eq!(failure, "the model still calls tools after 4 turns");
    let calls = vec![calculation("1", "1+1"); MAX_CALLS + 1];
    let failure = failure_of(vec![completion_with(&json!({ "tool_calls": calls }))]).await;
    assert_eq!(failure, "the model calls 17 tools at once");
}

#[tokio::test]
async fn a_silent_or_unreachable_server_fails_the_call() {
    let silent = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = silent.local_addr().unwrap();
    let client = ChatClient::new(&format!("http://{addr}/v1"), "some-model").unwrap();
    let librarian = Librarian::new(client.timeout(Duration::from_millis(50))).unwrap();
    let failure = librarian.answer(PLAIN_QUESTION).await.unwrap_err();
    assert_eq!(failure.to_string(), "the server was silent for 50ms");

    drop(silent);
    let failure = librarian.answer(PLAIN_QUESTION).await.unwrap_err();
    assert_eq!(failure.to_string(), format!("can't connect to {addr}"));
    assert!(format!("{failure:#}").contains("refused"), "{failure:#}");
}

#[tokio::test]
async fn tool_calls_in_fragments_and_missing_fields_are_understood() {
    let fragment = |index: usize, id: Value, name: Value, arguments: &str| {
        let function = json!({ "name": name, "arguments": arguments });
        delta(
            json!({ "role": null, "content": null, "tool_calls": [{ "index": index, "id": id, "function": function }] }),
        )
    };
    let first = [
        delta(json!({ "role": "assistant", "content": "", "tool_calls": null })),
        fragment(0, json!("a"), json!("calculator"), ""),
        fragment(0, Value::Null, Value::Null, "{\"expression\":"),
        fragment(0, json!(""), json!(""), "\"6*7\"}"),
        fragment(1, json!("b"), json!("calculator"), "{\"expression\":\"1"),
        fragment(1, Value::Null, Value::Null, "+1\"}"),
        // Some servers give all calls the same index.
        fragment(1, json!("c"), json!("oracle"), "{}"),
        json!({ "choices": [{ "delta": {}, "finish_reason": "tool_calls" }] }),
        json!({ "choices": null, "usage": { "prompt_tokens": 3 } }),
    ];
    let last = [
        delta(json!({ "content": "All " })),
        json!({ "choices": [{ "delta": { "content": "done" } }], "usage": { "completion_tokens": 1 } }),
    ];
    let server = Scripted::start(vec![streamed_completion(&first), streamed_completion(&last)]).await;
    let librarian = server.librarian().streams_every_call();
    assert_eq!(librarian.answer(PLAIN_QUESTION).await.unwrap(), "All done");

    let second = &server.received()[1].body["messages"];
    let oracle =
        json!({ "id": "c", "type": "function", "function": { "name": "oracle", "arguments": "{}" } });
    let calls = json!([calculation("a", "6*7"), calculation("b", "1+1"), oracle]);
    assert_eq!(second[2]["tool_calls"], calls);
    assert_eq!(second[2]["role"], "assistant");
    let results = [
        "{\"value\":42.0}",
        "{\"value\":2.0}",
        "{\"error\":\"there is no tool named \\\"oracle\\\"\"}",
    ];
    for (index, result) in results.into_iter().enumerate() {
        assert_eq!(second[3 + index]["content"], result);
        assert_eq!(second[3 + index]["tool_call_id"], calls[index]["id"]);
    }
}

#[tokio::test]
async fn requests_carry_the_key_and_the_model_and_debug_hides_the_key() {
    let server = Scripted::start(vec![completion_with(&json!({ "content": "Yes." }))]).await;
    let client = server.client().api_key("hunter2").unwrap();
    assert!(!format!("{client:?}").contains("hunter2"), "{client:?}");
    Librarian::new(client)
        .unwrap()
        .answer(PLAIN_QUESTION)
        .await
        .unwrap();
    server.librarian().answer(PLAIN_QUESTION).await.unwrap();

    let received = server.received();
    assert!(
        received[0].head.starts_with("POST /v1/chat/completions HTTP/1.1"),
        "{}",
        received[0].head
    );
    assert!(
        received[0].head.contains("authorization: Bearer hunter2"),
        "{}",
        received[0].head
    );
    assert!(
        received[0].head.contains(&format!("host: {}", server.addr)),
        "{}",
        received[0].head
    );
    assert_eq!(received[0].body["model"], "some-model");
    assert!(
        !received[1].head.contains("authorization"),
        "{}",
        received[1].head
    );

    let refused = server.client().api_key("two\nlines").unwrap_err();
    assert!(
        !format!("{refused:#} {refused:?}").contains("lines"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_host_may_be_a_name() {
    let server = ModelServer::start().await.unwrap();
    let url = format!("http://localhost:{}/v1/", server.addr().port());
    let librarian = Librarian::new(ChatClient::new(&url, "any").unwrap()).unwrap();
    assert!(
        librarian
            .answer(PLAIN_QUESTION)
            .await
            .unwrap()
            .contains("checkpoint")
    );
}
