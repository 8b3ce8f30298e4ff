//! Tests of filters: the spans and events that each term matches, errors, limits, and conversions.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use serde_json::json;

use super::*;
use crate::{Attributes, Condition, ConditionOp, LogEvent, Severity, Span};

fn span(attributes: serde_json::Value) -> Span {
    serde_json::from_value(json!({
        "span_id": "00f067aa0ba902b7", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "name": "chat llama",
        "start_time": "2026-11-21T14:03:00Z", "end_time": "2026-11-21T14:03:01.5Z", "status": "error",
        "status_message": "Connection refused", "kind": "client", "service_name": "bank", "category": "inference",
        "level": "warn", "parent_span_id": null, "attributes": attributes
    }))
    .unwrap()
}

fn event(message: &str) -> LogEvent {
    LogEvent {
        id: String::new(),
        trace_id: None,
        span_id: None,
        timestamp: "2026-11-21T14:03:00Z".parse().unwrap(),
        severity: Severity::Error,
        name: String::new(),
        message: message.to_owned(),
        target: String::new(),
        category: "core".to_owned(),
        service_name: "bank".to_owned(),
        attributes: [("order", "A-7")].into_iter().collect::<Attributes>(),
    }
}

fn parsed(text: &str) -> Filter {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn matches(text: &str, span: &Span) -> bool {
    let events = [event("retried 3 times")];
    let trace = TraceNumbers {
        duration_ms: Some(2000.0),
        spans: Some(12),
        errors: Some(1),
        tokens: Some(900),
        cost: None,
    };
    parsed(text).matches(&SpanSubject::new(span).events(&events).trace(trace))
}

#[test]
fn each_form_of_a_term_matches_as_documented() {
    let span = span(json!({
        "version": "1.20", "yes": "true", "model": "gpt-4o", "n": 5, "zero": 0, "done": true, "text number": "5", "big": u64::MAX, "pi": 3.25,
        "gen_ai.usage.input_tokens": "120", "latency_ms": 1200, "gen_ai.response.time_to_first_chunk": 0.25,
        "reasons": ["stop", "length"], "status": "own", "trace.x": 1, "nothing": null, "empty": ""
    }));
    for (yes, no) in [
        ("", "-\"chat\""),
        ("chat", "chats"),
        ("REFUSED", "refusedd"),
        ("RETRIED", "retired"),
        ("gpt-4o", "gpt-5"),
        ("\"chat llama\"", "\"chat  llama\""),
        ("-chats", "-chat"),
        ("llama -stop chat", "llama -chat"),
        ("model=gpt-4o", "model=gpt"),
        ("model=gpt*", "model=GPT*"),
        ("model=a,gpt-4o", "model=a,b"),
        ("model=a*,gpt*", "model=a*,b*"),
        ("model!=a,b", "model!=a,gpt-4o"),
        ("model!=a*", "model!=gpt*"),
        ("model~T-4", "model~4t"),
        ("model~a,4o", "model~a,b"),
        ("model!~claude", "model!~GPT"),
        ("model=*", "modl=*"),
        ("-modl=*", "-model=*"),
        ("nothing=*", "nothing=0"),
        ("model>gpt-4", "model>gpt-4o"),
        ("model>=gpt-4o", "model<gpt-4o"),
        ("n=5", "n=\"5\""),
        ("n=5.0", "n=5.5"),
        ("n>4 n>=5 n<6 n<=5", "n>5"),
        ("n!=6", "n!=5"),
        ("n=4,5", "n=4,6"),
        ("\"text number\"=\"5\"", "\"text number\"=\"5.0\""),
        ("\"text number\"=5", "\"text number\"=5.0"),
        ("\"text number\"=4,5", "\"text number\"!=4,5"),
        ("version=1.20", "version=1.2"),
        ("version!=1.2", "version!=1.20"),
        ("-version=1.2", "-version=1.20"),
        ("-version=1", "version>1.1"),
        ("yes=true", "yes=false"),
        ("yes!=false", "yes!=true"),
        ("yes=\"true\"", "done=\"true\""),
        ("big=18446744073709551615", "big<18446744073709551615"),
        ("big>18446744073709551614", "big=18446744073709551614"),
        ("pi>3 pi<4", "pi=3"),
        ("done=true", "done=false"),
        ("done!=false", "done!=true"),
        ("done!=\"true\"", "done=1"),
        ("gen_ai.usage.input_tokens>100", "gen_ai.usage.input_tokens>120"),
        (
            "gen_ai.usage.input_tokens=120",
            "gen_ai.usage.input_tokens=\"12\"",
        ),
        ("latency_ms>1s", "latency_ms>1200ms"),
        (
            "gen_ai.response.time_to_first_chunk<=250ms",
            "gen_ai.response.time_to_first_chunk>0.25s",
        ),
        ("reasons~LENGTH", "reasons=length"),
        ("empty=\"\"", "empty!=\"\""),
        ("zero=0 -zero=1", "zero>0"),
        ("-user=ann", "user!=ann"),
        ("-user~ann", "user!~ann"),
        ("attributes.status=own", "attributes.status=error"),
        ("attributes.trace.x=1", "attributes.trace.y=1"),
        ("status=error", "status=ok"),
        ("status=ERROR status!=ok", "-status=error"),
        ("status=ok,error", "-status=*"),
        ("kind=client", "kind=server"),
        ("name=chat* name~LLAMA", "name=\"chat\""),
        ("service=bank category!=core", "service=\"\""),
        ("level=warn", "level>=error"),
        ("level>info level<=WARNING", "level<warn"),
        ("duration=1.5s", "duration>1500"),
        ("duration>=1500 duration<1h", "duration<=1499999us"),
        ("duration>0.02m", "duration<1500000000ns"),
        ("start>=2026-11-21T14:03:00Z", "start>2026-11-21T14:03:00Z"),
        ("end_time<2026-11-21T14:04:00Z", "start=0"),
        ("start>1795269780000", "end_time<1795269780000"),
        ("trace=4BF92F3577B34DA6A3CE929D0E0E4736", "trace=4bf9"),
        ("trace=4bf9* span=00f0*", "trace=4bfa*"),
        ("-parent=*", "parent=*"),
        ("trace.duration>1.5s", "trace.duration>2s"),
        ("trace.spans=12 trace.errors>0", "trace.spans=1,2"),
        ("trace.tokens>=900 trace.tokens!=1", "trace.cost>0"),
        ("-trace.cost>0", "trace.cost=*"),
        ("duration_ms>1000 service_name=bank", "duration_ms>1500"),
    ] {
        assert!(matches(yes, &span), "{yes}");
        assert!(!matches(no, &span), "{no}");
    }
}

#[test]
fn missing_fields_of_a_running_span_match_only_negated_terms() {
    let mut span = span(json!({}));
    (span.end_time, span.status, span.level) = (None, None, None);
    for lacking in [
        "status=error",
        "status!=error",
        "duration>0",
        "duration!=5",
        "end_time=*",
        "level=*",
    ] {
        assert!(!matches(lacking, &span), "{lacking}");
        assert!(matches(&format!("-{lacking}"), &span), "-{lacking}");
    }
}

#[test]
fn an_event_is_matched_by_its_message_its_level_and_its_attributes() {
    let event = event("Payment declined");
    for (filter, holds) in [
        ("declined", true),
        ("a-7", true),
        ("level>=error", true),
        ("level=warn", false),
        ("service=bank order=A*", true),
        ("duration>1s", false),
        ("-duration>1s", true),
        ("trace=*", false),
    ] {
        assert_eq!(parsed(filter).matches(&event), holds, "{filter}");
    }
}

#[test]
fn an_error_has_its_position_the_expected_term_and_a_suggestion() {
    for (text, position, expected, suggestion) in [
        ("status=eror", 7, "ok or error", Some("error")),
        ("é status=x", 10, "ok or error", None),
        ("kind=sever", 5, "internal, server", Some("server")),
        ("level=eror", 6, "verbose, debug", Some("error")),
        ("status>ok", 6, "= or !=", None),
        ("status~ok", 6, "= or !=", None),
        ("trace.durations>5", 0, "trace.duration,", Some("trace.duration")),
        ("trace.spans=many", 12, "a number", None),
        ("trace.spans=5s", 12, "a number", None),
        ("duration>5sec", 10, "ns us ms s m h", Some("s")),
        ("duration>5 ms duration>x", 23, "a duration as", None),
        ("duration>5MS", 10, "ns us ms s m h", Some("ms")),
        ("latency_ms>5minutes", 12, "ns us ms s m h", Some("m")),
        ("latency>5ms", 8, "without a unit", None),
        ("duration>5,6", 10, "one value", None),
        ("duration=5*", 9, "a whole value", None),
        ("start>yesterday", 6, "a time as", None),
        ("span=00g0", 7, "hexadecimal", None),
        ("done>true", 5, "= or !=", None),
        ("a==b", 1, "one of =", Some("=")),
        ("a=~b", 1, "one of =", Some("~")),
        ("a=>5", 1, "one of =", Some(">=")),
        ("a<>b", 1, "one of =", Some("!=")),
        ("=b", 0, "a key", None),
        ("é a = b c", 3, "no blanks around", Some("a=b")),
        ("a.b >= 5", 0, "no blanks around", Some("a.b>=5")),
        ("a= b", 2, "a value after =", None),
        ("a=", 2, "a value after =", None),
        ("a=b,", 4, "a value after =", None),
        ("a=b,,c", 4, "a value after =", None),
        ("a=*,b", 2, "* alone", None),
        ("a!=*", 3, "a value after !=", None),
        ("a=*b*", 2, "without * at its beginning", Some("a~b")),
        ("a~b*", 2, "a whole value", None),
        ("a=\"b", 4, "a quote at the end", Some("\"b\"")),
        ("a=\"b\"c", 5, "a blank or a comma", None),
        ("a=b\"c\"", 2, "quotes around the whole", None),
        ("ab\"c\"", 2, "quotes around the whole", None),
        ("\"c:\\dir\"", 0, "backslashes", Some("\"c:\\\\dir\"")),
        ("\"\"", 0, "a text to look for", None),
        ("-", 1, "after -", None),
        ("- a", 1, "after -", None),
        ("--a", 1, "after -", None),
        ("a=1 AND b=2", 4, "no AND", None),
        ("a=1 OR b=2", 4, "no OR", None),
        ("NOT a=1", 0, "- before a term", Some("-")),
        (
            "status:error",
            0,
            "an operator after the key",
            Some("status=error"),
        ),
    ] {
        let error = text.parse::<Filter>().expect_err(text);
        assert_eq!(error.position(), position, "{text}: {error}");
        assert!(text.is_char_boundary(error.position()), "{text}");
        assert!(error.expected().contains(expected), "{text}: {error}");
        assert_eq!(error.suggestion(), suggestion, "{text}: {error}");
    }
    for fine in [
        "http://x:80/a",
        "a,b",
        "x-y",
        "(a",
        "12:30",
        "and",
        "-5",
        "key=a:b",
        "k=a=b",
        "\"OR\"",
    ] {
        parsed(fine);
    }
}

#[test]
fn a_filter_beyond_a_limit_is_an_error() {
    let terms = |count: usize| vec!["a"; count].join(" ").parse::<Filter>();
    assert!(terms(MAX_TERMS).is_ok() && terms(MAX_TERMS + 1).is_err());
    let values = |count: usize| format!("a={}", vec!["b"; count].join(",")).parse::<Filter>();
    assert!(values(MAX_VALUES).is_ok() && values(MAX_VALUES + 1).is_err());
    let error = "ä".repeat(MAX_LEN).parse::<Filter>().unwrap_err();
    assert_eq!(error.position(), MAX_LEN);
}

/// Pseudo-random numbers, the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % u64::try_from(bound).unwrap()).unwrap()
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn text(&mut self) -> String {
        const PIECES: [&str; 30] = [
            "a",
            "B",
            "5",
            "1.5",
            "true",
            "-",
            "*",
            ",",
            "=",
            "!",
            "~",
            "<",
            ">",
            "\"",
            "\\",
            " ",
            "\n",
            "\t",
            "ms",
            "s",
            ".",
            "trace.",
            "attributes.",
            "status",
            "error",
            ":",
            "é",
            "\u{202e}",
            "OR",
            "\0",
        ];
        (0..self.below(6)).map(|_| self.pick(&PIECES)).collect()
    }
}

