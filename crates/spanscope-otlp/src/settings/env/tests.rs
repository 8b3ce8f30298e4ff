//! Tests of OpenTelemetry's variables: defaults, precedence, and invalid values.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
use std::collections::HashMap;

use super::*;
use crate::settings::{
    DEFAULT_EXPORT_TIMEOUT, DEFAULT_LOG_DELAY, DEFAULT_MAX_BATCH_SIZE, DEFAULT_MAX_QUEUE_SIZE,
    DEFAULT_METRIC_INTERVAL, DEFAULT_METRIC_TIMEOUT, DEFAULT_SPAN_DELAY, Endpoint, VARIABLES,
};

fn with(variables: &[(&str, &str)]) -> (Settings, Vec<SettingError>) {
    let variables: HashMap<&str, &str> = variables.iter().copied().collect();
    let mut settings = Settings::default();
    let problems = read(&mut settings, &|name| {
        variables.get(name).map(ToString::to_string)
    });
    (settings, problems)
}

fn good(variables: &[(&str, &str)]) -> Settings {
    let (settings, problems) = with(variables);
    assert_eq!(problems, [], "{variables:?}");
    settings
}

/// Returns the error of one variable with this value, which changes nothing.
fn bad(name: &str, value: &str) -> SettingError {
    let (settings, mut problems) = with(&[(name, value)]);
    assert_eq!(problems.len(), 1, "{name}={value}: {problems:?}");
    let default = format!("{:?}", Settings::default());
    assert_eq!(
        format!("{settings:?}"),
        default,
        "{name}={value} changed a setting"
    );
    let problem = problems.remove(0);
    assert_eq!(problem.place, name);
    assert!(!problem.accepted.is_empty());
    problem
}

fn endpoint(variables: &[(&str, &str)], signal: Signal) -> Result<String, SettingError> {
    let settings = good(variables);
    let protocol = settings.config(signal).protocol.unwrap_or_default();
    Endpoint::of(&settings, signal, protocol).map(|endpoint| endpoint.uri.to_string())
}

#[test]
fn the_documentation_lists_every_variable() {
    let rows: String = VARIABLES
        .iter()
        .map(|row| format!("| `{}` | {} | {} |\n", row.name, row.default, row.effect))
        .collect();
    let page = format!("\n| variable | default | what it does |\n|---|---|---|\n{rows}");
    assert_eq!(include_str!("../../variables.md"), page);
}

#[test]
fn without_variables_the_defaults_apply() {
    let settings = good(&[]);
    assert_eq!(settings.is_on, [true; 3]);
    assert_eq!(settings.sampler, Sampler::ParentBasedAlwaysOn);
    assert_eq!(settings.spans.delay, DEFAULT_SPAN_DELAY);
    assert_eq!(settings.logs.delay, DEFAULT_LOG_DELAY);
    for batch in [settings.spans, settings.logs] {
        assert_eq!(batch.max_queue_size, DEFAULT_MAX_QUEUE_SIZE);
        assert_eq!(batch.max_batch_size, DEFAULT_MAX_BATCH_SIZE);
        assert_eq!(batch.export_timeout, DEFAULT_EXPORT_TIMEOUT);
    }
    assert_eq!(settings.metric_interval, DEFAULT_METRIC_INTERVAL);
    assert_eq!(settings.metric_timeout, DEFAULT_METRIC_TIMEOUT);
    assert_eq!(
        settings.propagators,
        [Propagator::TraceContext, Propagator::Baggage]
    );
    assert_eq!(
        endpoint(&[], Signal::Traces).unwrap(),
        "http://localhost:4318/v1/traces"
    );
    let grpc = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
    assert_eq!(endpoint(&grpc, Signal::Traces).unwrap(), "http://localhost:4317/");
}

