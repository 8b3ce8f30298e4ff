//! The program of the book's tutorial `docs/tutorial/agent.md`: an agent whose runs, model calls
//! and tools are recorded. Its model is a function, so it needs no key and no network.
//!
//! ```text
//! SQLITE_STORE_DIR=/tmp/tutorial cargo run -p spanscope-examples --bin tutorial_agent
//! ```
//!
//! It answers two questions, of which the second needs a tool that fails:
//!
//! ```text
//! take a coat, because it snows in Oslo
//! I don't know: no station in Atlantis
//! ```

use anyhow::bail;
use spanscope::genai::{Agent, ModelCall, ToolCall, Usage};

async fn weather(city: &str) -> anyhow::Result<String> {
    let call = ToolCall::execute("weather");
    call.arguments(&format!("{{\"city\":\"{city}\"}}"));
    let report = call.run(report_from(city)).await;
    match &report {
        Ok(report) => call.result(report),
        Err(error) => call.failed("no_station", error),
    };
    report
}

async fn report_from(city: &str) -> anyhow::Result<String> {
    match city {
        "Oslo" => Ok("it snows in Oslo".to_owned()),
        _ => bail!("no station in {city}"),
    }
}

async fn ask_the_model(prompt: &str) -> String {
    let call = ModelCall::chat("tutorial", "tiny-forecaster");
    let answer = call.run(async { format!("take a coat, because {prompt}") }).await;
    let tokens = |text: &str| text.split(' ').count() as u64;
    call.usage(Usage::new(tokens(prompt), tokens(&answer)))
        .finish_reason("stop");
    answer
}

async fn forecast(city: &str, session: &str) -> String {
    let agent = Agent::invoke("forecaster");
    agent.session(session);
    let steps = async {
        match weather(city).await {
            Ok(report) => ask_the_model(&report).await,
            Err(error) => format!("I don't know: {error}"),
        }
    };
    agent.run(steps).await
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _guard = spanscope::try_init()?;
    for city in ["Oslo", "Atlantis"] {
        println!("{}", forecast(city, "conversation-7").await);
    }
    Ok(())
}
