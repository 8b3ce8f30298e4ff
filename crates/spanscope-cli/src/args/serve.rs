//! The arguments of `serve`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args as ClapArgs;
use spanscope_server::{AllowedHost, AllowedOrigin};

/// The default endpoint of OpenTelemetry's SDKs over HTTP.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4318);
/// The default endpoint of OpenTelemetry's SDKs over gRPC.
const DEFAULT_GRPC_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4317);

/// How long records are kept in a file.
pub(crate) const DEFAULT_RETENTION: &str = "7d";
/// The maximum size of a file in MiB.
pub(crate) const DEFAULT_MIB: u32 = 1024;

/// Where `serve` listens for OTLP over gRPC.
#[derive(Debug, Clone, Copy)]
pub(crate) enum GrpcListen {
    Off,
    At(SocketAddr),
}

impl std::str::FromStr for GrpcListen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            _ => text
                .parse()
                .map(Self::At)
                .map_err(|_| "write an IP address and a port, such as 127.0.0.1:4317, or off".to_owned()),
        }
    }
}

impl ServeArgs {
    /// Returns the address for gRPC, if it is enabled. Without one in the arguments, a server that
    /// receives nothing leaves the default address to a collector.
    pub(crate) fn grpc_address(&self, receives: bool) -> Option<SocketAddr> {
        match self.grpc_listen {
            Some(GrpcListen::At(address)) => Some(address),
            Some(GrpcListen::Off) => None,
            None => (receives && self.listen == DEFAULT_LISTEN).then_some(DEFAULT_GRPC_LISTEN),
        }
    }

    /// Returns all addresses to listen on.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let addresses = std::iter::once(self.listen);
        let addresses = addresses.chain(self.grpc_address(true));
        addresses.collect()
    }
}

/// `serve`.
#[derive(Debug, ClapArgs)]
pub(crate) struct ServeArgs {
    /// The address to listen on; port 0 lets the system choose
    #[arg(long, value_name = "ADDRESS", default_value_t = DEFAULT_LISTEN)]
    pub(crate) listen: SocketAddr,
    /// The address for OTLP over gRPC, or `off`; port 0 lets the system choose. The default is
    /// 127.0.0.1:4317 if --listen has its default, else off
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) grpc_listen: Option<GrpcListen>,
    /// A token file; without it only programs on this machine have access
    #[arg(long, value_name = "FILE")]
    pub(crate) tokens: Option<PathBuf>,
    /// Let web pages of this origin send requests, such as http://localhost:3000; repeatable
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) allow_origin: Vec<AllowedOrigin>,
    /// Accept requests to this host name without tokens, such as host.docker.internal; repeatable
    #[arg(long, value_name = "NAME")]
    pub(crate) allow_host: Vec<AllowedHost>,
    /// Count stored records on /metrics: spans by service, kind and status, tokens by service and
    /// model
    #[arg(long)]
    pub(crate) stored_metrics: bool,
    /// A price table, as for `usage`: the web pages then show the cost of model calls
    #[cfg(feature = "pages")]
    #[arg(long, value_name = "FILE")]
    pub(crate) prices: Option<PathBuf>,
    /// How long traces, events and measurements are kept in a file: 12h, 7d, 2w [default: 7d]
    #[arg(long, value_name = "AGE")]
    pub(crate) retention: Option<String>,
    /// How long agent runs are available after their end
    #[arg(long, value_name = "AGE", default_value = "7d")]
    pub(crate) session_ttl: String,
    /// How long the events of a run are available after its end; its summary stays longer
    #[arg(long, value_name = "AGE", default_value = "3d")]
    pub(crate) event_ttl: String,
    /// How long to wait for more spans of a run after its last one has ended, if the spans are
    /// received over OTLP. SDKs send batches every 5 s by default; increase it for a slower
    /// schedule (OTEL_BSP_SCHEDULE_DELAY)
    #[arg(long, value_name = "AGE", default_value = "8s")]
    pub(crate) run_grace: String,
    /// Maximum size of the file in MiB; beyond it the oldest traces are deleted [default: 1024]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_size: Option<u32>,
    /// The folder for datasets, to which spans are exported over HTTP [default: the folder
    /// `datasets` next to the file; none for a server]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) datasets: Option<PathBuf>,
    /// Maximum size of all datasets in MiB; further exports are refused
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    pub(crate) max_datasets: u32,
    /// Maximum size of one tenant's datasets in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    pub(crate) max_tenant_datasets: u32,
}
