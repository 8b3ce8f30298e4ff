//! A program for tests to run: `console SETUP WORK...`, which does one piece of work after the
//! other and ends.
//!
//! SETUP is `init`, which is `spanscope::init()`, or `built`: the builder with the environment and
//! the variables that begin with `CODE_`, each of which is a call of a setter.
#![expect(clippy::unwrap_used, reason = "a test program fails by panicking")]

mod agents;
mod changes;
mod debugs;
mod errors;
mod floods;
mod hostile;
mod levels;
mod measures;
mod records;
mod settings;
mod shapes;
mod story;
mod synchronous;

use std::env::var;
use std::io::Write as _;
use std::time::Duration;

use spanscope::console::render::Format;
use spanscope::console::{ColorChoice, SpanDisplay};
use spanscope::{Categories, Guard, InitError};

/// How long a flush may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let setup = arguments.next().unwrap();
    let guard = match setup.as_str() {
        "init" => spanscope::init(),
        "built" => match built() {
            Ok(guard) => guard,
            Err(error) => {
                eprintln!("error: {error}");
                std::process::exit(1);
            }
        },
        "handed-on" => std::hint::black_box(None).unwrap_or_else(spanscope::init),
        "pointed-to" => {
            let init: fn() -> Guard = std::hint::black_box(spanscope::init);
            init()
        }
        other => settings::set_up_in_vain(other),
    };
    for work in arguments {
        do_work(&work, &guard);
    }
}

fn built() -> Result<Guard, InitError> {
    let mut builder = spanscope::Builder::try_from_env()?;
    if let Ok(path) = var("CODE_CONFIG") {
        builder = builder.config_file(path);
    }
    if let Ok(names) = var("CODE_SINKS") {
        builder = builder.sinks(&names.split(',').collect::<Vec<_>>())?;
    }
    if let Ok(name) = var("CODE_SERVICE") {
        builder = builder.service_name(name);
    }
    if let Ok(pair) = var("CODE_RESOURCE") {
        let (key, value) = pair.split_once('=').unwrap();
        builder = builder.resource_attribute(key, value);
    }
    if let Ok(path) = var("CODE_DB") {
        builder = builder.sqlite_path(path);
    }
    if let Ok(pairs) = var("CODE_LEVELS") {
        builder = builder.levels(pairs);
    }
    if let Ok(directives) = var("CODE_DIRECTIVES") {
        builder = builder.directives(directives);
    }
    for sink in spanscope::SINKS {
        if let Ok(pairs) = var(format!("CODE_LEVELS_OF_{sink}")) {
            builder = builder.sink_levels(sink, pairs)?;
        }
    }
    if let Ok(prefix) = var("CODE_MAP") {
        let mapped = Categories::of_caller().map(&prefix, "inference");
        builder = builder.categories(mapped.unwrap());
    }
    if let Ok(name) = var("CODE_APP") {
        builder = builder.categories(Categories::of_caller().app_crate(&name));
    }
    if let Ok(bytes) = var("CODE_QUEUE") {
        let bytes = bytes.parse().unwrap();
        builder = builder.console(move |console| console.queue_bytes(bytes));
    }
    if let Ok(shape) = var("CODE_SHAPE") {
        builder = builder.console(move |console| match shape.as_str() {
            "tree" => console.spans(SpanDisplay::Tree),
            "events" => console.spans(SpanDisplay::Events),
            "json" => console.format(Format::Json),
            "unlimited" => console.rate_limit(None),
            "synchronous" => console.synchronous(true),
            "colour" => console.color(ColorChoice::Always),
            other => panic!("no shape {other}"),
        });
    }
    builder.on_overflow(spanscope::OverflowPolicy::Block).try_init()
}

fn do_work(work: &str, guard: &Guard) {
    match work {
        "story" => story::log_all(),
        "levels" => levels::log_all(),
        "measures" => measures::log_all(),
        "changes" => changes::back_and_forth(guard.levels().unwrap()),
        "changes-on-many-threads" => changes::on_many_threads(guard.levels().unwrap()),
        "records" => records::log_all(),
        "flood" => floods::flood(),
        "lines" => floods::lines(),
        "hostile" => hostile::log_all(),
        "debugs" => debugs::log_all(),
        error if error.starts_with("error-") => errors::log(error.trim_start_matches("error-")),
        "printed-and-logged" => synchronous::print_and_log(),
        "logged-while-printing" => synchronous::log_while_printing(),
        "logged-and-killed" => synchronous::log_and_be_killed(),
        "own-logger-had" => settings::own_logger_had(),
        "once" => settings::log_once(),
        "both" => settings::log_by_both(),
        "side-by-side" => shapes::side_by_side(),
        "odd-spans" => shapes::odd_spans(),
        "wide-span" => shapes::wide_span(),
        "markup" => shapes::log_markup(),
        "dozen" => floods::dozen(),
        "story-begins" => story::begin(),
        "init-again" => {
            let second = spanscope::init();
            assert!(second.levels().is_none() && second.flush(PATIENCE).is_ok());
        }
        "until-logged" => floods::until_logged(&var("LLAMA_STACK_LOG_FILE").unwrap(), guard),
        "guarded" => shapes::guarded(),
        "narrow" => {
            // The terminal that this program runs under gets smaller.
            let mut stty = std::process::Command::new("stty");
            assert!(stty.args(["cols", "60"]).status().unwrap().success());
        }
        "flush" => guard.flush(PATIENCE).unwrap(),
        "stats" => {
            let stats = guard.console_stats().unwrap();
            let dropped = stats.dropped;
            report(&format!(
                "console {} {} {} {}",
                stats.offered, stats.stored, dropped.queue_full, dropped.write_failed
            ));
        }
        "store-stats" => {
            let stats = guard.stats().unwrap();
            report(&format!(
                "store {} {} {} {}",
                stats.offered, stats.stored, stats.dropped.queue_full, stats.dropped.write_failed
            ));
        }
        "worked" => report("worked"),
        "max-level" => report(&tracing::level_filters::LevelFilter::current().to_string()),
        "wait" => {
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).unwrap();
        }
        "panic" => {
            let _doomed = tracing::info_span!("doomed").entered();
            panic!("as asked");
        }
        // The test ends it; the limit applies if the test has died.
        "hang" => std::thread::sleep(Duration::from_secs(120)),
        other => panic!("no work {other}"),
    }
}

fn report(line: &str) {
    println!("{line}");
    std::io::stdout().flush().unwrap();
}