#[test]
fn a_written_filter_is_read_back_unchanged() {
    let mut random = Random(7);
    let mut read = 0;
    for _ in 0..50_000 {
        // Random texts: a filter that parses must survive a round trip.
        let text: String = (0..=random.below(4))
            .map(|_| match random.below(3) {
                0 => random.text(),
                1 => format!(
                    "{}{}{}",
                    random.text(),
                    random.pick(&["=", "!=", "~", ">=", "<"]),
                    random.text()
                ),
                _ => format!(
                    "{}{}",
                    random.pick(&["status=", "-level>", "duration<=", "n=", "trace="]),
                    random.text()
                ),
            })
            .collect::<Vec<_>>()
            .join(" ");
        match text.parse::<Filter>() {
            Ok(filter) => {
                read += 1;
                let written = filter.to_string();
                assert_eq!(
                    written.parse::<Filter>().as_ref(),
                    Ok(&filter),
                    "{text:?} {written:?}"
                );
                assert_eq!(parsed(&written).to_string(), written);
            }
            Err(error) => assert!(text.is_char_boundary(error.position()), "{text:?} {error}"),
        }
        // Terms of random texts must survive a round trip too.
        let comparison = Comparison {
            key: FilterKey::Attribute(random.text()),
            op: if random.below(2) == 0 {
                FilterOp::Eq
            } else {
                FilterOp::Ne
            },
            values: (0..=random.below(2))
                .map(|_| match random.below(2) {
                    0 => Pattern::Is(Scalar::Text(random.text())),
                    _ => Pattern::Begins(random.text()),
                })
                .collect(),
        };
        let test = match random.text() {
            text if text.is_empty() || random.below(2) == 0 => FilterTest::Compare(comparison),
            text => FilterTest::Text(text),
        };
        let term = FilterTerm {
            negated: random.below(2) == 0,
            test,
        };
        let written = term.to_string();
        assert_eq!(parsed(&written).terms, [term], "{written:?}");
    }
    assert!(read > 2_500, "{read}");
}

