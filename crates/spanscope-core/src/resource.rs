//! [`ProcessResource`]: the attributes of this process, as OpenTelemetry's resource. It is the same
//! for every sink.

use std::sync::OnceLock;

use spanscope_model::semconv::mask_raw;
use spanscope_model::{Attributes, RawValue};

use crate::capture::new_ids;
use crate::program_name;

const SERVICE_NAME: &str = "service.name";
const PROCESS_PID: &str = "process.pid";

/// Attributes of this process. Configured values have priority over detected ones; the service name
/// has priority over one among the attributes, as in OpenTelemetry's specification.
///
/// It detects `host.name`, `host.arch`, `os.type`, `process.pid`, `process.executable.name` and
/// `process.runtime.name`, and generates a `service.instance.id`, which distinguishes two processes
/// of one service. The command line is never included: it may contain secrets. No environment
/// variable is read, except `COMPUTERNAME` where the system is not Unix.
///
/// ```
/// use spanscope_core::ProcessResource;
///
/// let mut resource = ProcessResource::default();
/// resource.set("service.version", "1.2");
/// resource.set_service_name("shop");
/// let attributes = resource.attributes();
/// assert_eq!(attributes.get("service.name").and_then(|name| name.as_str()), Some("shop"));
/// assert_eq!(attributes.get("service.version").and_then(|version| version.as_str()), Some("1.2"));
/// assert!(attributes.get("process.pid").is_some());
/// ```
#[derive(Debug, Clone, Default)]
pub struct ProcessResource {
    service_name: Option<String>,
    set: Vec<(String, String)>,
    is_undetected: bool,
}

impl ProcessResource {
    /// Sets the service name. The default, also for an empty name, is the [name of the
    /// program](program_name).
    pub fn set_service_name(&mut self, name: impl Into<String>) {
        self.service_name = Some(name.into());
    }

    /// Sets an attribute, such as `deployment.environment.name`.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        set(&mut self.set, &key.into(), value.into());
    }

    /// Sets whether host and process are detected. Default: yes.
    pub fn detect(&mut self, detect: bool) {
        self.is_undetected = !detect;
    }

    /// Returns the service name if it was set, directly or among the attributes.
    #[must_use]
    pub fn service_name(&self) -> Option<&str> {
        let among = || self.set.iter().find(|(key, _)| key == SERVICE_NAME);
        self.service_name
            .as_deref()
            .or_else(|| among().map(|(_, name)| name.as_str()))
    }

    /// Returns all attributes, the service name first. Secrets in configured values are masked.
    #[must_use]
    pub fn attributes(&self) -> Attributes {
        let mut all: Vec<(String, String)> = Vec::new();
        // The specification's prefix `unknown_service:` is left out, because the console and the
        // store show the same name.
        set(&mut all, SERVICE_NAME, program_name().to_owned());
        if !self.is_undetected {
            set(&mut all, "service.instance.id", instance_id().to_owned());
            set(&mut all, "host.arch", arch().to_owned());
            set(&mut all, "os.type", os_type().to_owned());
            set(&mut all, "process.runtime.name", "rustc".to_owned());
            if let Some(name) = host_name() {
                set(&mut all, "host.name", name);
            }
            if let Some(name) = executable_name() {
                set(&mut all, "process.executable.name", name);
            }
        }
        for (key, value) in &self.set {
            set(&mut all, key, value.clone());
        }
        if let Some(name) = self.service_name() {
            set(&mut all, SERVICE_NAME, name.to_owned());
        }
        let has_pid = all.iter().any(|(key, _)| key == PROCESS_PID);
        let mut attributes = Attributes::new();
        for (key, value) in all {
            if key == SERVICE_NAME && value.is_empty() {
                continue;
            }
            let masked = mask_raw(&key, &RawValue::from(value.as_str()));
            attributes.set(key, masked.unwrap_or(value));
        }
        if !self.is_undetected && !has_pid {
            attributes.set(PROCESS_PID, i64::from(std::process::id()));
        }
        attributes.set("telemetry.sdk.name", "opentelemetry");
        attributes.set("telemetry.sdk.language", "rust");
        attributes.set("telemetry.distro.name", "spanscope");
        attributes.set("telemetry.distro.version", env!("CARGO_PKG_VERSION"));
        attributes
    }
}

/// Parses the pairs of `OTEL_RESOURCE_ATTRIBUTES`: `key=value,key=value`, percent-encoded. A
/// malformed pair is returned as the error.
pub fn resource_pairs(text: &str) -> impl Iterator<Item = Result<(String, String), &str>> {
    let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
    pairs.map(|pair| {
        let decoded = pair
            .split_once('=')
            .and_then(|(key, value)| Some((decode(key).filter(|key| !key.is_empty())?, decode(value)?)));
        decoded.ok_or(pair)
    })
}

/// Returns the text percent-decoded and trimmed; `None` if it is not UTF-8.
fn decode(text: &str) -> Option<String> {
    let text = percent_encoding::percent_decode_str(text.trim())
        .decode_utf8()
        .ok()?;
    Some(text.into_owned())
}

fn set(attributes: &mut Vec<(String, String)>, key: &str, value: String) {
    match attributes.iter_mut().find(|(known, _)| known == key) {
        Some((_, there)) => *there = value,
        None => attributes.push((key.to_owned(), value)),
    }
}

/// Returns a random UUID, as the conventions require; the same for as long as this process runs.
fn instance_id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| {
        let mut bytes = new_ids().trace_id.to_bytes();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        parts.join("-")
    })
}

fn executable_name() -> Option<String> {
    let path = std::env::current_exe().ok()?;
    path.file_name()?.to_str().map(str::to_owned)
}

#[cfg(unix)]
fn host_name() -> Option<String> {
    let name = rustix::system::uname().nodename().to_str().ok()?.to_owned();
    (!name.is_empty()).then_some(name)
}

#[cfg(not(unix))]
fn host_name() -> Option<String> {
    std::env::var("COMPUTERNAME").ok().filter(|name| !name.is_empty())
}

/// Returns the architecture in the conventions' spelling.
fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" => "arm32",
        other => other,
    }
}

fn os_type() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    }
}
