//! The end of a span: what the program put into it becomes one record.
//!
//! This is the one exit door of every language. The capture policy and the redaction are applied here,
//! to every field, before a byte reaches the journal; values are read once, in the order of the record:
//! the small ones first, so that a span that is too large keeps them.

use std::borrow::Cow;

use staso_journal::RecordKind;
use staso_model::{SpanKind, SpanStatus};

use crate::field::Field;
use crate::fork::process_generation;
use crate::held::Held;
use crate::host::{Host, Object};
use crate::json::{write_bool, write_i64, write_str};
use crate::life::{Ended, Identity, ToldHead};
use crate::nesting::Context;
use crate::policy::is_operational;
use crate::record::{
    self, SpanContext, Surroundings, key, mark_text, word, write_identity, write_times,
};
use crate::recorder::Recorder;
use crate::report::{Enqueued, FailureKind};

impl<O: Object> Ended<O> {
    /// Where its record goes: after another `init`, to the recorder in force.
    #[must_use]
    pub fn recorder(&self) -> Option<&'static Recorder> {
        self.identity.as_ref().map(|own| own.recorder.or_successor())
    }

    /// The exception that left the block: recorded, unless the program recorded that very one.
    pub fn leaves_with<H: Host<Object = O>>(
        &mut self,
        host: &mut H,
        raised: &O,
        implied: SpanStatus,
    ) {
        let held = self.held.get_or_insert_default();
        held.leaves(raised, self.end_ns, |raised, with_stack| host.describe(raised, with_stack));
        self.implied = Some(implied);
    }

    /// How it ended: as the program said, else as the exception implies, else well.
    #[must_use]
    pub fn status(&self) -> SpanStatus {
        let forced = self.held.as_ref().and_then(|held| held.forced);
        forced.or(self.implied).unwrap_or(SpanStatus::Ok)
    }

    /// Writes and hands over its record, then its annotations. `name` is the program's name for it.
    #[inline]
    pub fn record<H: Host<Object = O>>(
        &self,
        host: &mut H,
        recorder: &'static Recorder,
        name: Cow<'_, str>,
    ) -> Enqueued {
        let Some(own) = &self.identity else { return Enqueued::refused(FailureKind::Disabled) };
        let answer = if own.generation != process_generation() {
            recorder.refuse_in_child()
        } else if own.place.is_kept {
            self.hand_over(host, recorder, own, name)
        } else {
            Enqueued::ACCEPTED
        };
        if let Some(client) = own.recorder.client() {
            client.close_span(own.token);
        }
        answer
    }

    fn hand_over<H: Host<Object = O>>(
        &self,
        host: &mut H,
        recorder: &'static Recorder,
        own: &Identity,
        name: Cow<'_, str>,
    ) -> Enqueued {
        let held = self.held.as_deref();
        let (trace_id, span_id) = (&own.place.trace_id, &own.place.span_id);
        if recorder.client().is_some_and(|client| !client.is_open()) {
            // It is refused: nothing need be read.
            return recorder.append(RecordKind::Span, trace_id, span_id, b"");
        }
        let out = &mut host.pen().out;
        out.clear();
        if held.is_some_and(|held| held.is_dropped) {
            let parent_id = own.parent_id.as_ref();
            record::write_dropped(out, span_id, parent_id, own.start_ns, self.end_ns);
        } else {
            self.write(host, recorder, own, name);
        }
        let answer = recorder.append(RecordKind::Span, trace_id, span_id, &host.pen().out);
        for annotation in held.iter().flat_map(|held| &held.annotations) {
            annotation.record(host, recorder, trace_id, Some(span_id));
        }
        answer
    }

    fn write<H: Host<Object = O>>(
        &self,
        host: &mut H,
        recorder: &Recorder,
        own: &Identity,
        name: Cow<'_, str>,
    ) {
        let (kind, status, capture) = (self.kind, self.status(), recorder.capture);
        let name = match capture.tells_name(kind) {
            true => host.told(&["name"], name),
            false => capture.told_name(name, kind),
        };
        let out = &mut host.pen().out;
        out.reserve(512);
        write_times(out, own.start_ns, Some(self.end_ns));
        write_identity(out, &own.place.span_id, own.parent_id.as_ref());
        out.extend_from_slice(b",\"name\":");
        write_str(out, &name);
        out.extend_from_slice(b",\"kind\":");
        word(out, kind.as_str());
        out.extend_from_slice(b",\"status\":");
        word(out, status.as_str());
        out.extend_from_slice(recorder.stamp());
        let held = self.held.as_deref();
        write_fields(host, recorder, own, held, kind);
        write_attributes(host, recorder, own.parent_id.is_none(), held, status);
        if let Some(held) = held {
            if capture.allows_all() {
                write_error(host, held, status);
                write_events(host, held);
            }
            if let Some(output) = held.output.as_ref().filter(|_| capture.output) {
                write_payload(host, "output", output);
            }
            if capture.tells_input(kind) {
                match (&held.captured, &held.input) {
                    (Some((under, json)), _) if recorder.trusts(under) => {
                        let out = &mut host.pen().out;
                        record::write_payload(out, "input", |out| out.extend_from_slice(json));
                    }
                    // Its redaction never saw these arguments, and they are not there any more.
                    (Some(_), _) => {
                        recorder.fail_redaction();
                        let marker = b"\"[redaction failed]\"";
                        let out = &mut host.pen().out;
                        record::write_payload(out, "input", |out| out.extend_from_slice(marker));
                    }
                    (None, Some(input)) => write_payload(host, "input", input),
                    (None, None) => {}
                }
            }
        }
        host.pen().out.push(b'}');
    }
}

