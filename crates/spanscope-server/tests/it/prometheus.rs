//! The real Prometheus reads what is written, and `promtool` accepts it and the files of `examples/monitoring`.
//!
//! Both come with Debian's package `prometheus`. Where they can't be found the tests say so and do nothing, unless
//! `SPANSCOPE_NO_SKIP` is set.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use serde_json::Value;
use spanscope_layers::metrics::Number::{F64, I64};
use spanscope_model::MetricKind::Gauge;
use spanscope_server::{PrometheusSink, metrics_router};

use crate::support::{CONCURRENT, DURATION, Metric, REQUESTS, Server, TOKENS, ask, span};

const PATIENCE: Duration = Duration::from_secs(60);

/// Seed 2's queries, word for word.
const TOTAL: &str = "sum(llama_stack_tokens_total)";
const BY_MODEL: &str = "sum by (model_id) (llama_stack_tokens_total)";
const RATE: &str = "rate(llama_stack_tokens_total[5m])";
const BY_PROVIDER: &str = "sum by (provider_id) (llama_stack_tokens_total)";

/// A label's value with everything in it that a format has to escape.
const HOSTILE: &str = "a\"} 1 # {x=\"\\\ny\"} 1 é";

/// Whether the tool is here; if not, the test is to end.
fn is_here(tool: &str) -> bool {
    let found = Command::new(tool)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let is_here = match found {
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        found => found.unwrap().success(),
    };
    if !is_here {
        assert!(
            env::var_os("SPANSCOPE_NO_SKIP").is_none(),
            "there is no {tool} here"
        );
        eprintln!("skipped: there is no {tool} here; Debian's package `prometheus` has it");
    }
    is_here
}

fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/monitoring")
}