#[test]
fn a_condition_and_the_equivalent_term_convert_into_each_other() {
    let condition = |text: &str| parsed(text).terms[0].to_condition();
    for (text, key, op, value) in [
        ("status=error", "status", ConditionOp::Eq, json!("error")),
        (
            "gen_ai.usage.input_tokens!=5",
            "gen_ai.usage.input_tokens",
            ConditionOp::Ne,
            json!(5),
        ),
        ("duration>1.5s", "duration_ms", ConditionOp::Gt, json!(1500.0)),
        ("duration<20", "duration_ms", ConditionOp::Lt, json!(20)),
        ("service=bank", "service_name", ConditionOp::Eq, json!("bank")),
        (
            "service.name=bank",
            "service_name",
            ConditionOp::Eq,
            json!("bank"),
        ),
        (
            "attributes.name=x",
            "attributes.name",
            ConditionOp::Eq,
            json!("x"),
        ),
        ("attributes.level=x", "level", ConditionOp::Eq, json!("x")),
        (
            "attributes.attributes.a=x",
            "attributes.attributes.a",
            ConditionOp::Eq,
            json!("x"),
        ),
        ("latency_ms>2s", "latency_ms", ConditionOp::Gt, json!(2000.0)),
    ] {
        let made = condition(text).unwrap();
        assert_eq!(made, Condition::new(key, op, value), "{text}");
        assert_eq!(FilterTerm::from(&made).to_condition(), Some(made), "{text}");
    }
    for beyond in [
        "n!=5",
        "done=true",
        "chat",
        "-a=b",
        "a=b,c",
        "a=b*",
        "a=*",
        "a~b",
        "a>=5",
        "level=warn",
        "trace.spans=1",
    ] {
        assert_eq!(condition(beyond), None, "{beyond}");
    }
    let nothing = FilterTerm::from(&Condition::new("a", ConditionOp::Ne, json!([1])));
    assert!(!nothing.matches(&SpanSubject::new(&span(json!({"a": [1]})))));
}

