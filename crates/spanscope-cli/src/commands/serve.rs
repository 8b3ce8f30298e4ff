//! `spanscope serve`: the store over HTTP, on the port that OpenTelemetry SDKs send to by default.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use spanscope::Signals;
use spanscope_model::TraceStore;
use spanscope_server::BoundServer;
#[cfg(feature = "pages")]
use spanscope_server::PageSettings;
use spanscope_server::{
    AuthMode, BearerTokens, Datasets, PrometheusSink, RunSettings, Server, matched_route,
};
use spanscope_sqlite::SqliteStore;
use spanscope_tower::RequestMetricsLayer;
use tokio::sync::watch;

use super::store::{Location, Place};
use crate::args::{DEFAULT_MIB, DEFAULT_RETENTION, ServeArgs};
use crate::failure::Stop;
#[cfg(feature = "pages")]
use crate::prices;
use crate::remark::remark;
use crate::resolve::age;

/// The variable with the tokens, if `--tokens` is not given.
const TOKENS: &str = "SPANSCOPE_TOKENS";

pub(super) fn run(location: &Location, args: &ServeArgs) -> Result<()> {
    let auth = auth(args)?;
    let who = clients(&auth);
    let runs = RunSettings::default()
        .session_ttl(age(&args.session_ttl)?)
        .event_ttl(age(&args.event_ttl)?)
        .sent_grace(age(&args.run_grace)?);
    let place = location.place()?;
    #[cfg(feature = "pages")]
    let pages = pages(location, &place, args)?;
    let metrics = PrometheusSink::new();
    let store = open(&place, args, &metrics)?;
    let receives = store.capabilities().writes;
    // Errors here are reported on the console. They are not recorded in the served store, where
    // users look for their own programs.
    let guard = spanscope::builder()
        .sinks(&["console"])?
        .levels("all=warning")
        .metric_sink(metrics.clone())
        .signals(Signals::Off)
        .try_init()?;
    let runtime = tokio::runtime::Runtime::new().context("the async runtime could not be started")?;
    let mut builder = Server::builder(store);
    #[cfg(feature = "pages")]
    {
        builder = builder.pages(pages);
    }
    if let Some(datasets) = datasets(&place, args) {
        builder = builder.datasets(datasets);
    }
    let server = builder
        .auth(auth)
        .metrics(metrics)
        .runs(runs)
        .allow_origins(args.allow_origin.iter().cloned())
        .allow_hosts(args.allow_host.iter().cloned())
        .build()
        .map_router(|routes| {
            // Requests without a route may have any path, which must not become a label.
            let measures = RequestMetricsLayer::builder().route_of(matched_route);
            routes.layer(measures.build())
        });
    let ending = runtime.block_on(serve(server, args, &Greeting { place, who, receives }))?;
    match ending {
        // Does not wait for running work, as dropping the runtime would.
        Ending::Forced => runtime.shutdown_background(),
        Ending::Finished | Ending::Unfinished => drop(runtime),
    }
    drop(guard);
    remark(match ending {
        _ if !receives => "ended",
        Ending::Finished => "ended, all accepted records are stored",
        Ending::Unfinished => {
            "ended; some clients did not finish in time, all acknowledged records are stored"
        }
        Ending::Forced => "ended at once after a second signal; all acknowledged records are stored",
    });
    Ok(())
}

/// Opens the store: a file for reading and writing, a server as it is.
fn open(place: &Place, args: &ServeArgs, metrics: &PrometheusSink) -> Result<Arc<dyn TraceStore>> {
    match place {
        Place::File(path) => {
            let mut store = SqliteStore::builder()
                .retention(age(args.retention.as_deref().unwrap_or(DEFAULT_RETENTION))?)
                .max_bytes(u64::from(args.max_size.unwrap_or(DEFAULT_MIB)) << 20);
            if args.stored_metrics {
                store = store.stored_metrics(Arc::new(metrics.clone()));
            }
            Ok(Arc::new(store.open(path)?))
        }
        Place::Server(url) => {
            let settings = [
                ("--retention", args.retention.is_some()),
                ("--max-size", args.max_size.is_some()),
                ("--stored-metrics", args.stored_metrics),
            ];
            if let Some((setting, _)) = settings.iter().find(|(_, is_set)| *is_set) {
                return Err(Stop::usage(format!(
                    "{setting} is for the file of a store, and {url} is a server with its own limits: leave it out, and \
                     set them there"
                )));
            }
            url.open()
        }
    }
}

