//! The category of a target, and the callsites that belong to the application.

use std::panic::Location;

use spanscope_model::CATEGORIES;

use crate::filter::package::Package;
use crate::{Categories, CategoryMatch};

fn shown(categories: &Categories, target: &str) -> (String, String, bool) {
    let CategoryMatch {
        category,
        path,
        is_app,
    } = categories.of_target(target);
    (category.to_owned(), path.to_owned(), is_app)
}

#[test]
fn a_target_gets_its_category_by_the_first_rule_that_fits() {
    let categories = Categories::new()
        .app_crate("my-app")
        .app_crate("my_lib")
        .register("Billing")
        .unwrap()
        .map("my_app::llm", "inference")
        .unwrap()
        .map("my_app::llm::tools", "Tools::llm")
        .unwrap()
        .map("sqlx", "providers")
        .unwrap();
    for (target, category, path, is_app) in [
        ("my_app::llm", "inference", "inference", true),
        ("my_app::llm::stream", "inference", "inference", true),
        ("my_app::llm::tools::mcp", "tools::llm", "tools::llm", true),
        // A prefix ends on a segment.
        ("my_app::llms", "uncategorized", "uncategorized", true),
        ("sqlx::query", "providers", "providers", false),
        ("sqlx_core", "uncategorized", "uncategorized", false),
        ("core::routers", "core::routers", "core::routers", false),
        ("agents", "agents", "agents", false),
        (
            "billing::invoices",
            "billing::invoices",
            "billing::invoices",
            false,
        ),
        ("my_app::agents::run", "agents", "agents::run", true),
        ("my_app::api::agents", "agents", "agents", true),
        ("my_lib::billing", "billing", "billing", true),
        ("my_app::agents_v2", "uncategorized", "uncategorized", true),
        ("my_app", "uncategorized", "uncategorized", true),
        ("other::agents::run", "uncategorized", "uncategorized", false),
        ("hyper::client", "uncategorized", "uncategorized", false),
        // The whole first segment must be the name, as it is written.
        ("coreutils", "uncategorized", "uncategorized", false),
        ("Core::routers", "uncategorized", "uncategorized", false),
        ("", "uncategorized", "uncategorized", false),
        ("::", "uncategorized", "uncategorized", false),
    ] {
        let expected = (category.to_owned(), path.to_owned(), is_app);
        assert_eq!(shown(&categories, target), expected, "{target}");
    }
}

#[test]
fn without_application_rules_the_model_assigns_the_same_category() {
    let categories = Categories::new();
    for target in ["core::routers", "agents", "hyper::client", "my_app::agents", ""] {
        assert_eq!(
            categories.of_target(target).category,
            spanscope_model::category_of(target)
        );
    }
}

#[test]
fn all_names_are_known_and_so_are_finer_ones() {
    let categories = Categories::new().register("billing").unwrap();
    assert_eq!(categories.names().count(), CATEGORIES.len() + 2);
    for name in CATEGORIES
        .into_iter()
        .chain(["uncategorized", "billing", "core::a::b", "CORE"])
    {
        assert!(categories.is_known(name), "{name}");
    }
    for name in ["", "::", "core::", "::core", "core::::a", "nosuch", "all"] {
        assert!(!categories.is_known(name), "{name}");
    }
}

#[test]
fn a_name_is_registered_once_and_a_bad_one_is_refused() {
    let categories = Categories::new().register("Core").unwrap();
    assert_eq!(categories.names().count(), CATEGORIES.len() + 1);
    for bad in [
        "",
        "a::b",
        "a=b",
        "a,b",
        "two words",
        "ünïcode",
        "all",
        "ALL",
        &"a".repeat(65),
        "\u{1b}[31m",
    ] {
        let error = Categories::new().register(bad).unwrap_err().to_string();
        assert!(error.contains("can't be a category"), "{error}");
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }
}

#[test]
fn mapping_to_an_unknown_category_lists_the_known_ones() {
    let error = Categories::new().map("a", "agent").unwrap_err().to_string();
    assert!(
        error.starts_with("unknown category `agent`, did you mean `agents`? known: all, core, server, "),
        "{error}"
    );
    assert!(error.ends_with("tests, uncategorized"), "{error}");
}

