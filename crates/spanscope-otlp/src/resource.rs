//! Who sends: OpenTelemetry's resource.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use spanscope_core::capture::new_ids;
use spanscope_core::program_name;
use spanscope_model::RawValue;
use spanscope_model::semconv::mask_raw;

use crate::settings::Settings;

/// The resource of this process. What the settings say beats what is detected; the service's own name beats one among the
/// attributes, as the specification has it and the SDK has not.
///
/// Detected are `host.name`, `host.arch`, `os.type`, `process.pid`, `process.executable.name` and
/// `process.runtime.name`, and a `service.instance.id` is made, so that two processes of one service don't overwrite each
/// other's metrics. Never the command line: it may hold secrets. Secrets among what is set are masked.
pub(crate) fn resource(settings: &Settings) -> Resource {
    let mut attributes: Vec<(String, String)> = Vec::new();
    let executable = std::env::current_exe().ok();
    let executable = executable
        .as_deref()
        .and_then(|path| path.file_name()?.to_str())
        .map(ToOwned::to_owned);
    // Without the `unknown_service:` of the specification, because the console and the store show the same name.
    set(&mut attributes, "service.name", program_name().to_owned());
    if settings.detects_resource {
        set(&mut attributes, "service.instance.id", instance_id());
        set(&mut attributes, "host.arch", arch().to_owned());
        set(&mut attributes, "os.type", os_type().to_owned());
        set(&mut attributes, "process.runtime.name", "rustc".to_owned());
        if let Some(name) = host_name() {
            set(&mut attributes, "host.name", name);
        }
        if let Some(name) = executable {
            set(&mut attributes, "process.executable.name", name);
        }
    }
    for (key, value) in &settings.resource {
        set(&mut attributes, key, value.clone());
    }
    if let Some(name) = &settings.service_name {
        set(&mut attributes, "service.name", name.clone());
    }
    let has_pid = attributes.iter().any(|(key, _)| key == "process.pid");
    let mut all: Vec<KeyValue> = attributes
        .into_iter()
        .map(|(key, value)| {
            let masked = mask_raw(&key, &RawValue::from(value.as_str()));
            KeyValue::new(key, masked.unwrap_or(value))
        })
        .collect();
    if settings.detects_resource && !has_pid {
        all.push(KeyValue::new("process.pid", i64::from(std::process::id())));
    }
    all.push(KeyValue::new("telemetry.sdk.name", "opentelemetry"));
    all.push(KeyValue::new("telemetry.sdk.language", "rust"));
    all.push(KeyValue::new("telemetry.distro.name", "spanscope"));
    all.push(KeyValue::new(
        "telemetry.distro.version",
        env!("CARGO_PKG_VERSION"),
    ));
    Resource::builder_empty().with_attributes(all).build()
}

fn set(attributes: &mut Vec<(String, String)>, key: &str, value: String) {
    attributes.retain(|(known, _)| known != key);
    attributes.push((key.to_owned(), value));
}

/// A random UUID, as the conventions want it.
fn instance_id() -> String {
    let ids = new_ids();
    let mut bytes = [0_u8; 16];
    bytes[..8].copy_from_slice(&fastrand::u64(..).to_be_bytes());
    bytes[8..].copy_from_slice(&ids.trace_id.to_bytes()[8..]);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = const_hex::encode(bytes);
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
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

/// In the words of the conventions.
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
