//! One span of the native wire.

use uuid::Uuid;

use super::DecodeContext;
use super::fields::{MAX_UNKNOWN, RawSpan, RawTrace};
use super::mender::{Mender, ORIGINAL, TOO_MANY};
use super::scan::scan;
use super::text::{Mends, json_text, plain_json, unescape};
use super::time::{millis_to_nanos, parse_timestamp};
use super::walk::{Raw, is_object, is_string};
use super::{parts, tokens, value};
use crate::ids::{SpanId, TraceId};
use crate::kind::{SpanKind, SpanStatus};
use crate::span::{PROVISIONAL_ATTRIBUTE, Payload, Span, Stage, Version};
use crate::value::{Attributes, Value, get};

/// What a span takes from around it.
pub(super) struct Surroundings<'a, 'c> {
    pub(super) ctx: &'a DecodeContext<'c>,
    pub(super) trace_id: TraceId,
    pub(super) trace: &'a RawTrace<'a>,
    /// Where the span stands: the index of its trace, and its own within it.
    pub(super) position: [usize; 2],
    pub(super) sequence: u64,
    pub(super) is_clean: bool,
}

impl Surroundings<'_, '_> {
    /// The id of a span that names none.
    fn fallback_id(&self) -> SpanId {
        SpanId(derived_id(self.ctx, &self.trace_id.0, &self.position))
    }
}

/// An id from the receipt and the position, the same for every resend of the batch.
pub(super) fn derived_id(
    ctx: &DecodeContext<'_>,
    namespace: &[u8; 16],
    position: &[usize],
) -> [u8; 16] {
    let name = format!("{}/{position:?}", ctx.receipt_id);
    *Uuid::new_v5(&Uuid::from_bytes(*namespace), name.as_bytes()).as_bytes()
}

/// A span from an object.
pub(super) fn decode(
    raw: &RawSpan<'_>,
    around: &Surroundings<'_, '_>,
    mender: &mut Mender,
) -> Span {
    let span_id = span_id(raw.span_id, around, mender);
    let workspace = workspace(raw, around, mender);
    let mut span = Span::new(workspace, around.trace_id, span_id);
    span.parent_span_id = parent_id(raw.parent_span_id, &span, mender);
    span.attributes = attributes("attributes", raw.attributes, mender);
    span.version = version(raw, &span.attributes, around, mender);
    span.kind = kind(raw.kind, mender);
    span.dropped = mender.boolean("dropped", raw.dropped).unwrap_or(false);
    span.name = mender.name("name", raw.name).unwrap_or_else(|| {
        if !span.dropped {
            mender.mark("name", "missing: named after its kind");
        }
        span.kind.to_string()
    });
    timing(raw, around.ctx.received_ns, &mut span, mender);
    span.error_message =
        mender.long_text("error_message", raw.error_message).filter(|text| !text.is_empty());
    span.status = status(raw.status, span.error_message.is_some(), mender);
    contents(raw, around, &mut span, mender);
    labels(raw, around.trace, &mut span, mender);
    span.usage = tokens::usage(raw, span.provider.as_deref(), &span.attributes, mender);
    parts::read(raw, around.ctx.received_ns, &mut span, mender);
    finish(raw, span, mender)
}

/// A span from anything else: the raw value is its input.
pub(super) fn decode_other(
    raw: Raw<'_>,
    around: &Surroundings<'_, '_>,
    mender: &mut Mender,
) -> Span {
    mender.mark("span", "not an object: kept as the input of a custom span");
    let workspace = workspace(&RawSpan::default(), around, mender);
    let mut span = Span::new(workspace, around.trace_id, around.fallback_id());
    span.version = version(&RawSpan::default(), &Vec::new(), around, mender);
    span.kind = SpanKind::Custom;
    span.name = SpanKind::Custom.to_string();
    span.start_ns = around.ctx.received_ns;
    span.end_ns = Some(span.start_ns);
    let (text, mends) = plain_json(raw, mender.limits.max_depth, around.is_clean);
    mender.mark_mends("span", mends);
    span.input = Some(Payload::json(text));
    labels(&RawSpan::default(), around.trace, &mut span, mender);
    finish(&RawSpan::default(), span, mender)
}

/// Moves what the mender kept into the span.
fn finish(raw: &RawSpan<'_>, mut span: Span, mender: &mut Mender) -> Span {
    if raw.unknown.len() == MAX_UNKNOWN {
        mender.mark("unknown fields", "too many: only the first are kept");
    }
    for (key, value) in &raw.unknown {
        mender.mark("unknown fields", "kept as attributes staso.original.*");
        let value = mender.value("unknown fields", value);
        span.attributes.push((format!("{ORIGINAL}{key}"), value));
    }
    span.attributes.append(&mut mender.originals);
    span.repairs = std::mem::take(&mut mender.repairs);
    span
}

