//! The "model": a few rules that read the whole conversation and compute the next message.
//!
//! It replaces a language model, so that the demo needs neither a download nor a key, and answers
//! the same each time. No rule depends on the demo's question.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use crate::tokens;
use crate::wire::{ASSISTANT, ChatRequest, FunctionCall, Message, ToolCall, Usage};

/// Tokens of a message in addition to its text: its role and the separators.
const TOKENS_PER_MESSAGE: usize = 4;
/// How many passages an answer quotes.
const SENTENCES: usize = 3;
/// Shorter words do not indicate the subject.
const TELLING: usize = 4;

/// The model's message, why it stopped, and its usage.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) message: Message,
    pub(crate) finish_reason: &'static str,
    pub(crate) usage: Usage,
}

/// Reads a conversation and continues it: with tool calls if tools can help and have not run yet,
/// else with a text.
pub(crate) fn answer(request: &ChatRequest) -> Answer {
    let question = last_of(&request.messages, "user");
    let tools_ran = request.messages.last().is_some_and(|last| last.role == "tool");
    let calls = if tools_ran {
        Vec::new()
    } else {
        needed_calls(request, question)
    };
    let (message, finish_reason) = if calls.is_empty() {
        (Message::assistant(compose(&request.messages, question)), "stop")
    } else {
        let message = Message {
            role: ASSISTANT.to_owned(),
            tool_calls: calls,
            ..Message::default()
        };
        (message, "tool_calls")
    };
    let prompt_tokens = request.messages.iter().map(cost).sum::<usize>()
        + request
            .tools
            .iter()
            .map(|tool| tokens::count(&json!(tool).to_string()))
            .sum::<usize>();
    let completion_tokens = cost(&message) - TOKENS_PER_MESSAGE;
    let usage = Usage {
        prompt_tokens,
        completion_tokens,
        total_tokens: prompt_tokens + completion_tokens,
    };
    Answer {
        message,
        finish_reason,
        usage,
    }
}

fn cost(message: &Message) -> usize {
    let calls = message
        .tool_calls
        .iter()
        .map(|call| tokens::count(&call.function.name) + tokens::count(&call.function.arguments));
    TOKENS_PER_MESSAGE + message.content.as_deref().map_or(0, tokens::count) + calls.sum::<usize>()
}

fn last_of<'a>(messages: &'a [Message], role: &str) -> &'a str {
    messages
        .iter()
        .rev()
        .find(|message| message.role == role)
        .and_then(|message| message.content.as_deref())
        .unwrap_or_default()
}

/// Returns calls of the tools that the question needs, in the order in which they are offered.
fn needed_calls(request: &ChatRequest, question: &str) -> Vec<ToolCall> {
    let mut calls = Vec::new();
    for tool in &request.tools {
        let arguments = match tool.function.name.as_str() {
            "calculator" => arithmetic_in(question).map(|expression| json!({ "expression": expression })),
            "weather" => city_in(question).map(|city| json!({ "city": city })),
            _ => None,
        };
        if let Some(arguments) = arguments {
            calls.push(ToolCall {
                index: None,
                id: format!("call_{}", calls.len() + 1),
                kind: "function".to_owned(),
                function: FunctionCall {
                    name: tool.function.name.clone(),
                    arguments: arguments.to_string(),
                },
            });
        }
    }
    calls
}

/// Returns the longest arithmetic expression in the text.
fn arithmetic_in(text: &str) -> Option<&str> {
    text.split(|sign: char| !(sign.is_ascii_digit() || " +-*/().".contains(sign)))
        .map(|stretch| stretch.trim_matches(|sign: char| sign == ' ' || sign == '.'))
        .filter(|stretch| {
            stretch.starts_with(|sign: char| sign.is_ascii_digit() || sign == '(' || sign == '-')
                && stretch.contains(|sign| "+-*/".contains(sign))
                && stretch.contains(|sign: char| sign.is_ascii_digit())
        })
        .max_by_key(|stretch| stretch.len())
}

/// Returns the name after "weather in".
fn city_in(text: &str) -> Option<&str> {
    let (_, after) = text.split_once("weather in ")?;
    let city = after.split(|sign: char| !sign.is_alphabetic()).next()?;
    (!city.is_empty()).then_some(city)
}

