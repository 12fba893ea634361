//! The end of a span: what the program put into it becomes one record.
//!
//! This is the one exit door. The capture policy and the redaction are applied here, to every
//! field, before a byte reaches the journal; values are read once, into a buffer the thread keeps.

use std::borrow::Cow;
use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use staso_sdk::record::{self, SpanContext, SpanFields};
use staso_sdk::{CapturePolicy, Enqueued, RecordKind, SpanKind, SpanStatus};

use crate::exception::Event;
use crate::fields::Field;
use crate::leaf;
use crate::recorder::Recorder;
use crate::span::{Identity, Payload};
use crate::value::Walker;

/// A thread keeps its buffers from span to span, unless a huge span has grown them past this.
const KEPT_BUFFER_BYTES: usize = 1 << 20;

thread_local! {
    static BUFFERS: Cell<(Vec<u8>, Vec<u8>)> = const { Cell::new((Vec::new(), Vec::new())) };
}

/// Where the serialised parts of one span lie in the buffer of values.
struct Parts {
    attributes: Range<usize>,
    events: Range<usize>,
    output: Range<usize>,
    input: Range<usize>,
}

/// Writes and hands over the record of a span, then its annotations.
pub(crate) fn record(
    py: Python<'_>,
    recorder: &Recorder,
    own: &Identity,
    payload: &mut Payload,
    (name, kind, status): (&Bound<'_, PyString>, SpanKind, SpanStatus),
    end_ns: i64,
) -> Enqueued {
    let (mut values, mut out) = BUFFERS.take();
    values.clear();
    out.clear();
    if payload.is_dropped {
        record::write_dropped(&mut out, own.span_id, own.parent_id, own.start_ns, end_ns);
    } else {
        let mut walker = Walker::of(py, &mut values, recorder);
        let parts = write_parts(&mut walker, recorder, own, payload, (kind, status));
        let texts = Texts::of(&mut walker, recorder, own, payload, (name, kind, status));
        walker.finish(recorder);
        let mut fields = texts.fields();
        fields.span_id = own.span_id;
        fields.parent_span_id = own.parent_id;
        (fields.kind, fields.status) = (kind, status);
        (fields.start_ns, fields.end_ns) = (own.start_ns, end_ns);
        fields.process_id = recorder.process_id();
        fields.sample_rate = recorder.sample_rate;
        fields.capture = recorder.capture;
        fields.attributes = Some(&values[parts.attributes]);
        fields.events = Some(&values[parts.events]);
        fields.output = Some(&values[parts.output]);
        fields.input = Some(payload.captured.as_deref().unwrap_or(&values[parts.input]));
        if let Some(assigned) = &payload.fields {
            fields.usage_available = assigned.truth(py, Field::UsageAvailable);
            fields.input_tokens = assigned.count(py, Field::InputTokens);
            fields.output_tokens = assigned.count(py, Field::OutputTokens);
            fields.total_tokens = assigned.count(py, Field::TotalTokens);
        }
        if kind == SpanKind::Llm {
            // It starts false for a model call; a count that the program assigned says otherwise.
            let counts = [fields.input_tokens, fields.output_tokens, fields.total_tokens];
            let has_counts = counts.into_iter().flatten().any(|count| count > 0);
            fields.usage_available.get_or_insert(has_counts);
        }
        record::write_span(&mut out, &fields);
    }
    let answer = recorder.append(py, RecordKind::Span, &own.trace_id, &own.span_id, &out);
    for annotation in &payload.annotations {
        annotation.append(py, recorder, &own.trace_id, Some(&own.span_id));
    }
    if values.capacity() + out.capacity() <= KEPT_BUFFER_BYTES {
        BUFFERS.set((values, out));
    }
    answer
}

/// Serialises attributes, events, output and input, the small ones first: a span that is too
/// large keeps them.
fn write_parts(
    walker: &mut Walker<'_, '_>,
    recorder: &Recorder,
    own: &Identity,
    payload: &mut Payload,
    (kind, status): (SpanKind, SpanStatus),
) -> Parts {
    let py = walker.py;
    let policy = recorder.capture;
    let attributes = part(walker, |walker| {
        write_attributes(walker, recorder, own.parent_id.is_none(), payload, status);
    });
    let tells_errors = policy.allows_all() && !payload.events.is_empty();
    let events = part(walker, |walker| {
        if tells_errors {
            write_events(walker, &payload.events);
        }
    });
    let output = part(walker, |walker| match &payload.output {
        Some(value) if policy.output => walker.field("output", value.bind(py)),
        _ => {}
    });
    if !may_tell_input(policy, kind) {
        payload.captured = None;
    }
    let input = part(walker, |walker| match &payload.input {
        Some(value) if may_tell_input(policy, kind) => walker.field("input", value.bind(py)),
        _ => {}
    });
    Parts { attributes, events, output, input }
}

fn part<'a, 'py>(
    walker: &mut Walker<'a, 'py>,
    write: impl FnOnce(&mut Walker<'a, 'py>),
) -> Range<usize> {
    let start = walker.out.len();
    write(walker);
    start..walker.out.len()
}

/// Whether the input of a span of this kind may be told: each kind has its category, and a model's
/// input holds all of them.
pub(crate) fn may_tell_input(policy: CapturePolicy, kind: SpanKind) -> bool {
    match kind {
        SpanKind::Llm => policy.allows_all(),
        SpanKind::Tool => policy.tool_arguments,
        _ => policy.request,
    }
}

fn write_attributes(
    walker: &mut Walker<'_, '_>,
    recorder: &Recorder,
    is_root: bool,
    payload: &Payload,
    status: SpanStatus,
) {
    let py = walker.py;
    let plan = payload.plan.as_ref().map(|plan| plan.get());
    walker.raw(b"{");
    walker.enter_path("metadata");
    let planned = plan.filter(|_| walker.is_redacting() || !recorder.capture.request);
    let metadata = payload.metadata.as_ref().map(|dict| dict.clone_ref(py));
    let mut is_first = match (metadata.or_else(|| planned.map(|plan| plan.metadata(py))), plan) {
        (Some(dict), _) if recorder.capture.request => walker.dict_items(dict.as_ptr(), true),
        (Some(dict), _) => walker.dict_items(operational(dict.bind(py)).as_ptr(), true),
        (None, Some(plan)) => walker.items(plan.attributes_json(py, recorder), true),
        (None, None) => true,
    };
    if let (SpanStatus::Ok, Some(description)) = (status, &payload.description) {
        let key = PyString::intern(py, "staso.status_description");
        walker.member(&mut is_first, key.as_any(), description.bind(py));
    }
    walker.leave_path();
    if is_root {
        walker.items(recorder.root_attributes(), is_first);
    }
    walker.raw(b"}");
}

/// The metadata that describes the working, not the content: what stays when requests are kept
/// private.
fn operational<'py>(metadata: &Bound<'py, PyDict>) -> Bound<'py, PyDict> {
    const KEYS: &[&str] = &[
        "exception.type",
        "tool_name",
        "provider",
        "response_id",
        "stop_reason",
        "service_tier",
        "time_to_first_token",
    ];
    const PREFIXES: &[&str] = &["code.", "vcs.", "guard_", "staso.", "codex."];
    const SUFFIXES: &[&str] = &["_tokens", "_token_count"];
    let kept = PyDict::new(metadata.py());
    for item in metadata.items() {
        let Ok((key, value)) = item.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>() else {
            continue;
        };
        let is_kept = key.cast::<PyString>().is_ok_and(|key| {
            let key = key.to_string_lossy();
            KEYS.contains(&key.as_ref())
                || PREFIXES.iter().any(|prefix| key.starts_with(prefix))
                || SUFFIXES.iter().any(|suffix| key.ends_with(suffix))
        });
        if is_kept {
            // A text key is always hashable.
            let _ = kept.set_item(key, value);
        }
    }
    kept
}