/// The datasets, in a folder next to the file by default. Next to a server there is none.
fn datasets(place: &Place, args: &ServeArgs) -> Option<Datasets> {
    let folder = match (&args.datasets, place) {
        (Some(folder), _) => folder.clone(),
        (None, Place::File(path)) => path.with_file_name("datasets"),
        (None, Place::Server(_)) => return None,
    };
    let datasets = Datasets::in_folder(folder)
        .max_bytes(u64::from(args.max_datasets) << 20)
        .tenant_bytes(u64::from(args.max_tenant_datasets) << 20);
    Some(datasets)
}

/// How the web pages are served.
#[cfg(feature = "pages")]
fn pages(location: &Location, place: &Place, args: &ServeArgs) -> Result<PageSettings> {
    let mut pages = PageSettings::default().command_options(location.flag());
    match place {
        Place::File(path) => {
            if let Some(name) = path.file_name() {
                pages = pages.store_name(name.to_string_lossy());
            }
        }
        Place::Server(url) => pages = pages.store_name(url.to_string()),
    }
    if let Some(prices) = &args.prices {
        pages = pages.prices(prices::read(prices)?);
    }
    // For development of the pages: a reload in the browser shows a change.
    #[cfg(debug_assertions)]
    if let Some(folder) = std::env::var_os("SPANSCOPE_UI_DIR") {
        pages = pages.folder(folder);
    }
    Ok(pages)
}

/// How the server ended.
enum Ending {
    /// All requests that had begun were finished.
    Finished,
    /// Some were not finished in time.
    Unfinished,
    /// A second signal ended it before.
    Forced,
}

/// What the first lines on the console are about.
struct Greeting {
    place: Place,
    /// The clients that are served.
    who: String,
    /// Whether the store accepts records.
    receives: bool,
}

async fn serve(server: Server, args: &ServeArgs, greeting: &Greeting) -> Result<Ending> {
    let Greeting { place, who, receives } = greeting;
    // Before the first message: a program that reads the message may then send a signal.
    let end_requests = count_end_requests().context("signals can't be listened for")?;
    let listen = args.listen;
    let server = server.bind(listen).await.map_err(|error| {
        anyhow!("{listen} can't be listened on: {error}; name another address with --listen, or end the program that has it")
    })?;
    let address = server.address();
    let (server, grpc, no_grpc) = listen_grpc(server, args.grpc_address(*receives)).await?;
    #[cfg(feature = "pages")]
    let pages = format!("\n  pages           http://{address}/ui/");
    #[cfg(not(feature = "pages"))]
    let pages = "";
    let otlp = match receives {
        true => "POST /v1/traces /v1/metrics /v1/logs (protobuf, JSON)",
        false => "refused: this store only reads",
    };
    remark(format_args!(
        "serving {place} on http://{address} for {who}{pages}\n\
         \x20 OTLP            {otlp}{grpc}\n\
         \x20 telemetry API   /v1/telemetry/...\n\
         \x20 agent traces    /traces /traces/ID/stream /agents/ID/traces\n\
         \x20 of the server   GET /openapi.json /metrics /health /ready\n\
         \x20 end with Ctrl-C"
    ));
    if let Some(reason) = no_grpc {
        remark(reason);
    }
    if let Some(file) = args.tokens.as_deref().filter(|file| others_can_read(file)) {
        remark(format_args!(
            "other users on this machine can read the tokens: chmod 600 {}",
            file.display()
        ));
    }
    tokio::select! {
        finished = server.run(end_requested(end_requests.clone(), 1)) => Ok(match finished {
            Ok(()) => Ending::Finished,
            Err(_) => Ending::Unfinished,
        }),
        () = end_requested(end_requests, 2) => Ok(Ending::Forced),
    }
}

