//! Levels by category on a rich console: an agent's turn that passes through parts of a server.
//!
//! ```text
//! cargo run -p spanscope-examples --bin categories
//! LLAMA_STACK_LOGGING='all=warn,tools=info' cargo run -p spanscope-examples --bin categories
//! LLAMA_STACK_LOGGING='inference=debug,core::routers=off' cargo run -p spanscope-examples --bin categories
//! RUST_LOG='http_pool=debug' cargo run -p spanscope-examples --bin categories
//! cargo run -p spanscope-examples --bin categories -- --by-hand
//! ```
//!
//! You see, on stderr, the records that each category's level lets through; without the variables
//! that is INFO. A pair that can't be used gets a warning line.
//!
//! | category | how it is set |
//! |---|---|
//! | `server`, `agents`, `tools` | by their modules |
//! | `core` | by a target: `core::routers` is a finer name under it |
//! | `safety` | by a field of the event |
//! | `inference` | by a mapped target, because the module has another name |
//! | `retrieval` | by its module; the category is the program's own |
//! | none | other crates, here `http_pool`: the root level, WARN, applies to them |
//!
//! `main` shows both set-ups: all sinks at once from the environment, or two layers on a registry.

use spanscope::console::ConsoleLayerBuilder;
use spanscope::model::Severity;
use spanscope::{Categories, CategoryFilter, ConsoleGuard, Guard, Levels};
use spanscope_examples::store_path;
use tracing_subscriber::prelude::*;

/// The program's own categories. Without any, `spanscope::init()` needs none of this.
fn categories() -> anyhow::Result<Categories> {
    let categories = Categories::of_caller()
        .register("retrieval")?
        .map("categories::llm", "inference")?;
    Ok(categories)
}

/// All sinks: what `spanscope::init()` does, with the program's categories.
fn from_the_environment() -> anyhow::Result<Guard> {
    let builder = spanscope::Builder::try_from_env()?
        .categories(categories()?)
        .sqlite_path(store_path());
    Ok(builder.try_init()?)
}

/// The two layers by hand: the filter first, so that it filters every layer added after it.
fn by_hand() -> anyhow::Result<ConsoleGuard> {
    let categories = categories()?;
    let mut levels = Levels::new();
    let warnings = levels.read_env(&categories);
    let (console, guard) = ConsoleLayerBuilder::from_env()
        .categories(categories.clone())
        .build()?;
    for warning in warnings {
        guard.report(Severity::Warn, warning.to_string());
    }
    tracing_subscriber::registry()
        .with(CategoryFilter::new(categories, levels))
        .with(console)
        .init();
    Ok(guard)
}

fn main() -> anyhow::Result<()> {
    // Dropping the guards flushes all sinks.
    if std::env::args().any(|argument| argument == "--by-hand") {
        let _guard = by_hand()?;
        server::turn("What is a lighthouse keeper paid?");
    } else {
        let _guard = from_the_environment()?;
        server::turn("What is a lighthouse keeper paid?");
    }
    Ok(())
}

mod server {
    use tracing::{debug, info, info_span};

    pub(crate) fn turn(question: &str) {
        let _span = info_span!("POST /turns", user = "ann").entered();
        debug!(bytes = question.len(), "read the body");
        info!(target: "core::routers", markup = true, "[bold]tiny-librarian[/bold] is served by [green]local[/green]");
        let answer = super::agents::run(question);
        info!(status = 200, answer, "answered");
    }
}

mod agents {
    use tracing::{info, instrument};

    use super::{llm, retrieval, tools};

    #[instrument(name = "invoke_agent", skip_all)]
    pub(crate) fn run(question: &str) -> String {
        info!(
            markup = true,
            "step [bold]1[/bold] of 2: [dim]search, and ask for the weather[/dim]"
        );
        let passages = retrieval::search(question);
        let weather = tools::weather("Skagen");
        info!(
            markup = true,
            weather, "step [bold]2[/bold] of 2: [dim]answer[/dim]"
        );
        let answer = llm::chat(question, passages);
        info!(
            category = "safety",
            shield = "content",
            flagged = false,
            "checked"
        );
        answer
    }
}

mod retrieval {
    use tracing::{debug, info};

    pub(crate) fn search(question: &str) -> usize {
        for document in ["logs/1891.txt", "logs/1892.txt"] {
            debug!(document, "looked through");
        }
        let passages = question.split(' ').count() / 2;
        info!(passages, best = 0.82, "found");
        passages
    }
}

mod tools {
    use std::error::Error;
    use std::fmt;
    use std::io;

    use tracing::{error, instrument};

    /// A tool whose server does not run. Its span fails; the agent continues without it.
    #[instrument(name = "execute_tool")]
    pub(crate) fn weather(place: &str) -> Option<String> {
        match request(place) {
            Ok(report) => Some(report),
            Err(failure) => {
                error!(
                    error = &failure as &dyn Error,
                    markup = true,
                    "no [bold red]weather[/bold red]"
                );
                None
            }
        }
    }

    /// Logs as other people's libraries do: without categories, and here even without `tracing`.
    fn request(place: &str) -> Result<String, WeatherError> {
        log::debug!(target: "http_pool", "no connection to reuse");
        log::warn!(target: "http_pool", "http://127.0.0.1:9/ refused the connection");
        Err(WeatherError {
            place: place.to_owned(),
            source: io::Error::new(io::ErrorKind::ConnectionRefused, "no server listens on port 9"),
        })
    }

    #[derive(Debug)]
    struct WeatherError {
        place: String,
        source: io::Error,
    }

    impl fmt::Display for WeatherError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "no report for {:?}", self.place)
        }
    }

    impl Error for WeatherError {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.source)
        }
    }
}

/// The part that the program maps to `inference`.
mod llm {
    use std::thread::sleep;
    use std::time::Duration;

    use tracing::{debug, info, info_span};

    pub(crate) fn chat(question: &str, passages: usize) -> String {
        let span = info_span!("chat", gen_ai.request.model = "tiny-librarian");
        span.in_scope(|| {
            debug!(temperature = 0.2, passages, "the prompt is ready");
            // A model would think here.
            sleep(Duration::from_millis(20));
            let answer = "12 crowns a week";
            info!(
                input_tokens = question.len() / 4,
                output_tokens = answer.len() / 4,
                "done"
            );
            answer.to_owned()
        })
    }
}
