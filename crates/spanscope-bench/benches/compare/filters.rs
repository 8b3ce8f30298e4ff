//! `CategoryFilter` against `EnvFilter` with equally many directives: enabled and disabled
//! callsites, as the filter of a whole subscriber and as the filter of one layer.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use spanscope_bench::subject::serve;
use spanscope_bench::table::{Goal, Table, nanos};
use spanscope_layers::{Categories, CategoryFilter, Levels};
use spanscope_model::CATEGORIES;
use tracing::{Event, Subscriber, debug, info, subscriber};
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{EnvFilter, Layer, registry};

use crate::caller::in_turn;
use crate::sizes::Sizes;

/// A sink that does almost nothing, so that the filter is what is measured.
struct Nothing;

impl<S: Subscriber> Layer<S> for Nothing {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        black_box(event);
    }
}

/// Every category at INFO, the rest at WARN: equally many directives for both.
fn env_filter() -> Result<EnvFilter> {
    let directives: Vec<String> = CATEGORIES.iter().map(|name| format!("{name}=info")).collect();
    Ok(EnvFilter::try_new(format!("warn,{}", directives.join(",")))?)
}

fn category_filter() -> CategoryFilter {
    let categories = Categories::new();
    let mut levels = Levels::new();
    let pairs: Vec<String> = CATEGORIES.iter().map(|name| format!("{name}=info")).collect();
    levels.set_pairs(&categories, "bench", &pairs.join(","));
    CategoryFilter::new(categories, levels)
}

/// Runs one subject of this section in a child process.
pub(crate) fn child(role: &str, sizes: &Sizes) -> Result<()> {
    match role {
        "filter-env-global" => subscriber::set_global_default(registry().with(env_filter()?).with(Nothing))?,
        "filter-ours-global" => {
            subscriber::set_global_default(registry().with(category_filter()).with(Nothing))?
        }
        "filter-env-layer" => {
            subscriber::set_global_default(registry().with(Nothing.with_filter(env_filter()?)))?
        }
        "filter-ours-layer" => {
            subscriber::set_global_default(registry().with(Nothing.with_filter(category_filter())))?;
        }
        // The time that `tracing` itself takes to call a filter each time.
        "filter-yes-layer" => {
            let yes = dynamic_filter_fn(|_, _| true);
            subscriber::set_global_default(registry().with(Nothing.with_filter(yes)))?;
        }
        // Filters that disagree: they are called for every callsite each time.
        "filter-env-mixed" => {
            let all = Nothing.with_filter(EnvFilter::try_new("trace")?);
            subscriber::set_global_default(registry().with(all).with(Nothing.with_filter(env_filter()?)))?;
        }
        "filter-ours-mixed" => {
            let all = Nothing.with_filter(EnvFilter::try_new("trace")?);
            subscriber::set_global_default(
                registry().with(all).with(Nothing.with_filter(category_filter())),
            )?;
        }
        other => bail!("unknown subject {other}"),
    }
    serve(|| Ok(vec![enabled(sizes), disabled(sizes)]), || Ok(Vec::new()))
}

fn enabled(sizes: &Sizes) -> f64 {
    let start = Instant::now();
    for number in 0..sizes.filtered_events {
        info!(target: "inference::chat", number = black_box(number), "on");
    }
    each(start.elapsed(), sizes.filtered_events)
}

fn disabled(sizes: &Sizes) -> f64 {
    let start = Instant::now();
    for number in 0..sizes.filtered_events {
        debug!(target: "inference::chat", number = black_box(number), "off");
    }
    each(start.elapsed(), sizes.filtered_events)
}

#[expect(clippy::cast_precision_loss, reason = "counts of events are small")]
fn each(took: Duration, events: u64) -> f64 {
    took.as_nanos() as f64 / events as f64
}

/// Measures all subjects of this section in turn and adds their rows to the table.
pub(crate) fn report(table: &mut Table, folder: &Path, sizes: &Sizes) -> Result<()> {
    let groups: [(&str, &[&str]); 3] = [
        ("for all layers", &["filter-env-global", "filter-ours-global"]),
        (
            "for one layer",
            &["filter-env-layer", "filter-ours-layer", "filter-yes-layer"],
        ),
        (
            "for one layer next to one that sees all",
            &["filter-env-mixed", "filter-ours-mixed"],
        ),
    ];
    for (how, roles) in groups {
        let taken = in_turn(roles, folder, sizes)?;
        let [env, ours, rest @ ..] = taken.as_slice() else {
            bail!("a subject is missing");
        };
        for (place, what) in ["on", "off"].into_iter().enumerate() {
            let (env, ours) = (env.sample(place), ours.sample(place));
            let ratio = ours.ratio_to(&env);
            table.judged(
                &format!("`CategoryFilter` {how}, 23 directives, a callsite that is {what}"),
                nanos(ours.median()),
                format!("{ratio:.2} x `EnvFilter` ({})", nanos(env.median())),
                ratio,
                Goal::AtMost(1.05),
                "<= 1.0 x `EnvFilter`, give or take 5 %",
            );
        }
        if let [yes] = rest {
            // `EnvFilter` isn't called each time, and loses spans because of that
            // (tokio-rs/tracing#2519).
            let (env, yes) = (env.sample(0), yes.sample(0));
            table.plain(
                "a filter for one layer that is asked each time and only says yes",
                nanos(yes.median()),
                format!("{:.2} x `EnvFilter`", yes.ratio_to(&env)),
            );
        }
    }
    Ok(())
}