fn promtool(arguments: &[&str], input: &str) {
    let mut child = Command::new("promtool")
        .args(arguments)
        .current_dir(monitoring())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

#[test]
fn promtool_accepts_the_configuration_and_the_rules_and_each_alert_fires() {
    if is_here("promtool") {
        promtool(&["check", "config", "prometheus.yml"], "");
        promtool(&["check", "rules", "alerts.yml"], "");
        promtool(&["test", "rules", "alerts_test.yml"], "");
    }
}

#[test]
fn promtool_finds_nothing_wrong_with_the_classic_text() {
    if is_here("promtool") {
        promtool(&["check", "metrics"], &hostile_program().encode("").1);
    }
}

/// A program whose labels are as bad as they get, with its overflow and a rejected measurement.
fn hostile_program() -> PrometheusSink {
    let sink = PrometheusSink::with_max_label_sets(2);
    for api in [HOSTILE, "# EOF", "third"] {
        let labels = [("api", api), ("nul", "a\0b"), ("empty", "")];
        REQUESTS.record_in(&sink, &labels, I64(2), span(5));
        DURATION.record_in(&sink, &labels, F64(0.3), span(5));
    }
    REQUESTS.record(&sink, &[], I64(-1));
    CONCURRENT.record(&sink, &[], I64(3));
    Metric(Gauge, "level", "").record(&sink, &[("le", "x")], F64(0.1));
    sink
}

/// A Prometheus that ends with the test.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// Starts one that scrapes these, by the name of the job. The port was free a moment ago; if it is taken since, another
    /// one is tried.
    fn start(jobs: &[(&str, SocketAddr)]) -> Self {
        let mut config = String::from("global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n");
        for (job, address) in jobs {
            writeln!(
                config,
                "- {{job_name: {job}, static_configs: [{{targets: ['{address}']}}]}}"
            )
            .unwrap();
        }
        for _ in 0..3 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("prometheus.yml");
            fs::write(&path, &config).unwrap();
            let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .unwrap()
                .local_addr()
                .unwrap();
            let child = Command::new("prometheus")
                .arg(format!("--config.file={}", path.display()))
                .arg(format!(
                    "--storage.tsdb.path={}",
                    folder.path().join("data").display()
                ))
                .arg(format!("--web.listen-address={address}"))
                .arg("--enable-feature=exemplar-storage")
                .stdout(Stdio::null())
                .stderr(fs::File::create(folder.path().join("log")).unwrap())
                .spawn()
                .unwrap();
            let mut started = Self {
                child,
                address,
                folder,
            };
            let begin = Instant::now();
            while begin.elapsed() < PATIENCE && started.child.try_wait().unwrap().is_none() {
                if ask(address, "GET", "/-/ready", "").is_ok_and(|answer| answer.status == 200) {
                    return started;
                }
                thread::sleep(Duration::from_millis(50));
            }
            eprintln!("{}", started.log());
        }
        panic!("prometheus does not start");
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// What the API answers; `value` is encoded for the URL.
    fn api(&self, path: &str, value: &str) -> Value {
        let encoded = value.bytes().fold(String::new(), |mut encoded, byte| {
            let _ = write!(encoded, "%{byte:02x}");
            encoded
        });
        let answer = ask(self.address, "GET", &format!("/api/v1/{path}{encoded}"), "").unwrap();
        let json: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(json["status"], "success", "{path}{value}: {json}");
        json["data"].clone()
    }

    /// An instant query's answer: the value of each series, whose labels but `label` are left out.
    fn query(&self, query: &str, label: &str) -> BTreeMap<String, f64> {
        let data = self.api("query?query=", query);
        let of = |series: &Value| {
            let name = series["metric"][label].as_str().unwrap_or_default();
            let value = series["value"][1].as_str().unwrap().parse().unwrap();
            (String::from(name), value)
        };
        data["result"].as_array().unwrap().iter().map(of).collect()
    }

    fn wait_for(&self, query: &str, value: f64) {
        let begin = Instant::now();
        let mut last = BTreeMap::new();
        while begin.elapsed() < PATIENCE {
            last = self.query(query, "");
            if last.get("") == Some(&value) {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("{query} is not {value} but {last:?}; {}", self.log());
    }
}

fn answers<const N: usize>(answers: [(&str, f64); N]) -> BTreeMap<String, f64> {
    answers.map(|(name, value)| (name.to_owned(), value)).into()
}

/// Model, provider, and how many tokens its calls of one round take.
const ROUND: [(&str, &str, i64); 3] = [
    ("large", "tgi", 900),
    ("large", "ollama", 300),
    ("small", "ollama", 1_800),
];

fn round(sink: &PrometheusSink) {
    for (model, provider, tokens) in ROUND {
        let labels = [("model_id", model), ("provider_id", provider)];
        TOKENS.record_in(sink, &labels, I64(tokens), span(9));
    }
}

#[test]
fn prometheus_answers_the_four_queries_of_seed_2() {
    if !is_here("prometheus") {
        return;
    }
    let sink = PrometheusSink::new();
    round(&sink);
    let server = Server::start(metrics_router(sink.clone()));
    let prometheus = Prometheus::start(&[("program", server.address)]);
    prometheus.wait_for(TOTAL, 3_000.0);
    round(&sink);
    prometheus.wait_for(TOTAL, 6_000.0);

    assert_eq!(prometheus.query(TOTAL, ""), answers([("", 6_000.0)]));
    assert_eq!(
        prometheus.query(BY_MODEL, "model_id"),
        answers([("large", 2_400.0), ("small", 3_600.0)])
    );
    assert_eq!(
        prometheus.query(BY_PROVIDER, "provider_id"),
        answers([("tgi", 1_800.0), ("ollama", 4_200.0)])
    );
    // The rate is what was added, a second of the five minutes. Prometheus extends it by up to one interval before the
    // first scrape and 1.1 behind the last one, and there are two scrapes at least.
    let rates = prometheus.query(&format!("sum by (model_id) ({RATE})"), "model_id");
    let plain = prometheus.api("query?query=", RATE);
    assert_eq!(plain["result"].as_array().unwrap().len(), ROUND.len());
    for series in plain["result"].as_array().unwrap() {
        let labels = &series["metric"];
        let added = ROUND
            .iter()
            .find(|(model, provider, _)| labels["model_id"] == *model && labels["provider_id"] == *provider);
        let added = f64::from(i32::try_from(added.unwrap().2).unwrap());
        let rate: f64 = series["value"][1].as_str().unwrap().parse().unwrap();
        let extended = rate / (added / 300.0);
        assert!((0.999..3.11).contains(&extended), "{series}");
    }
    assert!((rates["small"] / rates["large"] - 1.5).abs() < 1e-9, "{rates:?}");

    // OpenMetrics brought the unit and the exemplars along.
    let metadata = prometheus.api("targets/metadata?metric=", "llama_stack_tokens");
    assert_eq!(metadata[0]["type"], "counter");
    assert_eq!(metadata[0]["unit"], "tokens");
    assert_eq!(metadata[0]["help"], "Total tokens used (prompt + completion).");
    let exemplars = prometheus.api(
        "query_exemplars?start=1&end=4000000000&query=",
        "llama_stack_tokens_total",
    );
    assert_eq!(exemplars.as_array().unwrap().len(), ROUND.len());
    assert_eq!(
        exemplars[0]["exemplars"][0]["labels"]["trace_id"],
        "09".repeat(16)
    );
}

#[test]
fn prometheus_reads_hostile_labels_in_both_formats() {
    if !is_here("prometheus") {
        return;
    }
    let sink = hostile_program();
    let open = Server::start(metrics_router(sink.clone()));
    // What is asked for without saying anything, whatever Prometheus says.
    let answer = move || {
        let (content_type, text) = sink.encode("");
        async move { ([(CONTENT_TYPE, content_type)], text) }
    };
    let classic = Server::start(axum::Router::new().route("/metrics", get(answer)));
    let prometheus = Prometheus::start(&[("open", open.address), ("classic", classic.address)]);
    for job in ["open", "classic"] {
        prometheus.wait_for(&format!("sum(llama_stack_requests_total{{job='{job}'}})"), 6.0);
        assert_eq!(
            prometheus.query(
                &format!("llama_stack_requests_total{{job='{job}', nul='a␀b'}}"),
                "api"
            ),
            answers([(HOSTILE, 2.0), ("# EOF", 2.0)])
        );
        let bucket = format!("llama_stack_request_duration_seconds_bucket{{job='{job}', le=~'0.25|0.5'}}");
        let by_bucket = prometheus.query(&format!("sum by (le) ({bucket})"), "le");
        assert_eq!(by_bucket, answers([("0.25", 0.0), ("0.5", 3.0)]));
        let overflow = format!("spanscope_metric_overflow_total{{job='{job}'}}");
        let metrics = [
            ("llama_stack_request_duration_seconds", 1.0),
            ("llama_stack_requests_total", 1.0),
        ];
        assert_eq!(prometheus.query(&overflow, "metric"), answers(metrics));
        assert_eq!(
            prometheus.query(&format!("level{{job='{job}'}}"), "exported_le"),
            answers([("x", 0.1)])
        );
    }
    // A classic parser knows the type of the counter's full name.
    let metadata = prometheus.api("targets/metadata?metric=", "llama_stack_requests_total");
    assert_eq!(metadata.as_array().unwrap().len(), 1);
    assert_eq!(metadata[0]["target"]["job"], "classic");
    assert_eq!(metadata[0]["type"], "counter");
    every_query_of_the_dashboard_is_understood(&prometheus);
}

fn every_query_of_the_dashboard_is_understood(prometheus: &Prometheus) {
    let dashboard = fs::read_to_string(monitoring().join("grafana-dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let mut asked = 0;
    for target in dashboard["panels"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten()
    {
        let query = target["expr"]
            .as_str()
            .unwrap()
            .replace("$__rate_interval", "5m")
            .replace("$__range", "1h");
        let query = ["$model", "$provider", "$api"]
            .iter()
            .fold(query, |query, variable| query.replace(variable, ".*"));
        assert!(!query.contains('$'), "{query}");
        prometheus.api("query?query=", &query);
        asked += 1;
    }
    assert!(asked > 15, "{asked}");
}
