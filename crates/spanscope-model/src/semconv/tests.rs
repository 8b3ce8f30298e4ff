//! Consistency of the table.

use std::collections::{HashMap, HashSet};

use super::SemanticAttribute as A;
use super::secret_keys::kind_by_words;
use super::*;
use crate::RawValue;

#[test]
fn every_name_has_one_row_and_is_found() {
    let names: HashSet<_> = ATTRIBUTES.iter().map(|attribute| attribute.name).collect();
    assert_eq!(names.len(), ATTRIBUTES.len());
    for (row, attribute) in ATTRIBUTES.iter().enumerate() {
        assert_eq!(row_index(attribute.name), Some(row));
    }
    assert_eq!(row_index("gen_ai.aggregated_usage.input_tokens"), None);
}

#[test]
fn rows_are_ordered_by_meaning_and_measured_meanings_come_first() {
    for pair in ATTRIBUTES.windows(2) {
        let [before, after] = pair else { continue };
        let step = after.meaning as usize - before.meaning as usize;
        assert!(step <= 1, "{} {}", before.name, after.name);
    }
    for (row, attribute) in ATTRIBUTES.iter().enumerate() {
        assert_eq!(
            AttributeValues::keeps(row),
            (attribute.meaning as usize) < MEASURED_ATTRIBUTES
        );
        assert!(attribute.meaning.names().contains(attribute));
    }
    assert_eq!(A::CacheReadTokens.name(), "gen_ai.usage.cache_read.input_tokens");
}

#[test]
fn names_of_a_meaning_are_in_the_order_of_conventions_except_plain_names() {
    let mut last: HashMap<A, Convention> = HashMap::new();
    for attribute in &ATTRIBUTES {
        if attribute.convention == Convention::Plain {
            let is_measured = (attribute.meaning as usize) < MEASURED_ATTRIBUTES;
            let before = last.get(&attribute.meaning);
            assert!(!is_measured || before.is_none_or(|before| *before < Convention::Plain));
            continue;
        }
        let before = last.insert(attribute.meaning, attribute.convention);
        assert!(
            before.is_none_or(|before| before <= attribute.convention),
            "{}",
            attribute.name
        );
    }
}

#[test]
fn every_row_has_a_source_and_is_secret_by_the_rule_of_words() {
    for attribute in &ATTRIBUTES {
        let has_source = attribute.source.url().starts_with("https://");
        assert_eq!(
            has_source,
            attribute.source != Source::CommonFields,
            "{}",
            attribute.name
        );
        let looks_like_one = kind_by_words(attribute.name).is_some();
        assert_eq!(attribute.is_secret, looks_like_one, "{}", attribute.name);
        assert_eq!(is_secret(attribute.name), looks_like_one, "{}", attribute.name);
        assert!(
            !(attribute.is_secret && attribute.is_content),
            "{}",
            attribute.name
        );
    }
}

#[test]
fn names_that_the_table_marks_and_their_continuations_are_content() {
    for attribute in &ATTRIBUTES {
        assert_eq!(
            is_content(attribute.name),
            attribute.is_content,
            "{}",
            attribute.name
        );
        if attribute.is_content {
            assert!(
                is_content(&format!("{}.0.text", attribute.name)),
                "{}",
                attribute.name
            );
        }
    }
    for list in &FLATTENED_LISTS {
        assert!(is_content(list.prefix.trim_end_matches('.')), "{}", list.prefix);
    }
    for key in [
        "langfuse.trace.input",
        "langfuse.generation.output",
        "gen_ai.prompt.variable.city",
    ] {
        assert!(is_content(key), "{key}");
    }
    for key in [
        "gen_ai.prompt.name",
        "gen_ai.prompt.version",
        "langfuse.session.id",
        "gen_ai.input.messages_size",
        "tool.parameters2.x",
        "",
        ".",
        "gen_ai.",
    ] {
        assert!(!is_content(key), "{key}");
    }
}

/// The conventions define these as messages, tool definitions and tool results, so they are
/// content.
#[test]
fn messages_of_single_vendors_are_content_too() {
    for key in [
        "gen_ai.request.messages",
        "gen_ai.response.text",
        "gen_ai.response.tool_calls",
        "gen_ai.response.reasoning",
        "gen_ai.request.available_tools",
        "llm.completions",
        "llm.tools",
        "llm.request.functions",
        "ai.response.object",
        "ai.response.reasoning",
        "mcp.tool.result.content",
        "message.content",
        "reranker.output_documents.0.document.content",
    ] {
        assert!(is_content(key), "{key}");
    }
}

#[test]
fn the_indexed_names_are_sessions_users_agents_tasks_tenants_models_and_providers() {
    let mut names = INDEXED_BY_DEFAULT;
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "agent_id",
            "conversation_id",
            "gen_ai.agent.id",
            "gen_ai.agent.name",
            "gen_ai.conversation.id",
            "gen_ai.provider.name",
            "gen_ai.request.model",
            "gen_ai.response.model",
            "model_id",
            "provider_id",
            "session.id",
            "session_id",
            "task_id",
            "tenant_id",
            "user.id",
            "user_id",
        ]
    );
}

