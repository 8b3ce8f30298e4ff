//! A store finds what the model's filter matches.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use spanscope_model::filter::{EventSubject, Filter, FilterSubject, SpanSubject, TraceNumbers};
use spanscope_model::{
    Attributes, LogEvent, LogFilter, NewEvent, NewRecords, NewSpan, Severity, Source, SourceRecords, Span,
    SpanFilter, SpanKind, SpanState, SpanStatus, Timestamp, TraceFilter, TraceId, TraceStore, UsageBy,
    UsageQuery, block_on,
};

use crate::made::{MS, ago, event, log_event_of, span, span_id, store, trace_id};
use crate::rows::{Row, Rows};
use crate::{Fixture, Open};

/// Pseudo-random numbers, the same in each run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % u64::try_from(bound).unwrap()).unwrap()
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

const KEYS: [&str; 9] = [
    "k",
    "gen_ai.request.model",
    "gen_ai.usage.input_tokens",
    "host.name",
    "latency_ms",
    "a b",
    "ключ",
    "q\"t",
    "name",
];

fn values() -> Vec<Json> {
    vec![
        json!(5),
        json!(-5),
        json!(5.0),
        json!(7.5),
        json!(1e17),
        json!(u64::MAX),
        json!(9_007_199_254_740_993_i64),
        json!("5"),
        json!(" 120 "),
        json!("gpt-4o"),
        json!("GPT-4o mini"),
        json!(""),
        json!("say \"hi\"\\"),
        json!("ключ\n"),
        json!("\u{fffd}"),
        json!(true),
        json!(false),
        json!(null),
        json!(["stop", "length"]),
        json!({"a": 1}),
    ]
}

fn attributes(random: &mut Random) -> Attributes {
    let values = values();
    (0..random.below(5))
        .map(|_| (random.pick(&KEYS), random.pick(&values)))
        .collect::<BTreeMap<_, _>>()
        .into_iter()
        .collect()
}

const TEXTS: [&str; 6] = [
    "chat gpt-4o",
    "GET /",
    "tool",
    "",
    "Connection refused",
    "it took 5 s",
];

pub(crate) fn records(random: &mut Random, can_run: bool) -> (NewRecords, BTreeMap<String, Attributes>) {
    let mut resources = BTreeMap::new();
    let mut sources = Vec::new();
    for service in ["bank", "Shop", ""] {
        let mut resource = attributes(random);
        resource.set("resource.of", service);
        resource.set("host.name", format!("box {service}"));
        resources.insert(service.to_owned(), resource.clone());
        let mut records =
            SourceRecords::default().source(Source::default().service_name(service).resource(resource));
        for _ in 0..40 {
            let id = i64::try_from(sources.len() * 1000 + records.spans.len() + 1).unwrap();
            let trace = 1 + u128::try_from(random.below(12)).unwrap();
            let parent = random.pick(&[0, id - 1]);
            let mut made = span(trace, id, parent, random.pick(&TEXTS));
            let length = random.pick(&[0, 1, 250 * MS, 1000 * MS, 1500 * MS, 90_000 * MS]);
            made.start_time = ago(200_000 - i64::try_from(random.below(1000)).unwrap());
            made.end_time = Some(Timestamp::from_nanos(made.start_time.as_nanos() + length));
            made.kind = random.pick(SpanKind::ALL);
            made.level = Some(random.pick(Severity::ALL));
            made.category = Some(random.pick(&["core", "inference", "tools"]).to_owned());
            made.attributes = attributes(random);
            if random.below(3) == 0 {
                made.status = Some(SpanStatus::Error);
                made.status_message = random.pick(&[None, Some("Connection refused".to_owned())]);
            }
            if can_run && random.below(8) == 0 {
                (made.end_time, made.status, made.state) = (None, None, SpanState::Running);
                made.status_message = None;
            }
            let events = (0..random.below(3))
                .map(|_| some_event(random, Some(&made)))
                .collect();
            records.spans.push(NewSpan::new(made).events(events));
        }
        records.events = (0..10).map(|_| some_event(random, None)).collect();
        sources.push(records);
    }
    let records = NewRecords::default().sources(sources);
    (records, resources)
}

fn some_event(random: &mut Random, of: Option<&Span>) -> NewEvent {
    let mut made = event(None, random.pick(&TEXTS));
    made.event.trace_id = of.map(|span| span.trace_id);
    made.event.span_id = of.map(|span| span.span_id);
    made.event.severity = random.pick(Severity::ALL);
    made.event.name = random.pick(&["", "retry", "Tool call"]).to_owned();
    made.event.category = random.pick(&["core", "tools"]).to_owned();
    made.event.attributes = attributes(random);
    made
}