fn write_events(walker: &mut Walker<'_, '_>, events: &[Event]) {
    walker.enter_path("events");
    for (at, event) in events.iter().enumerate() {
        walker.raw(if at == 0 { b"[" } else { b"," });
        let time = event.time_ns.to_string();
        walker.raw(b"{\"name\":\"exception\",\"time_ns\":");
        walker.raw(time.as_bytes());
        walker.raw(b",\"attributes\":{\"exception.type\":");
        walker.text_field("exception.type", &event.kind);
        walker.raw(b",\"exception.message\":");
        walker.text_field("exception.message", &event.message);
        if let Some(stack) = &event.stack {
            walker.raw(b",\"exception.stacktrace\":");
            walker.text_field("exception.stacktrace", stack);
        }
        walker.raw(b"}}");
    }
    walker.raw(b"]");
    walker.leave_path();
}

/// The texts of a span that are no payload, as they may be told.
struct Texts<'t> {
    name: Cow<'t, str>,
    error_message: Option<Cow<'t, str>>,
    named: [Option<Cow<'t, str>>; Texts::NAMED.len()],
}

impl<'t> Texts<'t> {
    const NAMED: [Field; 9] = [
        Field::Model,
        Field::Provider,
        Field::RequestedModel,
        Field::ReasoningEffort,
        Field::AgentName,
        Field::AgentId,
        Field::AgentVersion,
        Field::SessionId,
        Field::UserId,
    ];