#[test]
fn a_where_condition_in_the_older_form_keeps_its_meaning() {
    let spans = span(json!({
        "title": "a, b*", "level": 5, "duration": 7, "url": "a=b", "x~y": 1, "n": 5, "id": "007", "quoted": "5",
        "blank": " v", "e": ""
    }));
    let subject = SpanSubject::new(&spans);
    for text in [
        "title=a, b*",
        "level=5",
        "duration=7",
        "url=a=b",
        "x~y=1",
        " n =5",
        "n>=5",
        "n<=5",
        "n>4.5",
        "n!=6",
        "id=007",
        "quoted=\"5\"",
        "blank= v",
        "e=",
        "duration_ms>1000",
        "name=chat llama",
        "status=ERROR",
        "title~A, B",
        "title!~c",
        "service_name=bank",
        "attributes.level=5",
        "n=5",
        "span_id=00f067aa0ba902b7",
        "n~=5",
        "url!=b=a",
        "url~=b",
        "status!=bogus",
    ] {
        let term = FilterTerm::parse_where(text).unwrap();
        let expected = !matches!(text, "n~=5" | "url~=b");
        assert_eq!(term.matches(&subject), expected, "{text}");
        if !text.contains("bogus") {
            assert_eq!(
                parsed(&term.to_string()).matches(&subject),
                expected,
                "{text}: {term}"
            );
        }
    }
    for (wrong, position) in [
        ("n", 1),
        ("=5", 0),
        ("n==5", 1),
        ("n!5", 1),
        ("", 0),
        ("n>==5", 1),
        (" =5", 0),
    ] {
        let error = FilterTerm::parse_where(wrong).unwrap_err();
        assert_eq!(error.position(), position, "{wrong}: {error}");
    }
}

