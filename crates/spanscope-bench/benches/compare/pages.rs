//! The web pages in a real browser, on the file of the sustained run to which two large traces were
//! added; and the server's answers that they are made of.
//!
//! Times to the first rows are compared with a page of one line in the same browser, round by round
//! in turn. Work of the page is CPU time of its main thread, which other programs on the same cores
//! don't lengthen. The server is in this process, the browser is others. Without Chromium only the
//! answers are measured.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::response::Html;
use axum::routing::get;
use serde_json::json;
use spanscope_bench::sample::Sample;
use spanscope_bench::subject::{Subject, serve};
use spanscope_bench::table::{Goal, Table, nanos, thousands};
use spanscope_model::{Timestamp, TraceId, TraceStore as _, block_on};
use spanscope_sqlite::SqliteStore;
use spanscope_tests::browser::Browser;
use spanscope_tests::large_trace;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tracing::{info_span, subscriber};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;

use crate::ours;
use crate::serving::{Client, RATE, Running, steady};
use crate::sizes::Sizes;
use crate::sustained;

/// The role of the program whose traces a page waits for.
pub(crate) const PROGRAM: &str = "pages-program";

/// Marks its line as the pages mark their rows: right after the frame that shows it.
const ONE_LINE: &str = "<!doctype html><title>One line</title><p>One line</p><script>requestAnimationFrame(() => \
                        setTimeout(() => performance.mark('ss:rows')))</script>";

/// Bytes of a span in the answer with all spans of a trace.
const SPAN_BYTES: f64 = 50.0;
/// CPU of the main thread for one step that a user takes, in milliseconds.
const STEP_MS: f64 = 50.0;

/// A trace of the store with many spans, and the goals for it.
struct Large {
    id: TraceId,
    spans: usize,
    /// Milliseconds of the answer with all of its spans.
    answer_ms: f64,
    /// Milliseconds until its rows are painted, more than a page of one line takes.
    painted_ms: f64,
}

pub(crate) fn report(table: &mut Table, folder: &Path, sizes: &Sizes) -> Result<()> {
    let file = sustained::file(folder);
    let store = SqliteStore::builder().max_bytes(4 << 30).open(&file)?;
    let server = Running::start(&store)?;
    let [small, large] = sizes.page_spans;
    let traces = [
        Large::store(&server, 1, small, (15.0, 350.0))?,
        Large::store(&server, 2, large, (150.0, 1_200.0))?,
    ];
    let spans = block_on(store.statistics())?.spans;
    answers(table, &server, spans, &traces, sizes)?;

    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    let Some(browser) = Browser::open(pictures) else {
        table.plain("the pages in a browser", "not measured: no Chromium", "");
        return Ok(());
    };
    let page = Page {
        browser,
        server: server.address(),
        floor: OneLine::start()?,
        sizes,
    };
    page.painted(
        table,
        &format!("{spans} spans stored: the list of traces"),
        "traces",
        150.0,
    )?;
    for trace in &traces {
        let what = format!("a trace of {} spans", trace.spans);
        page.painted(table, &what, &format!("traces/{}", trace.id), trace.painted_ms)?;
    }
    for trace in &traces {
        page.scrolled(table, trace)?;
    }
    page.jumped(table, &traces[1])?;
    page.detailed(table, &traces[1])?;
    page.followed(table, folder)
}

impl Large {
    fn store(server: &Running, id: u128, spans: usize, goals: (f64, f64)) -> Result<Self> {
        let id = TraceId::from_bytes((id << 64 | 1).to_be_bytes()).context("no id")?;
        let mut client = server.client()?;
        for request in large_trace::requests(&id.to_string(), spans) {
            client.post("/v1/traces", "application/json", request.to_string().as_bytes())?;
        }
        Ok(Self {
            id,
            spans,
            answer_ms: goals.0,
            painted_ms: goals.1,
        })
    }
}

/// The answers of the list at a steady rate, and of traces with all of their spans.
fn answers(table: &mut Table, server: &Running, spans: u64, traces: &[Large], sizes: &Sizes) -> Result<()> {
    let mut client = server.client()?;
    let (sample, length) = steady(sizes.served_questions, || client.get("/ui/api/traces?limit=100"))?;
    let p99 = sample.quantile(0.99);
    table.judged(
        &format!("{spans} spans stored, {RATE} requests a second: `/ui/api/traces`, p99 ({length} B)"),
        nanos(p99),
        format!("median {}", nanos(sample.median())),
        p99 / 1e6,
        Goal::AtMost(10.0),
        "<= 10 ms",
    );
    traces
        .iter()
        .try_for_each(|trace| all_spans(table, &mut client, trace, sizes.questions))
}