#[test]
fn an_empty_variable_is_not_set() {
    let names = [
        "OTEL_SDK_DISABLED",
        "OTEL_CONFIG_FILE",
        "OTEL_TRACES_SAMPLER",
        "OTEL_PROPAGATORS",
        "OTEL_BSP_SCHEDULE_DELAY",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_HEADERS",
    ];
    let default = format!("{:?}", Settings::default());
    for name in names {
        for value in ["", "  "] {
            assert_eq!(
                format!("{:?}", good(&[(name, value)])),
                default,
                "{name}={value:?}"
            );
        }
    }
}

#[test]
fn the_sdk_and_each_signal_can_be_turned_off() {
    assert_eq!(good(&[("OTEL_SDK_DISABLED", "TRUE")]).is_on, [false; 3]);
    assert_eq!(good(&[("OTEL_SDK_DISABLED", "false")]).is_on, [true; 3]);
    bad("OTEL_SDK_DISABLED", "1");
    for (place, name) in [
        "OTEL_TRACES_EXPORTER",
        "OTEL_METRICS_EXPORTER",
        "OTEL_LOGS_EXPORTER",
    ]
    .into_iter()
    .enumerate()
    {
        let mut is_on = [true; 3];
        assert_eq!(good(&[(name, "otlp")]).is_on, is_on);
        is_on[place] = false;
        assert_eq!(good(&[(name, "none")]).is_on, is_on);
        for other in ["console", "prometheus", "zipkin", "jaeger"] {
            assert!(bad(name, other).input == other);
        }
    }
}

#[test]
fn a_configuration_file_is_reported_as_not_read() {
    assert!(bad("OTEL_CONFIG_FILE", "otel.yaml").accepted.contains("not read"));
}

#[test]
fn the_service_name_has_priority_over_the_resource_attributes() {
    let settings = good(&[
        ("OTEL_SERVICE_NAME", "mine"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.name=theirs,key=a%2Cb%20c, k2 = v2 ,empty=",
        ),
    ]);
    let resource = crate::resource::resource(&settings);
    let text = |key: &'static str| {
        resource
            .get(&opentelemetry::Key::from_static_str(key))
            .map(|value| value.to_string())
    };
    assert_eq!(text("service.name").as_deref(), Some("mine"));
    assert_eq!(text("key").as_deref(), Some("a,b c"));
    assert_eq!(text("k2").as_deref(), Some("v2"));
    assert_eq!(text("empty").as_deref(), Some(""));
    assert_eq!(text("process.pid"), Some(std::process::id().to_string()));
    assert_eq!(text("service.instance.id").unwrap().len(), 36);
    let settings = good(&[("OTEL_RESOURCE_ATTRIBUTES", "service.name=theirs")]);
    let resource = crate::resource::resource(&settings);
    assert_eq!(
        resource.get(&opentelemetry::Key::from_static_str("service.name")),
        Some("theirs".into())
    );
    let unnamed = crate::resource::resource(&good(&[]));
    let name = unnamed
        .get(&opentelemetry::Key::from_static_str("service.name"))
        .unwrap();
    assert_eq!(name.to_string(), spanscope_core::program_name());
}

#[test]
fn invalid_attributes_are_reported() {
    for value in ["key", "=value", "a=%ff"] {
        bad("OTEL_RESOURCE_ATTRIBUTES", value);
    }
}

#[test]
fn samplers() {
    let of = |name: &str, argument: &str| {
        good(&[
            ("OTEL_TRACES_SAMPLER", name),
            ("OTEL_TRACES_SAMPLER_ARG", argument),
        ])
        .sampler
    };
    assert_eq!(of("always_on", ""), Sampler::AlwaysOn);
    assert_eq!(of("always_off", ""), Sampler::AlwaysOff);
    assert_eq!(of("traceidratio", "0.25"), Sampler::Ratio(0.25));
    assert_eq!(of("traceidratio", ""), Sampler::Ratio(1.0));
    assert_eq!(of("parentbased_always_on", "0.1"), Sampler::ParentBasedAlwaysOn);
    assert_eq!(of("parentbased_always_off", ""), Sampler::ParentBasedAlwaysOff);
    assert_eq!(
        of("parentbased_traceidratio", "0"),
        Sampler::ParentBasedRatio(0.0)
    );
    for name in ["jaeger_remote", "xray", "ALWAYS_ON", "0.5"] {
        bad("OTEL_TRACES_SAMPLER", name);
    }
    for argument in ["2", "-0.1", "NaN", "half"] {
        let variables = [
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", argument),
        ];
        let (settings, problems) = with(&variables);
        assert_eq!(settings.sampler, Sampler::Ratio(1.0), "{argument}");
        assert_eq!(problems[0].place, "OTEL_TRACES_SAMPLER_ARG");
    }
}

