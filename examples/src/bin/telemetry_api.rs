//! The store behind HTTP: the telemetry API's queries, in an axum server, for this machine only.
//!
//! ```text
//! cargo run -p spanscope-examples --bin telemetry_api                            # asks itself and ends
//! cargo run -p spanscope-examples --bin telemetry_api -- --serve 127.0.0.1:3000  # listens until Ctrl-C
//! ```
//!
//! You see queries and responses; the response to a wrong query says what is wrong:
//!
//! ```text
//! POST /v1/telemetry/traces {"attribute_filters":[{"key":"city","op":"eq","value":"Oslo"}],"limit":1}
//!   200, 1 trace
//! POST /v1/telemetry/spans/{span_id}/tree {"max_depth":2,"attributes_to_return":["gen_ai.request.model"]}
//!   200, agent turn {}
//!   200, chat {"gen_ai.request.model":"small"}
//! POST /v1/telemetry/traces {"limt":1}
//!   400, the body, at limt: unknown field `limt`, expected one of `attribute_filters`, `limit`, `offset`, `order_by`
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use spanscope_examples::{ask, store_path};
use spanscope_server::{Datasets, local_only, telemetry_router_with};
use spanscope_sqlite::SqliteStore;
use tokio::net::TcpListener;
use tracing::{info, info_span};

fn work() {
    for city in ["Bergen", "Oslo"] {
        info_span!("agent turn", city).in_scope(|| {
            info_span!("chat", gen_ai.request.model = "small").in_scope(|| info!("it snows"));
        });
    }
}

/// Sends a request, prints the query and the status, and returns the response.
async fn question(
    address: SocketAddr,
    path: &str,
    shown: &str,
    body: &Value,
) -> anyhow::Result<(String, Value)> {
    println!("POST {shown} {body}");
    let (status, answer) = ask(address, "POST", path, &body.to_string()).await?;
    Ok((status, serde_json::from_str(&answer)?))
}

async fn ask_about_oslo(address: SocketAddr) -> anyhow::Result<()> {
    let path = "/v1/telemetry/traces";
    let filters = json!([{"key": "city", "op": "eq", "value": "Oslo"}]);
    let body = json!({"attribute_filters": filters, "limit": 1});
    let (status, answer) = question(address, path, path, &body).await?;
    let traces = answer["data"].as_array().context("no list of traces")?;
    println!("  {status}, {} trace", traces.len());

    let root = traces[0]["root_span_id"].as_str().context("no root span")?;
    let body = json!({"max_depth": 2, "attributes_to_return": ["gen_ai.request.model"]});
    let tree = format!("/v1/telemetry/spans/{root}/tree");
    let (status, answer) = question(address, &tree, "/v1/telemetry/spans/{span_id}/tree", &body).await?;
    let tree = answer["data"].as_object().context("no map of spans")?;
    let mut spans: Vec<&Value> = tree.values().collect();
    spans.sort_by_key(|span| span["depth"].as_u64());
    for span in spans {
        println!(
            "  {status}, {} {}",
            span["name"].as_str().unwrap_or_default(),
            span["attributes"]
        );
    }

    let (status, answer) = question(address, path, path, &json!({"limt": 1})).await?;
    println!(
        "  {status}, {}",
        answer["error"]["message"].as_str().unwrap_or_default()
    );
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let serves = match arguments.next().as_deref() {
        None => None,
        Some("--serve") => Some(
            arguments
                .next()
                .context("--serve needs an address: 127.0.0.1:3000")?,
        ),
        Some(other) => bail!("{other:?} is not known: give --serve ADDRESS, or nothing"),
    };
    let path = store_path();
    let guard = spanscope::builder()
        .sinks(&["sqlite"])?
        .service_name("telemetry-api-example")
        .sqlite_path(&path)
        .try_init()?;
    work();
    guard.flush(Duration::from_secs(5))?;

    let store = SqliteStore::open(&path)?;
    let datasets = Datasets::in_folder(path.with_file_name("datasets"));
    let app = local_only(telemetry_router_with(Arc::new(store), datasets));
    let listener = TcpListener::bind(serves.as_deref().unwrap_or("127.0.0.1:0")).await?;
    let address = listener.local_addr()?;
    if serves.is_some() {
        println!("listening on http://{address}");
        axum::serve(listener, app).await?;
        return Ok(());
    }
    let server = tokio::spawn(axum::serve(listener, app).into_future());
    ask_about_oslo(address).await?;
    server.abort();
    Ok(())
}