fn span_id(raw: Option<Raw<'_>>, around: &Surroundings<'_, '_>, mender: &mut Mender) -> SpanId {
    let Some(text) = mender.long_text("span_id", raw).filter(|text| !text.is_empty()) else {
        mender.mark("span_id", "missing: derived from the receipt and the position");
        return around.fallback_id();
    };
    match text.parse::<SpanId>() {
        Ok(id) if !id.is_nil() => id,
        Ok(_) => {
            mender.mark("span_id", "all zero: derived from the receipt and the position");
            around.fallback_id()
        }
        Err(_) => {
            mender.replace("span_id", raw.unwrap_or_default(), "not an id: hashed into one");
            SpanId::from_foreign_text(&around.trace_id, &text)
        }
    }
}

fn parent_id(raw: Option<Raw<'_>>, span: &Span, mender: &mut Mender) -> Option<SpanId> {
    let text = mender.long_text("parent_span_id", raw).filter(|text| !text.is_empty())?;
    let id = text.parse::<SpanId>().unwrap_or_else(|_| {
        mender.replace("parent_span_id", raw.unwrap_or_default(), "not an id: hashed into one");
        SpanId::from_foreign_text(&span.trace_id, &text)
    });
    if id == span.span_id {
        mender.mark("parent_span_id", "names the span itself: taken as a root");
        return None;
    }
    Some(id).filter(|id| !id.is_nil())
}

/// Whether a raw parent makes its span a root.
pub(super) fn is_root(raw: &RawSpan<'_>) -> bool {
    raw.parent_span_id.is_none_or(|parent| {
        let text = unescape(parent).text;
        parent == b"null" || text.is_empty() || text.parse().is_ok_and(|id: SpanId| id.is_nil())
    })
}

fn workspace(raw: &RawSpan<'_>, around: &Surroundings<'_, '_>, mender: &mut Mender) -> String {
    if let Some(workspace) = around.ctx.workspace_override {
        return workspace.to_owned();
    }
    mender
        .label("workspace_slug", raw.workspace_slug)
        .or_else(|| mender.label("workspace_slug", around.trace.workspace_slug))
        .unwrap_or_else(|| around.ctx.default_workspace.to_owned())
}

/// Attributes as an object, or as the JSON text of one. Anything else is kept as original.
pub(super) fn attributes(field: &str, raw: Option<Raw<'_>>, mender: &mut Mender) -> Attributes {
    let Some(raw) = mender.present(field, raw) else { return Vec::new() };
    if !is_string(raw) {
        return attribute_object(field, raw, mender);
    }
    let unescaped = unescape(raw);
    mender.mark_mends(field, unescaped.mends);
    let text = unescaped.text.trim_ascii().as_bytes();
    if text.is_empty() {
        return Vec::new();
    }
    if scan(text).is_err() {
        mender.replace(field, raw, "broken JSON: kept as an attribute");
        return Vec::new();
    }
    attribute_object(field, text, mender)
}

fn attribute_object(field: &str, raw: Raw<'_>, mender: &mut Mender) -> Attributes {
    if !is_object(raw) {
        if raw != b"null" {
            mender.replace(field, raw, "not an object: kept as an attribute");
        }
        return Vec::new();
    }
    if !mender.affords(raw) {
        mender.replace(field, raw, TOO_MANY);
        return Vec::new();
    }
    let mut mends = Mends::default();
    let attributes = value::read_members(raw, mender.limits.max_attribute_depth, &mut mends);
    mender.mark_mends(field, mends);
    attributes
}

fn version(
    raw: &RawSpan<'_>,
    attributes: &Attributes,
    around: &Surroundings<'_, '_>,
    mender: &mut Mender,
) -> Version {
    let is_open = mender.boolean("provisional", raw.provisional).unwrap_or(false)
        || get(attributes, PROVISIONAL_ATTRIBUTE) == Some(&Value::Bool(true));
    let client = mender.count("version", raw.version).unwrap_or(0);
    Version {
        stage: Stage::of(is_open, attributes),
        client: u64::try_from(client).unwrap_or(0),
        received_ns: around.ctx.received_ns,
        sequence: around.sequence,
    }
}

fn kind(raw: Option<Raw<'_>>, mender: &mut Mender) -> SpanKind {
    let Some(text) = mender.label("kind", raw) else { return SpanKind::Chain };
    SpanKind::parse(&text).unwrap_or_else(|| {
        mender.replace("kind", raw.unwrap_or_default(), "unknown kind: now custom");
        SpanKind::Custom
    })
}

fn status(raw: Option<Raw<'_>>, has_error: bool, mender: &mut Mender) -> SpanStatus {
    let Some(text) = mender.label("status", raw) else {
        return if has_error { SpanStatus::Error } else { SpanStatus::Unset };
    };
    if let Some(status) = SpanStatus::parse(&text) {
        return status;
    }
    let is_failure =
        ["failed", "failure", "exception"].iter().any(|w| text.eq_ignore_ascii_case(w));
    if is_failure || has_error {
        mender.replace("status", raw.unwrap_or_default(), "unknown status: now error");
        SpanStatus::Error
    } else {
        mender.replace("status", raw.unwrap_or_default(), "unknown status: now ok");
        SpanStatus::Ok
    }
}