#[test]
fn the_first_of_several_names_counts_and_the_last_value_of_one_name() {
    let text = |text| RawValue::Text(text, None);
    let values = AttributeValues::of([
        ("model", text("bare")),
        ("llm.model_name", text("phoenix")),
        ("gen_ai.request.model", text("None")),
        ("model_id", text("plain")),
        ("prompt_tokens", RawValue::I64(1)),
        ("prompt_tokens", RawValue::I64(2)),
        ("task_id", text("t")),
    ]);
    assert_eq!(values.text(A::RequestModel), Some("phoenix"));
    assert_eq!(
        values.convention(A::RequestModel),
        Some(Convention::OpenInference)
    );
    assert_eq!(values.get(A::InputTokens), Some(RawValue::I64(2)));
    assert!(values.names_model() && !values.has(A::ResponseModel));
    // Runs read these by their names; measurements do not use them.
    assert!(!values.has(A::TaskId) && values.get(A::TaskId).is_none());
}

#[test]
fn a_span_may_use_a_name_of_every_meaning() {
    let values = AttributeValues::of(ATTRIBUTES.iter().map(|name| (name.name, RawValue::Bool(true))));
    for attribute in &ATTRIBUTES {
        let is_measured = (attribute.meaning as usize) < MEASURED_ATTRIBUTES;
        assert_eq!(values.has(attribute.meaning), is_measured, "{}", attribute.name);
    }
}

#[test]
fn keys_that_name_secrets_are_recognized_in_every_spelling() {
    for key in [
        "token",
        "access_token",
        "github_token",
        "csrf-token",
        "accessToken",
        "IDToken",
        "auth.token",
        "token_1",
        "TOKEN2",
        "access_tokens",
        "auth.tokens",
        "refreshTokens",
        "id_tokens",
        "bearer_tokens",
        "session.tokens",
        "api-tokens",
        "password",
        "passwords",
        "passwd",
        "db.password",
        "HTTPPassword",
        "PGPASSWORD",
        "dbpasswords",
        "clientsecret",
        "password1",
        "passphrase",
        "pwd",
        "user_pwd",
        "client_secret",
        "secrets",
        "secret_name",
        "api_key",
        "API_KEYS",
        "apikey",
        "openaiApiKey",
        "x-api-key",
        "APIKey",
        "aws_access_key_id",
        "auth_key",
        "privateKey",
        "auth",
        "basic_auth",
        "proxy.auth",
        "auth_header",
        "authHeaders",
        "authorization",
        "http.request.header.Authorization",
        "cookie",
        "cookies",
        "set-cookie",
        "credential",
        "credentials",
        "jwt",
        "user.jwt",
        "JWTs",
        "dsn",
        "SENTRY_DSN",
        "connection_string",
        "connectionString",
        "ConnectionStrings.Default",
        "\u{212a}ey.api\u{212a}ey",
    ] {
        assert!(is_secret(key), "{key}");
    }
}

#[test]
fn keys_that_contain_similar_words_are_not_secrets() {
    for key in [
        "",
        "next_token",
        "page.token",
        "nextPageToken",
        "continuation_token",
        "first_token",
        "last_token",
        "eos_token",
        "bos_token",
        "pad_token",
        "unk_token",
        "sep_token",
        "stop_token",
        "max_token",
        "min_token",
        "input_token",
        "output_token",
        "prompt_token",
        "completion_token",
        "time_to_first_token",
        "time_per_output_token",
        "gen_ai.response.time_to_first_token",
        "tokens",
        "max_tokens",
        "first_tokens",
        "total_tokens",
        "gen_ai.usage.input_tokens",
        "token_count",
        "token_type",
        "gen_ai.token.type",
        "tokenizer",
        "author",
        "authority",
        "authentication",
        "auth_type",
        "oauth_provider",
        "monkey",
        "key",
        "keyboard",
        "cookiecutter",
        "string",
        "connection",
        "connection_id",
        "message",
    ] {
        assert!(!is_secret(key), "{key}");
    }
}

#[test]
fn a_key_is_split_into_words_at_every_separator() {
    let words = [
        "api", "key", "access", "token", "tokens", "next", "x", "auth", "header", "secret", "dsn",
    ];
    let upper_first = |word: &str| word[..1].to_uppercase() + &word[1..];
    let mut found = 0;
    for first in words {
        for second in words {
            for third in words {
                let snake = format!("{first}_{second}_{third}");
                let expected = secret_kind(&snake);
                found += usize::from(expected.is_some());
                for key in [
                    format!("{first}.{second}-{third}"),
                    format!("{first}{}{}", upper_first(second), upper_first(third)),
                    snake.to_uppercase(),
                    format!("{}.{snake}", "é".repeat(200)),
                    format!("{snake}.0"),
                ] {
                    assert_eq!(secret_kind(&key), expected, "{key}");
                }
            }
        }
    }
    assert!((300..1_200).contains(&found), "{found}");
}
