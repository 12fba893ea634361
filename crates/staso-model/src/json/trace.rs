//! The body and its traces: defaults for spans, what fills a root, heartbeats, annotations.

use std::cell::Cell;
use std::collections::HashSet;
use std::rc::Rc;

use super::annotation::decode_in_batch;
use super::fields::{RawProcess, RawSpan, RawTrace};
use super::mender::Mender;
use super::outline::Outlined;
use super::span::{self, Surroundings, derived_id};
use super::walk::{Raw, elements, is_array, is_object, members};
use super::{
    DecodeContext, DecodeError, DecodedBatch, ProcessSign, ProcessState, RepairReport, parts,
};
use crate::ids::{AnnotationId, SpanId, TraceId};
use crate::span::{Repair, Span};

/// Decodes a scanned body.
pub(super) fn decode_body(
    body: Raw<'_>,
    outlined: Outlined<'_>,
    ctx: &DecodeContext<'_>,
    is_clean: bool,
) -> Result<DecodedBatch, DecodeError> {
    if !is_object(body) {
        return Err(DecodeError::NoTraces { found: "the body is not an object" });
    }
    let (mut traces, mut processes) = (None, None);
    for (key, value) in outlined.members(body) {
        match &*key {
            "traces" => traces = Some(value),
            "processes" => processes = Some(value),
            _ => {}
        }
    }
    let traces = traces.ok_or(DecodeError::NoTraces { found: "the body has no such member" })?;
    if !is_array(traces) {
        return Err(DecodeError::NoTraces { found: "`traces` is not an array" });
    }
    let budget = Rc::new(Cell::new(ctx.limits.max_values));
    let mut decoder = Decoder { ctx, outlined, is_clean, batch: DecodedBatch::default(), budget };
    for (index, trace) in outlined.elements(traces).enumerate() {
        decoder.trace(index, trace)?;
    }
    decoder.processes(processes)?;
    Ok(decoder.batch)
}

struct Decoder<'a, 'c> {
    ctx: &'a DecodeContext<'c>,
    outlined: Outlined<'a>,
    is_clean: bool,
    batch: DecodedBatch,
    /// Values that attributes and lists may still make.
    budget: Rc<Cell<usize>>,
}

