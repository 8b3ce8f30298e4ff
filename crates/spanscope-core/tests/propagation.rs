//! Injecting contexts into carriers and extracting them, without OpenTelemetry.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, HashMap};
use std::process::Command;

use serde_json::{Map, Value, json};
use spanscope_core::SpanExt as _;
use spanscope_core::capture::Capture;
use spanscope_core::propagation::{
    self, Baggage, Carrier, Context, Continuation, Environment, MAX_BAGGAGE_LEN, MAX_BAGGAGE_MEMBERS,
    MAX_READ, MAX_TRACE_STATE_LEN,
};
use spanscope_model::TraceParent;
use tracing::span::{Attributes, Id};
use tracing::{Dispatch, Span, Subscriber, dispatcher, info_span};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{self, Layer};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A minimal sink for spans.
struct Sink(Capture);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Sink {
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        self.0.on_register_dispatch(dispatch);
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: layer::Context<'_, S>) {
        self.0.on_new_span(attributes, id, &context);
    }
}

/// A layer that sees all spans, so that the registry keeps them whatever the sink's filter decides.
struct Other;

impl<S: Subscriber> Layer<S> for Other {}

/// Runs `program` with a sink that sees all spans except those whose name begins with `hidden`.
fn recorded<T>(program: impl FnOnce() -> T) -> T {
    let sink = Sink(Capture::new(1024));
    let sink = sink.with_filter(filter_fn(|metadata| !metadata.name().starts_with("hidden")));
    let subscriber = tracing_subscriber::registry().with(sink).with(Other);
    dispatcher::with_default(&Dispatch::new(subscriber), program)
}

type Pairs = Vec<(String, String)>;