fn write_payload<H: Host>(host: &mut H, name: &'static str, object: &H::Object) {
    key(&mut host.pen().out, name);
    let start = host.pen().out.len();
    host.value(&[name], object);
    mark_text(&mut host.pen().out, name, start);
}

/// The plain fields: those of the surroundings as they were written once, unless the program assigned
/// some, or each has to pass a redaction.
fn write_fields<H: Host>(
    host: &mut H,
    recorder: &Recorder,
    own: &Identity,
    held: Option<&Held<H::Object>>,
    kind: SpanKind,
) {
    let context = host.context();
    let fields = held.and_then(|held| held.fields.as_deref());
    if fields.is_none() && !recorder.is_redacting() {
        host.pen().raw(own.surroundings.json());
    } else {
        for &field in &Field::ALL[..Field::TEXTS] {
            let text = match fields.and_then(|fields| fields.get(field)) {
                Some(assigned) => Some(context.text(assigned)),
                None => field.of_context(&own.surroundings.context).map(Cow::Borrowed),
            };
            if let Some(text) = text {
                let text = host.told(&[field.as_str()], text);
                let out = &mut host.pen().out;
                key(out, field.as_str());
                write_str(out, &text);
            }
        }
    }
    let assigned = |field| fields.and_then(|fields| fields.get(field));
    let mut has_counts = false;
    for field in [Field::InputTokens, Field::OutputTokens, Field::TotalTokens] {
        if let Some(count) = assigned(field).and_then(|count| host.whole(count)) {
            has_counts |= count > 0;
            key(&mut host.pen().out, field.as_str());
            write_i64(&mut host.pen().out, count);
        }
    }
    let is_available = assigned(Field::UsageAvailable).and_then(|truth| host.truth(truth));
    // It starts false for a model call; a count that the program assigned says otherwise.
    let is_available = is_available.or((kind == SpanKind::Llm).then_some(has_counts));
    if let Some(is_available) = is_available {
        key(&mut host.pen().out, Field::UsageAvailable.as_str());
        write_bool(&mut host.pen().out, is_available);
    }
}