/// Start and end. Nanoseconds win over ISO time and milliseconds. A discarded span has to say neither: of
/// it only its place in the tree is wanted.
fn timing(raw: &RawSpan<'_>, received_ns: i64, span: &mut Span, mender: &mut Mender) {
    let is_untold = |raw: Option<Raw<'_>>| span.dropped && raw.is_none_or(|raw| raw == b"null");
    let (no_start, no_end) = (is_untold(raw.timestamp), is_untold(raw.duration_ms));
    span.start_ns = mender.integer("start_ns", raw.start_ns).unwrap_or_else(|| match no_start {
        true => received_ns,
        false => timestamp("timestamp", raw.timestamp, received_ns, mender),
    });
    if span.is_open() {
        return;
    }
    span.end_ns = mender
        .integer("end_ns", raw.end_ns)
        .or_else(|| duration(raw.duration_ms, mender).map(|ns| span.start_ns.saturating_add(ns)));
    if span.end_ns.is_none() {
        if !no_end {
            mender.mark("duration_ms", "missing: taken as 0");
        }
        span.end_ns = Some(span.start_ns);
    }
}

/// An ISO time, or the time of arrival.
pub(super) fn timestamp(
    field: &str,
    raw: Option<Raw<'_>>,
    received_ns: i64,
    mender: &mut Mender,
) -> i64 {
    let Some(raw) = mender.present(field, raw) else {
        mender.mark(field, "missing: the time of arrival is used");
        return received_ns;
    };
    match is_string(raw).then(|| parse_timestamp(&unescape(raw).text)).flatten() {
        Some(time) => {
            if !time.has_offset {
                mender.mark(field, "no offset: taken as UTC");
            }
            time.ns
        }
        None => {
            mender.replace(field, raw, "not a time: the time of arrival is used");
            received_ns
        }
    }
}

fn duration(raw: Option<Raw<'_>>, mender: &mut Mender) -> Option<i64> {
    let raw = mender.present("duration_ms", raw)?;
    match millis_to_nanos(&unescape(raw).text) {
        Some(ns) if ns >= 0 => Some(ns),
        Some(_) => {
            mender.replace("duration_ms", raw, "negative: taken as 0");
            Some(0)
        }
        None => {
            mender.replace("duration_ms", raw, "not a number of milliseconds: taken as 0");
            Some(0)
        }
    }
}

fn contents(
    raw: &RawSpan<'_>,
    around: &Surroundings<'_, '_>,
    span: &mut Span,
    mender: &mut Mender,
) {
    // A client that sends nanoseconds sends values, and may mean a plain string by a string; an
    // existing client always means JSON text.
    let sends_values = raw.start_ns.is_some();
    let mut read = |field, value: Option<Raw<'_>>, is_text| {
        let is_text = mender.boolean(field, is_text).unwrap_or(false);
        let value = mender.present(field, value)?;
        payload(
            field,
            value,
            PayloadForm { is_text, sends_values, is_clean: around.is_clean },
            mender,
        )
    };
    span.input = read("input", raw.input, raw.input_is_text);
    span.output = read("output", raw.output, raw.output_is_text);
}

/// How a payload member is to be read.
#[derive(Clone, Copy)]
struct PayloadForm {
    is_text: bool,
    sends_values: bool,
    is_clean: bool,
}

fn payload(field: &str, raw: Raw<'_>, form: PayloadForm, mender: &mut Mender) -> Option<Payload> {
    let max_depth = mender.limits.max_depth;
    if !is_string(raw) {
        let (text, mends) = plain_json(raw, max_depth, form.is_clean);
        mender.mark_mends(field, mends);
        return Some(Payload::json(text));
    }
    let unescaped = unescape(raw);
    mender.mark_mends(field, unescaped.mends);
    let text = unescaped.text.into_owned();
    if form.is_text {
        return Some(Payload::text(text));
    }
    if text.is_empty() {
        return None;
    }
    match json_text(text, max_depth) {
        Ok((json, mends)) => {
            mender.mark_mends(field, mends);
            Some(Payload::json(json))
        }
        Err(text) => {
            if !form.sends_values {
                mender.mark(field, "broken JSON: kept as text");
            }
            Some(Payload::text(text))
        }
    }
}

/// The short texts, with the trace's defaults.
fn labels(raw: &RawSpan<'_>, trace: &RawTrace<'_>, span: &mut Span, mender: &mut Mender) {
    let mut read =
        |field, own, default| mender.label(field, own).or_else(|| mender.label(field, default));
    span.environment = read("environment", raw.environment, trace.environment);
    span.agent_name = read("agent_name", raw.agent_name, trace.agent_name);
    span.agent_id = read("agent_id", raw.agent_id, trace.agent_id);
    span.agent_version = read("agent_version", raw.agent_version, None);
    span.session_id = read("session_id", raw.session_id, trace.session_id);
    span.user_id = read("user_id", raw.user_id, trace.user_id);
    span.provider = read("provider", raw.provider, None);
    span.model = read("model", raw.model, None);
    span.requested_model = read("requested_model", raw.requested_model, None);
    span.reasoning_effort = read("reasoning_effort", raw.reasoning_effort, None);
}
