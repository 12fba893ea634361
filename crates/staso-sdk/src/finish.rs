//! The end of a span: what the program put into it becomes one record.
//!
//! This is the one exit door of every language. The capture policy and the redaction are applied here,
//! to every field, before a byte reaches the journal; values are read once, in the order of the record:
//! the small ones first, so that a span that is too large keeps them.

use std::borrow::Cow;

use staso_journal::{RecordKind, SpanFront};
use staso_model::{SpanKind, SpanStatus};

use crate::field::Field;
use crate::fork::process_generation;
use crate::held::Held;
use crate::host::{Host, Object};
use crate::json::{write_bool, write_i64, write_str};
use crate::life::{Ended, Ending, Identity, ToldHead};
use crate::nesting::Context;
use crate::pen::{bounded, with_buffer};
use crate::policy::is_operational;
use crate::record::{self, Around, Entry, SpanContext, Surroundings, key, mark_text, word};
use crate::recorder::Recorder;
use crate::report::Enqueued;

impl Identity {
    /// Where its record goes: after another `init`, to the recorder in force.
    #[must_use]
    #[inline]
    pub fn recorder_at_end(&self) -> &'static Recorder {
        self.recorder.or_successor()
    }

    /// Writes and hands over the record of a span of which nothing of the program's has to be read but its
    /// name.
    #[inline]
    pub(crate) fn record_plain(
        &self,
        recorder: &'static Recorder,
        ending: Ending,
        name: Cow<'_, str>,
    ) -> Enqueued {
        self.hand_over(recorder, ending, || {
            let name = recorder.capture.told_name(name, ending.kind);
            let name = bounded(name, recorder.limits.value_bytes);
            with_buffer(|out| {
                write_head(out, ending, &name);
                let is_at_home = recorder.is_home(&self.surroundings);
                if !is_at_home {
                    out.extend_from_slice(self.surroundings.json());
                }
                if ending.kind == SpanKind::Llm {
                    key(out, Field::UsageAvailable.as_str());
                    write_bool(out, false);
                }
                let attributes = recorder.root_attributes();
                if self.parent_id.is_none() && !attributes.is_empty() {
                    out.extend_from_slice(b",\"attributes\":{");
                    out.extend_from_slice(attributes);
                    out.push(b'}');
                }
                recorder.append(&self.entry(ending, is_at_home, out))
            })
        })
    }

    /// Hands over what `write` makes, where this process and this trace record; takes it out of the open spans.
    #[inline]
    fn hand_over(
        &self,
        recorder: &'static Recorder,
        ending: Ending,
        write: impl FnOnce() -> Enqueued,
    ) -> Enqueued {
        let answer = if self.generation != process_generation() {
            recorder.refuse_in_child()
        } else if !self.place.is_kept {
            Enqueued::ACCEPTED
        } else if recorder.client().is_some_and(|client| !client.is_open()) {
            // It is refused: nothing need be read.
            recorder.append(&self.entry(ending, false, b""))
        } else {
            write()
        };
        if let Some(client) = self.recorder.client() {
            client.close_span(self.token);
        }
        answer
    }

    #[inline]
    fn entry<'e>(&'e self, ending: Ending, is_at_home: bool, members: &'e [u8]) -> Entry<'e> {
        let front = SpanFront {
            start_ns: self.start_ns,
            end_ns: ending.end_ns,
            parent_id: self.parent_id,
            is_at_home,
        };
        Entry {
            kind: RecordKind::Span,
            trace_id: &self.place.trace_id,
            span_id: &self.place.span_id,
            front: Some(front),
            json: members,
        }
    }
}

/// The members that every span has.
#[inline]
fn write_head(out: &mut Vec<u8>, ending: Ending, name: &str) {
    out.extend_from_slice(b"\"name\":");
    write_str(out, name);
    out.extend_from_slice(b",\"kind\":");
    word(out, ending.kind.as_str());
    out.extend_from_slice(b",\"status\":");
    word(out, ending.status.as_str());
}