fn pairs(pairs: &[(&str, &str)]) -> Pairs {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

fn parent(flags: &str) -> Option<TraceParent> {
    traceparent(flags).parse().ok()
}

fn injected(span: &Span) -> HashMap<String, String> {
    let mut carrier = HashMap::new();
    propagation::inject(span, &mut carrier);
    carrier
}

fn own(span: &Span, flags: &str) -> String {
    let (trace_id, span_id) = span.ids().unwrap();
    format!("00-{trace_id}-{span_id}-{flags}")
}

/// Writes a generated context to a carrier and reads it back.
fn round_trip<C: Carrier>(mut carrier: C, context: &Context) -> (C, Context) {
    recorded(|| {
        let span = info_span!("request");
        let mut first = Pairs::new();
        first.push(("Baggage".to_owned(), context.baggage.to_string()));
        if let Some(parent) = context.parent {
            first.push(("TraceParent".to_owned(), parent.to_string()));
        }
        first.push(("tracestate".to_owned(), context.trace_state.clone()));
        let continuation = propagation::continue_from(&span, &first);
        assert_eq!(continuation.is_continued(), context.parent.is_some());
        propagation::inject(&span, &mut carrier);
        let sent = propagation::extract(&carrier);
        assert_eq!(sent, propagation::context(&span));
        // Writing it twice leaves nothing behind.
        propagation::inject(&span, &mut carrier);
        assert_eq!(propagation::extract(&carrier), sent);
        (carrier, sent)
    })
}

#[test]
fn each_carrier_returns_the_injected_context() {
    let mut random = fastrand::Rng::with_seed(0x0000_5eed);
    for round in 0..300 {
        let context = any_context(&mut random);
        let check = |sent: &Context| {
            assert_eq!(sent.baggage, context.baggage, "{round}: {context:?}");
            if let Some(parent) = context.parent {
                let sent_parent = sent.parent.unwrap();
                assert_eq!(sent_parent.trace_id, parent.trace_id, "{round}");
                assert_ne!(sent_parent.span_id, parent.span_id, "the span's own");
                assert_eq!(sent_parent.is_sampled, parent.is_sampled, "{round}");
                assert_eq!(sent.trace_state, context.trace_state, "{round}");
            } else {
                assert_eq!(sent.trace_state, "", "{round}: a trace of this process");
            }
        };
        check(&round_trip(HashMap::<String, String>::new(), &context).1);
        check(&round_trip(BTreeMap::<String, Vec<u8>>::new(), &context).1);
        check(&round_trip(Vec::<(String, Vec<u8>)>::new(), &context).1);
        check(&round_trip(Environment::default(), &context).1);
        check(&round_trip(Command::new("true"), &context).1);
        let other = pairs(&[("progressToken", "7")]);
        let meta: Map<String, Value> = other.into_iter().map(|(key, text)| (key, json!(text))).collect();
        let (meta, sent) = round_trip(meta, &context);
        check(&sent);
        assert_eq!(meta["progressToken"], "7", "other keys are kept");
        #[cfg(feature = "http")]
        check(&round_trip(http::HeaderMap::new(), &context).1);
    }
}

fn any_text(random: &mut fastrand::Rng, most: usize) -> String {
    let len = random.usize(..most);
    let chars = [
        'a',
        'Z',
        '0',
        ' ',
        ',',
        ';',
        '=',
        '%',
        '"',
        '\\',
        '\n',
        'é',
        '猫',
        '\u{1f600}',
        '~',
    ];
    (0..len).map(|_| chars[random.usize(..chars.len())]).collect()
}

fn any_context(random: &mut fastrand::Rng) -> Context {
    let mut baggage = Baggage::default();
    for n in 0..random.usize(..5) {
        let properties = ["", "ttl=30", "internal;ttl = 3"][random.usize(..3)];
        let key = format!("k{n}!#$%&'*+-.^_`|~");
        baggage
            .insert_with(&key, &any_text(random, 40), properties)
            .unwrap();
    }
    let parent = random.bool().then(|| {
        let flags = if random.bool() { "01" } else { "00" };
        let text = format!("00-{:032x}-{:016x}-{flags}", random.u128(1..), random.u64(1..));
        text.parse::<TraceParent>().unwrap()
    });
    let states = (0..random.usize(..4)).map(|n| format!("v{n}=x y{n}"));
    let states = states.collect::<Vec<_>>().join(",");
    Context::new(parent, states, baggage)
}

#[test]
fn a_request_is_forwarded_with_its_flag_its_state_and_its_baggage() {
    for flags in ["00", "01"] {
        recorded(|| {
            let span = info_span!("request");
            let received = pairs(&[
                ("traceparent", &traceparent(flags)),
                ("tracestate", "congo=t61rcWkgMzE"),
                ("tracestate", "rojo=00f067aa0ba902b7"),
                ("baggage", "tenant=acme"),
                ("baggage", "tier=gold%20plus;since=2"),
            ]);
            assert_eq!(
                propagation::continue_from(&span, &received),
                Continuation::Continued
            );
            span.in_scope(|| {
                let client = info_span!("work").in_scope(|| info_span!("client"));
                let sent = injected(&client);
                assert_eq!(sent["traceparent"], own(&client, flags));
                assert_eq!(sent["tracestate"], "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7");
                assert_eq!(sent["baggage"], "tenant=acme,tier=gold%20plus;since=2");
            });
            assert_eq!(
                propagation::continue_from(&span, &received),
                Continuation::TooLate
            );
        });
    }
}

#[test]
fn added_baggage_is_inherited_by_child_spans_only() {
    recorded(|| {
        let root = info_span!("root");
        root.in_scope(|| {
            let request = info_span!("request");
            propagation::add_baggage(&root, "late", "1").unwrap();
            let received = pairs(&[("baggage", "tenant=acme,tier=gold")]);
            assert_eq!(
                propagation::continue_from(&request, &received),
                Continuation::NoParent
            );
            propagation::add_baggage(&request, "tenant", "other, one").unwrap();
            let below = request.in_scope(|| info_span!("below"));
            propagation::add_baggage(&below, "more", "yes").unwrap();
            assert_eq!(injected(&root)["baggage"], "late=1");
            assert_eq!(injected(&request)["baggage"], "tenant=other%2C%20one,tier=gold");
            assert_eq!(
                injected(&below)["baggage"],
                "tenant=other%2C%20one,tier=gold,more=yes"
            );
            assert_eq!(injected(&below)["traceparent"], own(&below, "01"));
        });
    });
}

#[test]
fn baggage_that_can_not_be_sent_is_refused_with_the_reason() {
    recorded(|| {
        let span = info_span!("request");
        let error = propagation::add_baggage(&span, "user id", "7").unwrap_err();
        assert!(error.to_string().contains("\"user id\": use letters"), "{error}");
        let error = propagation::add_baggage(&span, "k", &"é".repeat(2000)).unwrap_err();
        assert!(
            error.is_too_large() && error.to_string().contains("8192 bytes"),
            "{error}"
        );
        for n in 0..MAX_BAGGAGE_MEMBERS {
            propagation::add_baggage(&span, &format!("k{n}"), "v").unwrap();
        }
        let error = propagation::add_baggage(&span, "k", "v").unwrap_err();
        assert!(
            error.is_too_large() && error.to_string().contains("64 members"),
            "{error}"
        );
        propagation::add_baggage(&span, "k3", "new").unwrap();
        assert_eq!(propagation::context(&span).baggage.len(), MAX_BAGGAGE_MEMBERS);
        let error = propagation::add_baggage(&Span::none(), "k", "v").unwrap_err();
        assert!(
            error.is_not_recorded() && error.to_string().contains("disabled"),
            "{error}"
        );
    });
    let mut baggage = Baggage::default();
    let error = baggage.insert_with("k", "v", "ttl=\"3\"").unwrap_err();
    assert!(error.to_string().contains("separated by semicolons"), "{error}");
    assert!(baggage.is_empty());
}

#[test]
fn a_disabled_or_hidden_span_sends_the_context_of_the_enclosing_span() {
    recorded(|| {
        assert!(injected(&Span::none()).is_empty());
        let around = info_span!("around");
        around.in_scope(|| {
            assert_eq!(injected(&Span::none())["traceparent"], own(&around, "01"));
            let hidden = info_span!("hidden");
            assert_eq!(injected(&hidden)["traceparent"], own(&around, "01"));
        });
    });
}

#[test]
fn a_request_that_no_sink_sees_passes_its_context_on_unchanged() {
    let received = pairs(&[
        ("traceparent", &traceparent("00")),
        ("tracestate", "k=v"),
        ("baggage", "a=1"),
    ]);
    recorded(|| {
        let around = info_span!("around");
        let span = around.in_scope(|| info_span!("hidden request"));
        assert_eq!(
            propagation::continue_from(&span, &received),
            Continuation::NotRecorded
        );
        let sent: BTreeMap<_, _> = injected(&span).into_iter().collect();
        assert_eq!(sent, received.iter().cloned().collect());
    });
    // Without a registry it can't be kept.
    dispatcher::with_default(&Dispatch::none(), || {
        let span = info_span!("request");
        assert_eq!(
            propagation::continue_from(&span, &received),
            Continuation::NotRecorded
        );
        assert!(injected(&span).is_empty());
    });
}

#[test]
fn injected_values_replace_those_of_the_carrier() {
    recorded(|| {
        let span = info_span!("client");
        let mut sent = pairs(&[
            ("TraceParent", &traceparent("01")),
            ("tracestate", "k=v"),
            ("traceparent", &traceparent("00")),
            ("accept", "*/*"),
            ("baggage", "by=hand"),
        ]);
        propagation::inject(&span, &mut sent);
        let expected = [
            ("accept", "*/*"),
            ("baggage", "by=hand"),
            ("traceparent", &own(&span, "01")),
        ];
        assert_eq!(sent, pairs(&expected));
    });
}

#[test]
fn reads_of_hostile_carriers_are_bounded() {
    let good = traceparent("01");
    // Twice, also if one of them is malformed or spelled differently.
    for twice in [
        [("traceparent", good.as_str()), ("traceparent", good.as_str())],
        [("traceparent", good.as_str()), ("Traceparent", "")],
    ] {
        assert_eq!(propagation::extract(&pairs(&twice)), Context::default());
    }
    // Not UTF-8.
    let not_text: Vec<(String, Vec<u8>)> = vec![
        ("traceparent".to_owned(), good.clone().into_bytes()),
        ("tracestate".to_owned(), b"k=\xff".to_vec()),
        ("tracestate".to_owned(), b"a=1".to_vec()),
        ("baggage".to_owned(), b"a=1,b=\xc3".to_vec()),
        ("baggage".to_owned(), b"c=3".to_vec()),
    ];
    let context = propagation::extract(&not_text);
    assert_eq!(context.parent, parent("01"));
    assert_eq!(
        (context.trace_state.as_str(), context.baggage.to_string()),
        ("a=1", "c=3".to_owned())
    );
    let meta = json!({"traceparent": 7, "tracestate": ["k=v"], "baggage": {"a": "1"}});
    assert_eq!(
        propagation::extract(meta.as_object().unwrap()),
        Context::default()
    );
    // 10 MB in one value, and in many.
    let long = "k=v,".repeat(2_500_000);
    for values in [
        vec![long.as_str()],
        vec!["k=v"; 600],
        vec!["some=value,"; 900_000],
    ] {
        let mut received = pairs(&[("traceparent", &good)]);
        for value in values {
            received.extend(pairs(&[("tracestate", value), ("baggage", value)]));
        }
        let context = propagation::extract(&received);
        assert_eq!(context.parent, parent("01"));
        assert_eq!(context.trace_state, "", "too many members");
        assert_eq!(context.baggage.len(), 1, "one key");
    }
    let megabytes = "v".repeat(10_000_000);
    let received = pairs(&[
        ("traceparent", &good),
        ("tracestate", &format!("k={megabytes}")),
        ("baggage", &format!("first=1,k={megabytes},last=2")),
    ]);
    let context = propagation::extract(&received);
    assert_eq!(
        (context.trace_state.as_str(), context.baggage.to_string()),
        ("", "first=1".to_owned())
    );
    assert_eq!(
        propagation::extract(&pairs(&[("traceparent", &megabytes)])),
        Context::default()
    );
    // 600 members.
    let members: Vec<String> = (0..600).map(|n| format!("k{n}=v")).collect();
    let baggage = propagation::extract(&pairs(&[("baggage", &members.join(","))])).baggage;
    assert_eq!(baggage.len(), MAX_BAGGAGE_MEMBERS);
    assert!(baggage.to_string().starts_with("k0=v,k1=v"));
    // Random bytes.
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..2_000 {
        let name = ["traceparent", "tracestate", "baggage"][random.usize(..3)];
        let values = (0..random.usize(..4)).map(|_| {
            let bytes = b"00-4bf92f3577b34da6a3ce929d0e0e4736-,;=%@ \t\xff\xc3\xa9k";
            let value = (0..random.usize(..80)).map(|_| bytes[random.usize(..bytes.len())]);
            (name.to_owned(), value.collect::<Vec<u8>>())
        });
        let context = propagation::extract(&values.collect::<Vec<_>>());
        assert!(context.trace_state.len() <= MAX_TRACE_STATE_LEN);
        let again = propagation::extract(&pairs(&[("baggage", &context.baggage.to_string())]));
        assert_eq!(again.baggage, context.baggage);
    }
    const { assert!(MAX_BAGGAGE_LEN <= MAX_READ) };
}

#[test]
fn only_malformed_baggage_members_are_left_out() {
    let text = " a = 1 ;p;q = 2 ,,b,=3,c d=4,e=\"5\",f=%C3,g=é,h=6;p\\,a=7, i=";
    let baggage = Baggage::parse(text);
    assert_eq!(baggage.to_string(), "a=7,f=%C3,i=");
    assert_eq!(baggage.get("f").as_deref(), Some("\u{fffd}"));
    assert_eq!(baggage.get("A"), None);
    let baggage = Baggage::parse("a = 1 ;p;q = 2");
    let member = baggage.iter().next().unwrap();
    assert_eq!(
        (member.key(), &*member.value(), member.properties()),
        ("a", "1", "p;q = 2")
    );
}

#[test]
fn a_child_process_reads_what_its_parent_put_into_its_environment() {
    let (sent, command) = recorded(|| {
        let span = info_span!("spawn");
        propagation::add_baggage(&span, "tenant", "acme").unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        // From another trace; the child must not inherit it.
        command.env("TRACESTATE", "stale=1");
        propagation::inject(&span, &mut command);
        (propagation::context(&span), command)
    });
    let set: Vec<_> = command.get_envs().collect();
    assert!(
        set.iter()
            .any(|(name, value)| *name == "TRACESTATE" && value.is_none()),
        "{set:?}"
    );
    let mut command = command;
    let output = command
        .args([
            "--exact",
            "prints_the_context_of_its_environment",
            "--nocapture",
            "--ignored",
        ])
        .output()
        .unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let parent = sent.parent.unwrap();
    assert!(
        output.contains(&format!("context: {parent} [] tenant=acme")),
        "{output}"
    );
}

#[test]
#[ignore = "runs in the child process of the test above"]
fn prints_the_context_of_its_environment() {
    let Context {
        parent,
        trace_state,
        baggage,
        ..
    } = propagation::extract(&Environment::from_env());
    println!("context: {} [{trace_state}] {baggage}", parent.unwrap());
}
