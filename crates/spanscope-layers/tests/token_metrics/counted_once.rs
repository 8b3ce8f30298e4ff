//! However many spans of one call report its usage, it counts once.

use spanscope_layers::metrics::GenAiNames;
use tracing::info_span;

use super::support::run;

#[test]
fn of_two_conventions_on_one_span_the_newer_one_is_read() {
    let outcome = run(|| {
        drop(info_span!(
            "chat",
            llm.token_count.prompt = 99,
            llm.token_count.completion = 99,
            gen_ai.usage.output_tokens = 5,
            gen_ai.usage.input_tokens = 12,
            prompt_tokens = 1,
            model_id = "plain",
            gen_ai.request.model = "otel",
        ));
    });
    assert_eq!(outcome.tokens(), [vec![12], vec![5], vec![17]]);
    assert_eq!(outcome.one("prompt_tokens").label("model_id"), "otel");
}

#[test]
fn an_outer_span_that_repeats_a_calls_usage_does_not_count() {
    let outcome = run(|| {
        let http = info_span!("POST /v1/chat", total_tokens = 17, http.route = "/v1/chat");
        let router = info_span!(parent: &http, "router", prompt_tokens = 12, completion_tokens = 5);
        let between = info_span!(parent: &router, "nothing to do with it");
        let call = info_span!(parent: &between, "chat", gen_ai.operation.name = "chat", gen_ai.usage.input_tokens = 12, gen_ai.usage.output_tokens = 5);
        drop((call, between, router, http));
    });
    assert_eq!(outcome.tokens(), [vec![12], vec![5], vec![17]]);
    assert_eq!(outcome.stats.repeated, 2);
}

#[test]
fn an_outer_span_with_the_only_usage_counts() {
    let outcome = run(|| {
        let http = info_span!(
            "POST /v1/chat",
            total_tokens = 17,
            prompt_tokens = 12,
            completion_tokens = 5
        );
        drop(
            info_span!(parent: &http, "chat", gen_ai.operation.name = "chat", gen_ai.usage.input_tokens = 0, gen_ai.usage.output_tokens = 0),
        );
    });
    assert_eq!(outcome.tokens(), [vec![12], vec![5], vec![17]]);
}

#[test]
fn retries_each_count_and_their_agent_never_does() {
    let outcome = run(|| {
        let agent = info_span!(
            "invoke_agent",
            gen_ai.operation.name = "invoke_agent",
            gen_ai.usage.input_tokens = 30,
            gen_ai.usage.output_tokens = 6
        );
        for (input, output) in [(10, 1), (10, 2), (10, 3)] {
            drop(
                info_span!(parent: &agent, "chat", gen_ai.operation.name = "chat", gen_ai.usage.input_tokens = input, gen_ai.usage.output_tokens = output),
            );
        }
    });
    assert_eq!(
        outcome.tokens(),
        [vec![10, 10, 10], vec![1, 2, 3], vec![11, 12, 13]]
    );
}

#[test]
fn totals_of_agents_and_workflows_count_only_with_a_model_and_without_calls_below() {
    let makers: [fn() -> tracing::Span; 4] = [
        || {
            info_span!(
                "a",
                gen_ai.operation.name = "invoke_agent",
                gen_ai.usage.input_tokens = 1
            )
        },
        || info_span!("b", gen_ai.operation.name = "invoke_workflow", prompt_tokens = 1),
        || info_span!("c", openinference.span.kind = "agent", llm.token_count.prompt = 1),
        || {
            info_span!(
                "e",
                traceloop.span.kind = "workflow",
                gen_ai.usage.prompt_tokens = 1
            )
        },
    ];
    for make in makers {
        let alone = run(|| drop(make()));
        assert!(alone.tokens().iter().all(Vec::is_empty));
        assert_eq!(alone.stats.repeated, 1);
        let above_a_call = run(|| {
            let outer = make();
            drop(
                info_span!(parent: &outer, "chat", gen_ai.operation.name = "chat", gen_ai.usage.input_tokens = 9),
            );
        });
        assert_eq!(above_a_call.tokens()[0], [9]);
        assert_eq!(above_a_call.stats.repeated, 1);
    }
    let agent = || {
        info_span!(
            "n",
            gen_ai.operation.name = "invoke_agent",
            gen_ai.request.model = "m",
            gen_ai.usage.input_tokens = 1
        )
    };
    assert_eq!(run(|| drop(agent())).tokens()[0], [1]);
    let above_a_call = run(|| {
        let outer = agent();
        drop(
            info_span!(parent: &outer, "chat", gen_ai.operation.name = "chat", gen_ai.usage.input_tokens = 9),
        );
    });
    assert_eq!(above_a_call.tokens()[0], [9]);
    let chain = run(|| {
        drop(info_span!(
            "d",
            openinference.span.kind = "CHAIN",
            llm.token_count.prompt = 1
        ))
    });
    assert!(chain.tokens().iter().all(Vec::is_empty));
}