impl<O: Object> Ended<'_, O> {
    /// The exception that left the block: recorded, unless the program recorded that very one.
    pub fn leaves_with<H: Host<Object = O>>(&mut self, host: &mut H, raised: &O) {
        let held = self.held.get_or_insert_default();
        let at_most = host.pen().limits.span_bytes;
        let describe = |raised: &O, with_stack| host.describe(raised, with_stack);
        held.leaves(raised, self.ending.end_ns, at_most, describe);
    }

    /// Writes and hands over its record, then its annotations. `name` is the program's name for it.
    pub fn record<H: Host<Object = O>>(
        &self,
        host: &mut H,
        recorder: &'static Recorder,
        name: Cow<'_, str>,
    ) -> Enqueued {
        let (own, ending) = (self.identity, self.ending);
        own.hand_over(recorder, ending, || {
            let held = self.held.as_deref();
            let (trace_id, span_id) = (&own.place.trace_id, &own.place.span_id);
            let out = &mut host.pen().out;
            out.clear();
            let answer = if held.is_some_and(|held| held.is_dropped) {
                let parent_id = own.parent_id.as_ref();
                record::write_dropped(out, span_id, parent_id, own.start_ns, ending.end_ns);
                recorder.append(&Entry::whole(RecordKind::Span, trace_id, span_id, out))
            } else {
                let fields = held.and_then(|held| held.fields.as_deref());
                let is_at_home = fields.is_none() && recorder.is_home(&own.surroundings);
                self.write(host, recorder, is_at_home, name);
                recorder.append(&own.entry(ending, is_at_home, &host.pen().out))
            };
            for annotation in held.iter().flat_map(|held| &held.annotations) {
                annotation.record(host, recorder, trace_id, Some(span_id));
            }
            answer
        })
    }

    fn write<H: Host<Object = O>>(
        &self,
        host: &mut H,
        recorder: &Recorder,
        is_at_home: bool,
        name: Cow<'_, str>,
    ) {
        let own = self.identity;
        let (kind, status, capture) = (self.ending.kind, self.ending.status, recorder.capture);
        let name = match capture.tells_name(kind) {
            true => host.told(&["name"], name),
            false => capture.told_name(name, kind),
        };
        let out = &mut host.pen().out;
        out.reserve(512);
        write_head(out, self.ending, &name);
        let held = self.held.as_deref();
        if !is_at_home {
            write_surroundings(host, recorder, own, held);
        }
        write_usage(host, held, kind);
        write_attributes(host, recorder, own.parent_id.is_none(), held, status);
        if let Some(held) = held {
            if capture.allows_all() {
                write_error(host, held, status);
                write_events(host, held);
            }
            match (&held.output, &held.result) {
                _ if !capture.output => {}
                (Some(output), _) => write_payload(host, "output", output),
                (None, Some(result)) => write_result(host, result),
                (None, None) => {}
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
    }
}

fn write_payload<H: Host>(host: &mut H, name: &'static str, object: &H::Object) {
    key(&mut host.pen().out, name);
    let start = host.pen().out.len();
    host.value(&[name], object);
    mark_text(&mut host.pen().out, name, start);
}

/// What a decorated function answered, as the object of one member that a mapping of it would have been.
fn write_result<H: Host>(host: &mut H, result: &H::Object) {
    key(&mut host.pen().out, "output");
    // No object has this address: the answer is not taken for part of itself.
    if host.pen().enter(0) {
        host.pen().raw(b"{");
        host.result(result);
        host.pen().raw(b"}");
        host.pen().leave();
    }
}

/// The texts among the fields: those of the surroundings as they were written once, unless the program
/// assigned some, or each has to pass a redaction.
fn write_surroundings<H: Host>(
    host: &mut H,
    recorder: &Recorder,
    own: &Identity,
    held: Option<&Held<H::Object>>,
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
}

/// The counts among the fields, and whether there are any.
fn write_usage<H: Host>(host: &mut H, held: Option<&Held<H::Object>>, kind: SpanKind) {
    let fields = held.and_then(|held| held.fields.as_deref());
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
    let start = host.pen().out.len();
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
    match is_first {
        true => host.pen().out.truncate(start),
        false => host.pen().raw(b"}"),
    }
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
    let mut left_out = held.events_left_out;
    for (at, event) in held.events.iter().enumerate() {
        if host.pen().is_full() {
            left_out += held.events.len() - at;
            break;
        }
        host.pen().raw(if at == 0 { b",\"events\":[" } else { b"," });
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
    if left_out > 0 {
        let is_first = left_out == held.events.len() + held.events_left_out;
        host.pen().raw(if is_first { b",\"events\":[" } else { b"," });
        host.pen().raw(b"{\"name\":\"exception\",\"attributes\":{\"exception.message\":");
        host.pen().marker(&format!("<span too large: {left_out} more events>"));
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
        Self { name: name.into(), surroundings: Around::shared(surroundings) }
    }
}