/// A term as a user may write it; some are invalid.
fn term(random: &mut Random, spans: &[Span]) -> String {
    let minus = random.pick(&["", "", "-"]);
    let key = match random.below(3) {
        0 => random
            .pick(&[
                "name",
                "status",
                "kind",
                "duration",
                "start",
                "end_time",
                "service",
                "category",
                "trace",
                "span",
                "parent",
                "level",
                "duration_ms",
            ])
            .to_owned(),
        1 => random
            .pick(&[
                "trace.duration",
                "trace.spans",
                "trace.errors",
                "trace.tokens",
                "resource.host.name",
                "resource.of",
                "of",
            ])
            .to_owned(),
        _ => {
            let key = random.pick(&KEYS);
            match key {
                "name" => "attributes.name".to_owned(),
                key if key.contains([' ', '"']) => json!(key).to_string(),
                key => key.to_owned(),
            }
        }
    };
    let some = spans[random.below(spans.len())].clone();
    let value = match key.as_str() {
        "name" => random
            .pick(&["tool", "\"chat gpt-4o\"", "chat*", "GET", "\"\""])
            .to_owned(),
        "status" => random.pick(&["ok", "error", "ERROR"]).to_owned(),
        "kind" => random.pick(&["client", "internal"]).to_owned(),
        "duration" | "duration_ms" | "trace.duration" => random
            .pick(&["0", "250", "1s", "1500ms", "0.5m", "1us", "1ns"])
            .to_owned(),
        "start" => some.start_time.to_string(),
        "end_time" => some.end_time.unwrap_or(some.start_time).as_nanos().to_string(),
        "service" => random.pick(&["bank", "shop", "Sh*", "\"\""]).to_owned(),
        "category" => random.pick(&["core", "tools", "inf*"]).to_owned(),
        "trace" => random.pick(&[some.trace_id.to_string(), "0000*".to_owned()]),
        "span" => some.span_id.to_string(),
        "parent" => some.parent_span_id.unwrap_or(some.span_id).to_string(),
        "level" => random.pick(&["warn", "error", "trace"]).to_owned(),
        "trace.spans" | "trace.errors" => random.pick(&["0", "2", "5", "9", "10"]).to_owned(),
        "trace.tokens" => random.pick(&["5", "120", "1000"]).to_owned(),
        "resource.host.name" | "host.name" => random
            .pick(&["\"box bank\"", "box*", "\"box \"", "gpt-4o"])
            .to_owned(),
        "latency_ms" => random.pick(&["5", "7.5", "0.005s", "5*", "\"5\""]).to_owned(),
        _ => {
            let values = values();
            match random.pick(&values) {
                Json::Number(number) => number.to_string(),
                Json::Bool(truth) => truth.to_string(),
                Json::String(text) => {
                    let cut: String = text.chars().take(random.pick(&[2, 99])).collect();
                    format!("{}{}", json!(cut), random.pick(&["", "*"]))
                }
                _ => "9007199254740992.0".to_owned(),
            }
        }
    };
    let op = random.pick(&["=", "=", "!=", ">", ">=", "<", "<=", "~", "!~"]);
    match random.below(9) {
        0 => format!("{minus}{key}=*"),
        1 => format!(
            "{minus}{}",
            random.pick(&[
                "CHAT",
                "refused",
                "\"5 s\"",
                "gpt",
                "\"hi\\\"\"",
                "stop",
                "retry",
                "bank"
            ])
        ),
        2 => format!("{minus}{key}{op}{value},5"),
        _ => format!("{minus}{key}{op}{value}"),
    }
}

/// All stored records, as the store returns them, and the data that filters compare.
struct Known {
    spans: Vec<Span>,
    events: Vec<LogEvent>,
    traces: BTreeMap<TraceId, TraceNumbers>,
    resources: BTreeMap<String, Attributes>,
    is_typed: bool,
}

impl Known {
    /// Whether the model says that a filter matches what is shown.
    fn is_match(&self, filter: &Filter, subject: &impl FilterSubject) -> bool {
        match self.is_typed {
            true => filter.matches(subject),
            false => filter.matches_untyped(subject),
        }
    }

