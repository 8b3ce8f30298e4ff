//! Invalid counts: left out, noted, never guessed.

use spanscope_layers::metrics::TokenMetricsStats;
use tracing::field::Empty;
use tracing::info_span;

use super::support::run;

fn stats(set: impl FnOnce(&mut TokenMetricsStats)) -> TokenMetricsStats {
    let mut stats = TokenMetricsStats::default();
    set(&mut stats);
    stats
}

#[test]
fn an_invalid_count_is_left_out_and_so_is_its_sum() {
    type Case = (fn() -> tracing::Span, fn(&mut TokenMetricsStats));
    let cases: [Case; 6] = [
        (
            || info_span!("c", prompt_tokens = -3, completion_tokens = 5),
            |stats| stats.negative = 1,
        ),
        (
            || info_span!("c", prompt_tokens = 2.5, completion_tokens = 5),
            |stats| stats.fractional = 1,
        ),
        (
            || info_span!("c", prompt_tokens = f64::NAN, completion_tokens = 5),
            |stats| stats.not_a_number = 1,
        ),
        (
            || info_span!("c", prompt_tokens = "lots", completion_tokens = 5),
            |stats| stats.not_a_number = 1,
        ),
        (
            || info_span!("c", prompt_tokens = u64::MAX, completion_tokens = 5),
            |stats| stats.too_large = 1,
        ),
        (
            || info_span!("c", prompt_tokens = true, completion_tokens = 5),
            |stats| stats.not_a_number = 1,
        ),
    ];
    for (make, expected) in cases {
        let outcome = run(|| drop(make()));
        assert_eq!(outcome.tokens(), [vec![], vec![5], vec![]]);
        assert_eq!(outcome.stats, stats(expected));
    }
}

#[test]
fn whole_numbers_count_whatever_their_type() {
    let outcome = run(|| {
        drop(info_span!("c", prompt_tokens = "12", completion_tokens = 5.0));
        drop(
            info_span!("c", prompt_tokens = ?Some(12_u64).map_or_else(String::new, |n| n.to_string()).parse::<u64>().ok().unwrap(), completion_tokens = %5),
        );
    });
    assert_eq!(outcome.tokens(), [vec![12, 12], vec![5, 5], vec![17, 17]]);
    assert_eq!(outcome.stats, TokenMetricsStats::default());
}

#[test]
fn missing_counts_are_left_out() {
    let outcome = run(|| {
        drop(info_span!("c", prompt_tokens = 12, completion_tokens = Empty));
        drop(info_span!("c", prompt_tokens = Empty, completion_tokens = Empty));
        drop(info_span!("c", prompt_tokens = ?None::<u64>, completion_tokens = 5));
    });
    assert_eq!(outcome.tokens(), [vec![12], vec![5], vec![12, 5]]);
    assert_eq!(outcome.stats, TokenMetricsStats::default());
}

#[test]
fn a_reported_total_is_kept_and_its_difference_noted() {
    let outcome = run(|| {
        drop(info_span!(
            "c",
            prompt_tokens = 12,
            completion_tokens = 5,
            total_tokens = 20
        ))
    });
    assert_eq!(outcome.tokens(), [vec![12], vec![5], vec![20]]);
    assert_eq!(outcome.stats, stats(|stats| stats.totals_differing = 1));
}

#[test]
fn an_invalid_total_is_replaced_by_the_sum() {
    let outcome = run(|| {
        drop(info_span!(
            "c",
            prompt_tokens = 12,
            completion_tokens = 5,
            total_tokens = -1
        ))
    });
    assert_eq!(outcome.tokens(), [vec![12], vec![5], vec![17]]);
    assert_eq!(outcome.stats, stats(|stats| stats.negative = 1));
}

#[test]
fn parts_that_are_more_than_the_whole_are_added_to_it() {
    let outcome = super::support::run_named(spanscope_layers::metrics::GenAiNames::New, || {
        drop(info_span!(
            "c",
            gen_ai.usage.input_tokens = 2,
            gen_ai.usage.cache_read.input_tokens = 129_017,
            gen_ai.usage.cache_write.input_tokens = 840,
            gen_ai.usage.output_tokens = 512,
            gen_ai.usage.total_tokens = 514
        ));
    });
    assert_eq!(outcome.tokens(), [vec![129_859], vec![512], vec![130_371]]);
    for (part, tokens) in [("cache_read", 129_017), ("cache_write", 840)] {
        let name = format!("gen_ai.client.inference.usage.{part}.input_tokens");
        assert_eq!(outcome.integers(&name), [tokens]);
    }
    assert_eq!(outcome.stats, stats(|stats| stats.part_exceeds_whole = 1));
}

