//! The agent with the bundled server's model.

use futures_util::StreamExt as _;
use spanscope_demo::{Librarian, ModelServer};

use crate::support::{PLAIN_QUESTION, QUESTION, librarian};

#[tokio::test]
async fn the_answer_uses_the_passages_the_calculator_and_admits_the_missing_weather() {
    let server = ModelServer::start().await.unwrap();
    let answer = librarian(&server).answer(QUESTION).await.unwrap();
    for part in ["4096000", "checkpoint", "no weather for Reykjavik"] {
        assert!(answer.contains(part), "{answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_pieces_together_are_the_whole_answer() {
    let server = ModelServer::start().await.unwrap();
    let librarian = librarian(&server);
    let pieces: Vec<String> = librarian
        .answer_in_pieces(QUESTION)
        .map(Result::unwrap)
        .collect()
        .await;
    assert!(pieces.len() > 10, "{pieces:?}");
    assert_eq!(pieces.concat(), librarian.answer(QUESTION).await.unwrap());
}

#[tokio::test]
async fn an_answer_without_tools_is_streamed_only_if_configured() {
    let server = ModelServer::start().await.unwrap();
    let count = async |librarian: Librarian| librarian.answer_in_pieces(PLAIN_QUESTION).count().await;
    assert_eq!(count(librarian(&server)).await, 1);
    assert!(count(librarian(&server).streams_every_call()).await > 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_questions_at_once_are_answered_by_one_agent() {
    let server = ModelServer::start().await.unwrap();
    let librarian = librarian(&server);
    let expected = librarian.answer(QUESTION).await.unwrap();
    let all: Vec<_> = (0..20)
        .map(|number| {
            let librarian = librarian.in_conversation(&format!("conversation-{number}"));
            tokio::spawn(async move { librarian.answer(QUESTION).await })
        })
        .collect();
    for one in all {
        assert_eq!(one.await.unwrap().unwrap(), expected);
    }
}