/// Listens for gRPC, if it is enabled. Returns the server, and a line about gRPC for the list of
/// endpoints, or why it is missing if the port is in use: HTTP is served without it.
async fn listen_grpc(
    mut server: BoundServer,
    wanted: Option<SocketAddr>,
) -> Result<(BoundServer, String, Option<String>)> {
    let Some(wanted) = wanted else {
        return Ok((server, String::new(), None));
    };
    match server.listen_grpc(wanted).await {
        Ok(address) => Ok((server, format!("\n  OTLP over gRPC  {address}"), None)),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let reason = format!(
                "OTLP over gRPC is off, everything else is on: can't listen on {wanted}: {error}; name another address \
                 with --grpc-listen, or end the program that has it"
            );
            Ok((server, String::new(), Some(reason)))
        }
        Err(error) => Err(anyhow!(
            "{wanted} can't be listened on: {error}; name another address with --grpc-listen, or off"
        )),
    }
}

#[cfg(unix)]
fn others_can_read(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o044 != 0)
}

#[cfg(not(unix))]
fn others_can_read(_: &Path) -> bool {
    false
}

/// Names the clients that are served, for the first lines on the console.
fn clients(auth: &AuthMode) -> String {
    match auth {
        AuthMode::Tokens(tokens) if tokens.len() == 1 => "clients that have the token".to_owned(),
        AuthMode::Tokens(tokens) => format!("clients that have one of {} tokens", tokens.len()),
        _ => "programs on this machine".to_owned(),
    }
}

fn auth(args: &ServeArgs) -> Result<AuthMode> {
    let tokens = match (&args.tokens, std::env::var(TOKENS)) {
        (Some(file), _) => Some(BearerTokens::read(file)),
        (None, Ok(text)) if !text.trim().is_empty() => Some(BearerTokens::parse(&text)),
        (None, Err(std::env::VarError::NotUnicode(_))) => {
            return Err(Stop::usage(format!(
                "{TOKENS} is not text: tokens are ASCII characters"
            )));
        }
        _ => None,
    };
    match tokens {
        Some(tokens) => Ok(AuthMode::Tokens(tokens.map_err(Stop::usage)?)),
        None => {
            let mut addresses = args.addresses().into_iter();
            match addresses.find(|address| !address.ip().to_canonical().is_loopback()) {
                None => Ok(AuthMode::Local),
                Some(open) => Err(Stop::usage(format!(
                    "{open} can be reached from other machines: give --tokens FILE, with a line `TOKEN TENANT` for each token, or \
                     listen on 127.0.0.1"
                ))),
            }
        }
    }
}

/// Counts how often the process was asked to end: by Ctrl-C, or by its service manager. From here
/// on neither ends the process by itself.
fn count_end_requests() -> std::io::Result<watch::Receiver<u32>> {
    let mut signals = EndSignals::new()?;
    let (count, counted) = watch::channel(0);
    tokio::spawn(async move {
        while !count.is_closed() {
            signals.next().await;
            count.send_modify(|count| *count += 1);
        }
    });
    Ok(counted)
}

/// Resolves when the process was asked to end this number of times.
async fn end_requested(mut counted: watch::Receiver<u32>, times: u32) {
    if counted.wait_for(|count| *count >= times).await.is_err() {
        // The counting task only ends with the runtime.
        std::future::pending::<()>().await;
    }
}

#[cfg(unix)]
struct EndSignals {
    interrupted: tokio::signal::unix::Signal,
    terminated: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl EndSignals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupted: signal(SignalKind::interrupt())?,
            terminated: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupted.recv() => {}
            _ = self.terminated.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct EndSignals {
    interrupted: tokio::signal::windows::CtrlC,
}

#[cfg(not(unix))]
impl EndSignals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupted: tokio::signal::windows::ctrl_c()?,
        })
    }

    async fn next(&mut self) {
        self.interrupted.recv().await;
    }
}