/// Returns the sentence of each passage that has most in common with the question, then the tools'
/// results.
fn compose(messages: &[Message], question: &str) -> String {
    let telling = |text: &str| -> HashSet<String> {
        tokens::words(text)
            .filter(|word| word.chars().count() >= TELLING)
            .collect()
    };
    let asked = telling(question);
    let mut sentences: Vec<(usize, String)> = Vec::new();
    for line in last_of(messages, "system").lines() {
        let Some((number, (_, passage))) = line
            .strip_prefix('[')
            .and_then(|line| line.split_once("] "))
            .and_then(|(number, rest)| Some((number, rest.split_once(": ")?)))
        else {
            continue;
        };
        // Takes the first of the best, so that the answer is the same each time.
        let best = passage
            .split_terminator('.')
            .map(|sentence| (telling(sentence).intersection(&asked).count(), sentence.trim()))
            .rev()
            .max_by_key(|(shared, _)| *shared);
        if let Some((shared, sentence)) = best.filter(|(shared, _)| *shared > 0) {
            sentences.push((shared, format!("{sentence} [{number}].")));
        }
    }
    sentences.sort_by_key(|(shared, _)| std::cmp::Reverse(*shared));
    let mut answer: Vec<String> = sentences
        .into_iter()
        .take(SENTENCES)
        .map(|(_, sentence)| sentence)
        .collect();
    answer.extend(tool_sentences(messages));
    if answer.is_empty() {
        answer.push("The passages say nothing about this.".to_owned());
    }
    answer.join(" ")
}

/// Returns one sentence for each tool result.
fn tool_sentences(messages: &[Message]) -> Vec<String> {
    let calls: HashMap<&str, &FunctionCall> = messages
        .iter()
        .flat_map(|message| &message.tool_calls)
        .map(|call| (call.id.as_str(), &call.function))
        .collect();
    let results = messages.iter().filter(|message| message.role == "tool");
    results
        .filter_map(|message| {
            let call = calls.get(message.tool_call_id.as_deref()?)?;
            let result: Value = serde_json::from_str(message.content.as_deref()?).ok()?;
            let arguments: Value = serde_json::from_str(&call.arguments).ok()?;
            Some(match (result["error"].as_str(), result["value"].as_f64()) {
                (Some(error), _) => format!("The tool {} failed: {error}.", call.name),
                (None, Some(value)) => {
                    format!("{} = {value}.", arguments["expression"].as_str().unwrap_or("It"))
                }
                (None, None) => format!("The tool {} says {result}.", call.name),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Function, Tool};

    fn request(messages: Vec<Message>) -> ChatRequest {
        let tools = ["calculator", "weather"].map(|name| Tool {
            kind: "function".to_owned(),
            function: Function {
                name: name.to_owned(),
                description: String::new(),
                parameters: Value::Null,
            },
        });
        ChatRequest {
            model: "test".to_owned(),
            messages,
            tools: tools.into(),
            stream: false,
            stream_options: None,
        }
    }

    fn text(request: &ChatRequest) -> String {
        answer(request).message.content.unwrap_or_default()
    }

    #[test]
    fn it_requests_the_tools_that_the_question_needs() {
        let answer = answer(&request(vec![Message::user(
            "What is (2 + 3) * 4, and the weather in Oslo?",
        )]));
        assert_eq!(answer.finish_reason, "tool_calls");
        let calls: Vec<_> = answer
            .message
            .tool_calls
            .iter()
            .map(|call| call.function.arguments.as_str())
            .collect();
        assert_eq!(calls, [r#"{"expression":"(2 + 3) * 4"}"#, r#"{"city":"Oslo"}"#]);
    }

    #[test]
    fn it_answers_from_the_passages() {
        let system = Message::system("Answer.\n[1] Cats: Cats sleep. Dogs bark loudly.\n[2] Cows: Cows moo.");
        let request = request(vec![system, Message::user("Which animals bark?")]);
        assert_eq!(text(&request), "Dogs bark loudly [1].");
    }

    #[test]
    fn it_uses_tool_results_and_admits_failures() {
        let mut messages = vec![Message::user("What is 2*3 and the weather in Oslo?")];
        messages.push(answer(&request(messages.clone())).message);
        messages.push(Message::tool("call_1", r#"{"value":6.0}"#));
        messages.push(Message::tool("call_2", r#"{"error":"no weather for Oslo"}"#));
        assert_eq!(
            text(&request(messages)),
            "2*3 = 6. The tool weather failed: no weather for Oslo."
        );
    }

    #[test]
    fn tokens_add_up_and_grow_with_the_conversation() {
        let short = answer(&request(vec![Message::user("Hello?")])).usage;
        let long = answer(&request(vec![
            Message::system("Be brief."),
            Message::user("Hello?"),
        ]))
        .usage;
        assert_eq!(short.total_tokens, short.prompt_tokens + short.completion_tokens);
        assert_eq!(long.prompt_tokens, short.prompt_tokens + TOKENS_PER_MESSAGE + 3);
        assert_eq!(
            short.completion_tokens,
            tokens::count("The passages say nothing about this.")
        );
    }

    #[test]
    fn an_empty_conversation_gets_an_answer() {
        assert_eq!(text(&request(Vec::new())), "The passages say nothing about this.");
    }
}