#[test]
fn the_where_flag_accepts_a_filter_and_the_older_form() {
    for (text, filter) in [
        ("status=error", "status=error"),
        (
            "status=error -name~health timeout",
            "status=error -name~health timeout",
        ),
        ("timeout", "timeout"),
        ("model=a,b", "model=a,b"),
        ("model=gpt*", "model=gpt*"),
        ("duration>1s", "duration>1s"),
        ("name=chat gpt-4o", "name=\"chat gpt-4o\""),
        ("name=chat gpt-4o kind=client", "name=chat gpt-4o kind=client"),
        ("service=my shop", "service=\"my shop\""),
        ("title=a, b*", "title=\"a, b*\""),
        ("user=", "user=\"\""),
        (" n =5", "n=5"),
        ("a b=c", "a b=c"),
        ("url=a=b", "url=a=b"),
        ("", ""),
    ] {
        let read = Filter::parse_where(text).map(|filter| filter.to_string());
        assert_eq!(read.as_deref(), Ok(filter), "{text}");
    }
    for (wrong, position) in [
        ("status=eror", 7),
        ("status=eror duration>1s", 7),
        ("model=gpt duration>5sec", 20),
        ("timeout status=eror", 15),
        ("level=my own", 6),
        ("name=*x", 5),
        ("n==5", 1),
    ] {
        let error = Filter::parse_where(wrong).unwrap_err();
        assert_eq!(error.position(), position, "{wrong}: {error}");
    }
}

#[test]
fn a_key_that_the_span_lacks_is_looked_up_in_its_resource() {
    let mut span = span(json!({"host.name": "own", "resource.name": "GET /"}));
    let resource = json!({"host.name": "box", "host.arch": "arm64", "name": "r"});
    span.resource = Some(serde_json::from_value(resource).unwrap());
    for (yes, no) in [
        ("host.name=own", "host.name=box"),
        ("resource.host.name=box", "resource.host.name=own"),
        ("host.arch=arm64", "host.arch!=arm64"),
        ("-host.os=linux", "host.os!=linux"),
        ("resource.name=\"GET /\"", "resource.name=r"),
        ("attributes.name=r", "attributes.kind=client"),
    ] {
        assert!(matches(yes, &span), "{yes}");
        assert!(!matches(no, &span), "{no}");
    }
}

#[test]
fn numbers_of_any_size_are_compared_without_being_rounded() {
    let span = span(json!({"n": 9_007_199_254_740_993_i64, "u": u64::MAX, "r": 0.5, "z": -3}));
    for (yes, no) in [
        ("n>9007199254740992.0", "n=9007199254740992.0"),
        ("n<9007199254740993.5", "n>9007199254740993.5"),
        ("u<1e300 u>-1e300", "u>1e300"),
        ("u<18446744073709551616", "u=18446744073709551616"),
        ("r>0 r<1", "r=0"),
        ("z<-2.5 z>-3.5 z=-3.0", "z>-2.5"),
    ] {
        assert!(matches(yes, &span), "{yes}");
        assert!(!matches(no, &span), "{no}");
    }
}
