//! The level of a target, by Llama Stack's rules and by levels that are set in code.

use crate::filter::levels::{DEFAULT_CATEGORY_LEVEL, DEFAULT_ROOT_LEVEL};
use crate::{Categories, LevelFilter, Levels};

fn application() -> Categories {
    Categories::new().app_crate("my_app")
}

fn levels(pairs: &str, directives: &str) -> Levels {
    let mut levels = Levels::new();
    assert_eq!(levels.set_pairs(&application(), "test", pairs), []);
    assert_eq!(levels.set_directives("test", directives), []);
    levels
}

fn level_of(levels: &Levels, target: &str) -> LevelFilter {
    let categories = application();
    levels.threshold(&categories, &categories.of_target(target), target)
}

/// Llama Stack's rules, and our additional ones, a row each: `LLAMA_STACK_LOGGING`, `RUST_LOG`, a
/// target, its level.
#[test]
fn levels_follow_llama_stacks_rules() {
    use LevelFilter::{Critical, Debug, Error, Info, Off, Trace, Warn};
    for (pairs, directives, target, expected) in [
        // Defaults: categories INFO, third-party targets WARN, web servers INFO.
        ("", "", "server", DEFAULT_CATEGORY_LEVEL),
        ("", "", "core::routers", Info),
        ("", "", "my_app::agents::run", Info),
        ("", "", "my_app", Info),
        ("", "", "sqlx::query", DEFAULT_ROOT_LEVEL),
        ("", "", "hyper", Info),
        ("", "", "hyper::client", Info),
        ("", "", "tower_http::trace", Info),
        ("", "", "axum::serve", Info),
        ("", "", "hyper_util", Warn),
        // A pair applies only to its name.
        ("server=debug", "", "server", Debug),
        ("server=debug", "", "server::routes", Debug),
        ("server=debug", "", "my_app::server::routes", Debug),
        ("server=debug", "", "core", Info),
        ("server=debug", "", "sqlx", Warn),
        ("uncategorized=debug", "", "my_app::x", Debug),
        ("uncategorized=debug", "", "sqlx", Warn),
        // Finer names fall back, segment by segment.
        ("core=debug", "", "core::routers", Debug),
        ("core::routers=debug", "", "core", Info),
        ("core::routers=debug", "", "core::routers", Debug),
        ("core::routers=debug", "", "core::routers::chat", Debug),
        ("core::routers=debug", "", "core::routersx", Info),
        ("core=error,core::routers=debug", "", "core::store", Error),
        ("agents::run=trace", "", "my_app::agents::run", Trace),
        ("agents::run=trace", "", "my_app::agents", Info),
        // Both separators, spaces, any case, every name of a level.
        ("server=debug,core=error", "", "core", Error),
        ("server=debug;core=error", "", "core", Error),
        (" Server = DEBUG ; ", "", "server", Debug),
        ("server=trace", "", "server", Trace),
        ("server=verbose", "", "server", Trace),
        ("server=notset", "", "server", Trace),
        ("server=warning", "", "server", Warn),
        ("server=warn", "", "server", Warn),
        ("server=critical", "", "server", Critical),
        ("server=fatal", "", "server", Critical),
        ("server=off", "", "server", Off),
        // Later pairs have priority.
        ("server=debug,server=error", "", "server", Error),
        ("server=debug;SERVER=error", "", "server", Error),
        // `all` sets every category and the root, and removes earlier pairs.
        ("all=error", "", "server", Error),
        ("all=error", "", "my_app::x", Error),
        ("all=error", "", "sqlx", Error),
        ("all=debug", "", "sqlx", Debug),
        ("ALL=critical", "", "sqlx", Critical),
        ("all=error,server=debug", "", "server", Debug),
        ("server=debug,all=error", "", "server", Error),
        ("core::routers=debug,all=error", "", "core::routers", Error),
        // Web servers stay at INFO at any root level.
        ("all=error", "", "hyper::server", Info),
        ("all=debug", "", "hyper::server", Info),
        // A directive without a target replaces the defaults only.
        ("", "debug", "server", Debug),
        ("", "debug", "sqlx", Debug),
        ("", "debug", "my_app", Debug),
        ("", "debug", "hyper", Info),
        ("server=error", "debug", "server", Error),
        ("all=error", "debug", "server", Error),
        ("all=error", "debug", "sqlx", Error),
        ("", "debug,error", "server", Error),
        // A directive with a target has priority over categories, the longest prefix first.
        ("", "sqlx=debug", "sqlx::query", Debug),
        ("", "sqlx", "sqlx::query", Trace),
        ("", "sqlx=debug,sqlx::query=off", "sqlx::query", Off),
        ("", "sqlx::query=off,sqlx=debug", "sqlx::pool", Debug),
        ("", "sqlx=debug,sqlx=error", "sqlx", Error),
        ("", "hyper=debug", "hyper::client", Debug),
        ("", "hyper=debug", "hyper_util", Debug),
        ("core=error", "core=debug", "core::routers", Debug),
        ("core=error", "core::routers=debug", "core::routers", Debug),
        (
            "agents=error",
            "my_app::agents=debug",
            "my_app::agents::run",
            Debug,
        ),
        // But not over a category further right in the target.
        ("agents=error", "my_app=debug", "my_app::agents", Error),
        ("agents::run=error", "my_app=debug", "my_app::agents::run", Error),
        ("agents=error", "my_app=debug", "my_app::other", Debug),
        ("core::routers=error", "core=debug", "core::routers", Error),
        ("core::routers=error", "core=debug", "core::store", Debug),
    ] {
        assert_eq!(
            level_of(&levels(pairs, directives), target),
            expected,
            "{pairs:?} and {directives:?} on {target:?}"
        );
    }
}