    fn read(store: &dyn TraceStore, mut resources: BTreeMap<String, Attributes>) -> Self {
        let all = u64::from(u32::MAX);
        let spans = block_on(store.list_spans(SpanFilter::default().limit(all))).unwrap();
        let is_typed = store.capabilities().typed_attributes;
        if !is_typed {
            // The values of a resource lost their types, as those of a span did.
            for (service, resource) in &mut resources {
                let span = spans.iter().find(|span| span.service_name == *service).unwrap();
                let shown = block_on(store.get_span(span.trace_id, span.span_id)).unwrap();
                *resource = shown.resource.unwrap();
            }
        }
        let traces = block_on(store.list_traces(TraceFilter::default().limit(all))).unwrap();
        let tokens = |trace: TraceId| {
            let usage = block_on(store.usage(UsageQuery::new(UsageBy::Model).trace_id(trace))).unwrap();
            let sum: u64 = usage.iter().map(|row| row.input + row.output).sum();
            (sum > 0).then_some(sum)
        };
        Self {
            spans,
            events: block_on(store.list_logs(LogFilter::default().limit(all))).unwrap(),
            traces: traces
                .iter()
                .map(|trace| {
                    let id = trace.trace.trace_id;
                    let mut numbers = TraceNumbers::from(trace);
                    numbers.tokens = tokens(id);
                    (id, numbers)
                })
                .collect(),
            resources,
            is_typed,
        }
    }

    fn spans_that_match(&self, filter: &Filter) -> BTreeSet<String> {
        let matching = self.spans.iter().filter(|span| {
            let events: Vec<LogEvent> = self
                .events
                .iter()
                .filter(|event| (event.trace_id, event.span_id) == (Some(span.trace_id), Some(span.span_id)))
                .cloned()
                .collect();
            let subject = SpanSubject::new(span)
                .events(&events)
                .resource(&self.resources[&span.service_name])
                .trace(self.traces[&span.trace_id]);
            self.is_match(filter, &subject)
        });
        matching.map(name_of).collect()
    }

    fn check(&self, store: &dyn TraceStore, filter: &Filter) -> usize {
        let all = u64::from(u32::MAX);
        let expected = self.spans_that_match(filter);
        let found =
            block_on(store.list_spans(SpanFilter::default().filter(filter.clone()).limit(all))).unwrap();
        let found: BTreeSet<String> = found.iter().map(name_of).collect();
        assert_eq!(found, expected, "spans: {filter}");
        let of_traces: BTreeSet<String> = expected.iter().map(|name| name[..32].to_owned()).collect();
        let listed =
            block_on(store.list_traces(TraceFilter::default().filter(filter.clone()).limit(all))).unwrap();
        let listed: BTreeSet<String> = listed
            .iter()
            .map(|trace| trace.trace.trace_id.to_string())
            .collect();
        assert_eq!(listed, of_traces, "traces: {filter}");
        let of_events = self.events.iter().filter(|event| {
            let resource = &self.resources[&event.service_name];
            self.is_match(filter, &EventSubject::new(event, resource))
        });
        let of_events: Vec<&str> = of_events.map(|event| event.id.as_str()).collect();
        let logs = block_on(store.list_logs(LogFilter::default().filter(filter.clone()).limit(all))).unwrap();
        let logs: Vec<&str> = logs.iter().map(|event| event.id.as_str()).collect();
        assert_eq!(logs, of_events, "logs: {filter}");
        expected.len()
    }
}

fn name_of(span: &Span) -> String {
    format!("{}/{}", span.trace_id, span.span_id)
}

pub fn a_filter_finds_what_the_model_says_whatever_is_stored<F: Fixture>() {
    let mut can_run = false;
    let Some(open) = Open::<F>::that(|can| {
        can_run = can.running_spans;
        true
    }) else {
        return;
    };
    let mut random = Random(11);
    let (records, resources) = records(&mut random, can_run);
    store::<F>(open.store(), records);
    let known = Known::read(open.store(), resources);
    assert_eq!(known.spans.len(), 120);
    let (mut filters, mut with_some) = (0, 0);
    while filters < F::filters() {
        let terms: Vec<String> = (0..random.pick(&[1, 1, 1, 2, 3]))
            .map(|_| term(&mut random, &known.spans))
            .collect();
        let Ok(filter) = terms.join(" ").parse::<Filter>() else {
            continue;
        };
        filters += 1;
        let found = known.check(open.store(), &filter);
        with_some += usize::from(found > 0 && found < known.spans.len());
    }
    assert!(
        with_some > filters * 4 / 15,
        "{with_some} of {filters} filters tell spans apart"
    );
}