fn write_attributes<H: Host>(
    host: &mut H,
    recorder: &Recorder,
    is_root: bool,
    held: Option<&Held<H::Object>>,
    status: SpanStatus,
) {
    let tells = (!recorder.capture.request).then_some(is_operational as fn(&str) -> bool);
    let mut is_first = true;
    host.pen().raw(b",\"attributes\":{");
    if let Some(held) = held {
        match (&held.metadata, &held.template) {
            (Some(metadata), _) => host.members("metadata", metadata, tells, &mut is_first),
            (None, Some(template)) if tells.is_some() || recorder.is_redacting() => {
                host.members("metadata", &template.attributes, tells, &mut is_first);
            }
            (None, Some(template)) => {
                template.write_attributes(host, &mut is_first);
            }
            (None, None) => {}
        }
        if let (SpanStatus::Ok, Some(description)) = (status, &held.description)
            && held.forced.is_some()
            && recorder.capture.allows_all()
        {
            host.pen().comma(&mut is_first);
            host.pen().raw(b"\"staso.status_description\":");
            host.value(&["metadata", "staso.status_description"], description);
        }
    }
    if is_root {
        host.pen().members(recorder.root_attributes(), &mut is_first);
    }
    host.pen().raw(b"}");
}

/// What went wrong: the program's word before the exception's.
fn write_error<H: Host>(host: &mut H, held: &Held<H::Object>, status: SpanStatus) {
    // An `ok` that the program forced has no error; one that it did not may be told what was not quite right.
    if !status.is_error() && (held.forced.is_some() || held.description.is_none()) {
        return;
    }
    let message = match &held.description {
        Some(text) => Some(host.context().text(text)),
        None => held.exception_message.as_deref().map(Cow::Borrowed),
    };
    if let Some(message) = message {
        let message = host.told(&["error_message"], message);
        key(&mut host.pen().out, "error_message");
        write_str(&mut host.pen().out, &message);
    }
}

fn write_events<H: Host>(host: &mut H, held: &Held<H::Object>) {
    for (at, event) in held.events.iter().enumerate() {
        host.pen().raw(if at == 0 { b",\"events\":[" } else { b"," });
        if host.pen().is_full() {
            let left = held.events.len() - at;
            host.pen().raw(b"{\"name\":\"exception\",\"attributes\":{\"exception.message\":");
            host.pen().marker(&format!("<span too large: {left} more events>"));
            host.pen().raw(b"}}");
            break;
        }
        host.pen().raw(b"{\"name\":\"exception\",\"time_ns\":");
        host.pen().int(event.time_ns);
        let told = [
            ("exception.type", Some(&event.told.kind)),
            ("exception.message", Some(&event.told.message)),
            ("exception.stacktrace", event.told.stack.as_ref()),
        ];
        let mut is_first = true;
        host.pen().raw(b",\"attributes\":{");
        for (name, text) in told {
            let Some(text) = text else { continue };
            let text = host.told(&["events", name], Cow::Borrowed(text));
            host.pen().comma(&mut is_first);
            word(&mut host.pen().out, name);
            host.pen().raw(b":");
            host.pen().marker(&text);
        }
        host.pen().raw(b"}}");
    }
    if !held.events.is_empty() {
        host.pen().raw(b"]");
    }
}

impl ToldHead {
    /// What a redaction leaves of a head. `name` is the program's name for the span.
    pub fn of<H: Host>(
        host: &mut H,
        recorder: &Recorder,
        (name, kind): (Cow<'_, str>, SpanKind),
        context: &SpanContext,
    ) -> Self {
        let name = match recorder.capture.tells_name(kind) {
            true => host.told(&["name"], name),
            false => recorder.capture.told_name(name, kind),
        };
        let mut told = |field: Field| {
            let text = field.of_context(context)?;
            Some(host.told(&[field.as_str()], Cow::Borrowed(text)).into_owned())
        };
        let context = SpanContext {
            agent_name: told(Field::AgentName),
            agent_id: told(Field::AgentId),
            agent_version: told(Field::AgentVersion),
            session_id: told(Field::SessionId),
            user_id: told(Field::UserId),
        };
        let surroundings = Surroundings::new(context, recorder.limits.value_bytes);
        Self { name: name.into(), surroundings }
    }
}