#[expect(clippy::cast_precision_loss, reason = "spans and bytes are few")]
fn all_spans(table: &mut Table, client: &mut Client, trace: &Large, questions: usize) -> Result<()> {
    let path = format!("/ui/api/traces/{}", trace.id);
    let mut took = Vec::new();
    let mut length = 0;
    for _ in 0..questions {
        let begin = std::time::Instant::now();
        length = client.get(&path)?;
        took.push(begin.elapsed().as_secs_f64() * 1e9);
    }
    let sample = Sample::new(took);
    let what = format!("`/ui/api/traces/{{id}}` of {} spans", trace.spans);
    table.judged(
        &what,
        nanos(sample.median()),
        format!("slowest of {questions} {}", nanos(sample.quantile(1.0))),
        sample.median() / 1e6,
        Goal::AtMost(trace.answer_ms),
        &format!("<= {} ms", trace.answer_ms),
    );
    let bytes = length as f64 / trace.spans as f64;
    table.judged(
        &format!("{what}: bytes a span"),
        format!("{bytes:.1} B"),
        format!("{} B", thousands(length as f64)),
        bytes,
        Goal::AtMost(SPAN_BYTES),
        &format!("<= {SPAN_BYTES} B"),
    );
    Ok(())
}

/// A server of one page with one line.
struct OneLine {
    address: SocketAddr,
    _runtime: Runtime,
}

impl OneLine {
    fn start() -> Result<Self> {
        let runtime = Runtime::new()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let router = Router::new().route("/", get(async || Html(ONE_LINE)));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Ok(Self {
            address,
            _runtime: runtime,
        })
    }
}

/// The browser, and what it is shown.
struct Page<'a> {
    browser: Browser,
    server: SocketAddr,
    floor: OneLine,
    sizes: &'a Sizes,
}

