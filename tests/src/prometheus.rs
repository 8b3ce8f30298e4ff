//! The real Prometheus, from Debian's package `prometheus`, and its expected results.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::http::ask;
use crate::wait_for;

/// All tokens.
pub const TOTAL: &str = "sum(llama_stack_tokens_total)";
/// Tokens per model.
pub const BY_MODEL: &str = "sum by (model_id) (llama_stack_tokens_total)";
/// Tokens a second.
pub const RATE: &str = "rate(llama_stack_tokens_total[5m])";
/// Tokens per provider.
pub const BY_PROVIDER: &str = "sum by (provider_id) (llama_stack_tokens_total)";

/// Whether the tool is installed; if not, prints that the test is skipped.
#[must_use]
pub fn is_here(tool: &str) -> bool {
    crate::tool_is_here(tool, "Debian's package `prometheus` has it")
}

/// A Prometheus that ends with the test.
#[derive(Debug)]
pub struct Prometheus {
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
    /// Starts a Prometheus that scrapes these jobs every second. Tries another port if the chosen
    /// one is in use.
    ///
    /// # Panics
    /// Panics if Prometheus does not start.
    #[must_use]
    pub fn start(jobs: &[(&str, SocketAddr)]) -> Self {
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
            let is_ready = wait_for("prometheus to be ready or to end", || {
                if ask(address, "GET", "/-/ready", "").is_ok_and(|answer| answer.status == 200) {
                    return Some(true);
                }
                started.child.try_wait().unwrap().map(|_| false)
            });
            if is_ready {
                return started;
            }
            eprintln!("{}", started.log());
        }
        panic!("prometheus does not start");
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The API's response; `value` is encoded for the URL.
    ///
    /// # Panics
    /// Panics if Prometheus refuses the request.
    pub fn api(&self, path: &str, value: &str) -> Value {
        let encoded = value.bytes().fold(String::new(), |mut encoded, byte| {
            let _ = write!(encoded, "%{byte:02x}");
            encoded
        });
        let answer = ask(self.address, "GET", &format!("/api/v1/{path}{encoded}"), "").unwrap();
        let json: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(json["status"], "success", "{path}{value}: {json}");
        json["data"].clone()
    }

    /// An instant query's result: the value of each series, without labels other than `label`.
    #[must_use]
    pub fn query(&self, query: &str, label: &str) -> BTreeMap<String, f64> {
        let data = self.api("query?query=", query);
        let of = |series: &Value| {
            let name = series["metric"][label].as_str().unwrap_or_default();
            let value = series["value"][1].as_str().unwrap().parse().unwrap();
            (String::from(name), value)
        };
        data["result"].as_array().unwrap().iter().map(of).collect()
    }

    /// Waits until a query without labels has this result.
    ///
    /// # Panics
    /// Panics if it has another one after [`PATIENCE`](crate::PATIENCE).
    pub fn wait_for(&self, query: &str, value: f64) {
        wait_for(&format!("{query} to be {value}"), || {
            (self.query(query, "").get("") == Some(&value)).then_some(())
        });
    }

    /// Checks the results of the four token queries, for a program that made a round of calls
    /// before Prometheus first scraped it, and one since. A round is the number of tokens by model
    /// and provider.
    ///
    /// # Panics
    /// Panics if a result is wrong.
    pub fn check_token_queries(&self, round: &[(&str, &str, i32)]) {
        let all = round.iter().map(|(_, _, tokens)| f64::from(*tokens)).sum::<f64>();
        self.wait_for(TOTAL, 2.0 * all);
        assert_eq!(self.query(TOTAL, ""), answers([("", 2.0 * all)]));
        assert_eq!(
            self.query(BY_MODEL, "model_id"),
            sums(round.iter().map(|(model, _, tokens)| (*model, 2 * tokens)))
        );
        assert_eq!(
            self.query(BY_PROVIDER, "provider_id"),
            sums(round.iter().map(|(_, provider, tokens)| (*provider, 2 * tokens)))
        );
        // The rate is the increase divided by the five minutes. Prometheus extends it by up to one
        // interval before the first scrape and 1.1 after the last one, and there are two scrapes at
        // least.
        let rates = self.api("query?query=", RATE);
        let rates = rates["result"].as_array().unwrap();
        assert_eq!(rates.len(), round.len(), "{rates:?}");
        let extended = round.iter().map(|(model, provider, added)| {
            let of = |series: &&Value| {
                series["metric"]["model_id"] == *model && series["metric"]["provider_id"] == *provider
            };
            let series = rates.iter().find(of).unwrap();
            let rate: f64 = series["value"][1].as_str().unwrap().parse().unwrap();
            rate / (f64::from(*added) / 300.0)
        });
        let extended: Vec<f64> = extended.collect();
        for by in &extended {
            assert!((0.999..3.11).contains(by), "{rates:?}");
            assert!((by - extended[0]).abs() < 1e-9, "the rates differ: {rates:?}");
        }
    }
}

/// The expected result of [`Prometheus::query`].
#[must_use]
pub fn answers<const N: usize>(answers: [(&str, f64); N]) -> BTreeMap<String, f64> {
    answers.map(|(name, value)| (name.to_owned(), value)).into()
}

fn sums<'a>(tokens: impl Iterator<Item = (&'a str, i32)>) -> BTreeMap<String, f64> {
    tokens.fold(BTreeMap::new(), |mut sums, (label, tokens)| {
        *sums.entry(label.to_owned()).or_default() += f64::from(tokens);
        sums
    })
}