#[test]
fn a_model_with_a_very_long_name_gives_a_short_label() {
    let name = "é".repeat(100_000);
    let outcome = run(|| drop(info_span!("c", prompt_tokens = 1, model_id = name.as_str())));
    let label = outcome.one("prompt_tokens").label("model_id").to_owned();
    assert!(label.len() <= 256 && name.starts_with(&label) && !label.is_empty());
}

#[test]
fn labels_reach_sinks_unchanged() {
    let model = "a \"quoted\"\nname with \0 and \u{202e}";
    let outcome = run(|| drop(info_span!("c", prompt_tokens = 1, model_id = model)));
    assert_eq!(outcome.one("prompt_tokens").label("model_id"), model);
}

#[test]
fn labels_may_be_numbers_and_booleans() {
    let outcome = run(|| {
        drop(info_span!(
            "c",
            prompt_tokens = 1,
            model_id = 7,
            provider_id = true
        ))
    });
    let tokens = outcome.one("prompt_tokens");
    assert_eq!(
        (tokens.label("model_id"), tokens.label("provider_id")),
        ("7", "true")
    );
}

#[test]
fn usage_after_a_long_prompt_counts() {
    // Small records are copied whole, of large ones only the measured fields.
    for len in [0, 1_000, 1_024, 5_000, 100_000] {
        let outcome = run(|| {
            let call = info_span!(
                "chat",
                gen_ai.input.messages = "m".repeat(len),
                model_id = "llama",
                prompt_tokens = 12,
                completion_tokens = Empty
            );
            call.record("completion_tokens", 5);
        });
        assert_eq!(outcome.tokens(), [[12], [5], [17]], "{len}");
        assert_eq!(outcome.one("total_tokens").label("model_id"), "llama", "{len}");
    }
}

/// Vendors write one key in seconds, milliseconds, microseconds or nanoseconds. Spans of a test
/// take microseconds.
#[test]
fn a_first_token_time_beyond_its_span_is_in_a_smaller_unit_or_counted_as_invalid() {
    for (written, is_kept) in [(1e-12, true), (1.0, true), (1e12, false)] {
        let outcome = run(|| {
            drop(info_span!(
                "chat",
                gen_ai.operation.name = "chat",
                gen_ai.request.model = "m",
                gen_ai.response.time_to_first_token = written,
            ));
        });
        let length = outcome.one("gen_ai.client.operation.duration").value.as_f64();
        let kept = outcome.named("gen_ai.client.operation.time_to_first_chunk");
        let fits = [1.0, 1e3, 1e6, 1e9]
            .into_iter()
            .map(|unit| written / unit)
            .find(|seconds| *seconds <= length);
        assert_eq!(
            kept.first().map(|kept| kept.value.as_f64()),
            fits,
            "{written} of {length}"
        );
        assert_eq!(fits.is_some(), is_kept, "{written} of {length}");
        assert_eq!(outcome.stats.first_chunk_after_span, u64::from(!is_kept));
    }
}

/// OpenLIT writes seconds, Copilot and Claude Code milliseconds.
#[test]
fn the_time_to_the_first_token_is_in_seconds_for_every_key() {
    let spans: [fn(); 3] = [
        || {
            drop(info_span!(
                "chat",
                gen_ai.operation.name = "chat",
                gen_ai.request.model = "m",
                gen_ai.server.time_to_first_token = 1e-12,
            ));
        },
        || {
            drop(info_span!(
                "chat",
                gen_ai.operation.name = "chat",
                gen_ai.request.model = "m",
                copilot_chat.time_to_first_token = 1e-9,
            ));
        },
        || {
            drop(info_span!(
                "llm_request",
                "span.type" = "llm_request",
                gen_ai.request.model = "m",
                ttft_ms = 1e-9,
            ));
        },
    ];
    for span in spans {
        let outcome = run(span);
        let first = outcome.one("gen_ai.client.operation.time_to_first_chunk");
        assert!((first.value.as_f64() - 1e-12).abs() < 1e-15, "{first:?}");
    }
}