    fn of(
        walker: &mut Walker<'_, '_>,
        recorder: &Recorder,
        own: &'t Identity,
        payload: &'t Payload,
        (name, kind, status): (&'t Bound<'_, PyString>, SpanKind, SpanStatus),
    ) -> Self {
        let py = walker.py;
        let name = match hidden_name(recorder, kind) {
            Some(name) => Cow::Owned(name),
            None => walker.plain_field("name", name.to_string_lossy()),
        };
        let tells_errors = recorder.capture.allows_all() && status.is_error();
        let error_message = tells_errors.then(|| error_message(py, payload)).flatten();
        let error_message = error_message.map(|text| walker.plain_field("error_message", text));
        let (tells_as_is, limit) = (!walker.is_redacting(), recorder.limits.value_bytes);
        let named = Self::NAMED.map(|field| {
            if tells_as_is && payload.fields.is_none() {
                let text = field.of_context(&own.context)?;
                return Some(leaf::bounded(Cow::Borrowed(text), limit));
            }
            let assigned = payload.fields.as_ref().and_then(|fields| fields.text(py, field));
            let text = match assigned {
                Some(text) => Cow::Owned(text.to_string_lossy().into_owned()),
                None => Cow::Borrowed(field.of_context(&own.context)?),
            };
            Some(walker.plain_field(field.as_str(), text))
        });
        Self { name, error_message, named }
    }

    fn fields(&self) -> SpanFields<'_> {
        let [model, provider, requested_model, reasoning_effort, rest @ ..] =
            self.named.each_ref().map(Option::as_deref);
        let [agent_name, agent_id, agent_version, session_id, user_id] = rest;
        SpanFields {
            name: &self.name,
            error_message: self.error_message.as_deref(),
            model,
            provider,
            requested_model,
            reasoning_effort,
            agent_name,
            agent_id,
            agent_version,
            session_id,
            user_id,
            ..SpanFields::default()
        }
    }
}

/// What went wrong: the program's word before the exception's.
fn error_message<'t>(py: Python<'_>, payload: &'t Payload) -> Option<Cow<'t, str>> {
    match &payload.description {
        Some(text) => {
            let text = crate::words::name_text(text.bind(py));
            Some(Cow::Owned(text.to_string_lossy().into_owned()))
        }
        None => payload.exception_message.as_deref().map(Cow::Borrowed),
    }
}

/// What stands for a name that must not be told.
fn hidden_name(recorder: &Recorder, kind: SpanKind) -> Option<String> {
    (!recorder.capture.request && kind != SpanKind::Tool).then(|| format!("{kind} span"))
}

/// A span's name as it may be told while the span is still open.
pub(crate) fn public_name(
    recorder: &Recorder,
    name: &Bound<'_, PyString>,
    kind: SpanKind,
) -> Arc<str> {
    if let Some(name) = hidden_name(recorder, kind) {
        return Arc::from(name);
    }
    if recorder.redact.is_none() {
        return Arc::from(leaf::bounded(name.to_string_lossy(), recorder.limits.value_bytes));
    }
    let mut unused = Vec::new();
    let mut walker = Walker::of(name.py(), &mut unused, recorder);
    let name = Arc::from(walker.plain_field("name", name.to_string_lossy()));
    walker.finish(recorder);
    name
}

/// The surroundings as they may be told while the span is still open.
pub(crate) fn public_context(
    py: Python<'_>,
    recorder: &Recorder,
    context: &Arc<SpanContext>,
) -> Arc<SpanContext> {
    if recorder.redact.is_none() {
        return Arc::clone(context);
    }
    let mut unused = Vec::new();
    let mut walker = Walker::of(py, &mut unused, recorder);
    let mut told = |field: Field| {
        let text = field.of_context(context)?;
        Some(walker.plain_field(field.as_str(), Cow::Borrowed(text)).into_owned())
    };
    let public = SpanContext {
        agent_name: told(Field::AgentName),
        agent_id: told(Field::AgentId),
        agent_version: told(Field::AgentVersion),
        session_id: told(Field::SessionId),
        user_id: told(Field::UserId),
    };
    walker.finish(recorder);
    Arc::new(public)
}