#[test]
fn a_root_level_set_in_code_applies_to_third_party_targets() {
    let mut levels = levels("", "debug");
    levels.set_root(LevelFilter::Error);
    assert_eq!(level_of(&levels, "sqlx"), LevelFilter::Error);
    assert_eq!(level_of(&levels, "hyper"), LevelFilter::Info);
    assert_eq!(level_of(&levels, "server"), LevelFilter::Debug);
}

#[test]
fn the_application_can_choose_the_web_targets() {
    let categories = Categories::new().web_targets(["actix_web"]);
    let levels = Levels::new();
    let level_of = |target| levels.threshold(&categories, &categories.of_target(target), target);
    assert_eq!(level_of("actix_web::middleware"), LevelFilter::Info);
    assert_eq!(level_of("hyper"), LevelFilter::Warn);
}

#[test]
fn a_registered_category_has_its_own_level() {
    let categories = application().register("billing").unwrap();
    let mut levels = Levels::new();
    levels
        .set(&categories, "billing::invoices", LevelFilter::Trace)
        .unwrap();
    let level_of = |target| levels.threshold(&categories, &categories.of_target(target), target);
    assert_eq!(level_of("my_app::billing::invoices"), LevelFilter::Trace);
    assert_eq!(level_of("my_app::billing"), LevelFilter::Info);
}

#[test]
fn setting_an_unknown_category_changes_nothing_and_lists_the_known_ones() {
    let mut levels = Levels::new();
    let error = levels
        .set(&application(), "serve", LevelFilter::Trace)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("did you mean `server`? known: all, core"),
        "{error}"
    );
    assert_eq!(levels, Levels::new());
    levels.set(&application(), " All ", LevelFilter::Off).unwrap();
    assert_eq!(level_of(&levels, "server"), LevelFilter::Off);
}

#[test]
fn reachable_levels_are_those_that_some_target_has() {
    let highest = |pairs, directives| {
        let levels = levels(pairs, directives);
        levels.reachable(&application()).min()
    };
    let strictest = |pairs, directives| {
        let levels = levels(pairs, directives);
        levels.reachable(&application()).max()
    };
    assert_eq!(highest("", ""), Some(LevelFilter::Info));
    assert_eq!(strictest("", ""), Some(LevelFilter::Warn));
    assert_eq!(highest("core::routers=trace", ""), Some(LevelFilter::Trace));
    assert_eq!(highest("all=error", ""), Some(LevelFilter::Info));
    let no_web = "hyper=off,tower_http=off,axum=off";
    assert_eq!(highest("all=error", no_web), Some(LevelFilter::Error));
    assert_eq!(highest("", "sqlx=debug"), Some(LevelFilter::Debug));
    // Every category has its own level, so the default applies to none.
    let each: Vec<String> = application()
        .names()
        .map(|name| format!("{name}=error"))
        .collect();
    assert_eq!(
        highest(&each.join(","), &format!("{no_web},warn")),
        Some(LevelFilter::Warn)
    );
}

#[test]
fn a_long_target_is_looked_up_fast() {
    let levels = levels("core::routers=error", "sqlx=debug");
    let target = format!("core{}", "::a".repeat(300_000));
    let start = std::time::Instant::now();
    assert_eq!(level_of(&levels, &target), LevelFilter::Info);
    assert!(start.elapsed().as_millis() < 1000);
}

#[test]
fn a_level_is_displayed_by_a_name_that_is_parsed_back() {
    for threshold in [
        LevelFilter::Trace,
        LevelFilter::Debug,
        LevelFilter::Info,
        LevelFilter::Warn,
        LevelFilter::Error,
        LevelFilter::Critical,
        LevelFilter::Off,
    ] {
        assert_eq!(threshold.to_string().parse(), Ok(threshold));
        assert_eq!(threshold.to_string().to_uppercase().parse(), Ok(threshold));
    }
    assert_eq!(
        tracing_core::LevelFilter::from(LevelFilter::Critical),
        tracing_core::LevelFilter::ERROR
    );
}