/// One element of `spans`.
enum Item<'a> {
    Object(Box<RawSpan<'a>>),
    Other(Raw<'a>),
}

impl<'a> Decoder<'a, '_> {
    fn mender(&self) -> Mender {
        Mender::new(self.ctx.limits, Rc::clone(&self.budget))
    }

    fn trace(&mut self, index: usize, raw: Raw<'a>) -> Result<(), DecodeError> {
        let limit = self.ctx.limits.max_spans;
        if self.batch.trace_count == limit {
            return Err(DecodeError::TooManyEntries { what: "traces", limit });
        }
        self.batch.trace_count += 1;
        let trace = RawTrace::read(self.outlined.members(raw));
        let mut items = self.items(raw, &trace)?;
        if items.is_empty() && trace.annotations.is_none() {
            return Ok(());
        }
        let mut mender = self.mender();
        let trace_id = self.trace_id(index, &trace, &mut mender);
        let root = fill_root(&trace, &mut items);
        for (position, item) in items.iter().enumerate() {
            let around = Surroundings {
                ctx: self.ctx,
                trace_id,
                trace: &trace,
                position: [index, position],
                sequence: self.ctx.first_sequence.wrapping_add(self.batch.spans.len() as u64),
                is_clean: self.is_clean,
            };
            // What was wrong with the trace's own id is marked on its first span.
            let mut own = if position == 0 {
                std::mem::replace(&mut mender, self.mender())
            } else {
                self.mender()
            };
            let mut span = match item {
                Item::Object(raw) => span::decode(raw, &around, &mut own),
                Item::Other(raw) => span::decode_other(raw, &around, &mut own),
            };
            if let Some(root) = root.filter(|root| root.position == position) {
                span.usage.is_of_trace = root.has_trace_tokens;
                fill_attributes(&trace, &mut span, &mut own);
            }
            self.keep(span);
        }
        self.annotations(index, trace_id, &trace)
    }

    /// The spans of a trace as slices. A trace that is not an object is one odd span.
    fn items(&self, raw: Raw<'a>, trace: &RawTrace<'a>) -> Result<Vec<Item<'a>>, DecodeError> {
        let spans = if is_object(raw) { trace.spans.unwrap_or(b"null") } else { raw };
        let room = self.ctx.limits.max_spans.saturating_sub(self.batch.spans.len());
        let is_list = is_object(raw) && is_array(spans);
        let mut items = Vec::new();
        for element in self.outlined.elements(spans).filter(|_| is_list) {
            if items.len() == room {
                return Err(DecodeError::TooManySpans { limit: self.ctx.limits.max_spans });
            }
            items.push(match is_object(element) {
                true => Item::Object(Box::new(RawSpan::read(self.outlined.members(element)))),
                false => Item::Other(element),
            });
        }
        let is_absent = is_object(raw) && spans == b"null";
        if !is_list && !is_absent {
            if room == 0 {
                return Err(DecodeError::TooManySpans { limit: self.ctx.limits.max_spans });
            }
            items.push(Item::Other(spans));
        }
        Ok(items)
    }

    fn trace_id(&self, index: usize, trace: &RawTrace<'_>, mender: &mut Mender) -> TraceId {
        let derived = TraceId(derived_id(self.ctx, &[0; 16], &[index]));
        let text = mender.long_text("trace_id", trace.trace_id).filter(|text| !text.is_empty());
        let Some(text) = text else {
            mender.mark("trace_id", "missing: derived from the receipt and the position");
            return derived;
        };
        match text.parse::<TraceId>() {
            Ok(id) if !id.is_nil() => id,
            Ok(_) => {
                mender.mark("trace_id", "all zero: derived from the receipt and the position");
                derived
            }
            Err(_) => {
                let raw = trace.trace_id.unwrap_or_default();
                mender.replace("trace_id", raw, "not an id: hashed into one");
                TraceId::from_foreign_text(&text)
            }
        }
    }

    fn keep(&mut self, span: Span) {
        self.report(Some(span.trace_id), Some(span.span_id), &span.repairs);
        self.batch.spans.push(span);
    }

    fn report(&mut self, trace_id: Option<TraceId>, span_id: Option<SpanId>, repairs: &[Repair]) {
        self.batch.repairs.extend(repairs.iter().map(|repair| RepairReport {
            trace_id,
            span_id,
            field: repair.field.clone(),
            problem: repair.problem.clone(),
        }));
    }

    fn annotations(
        &mut self,
        index: usize,
        trace_id: TraceId,
        trace: &RawTrace<'_>,
    ) -> Result<(), DecodeError> {
        let limit = self.ctx.limits.max_annotations;
        let mut mender = self.mender();
        let workspace = match self.ctx.workspace_override {
            Some(workspace) => workspace.to_owned(),
            None => mender
                .label("workspace_slug", trace.workspace_slug)
                .unwrap_or_else(|| self.ctx.default_workspace.to_owned()),
        };
        let list = trace.annotations.unwrap_or(b"null");
        if !is_array(list) && list != b"null" {
            mender.mark("annotations", "not an array: ignored");
        }
        for (position, raw) in elements(list).enumerate() {
            if self.batch.annotations.len() == limit {
                return Err(DecodeError::TooManyEntries { what: "annotations", limit });
            }
            let fallback = derived_id(self.ctx, &trace_id.0, &[index, position]);
            let made = super::annotation::AnnotationContext {
                workspace: &workspace,
                trace_id,
                fallback_id: AnnotationId(fallback),
                received_ns: self.ctx.received_ns,
                limits: self.ctx.limits,
            };
            let annotation = decode_in_batch(raw, &made, &mut mender);
            let span_id = annotation.as_ref().and_then(|a| a.span_id);
            self.report(Some(trace_id), span_id, &std::mem::take(&mut mender.repairs));
            self.batch.annotations.extend(annotation);
        }
        self.report(Some(trace_id), None, &mender.repairs);
        Ok(())
    }

    fn processes(&mut self, raw: Option<Raw<'_>>) -> Result<(), DecodeError> {
        let limit = self.ctx.limits.max_annotations;
        let mut mender = self.mender();
        let list = raw.unwrap_or(b"null");
        if !is_array(list) && list != b"null" {
            mender.mark("processes", "not an array: ignored");
        }
        for element in elements(list) {
            if self.batch.processes.len() == limit {
                return Err(DecodeError::TooManyEntries { what: "processes", limit });
            }
            match process_sign(element, &mut mender) {
                Some(sign) => self.batch.processes.push(sign),
                None => mender.mark("processes", "an entry without id or sign: ignored"),
            }
        }
        self.report(None, None, &mender.repairs);
        Ok(())
    }
}

