//! `spanscope serve`: the store over HTTP, on the port that OpenTelemetry SDKs send to by default.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use spanscope::Signals;
use spanscope_server::{AuthMode, BearerTokens, Datasets, PrometheusSink, RunSettings, Server};
use spanscope_sqlite::SqliteStore;
use spanscope_tower::RequestMetricsLayer;

use super::store::StoreFile;
use crate::args::ServeArgs;
use crate::failure::Stop;
use crate::remark::remark;
use crate::resolve::age;

/// Tokens, where no file is named.
const TOKENS: &str = "SPANSCOPE_TOKENS";

pub(super) fn run(file: &StoreFile, args: &ServeArgs) -> Result<()> {
    let auth = auth(args)?;
    let who = clients(&auth);
    let runs = RunSettings::default()
        .session_ttl(age(&args.session_ttl)?)
        .event_ttl(age(&args.event_ttl)?);
    let path = file.path()?;
    let store = SqliteStore::builder()
        .retention(age(&args.retention)?)
        .max_bytes(u64::from(args.max_size) << 20)
        .open(&path)?;
    let datasets = match &args.datasets {
        Some(folder) => folder.clone(),
        None => path.with_file_name("datasets"),
    };
    let datasets = Datasets::in_folder(datasets)
        .max_bytes(u64::from(args.max_datasets) << 20)
        .tenant_bytes(u64::from(args.max_tenant_datasets) << 20);
    let metrics = PrometheusSink::new();
    // What goes wrong here is said on the console. It is not recorded into the store that is served: whoever looks at
    // their program does not look for ours in it.
    let guard = spanscope::builder()
        .sinks(&["console"])?
        .levels("all=warning")
        .metric_sink(metrics.clone())
        .signals(Signals::Off)
        .try_init()?;
    let runtime = tokio::runtime::Runtime::new().context("the async runtime could not be started")?;
    let server = Server::builder(Arc::new(store))
        .auth(auth)
        .metrics(metrics)
        .runs(runs)
        .datasets(datasets)
        .build()
        .map_router(|routes| routes.layer(RequestMetricsLayer::new()));
    let finished = runtime.block_on(serve(server, args.listen, &path.display().to_string(), &who))?;
    drop(runtime);
    drop(guard);
    if finished {
        remark("ended, all that was taken is stored");
    } else {
        remark("ended; some clients did not finish in time, what was acknowledged is stored");
    }
    Ok(())
}

async fn serve(server: Server, listen: SocketAddr, path: &str, who: &str) -> Result<bool> {
    // Before anything is said, so that whoever reads it can end us in an orderly way.
    let end = end().context("signals can't be listened for")?;
    let server = server.bind(listen).await.map_err(|error| {
        anyhow!("{listen} can't be listened on: {error}; name another address with --listen, or end the program that has it")
    })?;
    let address = server.address();
    remark(format_args!(
        "serving {path} on http://{address} for {who}\n\
         \x20 OTLP            POST /v1/traces /v1/metrics /v1/logs (protobuf, JSON)\n\
         \x20 telemetry API   /v1/telemetry/...\n\
         \x20 agent traces    /traces /traces/ID/stream /agents/ID/traces\n\
         \x20 of the server   GET /openapi.json /metrics /health /ready\n\
         \x20 end with Ctrl-C"
    ));
    Ok(server.run(end).await)
}

/// Names the clients that are served, for the first lines on the console.
fn clients(auth: &AuthMode) -> String {
    match auth {
        AuthMode::Tokens(tokens) if tokens.len() == 1 => "clients that have the token".to_owned(),
        AuthMode::Tokens(tokens) => format!("clients that have one of {} tokens", tokens.len()),
        _ => "programs of this machine".to_owned(),
    }
}

fn auth(args: &ServeArgs) -> Result<AuthMode> {
    let tokens = match (&args.tokens, std::env::var(TOKENS)) {
        (Some(file), _) => Some(BearerTokens::read(file)),
        (None, Ok(text)) if !text.trim().is_empty() => Some(BearerTokens::parse(&text)),
        (None, Err(std::env::VarError::NotUnicode(_))) => {
            return Err(Stop::usage(format!(
                "{TOKENS} is no text: tokens are ASCII characters"
            )));
        }
        _ => None,
    };
    match tokens {
        Some(tokens) => Ok(AuthMode::Tokens(tokens.map_err(Stop::usage)?)),
        None if args.listen.ip().to_canonical().is_loopback() => Ok(AuthMode::Local),
        None => Err(Stop::usage(format!(
            "{} can be reached from other machines: give --tokens FILE, with a line `TOKEN TENANT` for each token, or listen on \
             127.0.0.1",
            args.listen
        ))),
    }
}

/// Resolves when we are asked to end: by Ctrl-C, or by whoever started us. From here on neither ends us by itself.
#[cfg(unix)]
fn end() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn end() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupted = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupted.recv().await;
    })
}