#[test]
fn limits() {
    let limits = good(&[
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "10"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "11"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "12"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "13"),
        ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "14"),
        ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "15"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "16"),
        ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "17"),
    ])
    .limits;
    assert_eq!((limits.span_attributes, limits.log_attributes), (11, 10));
    assert_eq!(
        (limits.span_events, limits.span_links, limits.event_attributes),
        (12, 13, 14)
    );
    assert_eq!(
        (limits.span_value_chars, limits.log_value_chars),
        (Some(17), Some(16))
    );
    let limits = good(&[
        ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "3"),
        ("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "4"),
    ])
    .limits;
    assert_eq!((limits.log_attributes, limits.log_value_chars), (3, Some(4)));
    assert_eq!((limits.span_attributes, limits.span_value_chars), (128, None));
    for value in ["-1", "many", "1.5", "99999999999999999999999"] {
        bad("OTEL_SPAN_EVENT_COUNT_LIMIT", value);
    }
}

#[test]
fn batches() {
    for part in ["BSP", "BLRP"] {
        let name = |what: &str| format!("OTEL_{part}_{what}");
        let names = [
            name("SCHEDULE_DELAY"),
            name("MAX_QUEUE_SIZE"),
            name("MAX_EXPORT_BATCH_SIZE"),
            name("EXPORT_TIMEOUT"),
        ];
        let settings = good(&[
            (&names[0], "7"),
            (&names[1], "8"),
            (&names[2], "9"),
            (&names[3], "10"),
        ]);
        let (set, other) = if part == "BSP" {
            (settings.spans, settings.logs)
        } else {
            (settings.logs, settings.spans)
        };
        assert_eq!(
            (set.delay, set.export_timeout),
            (Duration::from_millis(7), Duration::from_millis(10))
        );
        assert_eq!((set.max_queue_size, set.max_batch_size), (8, 9));
        assert_eq!(other.max_batch_size, DEFAULT_MAX_BATCH_SIZE);
        for name in &names[1..3] {
            bad(name, "0");
        }
        bad(&names[0], "5s");
    }
}

#[test]
fn metrics() {
    let settings = good(&[
        ("OTEL_METRIC_EXPORT_INTERVAL", "5"),
        ("OTEL_METRIC_EXPORT_TIMEOUT", "6"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "Delta"),
        (
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
            "base2_exponential_bucket_histogram",
        ),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "always_on"),
    ]);
    assert_eq!(settings.metric_interval, Duration::from_millis(5));
    assert_eq!(settings.metric_timeout, Duration::from_millis(6));
    assert_eq!(settings.temporality, Temporality::Delta);
    assert!(settings.exponential_histograms);
    let of = |text| good(&[("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", text)]).temporality;
    assert_eq!(
        (of("cumulative"), of("lowmemory")),
        (Temporality::Cumulative, Temporality::LowMemory)
    );
    bad("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "sometimes");
    bad(
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        "summary",
    );
    bad("OTEL_METRICS_EXEMPLAR_FILTER", "all");
}