pub fn counts_that_are_texts_match_numbers_under_the_names_of_counts<F: Fixture>() {
    let Some(file) = Rows::<F>::that(|_| true) else {
        return;
    };
    for (id, tokens) in (1..).zip([json!(1200), json!("1200"), json!(" 900"), json!("many")]) {
        file.add(&Row {
            id,
            attributes: json!({"gen_ai.usage.input_tokens": tokens, "other": tokens}),
            ..Row::default()
        });
    }
    let found = |text: &str| {
        let filter: Filter = text.parse().unwrap();
        let conditions = filter
            .terms
            .iter()
            .filter_map(|term| term.to_condition())
            .collect();
        let list = |filter: SpanFilter| {
            let spans = block_on(file.store().list_spans(filter)).unwrap();
            spans
                .iter()
                .map(|span| i64::from_be_bytes(span.span_id.to_bytes()))
                .collect::<BTreeSet<i64>>()
        };
        let by_filter = list(SpanFilter::default().filter(filter));
        let by_condition = list(SpanFilter::default().conditions(conditions));
        assert_eq!(by_filter, by_condition, "{text}");
        by_filter.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(found("gen_ai.usage.input_tokens>1000"), [1, 2]);
    assert_eq!(found("gen_ai.usage.input_tokens=900"), [3]);
    assert_eq!(found("gen_ai.usage.input_tokens!=1200"), [3, 4]);
    if !file.store().capabilities().typed_attributes {
        return;
    }
    assert_eq!(found("gen_ai.usage.input_tokens=\"1200\""), [2]);
    assert_eq!(found("other>1000"), [1], "any other text is a text");
}

/// `session.id` has an index.
pub fn values_without_quotes_match_the_text_that_is_written_so<F: Fixture>() {
    let Some(file) = Rows::<F>::that(|can| can.typed_attributes) else {
        return;
    };
    let values = [
        json!(1.2),
        json!("1.2"),
        json!("1.20"),
        json!(true),
        json!("true"),
    ];
    for (id, value) in (1..).zip(values) {
        file.add(&Row {
            id,
            attributes: json!({"version": value, "session.id": value}),
            ..Row::default()
        });
    }
    for key in ["version", "session.id"] {
        for (value, expected) in [
            ("=1.2", vec![1, 2]),
            ("=1.20", vec![1, 3]),
            ("=\"1.2\"", vec![2]),
            ("!=1.2", vec![3, 4, 5]),
            ("=true", vec![4, 5]),
            ("=\"true\"", vec![5]),
            ("=1.2,true", vec![1, 2, 4, 5]),
        ] {
            let filter = SpanFilter::default().filter(format!("{key}{value}").parse().unwrap());
            let spans = block_on(file.store().list_spans(filter)).unwrap();
            let found: BTreeSet<i64> = spans
                .iter()
                .map(|span| i64::from_be_bytes(span.span_id.to_bytes()))
                .collect();
            assert_eq!(found.into_iter().collect::<Vec<_>>(), expected, "{key}{value}");
        }
    }
}

pub fn attributes_of_the_resource_are_found_where_the_record_has_none<F: Fixture>() {
    let Some(open) = Open::<F>::that(|_| true) else {
        return;
    };
    let of = |service: &str, environment: &str, id: i64, attributes: &[(&str, &str)]| {
        SourceRecords::default()
            .source(
                Source::default().service_name(service).resource(
                    [
                        ("deployment.environment.name", environment),
                        ("gen_ai.request.model", "llama"),
                    ]
                    .into_iter()
                    .collect(),
                ),
            )
            .spans(vec![NewSpan::new(crate::made::with(
                span(1, id, 0, "work"),
                attributes,
            ))])
            .events(vec![log_event_of(id)])
    };
    let records = NewRecords::default().sources(vec![
        of("a", "prod", 1, &[]),
        of("b", "test", 2, &[]),
        of(
            "c",
            "prod",
            3,
            &[
                ("deployment.environment.name", "own"),
                ("gen_ai.request.model", "gpt"),
            ],
        ),
    ]);
    store::<F>(open.store(), records);
    for (filter, expected) in [
        ("deployment.environment.name=prod", vec![1]),
        ("deployment.environment.name=own", vec![3]),
        ("resource.deployment.environment.name=prod", vec![1, 3]),
        ("resource.deployment.environment.name!=prod", vec![2]),
        ("-deployment.environment.name=prod", vec![2, 3]),
        ("gen_ai.request.model=llama", vec![1, 2]),
        ("gen_ai.request.model=gpt", vec![3]),
        ("resource.gen_ai.request.model=llama,gpt", vec![1, 2, 3]),
        ("resource.name=*", vec![]),
    ] {
        let parsed: Filter = filter.parse().unwrap();
        let ids = |list: Vec<Span>| {
            let ids = list
                .into_iter()
                .map(|span| i64::from_be_bytes(span.span_id.to_bytes()));
            ids.collect::<BTreeSet<i64>>().into_iter().collect::<Vec<_>>()
        };
        let by_filter = SpanFilter::default().filter(parsed.clone());
        let found = ids(block_on(open.store().list_spans(by_filter)).unwrap());
        assert_eq!(found, expected, "{filter}");
        if let Some(condition) = parsed.terms[0].to_condition() {
            let by_condition = SpanFilter::default().conditions(vec![condition]);
            let found = ids(block_on(open.store().list_spans(by_condition)).unwrap());
            assert_eq!(found, expected, "condition {filter}");
        }
    }
    let logs = |filter: &str| {
        let filter = LogFilter::default().filter(filter.parse().unwrap());
        let events = block_on(open.store().list_logs(filter)).unwrap();
        events
            .into_iter()
            .map(|event| event.service_name)
            .collect::<BTreeSet<_>>()
    };
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(logs("deployment.environment.name=prod"), names(&["a", "c"]));
    assert_eq!(logs("-resource.deployment.environment.name=prod"), names(&["b"]));

    let keys = block_on(open.store().attribute_keys(1)).unwrap();
    assert_eq!(keys, ["deployment.environment.name", "gen_ai.request.model"]);
    let id = |number| (trace_id(1), span_id(number));
    let one = block_on(open.store().get_span(id(1).0, id(1).1)).unwrap();
    let resource = one.resource.unwrap_or_default();
    assert_eq!(
        resource
            .get("deployment.environment.name")
            .and_then(|value| value.as_str()),
        Some("prod")
    );
}

pub fn logs_are_found_by_what_is_shown_of_them<F: Fixture>() {
    let Some(open) = Open::<F>::that(|_| true) else {
        return;
    };
    let said = |name: &str, message: &str, category: &str, attributes: &[(&str, &str)]| {
        let mut made = event(None, message);
        made.event.name = name.to_owned();
        made.event.category = category.to_owned();
        made.event.attributes = attributes.iter().map(|(key, value)| (*key, *value)).collect();
        made
    };
    let of = |service: &str, events: Vec<NewEvent>| {
        SourceRecords::default()
            .source(Source::default().service_name(service))
            .events(events)
    };
    let records = NewRecords::default().sources(vec![
        of(
            "bank",
            vec![said("", "Payment declined", "core", &[("order", "A-7")])],
        ),
        of(
            "shop",
            vec![
                said("retry", "again", "tools", &[]),
                said(
                    "exception",
                    "",
                    "tools",
                    &[("exception.message", "Broken \"pipe\"")],
                ),
            ],
        ),
    ]);
    store::<F>(open.store(), records);
    let all = block_on(open.store().list_logs(LogFilter::default())).unwrap();
    let found = |filter: LogFilter| {
        let events = block_on(open.store().list_logs(filter)).unwrap();
        events.into_iter().map(|event| event.message).collect::<Vec<_>>()
    };
    for (text, expected) in [
        ("DECLINED", vec!["Payment declined"]),
        ("order=a", vec!["Payment declined"]),
        ("a-7", vec!["Payment declined"]),
        ("retry", vec!["again"]),
        ("broken \"PIPE\"", vec![""]),
        ("nowhere", vec![]),
    ] {
        let by_store = found(LogFilter::default().grep(text.to_owned()));
        assert_eq!(by_store, expected, "{text}");
        let by_model: Vec<_> = all.iter().filter(|event| event.contains(text)).collect();
        assert_eq!(by_model.len(), expected.len(), "{text}");
    }
    let of_service = LogFilter::default().service("bank".to_owned());
    assert_eq!(found(of_service), ["Payment declined"]);
    let of_category = LogFilter::default()
        .category("tools".to_owned())
        .filter("retry".parse().unwrap());
    assert_eq!(found(of_category), ["again"]);
    let before = LogFilter::default().until(ago(3_600_000));
    assert_eq!(found(before), [""; 0]);
}
