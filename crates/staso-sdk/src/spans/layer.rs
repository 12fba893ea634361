//! What the `tracing` crate sees, recorded: code that says `#[instrument]` needs no other change.
//!
//! Each of its spans becomes one of ours, below the innermost one of either sort, and is the innermost
//! while it is entered. Fields become metadata, but those that the conventions for models and agents know
//! become the span's own. An event at the level of errors is an error of the span it happened in; other
//! events are kept in the metadata `events`.

use std::cell::RefCell;
use std::fmt;

use serde_json::{Map, Value as Json, json};
use staso_model::SpanKind;
use tracing_core::field::{Field as Name, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::host::Described;
use crate::spans::here::{self, Here};
use crate::spans::value::Value;
use crate::spans::{DetachedSpan, Span, span};

/// The most events that one span keeps; an error is recorded beyond it.
const EVENTS_MAX: usize = 128;

/// A layer that records with Staso what the `tracing` crate sees. Before [`init`](crate::init) it does nothing.
///
/// ```
/// use tracing_subscriber::layer::SubscriberExt as _;
///
/// #[tracing::instrument(fields(staso.kind = "tool"))]
/// fn search(query: &str) -> usize {
///     query.len()
/// }
///
/// let subscriber = tracing_subscriber::registry().with(staso_sdk::layer());
/// tracing::subscriber::with_default(subscriber, || search("where is my order?"));
/// ```
#[must_use]
pub fn layer() -> StasoLayer {
    StasoLayer(())
}

/// See [`layer`].
///
/// ```
/// let layer: staso_sdk::StasoLayer = staso_sdk::layer();
/// ```
#[derive(Debug, Clone)]
pub struct StasoLayer(());

/// What is kept with a span of the `tracing` crate.
struct Traced {
    span: DetachedSpan,
    events: Vec<Json>,
}

thread_local! {
    /// What stood where each of the entered spans now stands, the innermost last.
    static ENTERED: RefCell<Vec<(u64, Option<Value>)>> = const { RefCell::new(Vec::new()) };
}

impl<S> Layer<S> for StasoLayer
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let here = match attributes.parent() {
            _ if attributes.is_root() => Here::at(None),
            Some(parent) => Here::at(handle(&context, parent).and_then(|span| span.entry())),
            None => Here::copied(),
        };
        let metadata = attributes.metadata();
        let builder = span(metadata.name()).kind(fields.kind());
        let opened = builder.detach_at(here);
        if opened.is_recording() {
            tell_source(&opened, metadata);
            fields.tell(&opened);
        }
        if let Some(found) = context.span(id) {
            found.extensions_mut().replace(Traced { span: opened, events: Vec::new() });
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = handle(&context, id) else { return };
        let mut fields = Fields::default();
        values.record(&mut fields);
        fields.tell(&span);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(found) = context.event_span(event) else { return };
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Some(span) = handle(&context, &found.id()).filter(Span::is_recording) else { return };
        if let Some(output) = fields.take("return") {
            span.set_output(&output);
        }
        let metadata = event.metadata();
        if *metadata.level() == Level::ERROR {
            let message = fields.take_message();
            span.record_described(Described {
                kind: metadata.target().to_owned(),
                message,
                stack: None,
            });
        }
        if !fields.0.is_empty() {
            let told = fields.into_event(metadata, span.now_ns());
            let mut extensions = found.extensions_mut();
            if let Some(traced) = extensions.get_mut::<Traced>() {
                keep(&mut traced.events, told);
            }
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let Some(entry) = handle(&context, id).and_then(|span| span.entry()) else { return };
        let before = here::replace(Some(entry));
        let _ = ENTERED.try_with(|entered| entered.borrow_mut().push((id.into_u64(), before)));
    }

    fn on_exit(&self, id: &Id, _context: Context<'_, S>) {
        let _ = ENTERED.try_with(|entered| leave(&mut entered.borrow_mut(), id.into_u64()));
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(found) = context.span(&id) else { return };
        let Some(traced) = found.extensions_mut().remove::<Traced>() else { return };
        if !traced.events.is_empty() {
            traced.span.set_metadata("events", &traced.events);
        }
    }
}

/// A handle on our span of theirs, so that nothing of theirs is locked while we work.
fn handle<S>(context: &Context<'_, S>, id: &Id) -> Option<Span>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    let found = context.span(id)?;
    let extensions = found.extensions();
    extensions.get::<Traced>().map(|traced| Span::clone(&traced.span))
}

/// Spans may be left in another order than they were entered: whoever is not the innermost is only left out
/// of the way back.
fn leave(entered: &mut Vec<(u64, Option<Value>)>, id: u64) {
    let Some(at) = entered.iter().rposition(|(own, _)| *own == id) else { return };
    let (_, before) = entered.remove(at);
    match entered.get_mut(at) {
        Some((_, inner)) => *inner = before,
        None => drop(here::replace(before)),
    }
}

fn keep(events: &mut Vec<Json>, event: Json) {
    match events.len() {
        len if len < EVENTS_MAX => events.push(event),
        EVENTS_MAX => events.push(json!("<more events left out>")),
        _ => {}
    }
}

fn tell_source(span: &Span, metadata: &Metadata<'_>) {
    let texts = [
        ("code.filepath", metadata.file()),
        ("code.function", Some(metadata.name())),
        ("code.namespace", metadata.module_path()),
    ];
    for (key, text) in texts {
        text.map(|text| span.set_metadata(key, text));
    }
    metadata.line().map(|line| span.set_metadata("code.lineno", &line));
}

/// Fields as JSON, in their order.
#[derive(Default)]
struct Fields(Map<String, Json>);

impl Fields {
    fn kind(&self) -> SpanKind {
        let text = |name: &str| self.0.get(name).and_then(Json::as_str);
        if let Some(kind) = text("staso.kind").and_then(SpanKind::parse) {
            return kind;
        }
        match text("gen_ai.operation.name") {
            Some("chat" | "text_completion" | "generate_content") => SpanKind::Llm,
            Some("execute_tool") => SpanKind::Tool,
            Some("invoke_agent" | "create_agent") => SpanKind::Agent,
            Some("retrieval") => SpanKind::Retriever,
            _ => SpanKind::Chain,
        }
    }

    fn take(&mut self, name: &str) -> Option<Json> {
        self.0.shift_remove(name)
    }

    /// What an error event says: its message, and the error that `#[instrument(err)]` puts beside it.
    fn take_message(&mut self) -> String {
        let parts = ["message", "error"].map(|name| self.take(name));
        let parts = parts.iter().flatten().map(|part| match part {
            Json::String(text) => text.clone(),
            other => other.to_string(),
        });
        parts.collect::<Vec<_>>().join(": ")
    }

    fn into_event(self, metadata: &Metadata<'_>, time_ns: Option<i64>) -> Json {
        let mut event = Map::new();
        event.insert("time_ns".to_owned(), json!(time_ns));
        event.insert("level".to_owned(), json!(metadata.level().as_str()));
        event.insert("target".to_owned(), json!(metadata.target()));
        event.extend(self.0);
        Json::Object(event)
    }

    fn tell(self, span: &Span) {
        for (name, value) in self.0 {
            tell(span, &name, &value);
        }
    }
}

/// One field: into its own place on the span, where it has one, else into the metadata.
fn tell(span: &Span, name: &str, value: &Json) {
    match (name, value, value.as_u64()) {
        ("staso.kind", ..) => {}
        ("staso.input", ..) => drop(span.set_input(value)),
        ("staso.output", ..) => drop(span.set_output(value)),
        ("gen_ai.request.model", Json::String(text), _) => drop(span.set_requested_model(text)),
        ("gen_ai.response.model", Json::String(text), _) => drop(span.set_model(text)),
        ("gen_ai.provider.name" | "gen_ai.system", Json::String(text), _) => {
            span.set_provider(text);
        }
        ("gen_ai.conversation.id" | "session.id", Json::String(text), _) => {
            span.set_session_id(text);
        }
        ("user.id", Json::String(text), _) => drop(span.set_user_id(text)),
        ("gen_ai.usage.input_tokens", _, Some(count)) => drop(span.set_input_tokens(count)),
        ("gen_ai.usage.output_tokens", _, Some(count)) => drop(span.set_output_tokens(count)),
        _ => drop(span.set_metadata(name, value)),
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Name, value: &dyn fmt::Debug) {
        self.insert(field, json!(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Name, value: &str) {
        self.insert(field, json!(value));
    }

    fn record_i64(&mut self, field: &Name, value: i64) {
        self.insert(field, json!(value));
    }

    fn record_u64(&mut self, field: &Name, value: u64) {
        self.insert(field, json!(value));
    }

    fn record_f64(&mut self, field: &Name, value: f64) {
        self.insert(field, json!(value));
    }

    fn record_bool(&mut self, field: &Name, value: bool) {
        self.insert(field, json!(value));
    }

    fn record_error(&mut self, field: &Name, value: &(dyn std::error::Error + 'static)) {
        self.insert(field, json!(value.to_string()));
    }
}

impl Fields {
    fn insert(&mut self, field: &Name, value: Json) {
        self.0.insert(field.name().to_owned(), value);
    }
}