#[test]
fn contents_and_exceptions() {
    use ContentPolicy::{Full, None as No, Redacted};
    for (value, spans, logs) in [
        ("NO_CONTENT", No, No),
        ("span_only", Full, No),
        ("EVENT_ONLY", No, Full),
        ("SPAN_AND_EVENT", Full, Full),
        ("true", Full, Full),
        ("false", No, No),
        ("redacted", Redacted, Redacted),
    ] {
        let settings = good(&[("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", value)]);
        assert_eq!(
            (settings.span_content, settings.log_content),
            (spans, logs),
            "{value}"
        );
    }
    bad("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "yes");
    let alone = |value| good(&[("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN", value)]).exceptions_are_logs;
    assert!(alone("logs") && !alone("logs/dup"));
    bad("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN", "spans");
}

#[test]
fn propagators() {
    let of = |text| good(&[("OTEL_PROPAGATORS", text)]).propagators;
    assert_eq!(of("baggage"), [Propagator::Baggage]);
    assert_eq!(
        of("baggage, tracecontext,baggage"),
        [Propagator::Baggage, Propagator::TraceContext]
    );
    assert_eq!(of("none"), []);
    let (settings, problems) = with(&[("OTEL_PROPAGATORS", "b3,tracecontext")]);
    assert_eq!(settings.propagators, [Propagator::TraceContext]);
    assert_eq!(
        (problems[0].place.as_str(), problems[0].input.as_str()),
        ("OTEL_PROPAGATORS", "b3")
    );
}

#[test]
fn a_variable_of_one_signal_overrides_that_of_all() {
    let settings = good(&[
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=1"),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "b=2"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "100"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "200"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
        ("OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", "/other.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/c.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/k.pem"),
    ]);
    let [traces, metrics, logs] = Signal::ALL.map(|signal| settings.config(signal));
    assert_eq!(traces.protocol, Some(Protocol::HttpProtobuf));
    assert_eq!(
        (metrics.protocol, logs.protocol),
        (Some(Protocol::HttpJson), Some(Protocol::HttpJson))
    );
    let names = |config: &ExporterConfig| format!("{:?}", config.headers.clone().unwrap());
    assert_eq!(
        (names(&traces), names(&logs)),
        (r#"["a"]"#.to_owned(), r#"["b"]"#.to_owned())
    );
    assert_eq!(traces.timeout, Some(Duration::from_millis(100)));
    assert_eq!(metrics.timeout, Some(Duration::from_millis(200)));
    assert_eq!(
        (traces.compression, logs.compression),
        (Some(Compression::None), Some(Compression::Gzip))
    );
    let certificate = |config: &ExporterConfig| config.certificate.clone().unwrap().1;
    assert_eq!(
        (certificate(&traces), certificate(&logs)),
        ("/ca.pem".into(), "/other.pem".into())
    );
    assert!(traces.client_certificate.is_some() && traces.client_key.is_some());
}

#[test]
fn errors_for_unknown_words_name_the_accepted_ones() {
    for part in ["", "TRACES_", "METRICS_", "LOGS_"] {
        let protocol = bad(&format!("OTEL_EXPORTER_OTLP_{part}PROTOCOL"), "http");
        assert!(protocol.accepted.contains("http/protobuf, http/json, grpc"));
        let compression = bad(&format!("OTEL_EXPORTER_OTLP_{part}COMPRESSION"), "snappy");
        assert!(compression.accepted.contains("gzip, none"));
        bad(&format!("OTEL_EXPORTER_OTLP_{part}TIMEOUT"), "10s");
    }
}

#[test]
fn endpoints() {
    let all = |url| [("OTEL_EXPORTER_OTLP_ENDPOINT", url)];
    let of = |url, signal| endpoint(&all(url), signal).unwrap();
    assert_eq!(of("http://c:4318", Signal::Logs), "http://c:4318/v1/logs");
    assert_eq!(
        of("https://c/otlp/", Signal::Metrics),
        "https://c/otlp/v1/metrics"
    );
    assert_eq!(
        of("http://[::1]:4318", Signal::Traces),
        "http://[::1]:4318/v1/traces"
    );
    for (name, signal) in [
        ("TRACES", Signal::Traces),
        ("METRICS", Signal::Metrics),
        ("LOGS", Signal::Logs),
    ] {
        let own = format!("OTEL_EXPORTER_OTLP_{name}_ENDPOINT");
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:1"),
            (own.as_str(), "http://own:2/as/it/is"),
        ];
        assert_eq!(endpoint(&variables, signal).unwrap(), "http://own:2/as/it/is");
    }
    let grpc = |more: &[(&str, &str)]| {
        let mut variables = vec![
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4317"),
        ];
        variables.extend_from_slice(more);
        endpoint(&variables, Signal::Traces).unwrap()
    };
    assert_eq!(grpc(&[]), "https://c:4317/");
    assert_eq!(grpc(&[("OTEL_EXPORTER_OTLP_INSECURE", "true")]), "http://c:4317/");
    assert_eq!(
        grpc(&[("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "True")]),
        "http://c:4317/"
    );
}

#[test]
fn invalid_endpoints_are_refused_with_the_reason() {
    for (url, why) in [
        ("localhost:4318", "http://"),
        ("not a url", "URL"),
        ("ftp://host", "http:// and https://"),
        ("http://", "URL"),
        ("http:///v1/traces", "URL"),
        ("http://host:99999", "port"),
        ("http://host:0", "port"),
        ("http://host:four", "URL"),
        ("//host", "http://"),
    ] {
        let wrong = endpoint(&[("OTEL_EXPORTER_OTLP_ENDPOINT", url)], Signal::Traces).unwrap_err();
        assert_eq!(wrong.place, "OTEL_EXPORTER_OTLP_ENDPOINT", "{url}");
        assert!(wrong.accepted.contains(why), "{url}: {wrong}");
        assert!(wrong.accepted.contains("http://localhost:4318"), "{url}: {wrong}");
    }
}

#[test]
fn secrets_in_urls_and_headers_are_never_shown() {
    let url = "ftp://user:hunter2@host/path?token=hunter2";
    let wrong = endpoint(&[("OTEL_EXPORTER_OTLP_ENDPOINT", url)], Signal::Traces).unwrap_err();
    assert_eq!(wrong.input, "ftp://host/path");
    for headers in [
        "authorization=Bearer hunter2",
        "authorization=hunter2\u{7f}",
        "hunter2",
        "hunter 2=x",
        "ok=1,hunter2",
        "a=%ff%hunter2",
    ] {
        let (settings, problems) = with(&[("OTEL_EXPORTER_OTLP_HEADERS", headers)]);
        let all = format!("{settings:?} {problems:?}");
        assert!(!all.contains("hunter"), "{headers}: {all}");
    }
}

#[test]
fn headers_are_decoded() {
    let config = good(&[(
        "OTEL_EXPORTER_OTLP_HEADERS",
        "Authorization=Basic%20abc%3D, x-a = b ,x-a=c",
    )])
    .all;
    let headers = config.headers.unwrap().0;
    let of = |name: &str| {
        let found: Vec<_> = headers
            .iter()
            .filter(|(known, _)| known.as_str() == name)
            .collect();
        assert_eq!(found.len(), 1);
        found[0].1.to_str().unwrap().to_owned()
    };
    assert_eq!(
        (of("authorization"), of("x-a")),
        ("Basic abc=".to_owned(), "c".to_owned())
    );
}

#[test]
fn variables_that_are_not_read_change_nothing() {
    let default = format!("{:?}", Settings::default());
    let unread = VARIABLES.iter().filter(|row| {
        let says_so = |words: &str| row.effect.contains(words);
        says_so("not read") && row.name != "OTEL_CONFIG_FILE"
    });
    let mut names: Vec<&str> = unread.map(|row| row.name).collect();
    assert!(names.len() > 8);
    names.push("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT");
    for name in names {
        assert_eq!(format!("{:?}", good(&[(name, "1")])), default, "{name}");
    }
}
