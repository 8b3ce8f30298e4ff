//! Which crates may depend on which: the map of ARCHITECTURE.md, held by the manifests.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The crates of the workspace that each one may use. The reason of an arrow is in ARCHITECTURE.md.
const MAY_USE: [(&str, &[&str]); 16] = [
    ("spanscope-model", &[]),
    // It reads bytes and depends on neither HTTP nor `tracing`.
    ("spanscope-calls", &["spanscope-model"]),
    // Hooks of the operating system, without telemetry.
    ("spanscope-process", &[]),
    ("spanscope-core", &["spanscope-model", "spanscope-process"]),
    ("spanscope-layers", &["spanscope-core", "spanscope-model"]),
    ("spanscope-runs", &["spanscope-model"]),
    // From the layers: the default categories of targets.
    (
        "spanscope-sqlite",
        &[
            "spanscope-core",
            "spanscope-layers",
            "spanscope-model",
            "spanscope-runs",
        ],
    ),
    // From the core: threads without telemetry.
    (
        "spanscope-clickhouse",
        &["spanscope-core", "spanscope-model", "spanscope-runs"],
    ),
    (
        "spanscope-otlp",
        &["spanscope-core", "spanscope-layers", "spanscope-model"],
    ),
    // The layers measure requests, and open spans with the helpers.
    (
        "spanscope-tower",
        &[
            "spanscope-calls",
            "spanscope-core",
            "spanscope-layers",
            "spanscope-model",
        ],
    ),
    (
        "spanscope-server",
        &[
            "spanscope-core",
            "spanscope-layers",
            "spanscope-model",
            "spanscope-runs",
            "spanscope-ui",
        ],
    ),
    // Only files: it knows neither HTTP nor the contents of the pages.
    ("spanscope-ui", &[]),
    ("spanscope-mcp", &["spanscope-core", "spanscope-model"]),
    (
        "spanscope-demo",
        &["spanscope-core", "spanscope-layers", "spanscope-model"],
    ),
    (
        "spanscope",
        &[
            "spanscope-core",
            "spanscope-layers",
            "spanscope-model",
            "spanscope-otlp",
            "spanscope-process",
            "spanscope-sqlite",
        ],
    ),
    (
        "spanscope-cli",
        &[
            "spanscope",
            "spanscope-clickhouse",
            "spanscope-core",
            "spanscope-demo",
            "spanscope-layers",
            "spanscope-model",
            "spanscope-runs",
            "spanscope-server",
            "spanscope-sqlite",
            "spanscope-tower",
        ],
    ),
];

/// Crates that only developers of Spanscope build. Nothing that is published uses them.
const UNPUBLISHED: [&str; 4] = [
    "spanscope-bench",
    "spanscope-examples",
    "spanscope-store-tests",
    "spanscope-tests",
];

/// The workspace's crates that a manifest names as dependencies of the built crate.
fn arrows(manifest: &str) -> Vec<String> {
    let mut is_dependencies = false;
    let mut found = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            is_dependencies = line.starts_with("[dependencies") || line.ends_with(".dependencies]");
            // A table for one dependency: `[dependencies.spanscope-model]`.
            if let Some(name) = line.strip_prefix("[dependencies.") {
                found.push(name.trim_end_matches(']').to_owned());
            }
        } else if is_dependencies && let Some((name, _)) = line.split_once(['.', '=', ' ']) {
            found.push(name.to_owned());
        }
    }
    found.retain(|name| name.starts_with("spanscope"));
    found.sort();
    found.dedup();
    found
}

fn workspace() -> BTreeMap<String, Vec<String>> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let folders = fs::read_dir(crates).unwrap();
    folders
        .map(|entry| {
            let folder = entry.unwrap().path();
            let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
            let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
            (name, arrows(&manifest))
        })
        .filter(|(name, _)| !UNPUBLISHED.contains(&name.as_str()))
        .collect()
}

#[test]
fn crates_use_only_the_crates_that_the_map_allows() {
    let workspace = workspace();
    let map: BTreeMap<_, _> = MAY_USE.into_iter().collect();
    for (name, uses) in &workspace {
        let may_use = map
            .get(name.as_str())
            .unwrap_or_else(|| panic!("{name} is not on the map"));
        for used in uses {
            assert!(may_use.contains(&used.as_str()), "{name} uses {used}");
        }
    }
    assert!(workspace.len() >= 12, "only {workspace:?}: is the path wrong?");
}

#[test]
fn the_arrows_of_a_manifest_are_found_in_each_way_of_writing_them() {
    let manifest = "[dependencies]\nserde.workspace = true\nspanscope-core.workspace = true\nspanscope-runs = { path = \"x\" }\n\
                    \n[dependencies.spanscope-otlp]\npath = \"y\"\n[dev-dependencies]\nspanscope-tests.workspace = true\n\
                    [target.'cfg(unix)'.dependencies]\nspanscope-tower = \"1\"\n";
    assert_eq!(
        arrows(manifest),
        [
            "spanscope-core",
            "spanscope-otlp",
            "spanscope-runs",
            "spanscope-tower"
        ]
    );
}