#[test]
fn nested_calls_count_once_unless_they_differ() {
    let chat = |parent: Option<&tracing::Span>, model: &'static str, input: i64| {
        let parent = parent.and_then(tracing::Span::id);
        info_span!(parent: parent, "chat", gen_ai.operation.name = "chat", gen_ai.request.model = model, gen_ai.usage.input_tokens = input)
    };
    let tool =
        |parent: &tracing::Span| info_span!(parent: parent, "tool", gen_ai.operation.name = "execute_tool");
    let mcp = |parent: &tracing::Span| info_span!(parent: parent, "mcp", mcp.method.name = "tools/call");
    let counted = |make: &dyn Fn(&tracing::Span)| {
        let outcome = run(|| {
            let outer = chat(None, "m", 12);
            make(&outer);
        });
        outcome.tokens()[0].clone()
    };
    assert_eq!(
        counted(&|outer| drop(chat(Some(outer), "m", 10))),
        [10],
        "one call, the inner"
    );
    assert_eq!(
        counted(&|outer| drop(chat(Some(outer), "n", 10))),
        [10, 12],
        "another model"
    );
    assert_eq!(
        counted(&|outer| drop(chat(Some(outer), "n", 12))),
        [12],
        "a repeated total"
    );
    assert_eq!(
        counted(&|outer| [5, 7]
            .into_iter()
            .for_each(|input| drop(chat(Some(outer), "n", input)))),
        [5, 7],
        "a repeated sum"
    );
    assert_eq!(
        counted(&|outer| drop(chat(Some(&tool(outer)), "m", 10))),
        [10, 12],
        "a tool is between"
    );
    assert_eq!(
        counted(&|outer| drop(chat(Some(&mcp(outer)), "m", 10))),
        [10, 12],
        "a tool by MCP is between"
    );
}

#[test]
fn concurrent_calls_on_many_threads_are_counted_exactly() {
    let outcome = super::support::run_named(GenAiNames::Off, || {
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        let request = info_span!("request", total_tokens = 1);
        std::thread::scope(|scope| {
            for thread in 0..16_u64 {
                let (dispatch, request) = (dispatch.clone(), request.clone());
                scope.spawn(move || {
                    tracing::dispatcher::with_default(&dispatch, || {
                        for _ in 0..250 {
                            drop(info_span!(parent: &request, "chat", prompt_tokens = thread, completion_tokens = 1));
                        }
                    });
                });
            }
        });
    });
    let [input, output, total] = outcome.tokens();
    assert_eq!((input.len(), output.len(), total.len()), (4000, 4000, 4000));
    assert_eq!(input.iter().sum::<i64>(), 250 * (0..16).sum::<i64>());
    assert_eq!(outcome.stats.repeated, 1);
}

#[test]
fn one_response_that_two_spans_of_a_trace_report_counts_once() {
    let outcome = run(|| {
        let request = info_span!("request");
        request.in_scope(|| {
            drop(info_span!(
                "a",
                gen_ai.operation.name = "chat",
                gen_ai.request.model = "m",
                gen_ai.response.id = "r-1",
                gen_ai.usage.input_tokens = 100,
                gen_ai.usage.output_tokens = 10
            ));
            drop(info_span!(
                "b",
                openinference.span.kind = "LLM",
                llm.model_name = "m",
                gen_ai.response.id = "r-1",
                llm.token_count.prompt = 100,
                llm.token_count.completion = 10
            ));
            drop(info_span!(
                "c",
                gen_ai.operation.name = "chat",
                gen_ai.request.model = "m",
                gen_ai.response.id = "r-2",
                gen_ai.usage.input_tokens = 7
            ));
        });
        // The same id in another trace is another response.
        drop(info_span!(
            "d",
            gen_ai.operation.name = "chat",
            gen_ai.request.model = "m",
            gen_ai.response.id = "r-1",
            gen_ai.usage.input_tokens = 100
        ));
    });
    let [input, output, _] = outcome.tokens();
    assert_eq!((input, output), (vec![100, 7, 100], vec![10]));
    assert_eq!(outcome.named("gen_ai.client.operation.duration").len(), 3);
    assert_eq!(outcome.stats.repeated, 1);
}
