//! Settings in code. `spanscope::builder()` ignores the environment; `Builder::from_env()` reads
//! it, and setters called afterwards override it.
//!
//! ```text
//! cargo run -p spanscope-examples --bin builder
//! ```
//!
//! You see a trace whose spans carry attributes that no macro declared, set through
//! `spanscope::SpanExt`:
//!
//! ```text
//! spans: 1, failed: 0
//!   chat tiny-model (client, ok)
//!     - info: answered
//! user.tier = gold
//! gen_ai.usage.output_tokens = 17
//! ```

use std::time::Duration;

use spanscope::SpanExt;
use spanscope_examples::{print_newest_trace, store_path};
use spanscope_model::{TraceStore, block_on};
use spanscope_sqlite::SqliteStore;
use tracing::{field, info, info_span};

fn main() -> anyhow::Result<()> {
    let path = store_path();
    let guard = spanscope::builder()
        .sinks(&["sqlite"])? // the console would be on too
        .service_name("builder-example")
        .sqlite_path(&path)
        .sqlite(|store| store.retention(Duration::from_secs(24 * 3600)))
        .try_init()?;

    // `otel.name` and `otel.kind` mean what they mean to tracing-opentelemetry: name and kind, not
    // attributes.
    let span = info_span!(
        "chat",
        otel.name = "chat tiny-model",
        otel.kind = "client",
        gen_ai.request.model = "tiny-model",
        gen_ai.usage.output_tokens = field::Empty,
    );
    span.in_scope(|| info!("answered"));
    span.record("gen_ai.usage.output_tokens", 17);
    span.record_attribute("user.tier", "gold");
    let ids = span.ids();
    drop(span);

    guard.flush(Duration::from_secs(5))?;
    print_newest_trace(&path, "chat tiny-model")?;
    if let Some((trace_id, span_id)) = ids {
        let stored = block_on(SqliteStore::open(&path)?.get_span(trace_id, span_id))?;
        for key in ["user.tier", "gen_ai.usage.output_tokens"] {
            if let Some(value) = stored.attributes.get(key) {
                println!("{key} = {value}");
            }
        }
    }
    Ok(())
}