#[test]
fn crate_module_or_file_make_a_callsite_the_applications_own() {
    let by_file = Categories::of_caller();
    let by_crate = Categories::new().app_crate("spanscope-layers");
    let metadata_of = |span: tracing::Span| span.metadata();
    let subscriber = tracing_subscriber::registry();
    tracing::subscriber::with_default(subscriber, || {
        let plain = metadata_of(tracing::info_span!("plain")).unwrap();
        let renamed = metadata_of(tracing::info_span!(target: "audit", "renamed")).unwrap();
        for categories in [&by_file, &by_crate] {
            // The module path has a segment `tests`, which is a category.
            for (metadata, path) in [(plain, "tests::categories"), (renamed, "tests::categories")] {
                let expected = CategoryMatch {
                    category: "tests",
                    path,
                    is_app: true,
                };
                assert_eq!(categories.of(metadata), expected, "{}", metadata.target());
            }
        }
        let stranger = Categories::new().app_crate("other");
        assert!(!stranger.of(plain).is_app);
        assert_eq!(stranger.of(plain).category, "uncategorized");
    });
}

#[test]
fn of_caller_uses_the_calling_file() {
    let here = Package::of_application(Location::caller().file());
    assert!(here.holds(file!()));
}

#[test]
fn files_of_one_package_are_recognized_by_their_path() {
    for (application, file, expected) in [
        // The package at the root of the workspace.
        ("src/main.rs", "src/agents/mod.rs", true),
        ("src/bin/tool.rs", "src/lib.rs", true),
        ("src/main.rs", "src/tests/mod.rs", true),
        ("src/main.rs", "tests/it.rs", true),
        ("src/main.rs", "examples/demo/main.rs", true),
        ("src/main.rs", "benches/speed.rs", true),
        ("tests/it/main.rs", "src/lib.rs", true),
        ("src/main.rs", "crates/a/src/lib.rs", false),
        ("src/main.rs", "src/a/src/lib.rs", false),
        ("src/main.rs", "tests/src/lib.rs", false),
        // A member of a workspace.
        ("crates/a/src/main.rs", "crates/a/src/x/y.rs", true),
        ("crates/a/src/main.rs", "crates/a/tests/it.rs", true),
        ("crates/a/src/tests/mod.rs", "crates/a/src/lib.rs", true),
        ("crates/a/src/main.rs", "crates/ab/src/lib.rs", false),
        ("crates/a/src/main.rs", "crates/b/src/lib.rs", false),
        ("crates/a/src/main.rs", "src/lib.rs", false),
        ("tests/src/main.rs", "tests/src/support.rs", true),
        ("tests/src/main.rs", "src/main.rs", false),
        // Dependencies.
        (
            "src/main.rs",
            "/home/u/.cargo/registry/src/index/hyper-1.0.0/src/lib.rs",
            false,
        ),
        (
            "/w/src/app/src/main.rs",
            "/home/u/.cargo/registry/src/index/hyper-1.0.0/src/lib.rs",
            false,
        ),
        ("/w/src/app/src/main.rs", "/w/src/app/src/a.rs", true),
        ("src/main.rs", "/src/lib.rs", false),
        ("/src/main.rs", "/src/lib.rs", true),
        // The other separator.
        ("crates\\a\\src\\main.rs", "crates\\a\\src\\x\\y.rs", true),
        ("crates\\a\\src\\main.rs", "crates/a/src/x.rs", true),
        ("crates\\a\\src\\main.rs", "crates\\b\\src\\x.rs", false),
        // Without the usual folders.
        ("main.rs", "agents/mod.rs", true),
        ("main.rs", "src/lib.rs", false),
        ("main.rs", "/elsewhere/lib.rs", false),
        ("main.rs", "C:\\elsewhere\\lib.rs", false),
        ("app/main.rs", "app/agents/mod.rs", true),
        ("app/main.rs", "apple/main.rs", false),
        ("app/main.rs", "b/main.rs", false),
        ("ä/main.rs", "xy/main.rs", false),
        // Invalid paths.
        ("src/main.rs", "", false),
        ("src/main.rs", "/", false),
        ("", "", true),
    ] {
        let package = Package::of_application(application);
        assert_eq!(package.holds(file), expected, "{application} and {file}");
    }
}
