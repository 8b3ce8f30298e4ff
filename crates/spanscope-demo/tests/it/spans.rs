//! The spans that a subscriber gets from a run: those of `spanscope demo`, below the caller's.

use std::sync::{Arc, Mutex};

use spanscope_demo::{Librarian, ModelServer};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Instrument as _, Subscriber, info_span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::support::{QUESTION, librarian};

/// A span: its name in traces, its parent, its fields.
#[derive(Debug, Clone, Default)]
struct Seen {
    name: String,
    parent: String,
    fields: Vec<(String, String)>,
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.fields.push((field.name().to_owned(), format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.push((field.name().to_owned(), value.to_owned()));
    }
}

impl Seen {
    fn field(&self, name: &str) -> &str {
        let found = self.fields.iter().rev().find(|(field, _)| field == name);
        found.map_or("", |(_, value)| value)
    }
}

/// Keeps all spans that have ended.
#[derive(Debug, Clone, Default)]
struct Watch(Arc<Mutex<Vec<Seen>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Watch {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let mut seen = Seen::default();
        attributes.record(&mut seen);
        seen.name = Some(seen.field("otel.name"))
            .filter(|name| !name.is_empty())
            .unwrap_or(span.name())
            .to_owned();
        if let Some(parent) = span.parent() {
            seen.parent = parent.extensions().get::<Seen>().unwrap().name.clone();
        }
        span.extensions_mut().insert(seen);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        values.record(
            context
                .span(id)
                .unwrap()
                .extensions_mut()
                .get_mut::<Seen>()
                .unwrap(),
        );
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).unwrap();
        let seen = span.extensions().get::<Seen>().unwrap().clone();
        self.0.lock().unwrap().push(seen);
    }
}

#[test]
fn a_run_has_its_search_model_calls_and_tools_below_the_callers_span() {
    let watch = Watch::default();
    let subscriber = tracing_subscriber::registry().with(watch.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(async {
            let server = ModelServer::start().await.unwrap();
            let librarian: Librarian = librarian(&server).in_conversation("conversation-7");
            let run = librarian.answer(QUESTION).instrument(info_span!("run"));
            run.await.unwrap();
            server.stop().await;
        });
    });
    let seen = watch.0.lock().unwrap();
    let mut tree: Vec<_> = seen
        .iter()
        .map(|span| (span.parent.as_str(), span.name.as_str()))
        .collect();
    tree.sort_unstable();
    assert_eq!(
        tree,
        [
            ("", "POST /v1/chat/completions"),
            ("", "POST /v1/chat/completions"),
            ("", "run"),
            ("POST /v1/chat/completions", "generate"),
            ("POST /v1/chat/completions", "generate"),
            ("execute_tool weather", "GET"),
            ("run", "chat tiny-librarian"),
            ("run", "chat tiny-librarian"),
            ("run", "execute_tool calculator"),
            ("run", "execute_tool weather"),
            ("run", "retrieval passages"),
        ]
    );
    let chats: Vec<&Seen> = seen
        .iter()
        .filter(|span| span.name.starts_with("chat "))
        .collect();
    let fields = |name: &str| chats.iter().map(|span| span.field(name)).collect::<Vec<_>>();
    assert_eq!(fields("gen_ai.conversation.id"), ["conversation-7"; 2]);
    assert_eq!(fields("gen_ai.provider.name"), ["openai"; 2]);
    assert_eq!(fields("server.address"), ["127.0.0.1"; 2]);
    assert_eq!(
        fields("gen_ai.request.stream"),
        ["", "true"],
        "the second is streamed"
    );
    assert_eq!(
        fields("gen_ai.response.finish_reasons"),
        ["[\"tool_calls\"]", "[\"stop\"]"]
    );
}