impl Page<'_> {
    fn url(&self, path: &str) -> String {
        format!("http://{}/ui/{path}", self.server)
    }

    /// Milliseconds from the start of a navigation with an empty cache until the mark of the rows.
    fn rows(&self, url: &str) -> Result<f64> {
        self.browser.cdp("Network.clearBrowserCache", &json!({}));
        self.browser.go(url);
        let mark = "return performance.getEntriesByName('ss:rows')[0]?.startTime";
        self.browser
            .wait("the rows", mark)
            .as_f64()
            .context("the mark has no time")
    }

    /// Adds how long a page takes to its first rows, against a page of one line.
    fn painted(&self, table: &mut Table, what: &str, path: &str, goal: f64) -> Result<()> {
        let floor = format!("http://{}/", self.floor.address);
        let url = self.url(path);
        let (mut pages, mut floors) = (Vec::new(), Vec::new());
        for _ in 0..self.sizes.page_rounds {
            floors.push(self.rows(&floor)?);
            pages.push(self.rows(&url)?);
            // Requests that follow the rows are not part of the next round.
            self.browser.settled();
        }
        let (pages, floors) = (Sample::new(pages), Sample::new(floors));
        let more = pages.median() - floors.median();
        table.judged(
            &format!("{what}: first rows painted, empty cache"),
            format!("{:.0} ms", pages.median()),
            format!(
                "{more:.0} ms more than a page of one line ({:.0} ms); best of {} {:.0} ms",
                floors.median(),
                self.sizes.page_rounds,
                pages.quantile(0.0)
            ),
            more,
            Goal::AtMost(goal),
            &format!("<= {goal} ms more"),
        );
        Ok(())
    }

    /// Milliseconds of CPU that the main thread of the page has spent on tasks.
    fn cpu(&self) -> Result<f64> {
        let metrics = self.browser.cdp("Performance.getMetrics", &json!({}));
        let mut metrics = metrics["metrics"].as_array().into_iter().flatten();
        let spent = metrics.find(|metric| metric["name"] == "TaskDuration");
        let seconds = spent.and_then(|metric| metric["value"].as_f64());
        Ok(seconds.context("the browser measures no CPU")? * 1e3)
    }

    /// Opens a page whose CPU is measured.
    fn open(&self, path: &str) {
        self.browser.open_page(&self.url(path));
        self.browser
            .cdp("Performance.enable", &json!({"timeDomain": "threadTicks"}));
    }

    /// CPU of what a script does, until its frame and the effects after that are done.
    fn cost(&self, step: &str) -> Result<f64> {
        let before = self.cpu()?;
        self.browser.run(&format!(
            "return new Promise((done) => {{ {step}; \
             requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))); }})"
        ));
        Ok(self.cpu()? - before)
    }

    fn judged(&self, table: &mut Table, what: &str, steps: Vec<f64>) {
        let number = steps.len();
        let steps = Sample::new(steps);
        let most = steps.quantile(1.0);
        table.judged(
            what,
            format!("{most:.1} ms"),
            format!("median of {number} {:.1} ms", steps.median()),
            most,
            Goal::AtMost(STEP_MS),
            &format!("<= {STEP_MS} ms"),
        );
    }

    /// Adds the most CPU that a step takes while the rows of a trace are scrolled to their end and
    /// back. A step is a frame with the tasks around it, so no task of it took more.
    fn scrolled(&self, table: &mut Table, trace: &Large) -> Result<()> {
        self.open(&format!("traces/{}", trace.id));
        let number = self.sizes.page_steps;
        let mut steps = Vec::new();
        for way in [1, -1] {
            for _ in 0..number / 2 {
                let step = format!(
                    "const grid = document.querySelector('.grid'); grid.scrollTop += {way} * grid.scrollHeight / {}",
                    number / 2
                );
                steps.push(self.cost(&step)?);
            }
        }
        let what = format!(
            "a trace of {} spans: CPU of a step of scrolling, the longest",
            trace.spans
        );
        self.judged(table, &what, steps);
        Ok(())
    }

    /// Adds the most CPU that the keys to the next error and to the next match take.
    fn jumped(&self, table: &mut Table, trace: &Large) -> Result<()> {
        self.open(&format!("traces/{}?find=search", trace.id));
        self.browser.wait(
            "the matches",
            "return document.querySelector('.find [role=status]')?.textContent.includes('match')",
        );
        for (key, what) in [("e", "error"), ("n", "match")] {
            let mut steps = Vec::new();
            for _ in 0..self.sizes.page_rounds {
                let press = format!("dispatchEvent(new KeyboardEvent('keydown', {{key: '{key}'}}))");
                steps.push(self.cost(&press)?);
                // The details of the row are read meanwhile, which is no part of the next step.
                self.browser.settled();
            }
            let what = format!(
                "a trace of {} spans: CPU of the next {what}, the longest",
                trace.spans
            );
            self.judged(table, &what, steps);
        }
        Ok(())
    }

    /// Adds the time from a key to the painted details of a span.
    fn detailed(&self, table: &mut Table, trace: &Large) -> Result<()> {
        self.open(&format!("traces/{}?span={:016x}", trace.id, 1));
        let shown = "performance.getEntriesByName('ss:details')";
        self.browser
            .wait("the details", &format!("return {shown}.length > 0"));
        let mut took = Vec::new();
        for _ in 0..self.sizes.page_rounds {
            self.browser.settled();
            self.browser.run(
                "performance.clearMarks('ss:details'); window.pressed = performance.now(); \
                 dispatchEvent(new KeyboardEvent('keydown', {key: 'j'}))",
            );
            let script = format!("const [mark] = {shown}; return mark && mark.startTime - window.pressed");
            let time = self.browser.wait("the details of the next span", &script);
            took.push(time.as_f64().context("the mark has no time")?);
        }
        let sample = Sample::new(took);
        table.judged(
            &format!(
                "a trace of {} spans: from a key to the details of the next span",
                trace.spans
            ),
            format!("{:.0} ms", sample.median()),
            format!(
                "slowest of {} {:.0} ms",
                self.sizes.page_rounds,
                sample.quantile(1.0)
            ),
            sample.median(),
            Goal::AtMost(100.0),
            "<= 100 ms",
        );
        Ok(())
    }

    /// Adds the time from the start of a trace's first span in another program until the trace is
    /// in the list.
    fn followed(&self, table: &mut Table, folder: &Path) -> Result<()> {
        let mut program = Subject::start(PROGRAM, folder)?;
        self.open("traces");
        self.browser
            .wait("the stream", "return document.querySelector('.live-on')");
        let mut took = Vec::new();
        for _ in 0..self.sizes.page_rounds {
            self.browser.run(
                "const first = () => document.querySelector('.row-link')?.href; const before = first(); window.seen = 0; \
                 new MutationObserver((_, all) => { if (first() === before) return; window.seen = Date.now(); \
                 all.disconnect(); }).observe(document.querySelector('main'), {childList: true, subtree: true, attributes: true})",
            );
            let begun = program.round()?;
            let begun = begun.first().context("the program names no time")?;
            let seen = self.browser.wait("the new trace", "return window.seen");
            took.push(seen.as_f64().context("no time")? - begun);
        }
        program.finish()?;
        ensure!(
            took.iter().all(|ms| *ms >= 0.0),
            "a trace was there before its first span"
        );
        let sample = Sample::new(took);
        let most = sample.quantile(1.0);
        table.judged(
            "a new trace in the list after its first span in another program began, the slowest",
            format!("{most:.0} ms"),
            format!("median of {} {:.0} ms", self.sizes.page_rounds, sample.median()),
            most,
            Goal::AtMost(1_000.0),
            "<= 1 s",
        );
        Ok(())
    }
}

/// Begins a trace each round, which the next one ends, and replies when that was.
pub(crate) fn child(folder: &Path) -> Result<()> {
    let (layer, guard) = ours::waiting(&sustained::file(folder))?;
    subscriber::set_global_default(registry().with(layer))?;
    let mut running = None;
    serve(
        || {
            drop(running.take());
            let now = Timestamp::now();
            running = Some(info_span!("a new trace"));
            #[expect(clippy::cast_precision_loss, reason = "milliseconds are enough")]
            Ok(vec![now.as_nanos() as f64 / 1e6])
        },
        || {
            ours::close(&guard)?;
            Ok(Vec::new())
        },
    )
}