fn process_sign(raw: Raw<'_>, mender: &mut Mender) -> Option<ProcessSign> {
    let raw = RawProcess::read(members(raw));
    let process_id = parts::process_id("processes.id", raw.id, mender)?;
    let has_goodbye = raw.goodbye.is_some_and(|value| value != b"null" && value != b"false");
    let state = if has_goodbye {
        ProcessState::Goodbye
    } else {
        ProcessState::Alive { at_ns: mender.integer("processes.alive_ns", raw.alive_ns)? }
    };
    Some(ProcessSign { process_id, state })
}

/// The first root of a message, where the trace's own fields went.
#[derive(Clone, Copy)]
struct FilledRoot {
    position: usize,
    /// Whether its tokens are the trace's own totals.
    has_trace_tokens: bool,
}

/// Gives the trace's own fields to the first root where it lacks them.
fn fill_root<'a>(trace: &RawTrace<'a>, items: &mut [Item<'a>]) -> Option<FilledRoot> {
    let is_root = |item: &Item<'_>| matches!(item, Item::Object(raw) if span::is_root(raw));
    let position = items.iter().position(is_root)?;
    let may_count = may_count_tokens(items, position);
    let Some(Item::Object(root)) = items.get_mut(position) else { return None };
    let fill = |own: &mut Option<Raw<'a>>, default: Option<Raw<'a>>| {
        if own.is_none_or(|raw| matches!(raw, b"null" | b"\"\"" | b"0")) && default.is_some() {
            *own = default;
        }
    };
    fill(&mut root.name, trace.root_span_name);
    fill(&mut root.status, trace.status);
    fill(&mut root.model, trace.model);
    if root.start_ns.is_none() {
        fill(&mut root.timestamp, trace.timestamp);
    }
    if root.end_ns.is_none() {
        fill(&mut root.duration_ms, trace.duration_ms);
    }
    // A root that says it measured 0 lacks nothing; one that counted anything keeps to its own,
    // since the trace's totals are of another reckoning.
    let has_trace_tokens =
        may_count && root.usage_available != Some(b"true") && !counts_tokens(root);
    if has_trace_tokens {
        fill(&mut root.input_tokens, trace.input_tokens);
        fill(&mut root.output_tokens, trace.output_tokens);
        fill(&mut root.total_tokens, trace.total_tokens);
    }
    Some(FilledRoot { position, has_trace_tokens: has_trace_tokens && counts_tokens(root) })
}

fn counts_tokens(span: &RawSpan<'_>) -> bool {
    let counts = |tokens: Option<Raw<'_>>| {
        tokens.is_some_and(|raw| !matches!(raw, b"0" | b"null" | b"\"\""))
    };
    [span.input_tokens, span.output_tokens, span.total_tokens].into_iter().any(counts)
}

/// Whether the trace's totals may stand on its root: only where no other span of the message
/// counts tokens. What other messages of the trace count is seen where its spans are added up.
fn may_count_tokens(items: &[Item<'_>], root: usize) -> bool {
    items.iter().enumerate().all(|(i, item)| match item {
        Item::Object(raw) if i != root => !counts_tokens(raw),
        _ => true,
    })
}

fn fill_attributes(trace: &RawTrace<'_>, root: &mut Span, mender: &mut Mender) {
    let defaults = span::attributes("attributes", trace.attributes, mender);
    let own: HashSet<String> = root.attributes.iter().map(|(key, _)| key.clone()).collect();
    root.attributes.extend(defaults.into_iter().filter(|(key, _)| !own.contains(key)));
    root.repairs.append(&mut mender.repairs);
    root.attributes.append(&mut mender.originals);
}
