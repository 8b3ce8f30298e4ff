//! Reads the variables of OpenTelemetry's specification into settings; `variables.rs` lists them.
//!
//! Parsing follows the specification: an empty variable is not set, a boolean is true only as
//! `true`, an invalid value is reported and changes nothing. A variable of one signal has priority
//! over that of all signals.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use spanscope_core::resource_pairs;
use spanscope_model::text::first_chars;

use super::{
    Compression, ContentPolicy, ExporterConfig, Headers, Located, Propagator, Protocol, Sampler,
    SettingError, Settings, Signal, Temporality,
};

/// A shorter time was probably meant in seconds. It is still read as milliseconds, and a notice
/// reports it.
const SHORT: Duration = Duration::from_millis(100);

/// Reads the environment into settings; returns invalid values. `get` returns a variable's value.
pub(crate) fn read(settings: &mut Settings, get: &dyn Fn(&str) -> Option<String>) -> Vec<SettingError> {
    let mut reader = Reader {
        get,
        problems: Vec::new(),
        notices: Vec::new(),
    };
    reader.read(settings);
    settings.notices.append(&mut reader.notices);
    reader.problems
}

struct Reader<'a> {
    get: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<SettingError>,
    notices: Vec<SettingError>,
}

impl Reader<'_> {
    fn read(&mut self, settings: &mut Settings) {
        if self.text("OTEL_CONFIG_FILE").is_some() {
            self.wrong(
                "OTEL_CONFIG_FILE",
                "",
                "such files are not read; the other variables hold",
            );
        }
        if self.is_true("OTEL_SDK_DISABLED") {
            settings.is_on = [false; 3];
        }
        for (signal, name) in Signal::ALL.into_iter().zip([
            "OTEL_TRACES_EXPORTER",
            "OTEL_METRICS_EXPORTER",
            "OTEL_LOGS_EXPORTER",
        ]) {
            self.exporter(name, &mut settings.is_on[signal.index()]);
        }
        self.resource(settings);
        self.sampler(settings);
        self.limits(settings);
        self.batches(settings);
        self.metrics(settings);
        self.content(settings);
        self.propagators(settings);
        self.exporter_config(&mut settings.all, "");
        for (signal, part) in Signal::ALL.into_iter().zip(["TRACES_", "METRICS_", "LOGS_"]) {
            self.exporter_config(&mut settings.own[signal.index()], part);
        }
    }

    fn exporter(&mut self, name: &str, is_on: &mut bool) {
        let Some(text) = self.text(name) else { return };
        let wanted: Vec<&str> = text
            .split(',')
            .map(str::trim)
            .filter(|one| !one.is_empty())
            .collect();
        for one in wanted.iter().filter(|one| !matches!(**one, "otlp" | "none")) {
            self.wrong(
                name,
                one,
                "here it can be otlp or none; the console and the store are sinks of TELEMETRY_SINKS",
            );
        }
        if !wanted.contains(&"otlp") && wanted.contains(&"none") {
            *is_on = false;
        }
    }

    fn resource(&mut self, settings: &mut Settings) {
        const NAME: &str = "OTEL_RESOURCE_ATTRIBUTES";
        if let Some(text) = self.text(NAME) {
            for pair in resource_pairs(&text) {
                match pair {
                    Ok((key, value)) => {
                        settings.resource.retain(|(known, _)| *known != key);
                        settings.resource.push((key, value));
                    }
                    Err(pair) => self.wrong(
                        NAME,
                        pair,
                        "write key=value,key=value, with %2C for a comma in a value",
                    ),
                }
            }
        }
        if let Some(name) = self.text("OTEL_SERVICE_NAME") {
            settings.service_name = Some(name);
        }
    }

    fn sampler(&mut self, settings: &mut Settings) {
        const NAME: &str = "OTEL_TRACES_SAMPLER";
        const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
        let Some(text) = self.text(NAME) else { return };
        let mut ratio = 1.0;
        if text.trim().ends_with("traceidratio")
            && let Some(argument) = self.text(ARGUMENT)
        {
            match argument.trim().parse::<f64>() {
                Ok(share) if (0.0..=1.0).contains(&share) => ratio = share,
                _ => self.wrong(ARGUMENT, &argument, "write a number from 0 to 1; 1 is used"),
            }
        }
        settings.sampler = match text.trim() {
            "always_on" => Sampler::AlwaysOn,
            "always_off" => Sampler::AlwaysOff,
            "traceidratio" => Sampler::Ratio(ratio),
            "parentbased_always_on" => Sampler::ParentBasedAlwaysOn,
            "parentbased_always_off" => Sampler::ParentBasedAlwaysOff,
            "parentbased_traceidratio" => Sampler::ParentBasedRatio(ratio),
            _ => {
                let accepted = "always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, \
                                parentbased_traceidratio are accepted";
                return self.wrong(NAME, &text, accepted);
            }
        };
    }

    fn limits(&mut self, settings: &mut Settings) {
        let limits = &mut settings.limits;
        if let Some(count) = self.number("OTEL_ATTRIBUTE_COUNT_LIMIT") {
            limits.span_attributes = count;
            limits.log_attributes = count;
        }
        for (name, limit) in [
            ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", &mut limits.span_attributes),
            ("OTEL_SPAN_EVENT_COUNT_LIMIT", &mut limits.span_events),
            ("OTEL_SPAN_LINK_COUNT_LIMIT", &mut limits.span_links),
            ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", &mut limits.event_attributes),
            ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", &mut limits.log_attributes),
        ] {
            if let Some(count) = self.number(name) {
                *limit = count;
            }
        }
        let all = self.number("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT");
        let spans = self.number("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT");
        let logs = self.number("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT");
        limits.span_value_chars = spans.or(all).or(limits.span_value_chars);
        limits.log_value_chars = logs.or(all).or(limits.log_value_chars);
    }

    fn batches(&mut self, settings: &mut Settings) {
        for (part, batch) in [("BSP", &mut settings.spans), ("BLRP", &mut settings.logs)] {
            if let Some(delay) = self.duration(&format!("OTEL_{part}_SCHEDULE_DELAY")) {
                batch.delay = delay;
            }
            if let Some(timeout) = self.duration(&format!("OTEL_{part}_EXPORT_TIMEOUT")) {
                batch.export_timeout = timeout;
            }
            if let Some(count) = self.positive(&format!("OTEL_{part}_MAX_QUEUE_SIZE")) {
                batch.max_queue_size = count;
            }
            if let Some(count) = self.positive(&format!("OTEL_{part}_MAX_EXPORT_BATCH_SIZE")) {
                batch.max_batch_size = count;
            }
        }
    }

    fn metrics(&mut self, settings: &mut Settings) {
        if let Some(interval) = self.duration("OTEL_METRIC_EXPORT_INTERVAL") {
            settings.metric_interval = interval.max(Duration::from_millis(1));
        }
        if let Some(timeout) = self.duration("OTEL_METRIC_EXPORT_TIMEOUT") {
            settings.metric_timeout = timeout;
        }
        let temporalities = [
            ("cumulative", Temporality::Cumulative),
            ("delta", Temporality::Delta),
            ("lowmemory", Temporality::LowMemory),
        ];
        if let Some(temporality) = self.word(
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
            &temporalities,
        ) {
            settings.temporality = temporality;
        }
        let aggregations = [
            ("explicit_bucket_histogram", false),
            ("base2_exponential_bucket_histogram", true),
        ];
        if let Some(exponential) = self.word(
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
            &aggregations,
        ) {
            settings.exponential_histograms = exponential;
        }
        let filters = [("always_on", ()), ("always_off", ()), ("trace_based", ())];
        self.word("OTEL_METRICS_EXEMPLAR_FILTER", &filters);
    }

    fn content(&mut self, settings: &mut Settings) {
        use ContentPolicy::{Full, None as No, Redacted};
        let policies = [
            ("no_content", (No, No)),
            ("span_only", (Full, No)),
            ("event_only", (No, Full)),
            ("span_and_event", (Full, Full)),
            ("redacted", (Redacted, Redacted)),
            ("true", (Full, Full)),
            ("false", (No, No)),
        ];
        if let Some((spans, logs)) =
            self.word("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", &policies)
        {
            settings.span_content = spans;
            settings.log_content = logs;
        }
        let signals = [("logs", true), ("logs/dup", false)];
        if let Some(alone) = self.word("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN", &signals) {
            settings.exceptions_are_logs = alone;
        }
    }

    fn propagators(&mut self, settings: &mut Settings) {
        const NAME: &str = "OTEL_PROPAGATORS";
        let Some(text) = self.text(NAME) else { return };
        let mut propagators = Vec::new();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let propagator = match name {
                "tracecontext" => Propagator::TraceContext,
                "baggage" => Propagator::Baggage,
                "none" => continue,
                _ => {
                    self.wrong(NAME, name, "tracecontext, baggage and none are accepted");
                    continue;
                }
            };
            if !propagators.contains(&propagator) {
                propagators.push(propagator);
            }
        }
        settings.propagators = propagators;
    }

    /// Reads the variables that exist for all signals, and for each; `part` is the signal's part of
    /// the name.
    fn exporter_config(&mut self, config: &mut ExporterConfig, part: &str) {
        let name = |what: &str| format!("OTEL_EXPORTER_OTLP_{part}{what}");
        if let Some(text) = self.text(&name("ENDPOINT")) {
            let place = name("ENDPOINT");
            config.endpoint = Some(Located { place, text });
        }
        if let Some(protocol) = self.word(&name("PROTOCOL"), &Protocol::NAMES) {
            config.protocol = Some(protocol);
        }
        if let Some(compression) = self.word(&name("COMPRESSION"), &Compression::NAMES) {
            config.compression = Some(compression);
        }
        if let Some(timeout) = self.duration(&name("TIMEOUT")) {
            config.timeout = Some(timeout);
        }
        if let Some(text) = self.text(&name("INSECURE")) {
            config.insecure = Some(text.trim().eq_ignore_ascii_case("true"));
        }
        if let Some(text) = self.text(&name("HEADERS")) {
            let place = name("HEADERS");
            config.headers = Some(self.headers(&place, &text));
        }
        for (what, file) in [
            ("CERTIFICATE", &mut config.certificate),
            ("CLIENT_CERTIFICATE", &mut config.client_certificate),
            ("CLIENT_KEY", &mut config.client_key),
        ] {
            if let Some(path) = self.text(&name(what)) {
                *file = Some((name(what), PathBuf::from(path)));
            }
        }
    }

    /// Parses headers. The error for an invalid one contains only its name, or not even that if it
    /// may be part of a value.
    fn headers(&mut self, place: &str, text: &str) -> Headers {
        let mut headers = Headers::default();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let Some((name, value)) = pair.split_once('=') else {
                self.wrong(
                    place,
                    "…",
                    "a part has no `=`; write key=value,key=value, with %2C for a comma in a value",
                );
                continue;
            };
            let name = name.trim();
            let value = decode(value).and_then(|value| HeaderValue::from_str(&value).ok());
            match (HeaderName::from_bytes(name.as_bytes()), value) {
                (Ok(name), Some(mut value)) => {
                    value.set_sensitive(true);
                    headers.0.retain(|(known, _)| *known != name);
                    headers.0.push((name, value));
                }
                (Ok(name), None) => {
                    self.wrong(
                        place,
                        &format!("{name}=…"),
                        "the value of this header is not valid in HTTP",
                    );
                }
                (Err(_), _) => self.wrong(place, "…", "a part has a name that no HTTP header can have"),
            }
        }
        headers
    }

    fn text(&mut self, name: &str) -> Option<String> {
        (self.get)(name).filter(|text| !text.trim().is_empty())
    }

    fn is_true(&mut self, name: &str) -> bool {
        let Some(text) = self.text(name) else { return false };
        let text = text.trim();
        if !text.eq_ignore_ascii_case("true") && !text.eq_ignore_ascii_case("false") {
            self.wrong(name, text, "true and false are accepted; false is used");
        }
        text.eq_ignore_ascii_case("true")
    }

    fn word<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        let found = words
            .iter()
            .find(|(word, _)| text.trim().eq_ignore_ascii_case(word));
        if found.is_none() {
            let accepted: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.wrong(
                name,
                &text,
                &format!("these are accepted: {}", accepted.join(", ")),
            );
        }
        found.map(|(_, value)| *value)
    }

    fn number(&mut self, name: &str) -> Option<usize> {
        let text = self.text(name)?;
        let number = text.trim().parse().ok();
        if number.is_none() {
            self.wrong(name, &text, "write a whole number");
        }
        number
    }

    fn positive(&mut self, name: &str) -> Option<usize> {
        let number = self.number(name)?;
        if number == 0 {
            self.wrong(name, "0", "write a number from 1 on");
            return None;
        }
        Some(number)
    }

    fn duration(&mut self, name: &str) -> Option<Duration> {
        let text = self.text(name)?;
        match text.trim().parse() {
            Ok(milliseconds @ 1..) => {
                let duration = Duration::from_millis(milliseconds);
                if duration < SHORT {
                    self.notices.push(SettingError {
                        place: name.to_owned(),
                        input: text,
                        accepted: format!(
                            "these are milliseconds; write {milliseconds}000 for {milliseconds} s"
                        ),
                    });
                }
                Some(duration)
            }
            _ => {
                self.wrong(name, &text, "write a number of milliseconds, from 1 on");
                None
            }
        }
    }

    fn wrong(&mut self, place: &str, input: &str, accepted: &str) {
        self.problems.push(SettingError {
            place: place.to_owned(),
            input: first_chars(input, 100).to_owned(),
            accepted: accepted.to_owned(),
        });
    }
}

/// Returns the text percent-decoded and trimmed; `None` if it is not UTF-8.
fn decode(text: &str) -> Option<String> {
    let text = percent_encoding::percent_decode_str(text.trim())
        .decode_utf8()
        .ok()?;
    Some(text.into_owned())
}

#[cfg(test)]
mod tests;
