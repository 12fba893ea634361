//! A span as the cells of its row, and back.
//!
//! The cells stand in the order of the columns, and both ways walk them in that order. Two checksums
//! over them make any change of their bytes known, with the payloads and without.

use parquet::data_type::ByteArray;
use staso_model::json::{attributes_from_json, attributes_to_json, says_json};
use staso_model::{Attributes, Span, SpanId, Stage, TraceId, Value, Version};

use super::columns::{Cell, HEAD, IDENTITY};
use crate::span_record::{HeadRecord, PayloadRecord};
use crate::tokens::{self, Bytes};

/// The word of a span that has not ended.
pub(crate) const OPEN: &str = "open";

const STAGES: [(Stage, &str); 3] =
    [(Stage::Open, OPEN), (Stage::Interrupted, "interrupted"), (Stage::Ended, "ended")];

/// What a row says of its span before anything else of it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) version: Version,
}

pub(crate) fn text(text: Option<String>) -> Cell {
    text.map_or(Cell::Null, |text| Cell::Bytes(text.into_bytes().into()))
}

pub(crate) fn int(number: Option<i64>) -> Cell {
    number.map_or(Cell::Null, Cell::Int)
}

/// Texts as a JSON array; none of them is null.
pub(crate) fn texts(texts: Vec<String>) -> Cell {
    match texts.is_empty() {
        true => Cell::Null,
        false => text(Some(json_list(texts.into_iter().map(Value::String).collect()))),
    }
}

fn id(bytes: [u8; 16]) -> Cell {
    Cell::Bytes(ByteArray::from(bytes.to_vec()))
}

/// The row of a span; the error names what could not be encoded.
pub(super) fn cells(span: &Span) -> Result<Vec<Cell>, String> {
    let mut cells = head_cells(span)?;
    let sum = checksum(&cells);
    cells.push(Cell::Int(sum));
    let payload = payload_cells(span)?;
    let bytes: usize =
        payload.iter().map(|cell| if let Cell::Bytes(b) = cell { b.len() } else { 0 }).sum();
    let sum = checksum(&payload);
    cells.extend(payload);
    cells.push(Cell::Int(sum));
    cells.push(Cell::Int(i64::try_from(bytes).unwrap_or(i64::MAX)));
    cells.push(span.sample_rate.map_or(Cell::Null, Cell::Real));
    cells.push(if span.usage.is_of_trace { Cell::Flag(true) } else { Cell::Null });
    Ok(cells)
}

fn identity_cells(span: &Span) -> [Cell; IDENTITY] {
    let Version { stage, client, received_ns, sequence } = span.version;
    let word = STAGES.iter().find(|(known, _)| *known == stage).map_or("", |(_, word)| word);
    [
        id(span.trace_id.0),
        id(span.span_id.0),
        text(Some(word.to_owned())),
        Cell::Int(client.cast_signed()),
        Cell::Int(received_ns),
        Cell::Int(sequence.cast_signed()),
    ]
}

fn head_cells(span: &Span) -> Result<Vec<Cell>, String> {
    let mut head = HeadRecord::of(span);
    let mut cells = identity_cells(span).to_vec();
    cells.push(head.parent.take().map_or(Cell::Null, |parent| Cell::Bytes(parent.0.into())));
    cells.push(Cell::Flag(std::mem::take(&mut head.dropped)));
    cells.extend(
        [&mut head.name, &mut head.kind, &mut head.status].map(|s| text(Some(std::mem::take(s)))),
    );
    cells.extend([Cell::Int(std::mem::take(&mut head.start)), int(head.end.take())]);
    cells.extend(words(&mut head).map(|word| text(word.take())));
    cells.extend([span.usage.input_total(), span.usage.output, span.usage.total()].map(int));
    cells.extend([head.cost.take(), head.client_cost.take()].map(int));
    cells.push(head.process.take().map_or(Cell::Null, |process| Cell::Bytes(process.0.into())));
    cells.push(texts(head.tags.clone()));
    cells.push(text((!span.attributes.is_empty()).then(|| attributes_to_json(&span.attributes))));
    if says_json(&span.attributes) {
        head.attrs = Vec::new();
    }
    head.tags = Vec::new();
    cells.push(Cell::Bytes(rmp_serde::to_vec_named(&head).map_err(|e| e.to_string())?.into()));
    Ok(cells)
}

/// The words of a head that have columns of their own, in their order.
fn words(head: &mut HeadRecord) -> [&mut Option<String>; 12] {
    [
        &mut head.error,
        &mut head.env,
        &mut head.service,
        &mut head.agent,
        &mut head.agent_id,
        &mut head.agent_version,
        &mut head.session,
        &mut head.user,
        &mut head.provider,
        &mut head.model,
        &mut head.asked_model,
        &mut head.effort,
    ]
}

fn payload_cells(span: &Span) -> Result<Vec<Cell>, String> {
    let mut payload = PayloadRecord::of(span).unwrap_or_default();
    let mut cells = Vec::new();
    for field in [payload.input.take(), payload.output.take()] {
        let (is_json, words) =
            field.map_or((Cell::Null, None), |(is_json, text)| (Cell::Flag(is_json), Some(text)));
        cells.extend([text(words), is_json]);
    }
    if span.events.is_empty() {
        cells.extend([Cell::Null, Cell::Null]);
    } else {
        cells.push(text(Some(events_json(span))));
        cells.push(Cell::Bytes(
            rmp_serde::to_vec_named(&payload).map_err(|e| e.to_string())?.into(),
        ));
    }
    Ok(cells)
}

/// Events for other programs to read; `events_record` has them exactly.
fn events_json(span: &Span) -> String {
    let event = |event: &staso_model::Event| {
        Value::Map(vec![
            ("time_ns".to_owned(), Value::Int(event.time_ns)),
            ("name".to_owned(), Value::String(event.name.clone())),
            ("attributes".to_owned(), Value::Map(event.attributes.clone())),
        ])
    };
    let events = span.events.iter().map(event).collect();
    json_list(events)
}

/// A JSON array: what a single attribute says between its name and the end.
fn json_list(items: Vec<Value>) -> String {
    let object = attributes_to_json(&[(String::new(), Value::Array(items))]);
    object[LIST_BEFORE.len()..object.len() - 1].to_owned()
}

/// What stands before the value of an attribute without a name.
const LIST_BEFORE: &str = "{\"\":";

fn checksum(cells: &[Cell]) -> i64 {
    let mut hasher = crc32fast::Hasher::new();
    for cell in cells {
        match cell {
            Cell::Null => hasher.update(&[0]),
            Cell::Bytes(bytes) => {
                hasher.update(&[1]);
                hasher.update(&(bytes.len() as u64).to_le_bytes());
                hasher.update(bytes.data());
            }
            Cell::Int(n) => {
                hasher.update(&[2]);
                hasher.update(&n.to_le_bytes());
            }
            Cell::Flag(flag) => hasher.update(&[3, u8::from(*flag)]),
            Cell::Real(x) => {
                hasher.update(&[4]);
                hasher.update(&x.to_le_bytes());
            }
        }
    }
    i64::from(hasher.finalize())
}

/// Cells that are taken one after another.
struct Walk<'a>(std::slice::Iter<'a, Cell>);

impl Walk<'_> {
    fn bytes(&mut self) -> Option<Vec<u8>> {
        match self.0.next()? {
            Cell::Bytes(bytes) => Some(bytes.data().to_vec()),
            _ => None,
        }
    }

    fn text(&mut self) -> Result<Option<String>, &'static str> {
        self.bytes().map(String::from_utf8).transpose().map_err(|_| "a text is not UTF-8")
    }

    fn id(&mut self) -> Option<[u8; 16]> {
        self.bytes()?.try_into().ok()
    }

    fn int(&mut self) -> Option<i64> {
        if let Some(Cell::Int(n)) = self.0.next() { Some(*n) } else { None }
    }

    fn flag(&mut self) -> Option<bool> {
        if let Some(Cell::Flag(flag)) = self.0.next() { Some(*flag) } else { None }
    }
}

/// Who a row is, from its first cells; `None` where they are damaged.
pub(crate) fn identity(cells: &[Cell]) -> Option<Identity> {
    let mut walk = Walk(cells.iter());
    let (trace_id, span_id) = (TraceId(walk.id()?), SpanId(walk.id()?));
    let word = walk.text().ok()??;
    let stage = STAGES.iter().find(|(_, known)| *known == word)?.0;
    let version = Version {
        stage,
        client: walk.int()?.cast_unsigned(),
        received_ns: walk.int()?,
        sequence: walk.int()?.cast_unsigned(),
    };
    Some(Identity { trace_id, span_id, version })
}

/// The parent and whether the span was dropped, from the first cells of its row.
pub(crate) fn step(cells: &[Cell]) -> (Option<SpanId>, bool) {
    let mut walk = Walk(cells.get(IDENTITY..).unwrap_or_default().iter());
    (walk.id().map(SpanId), walk.flag().unwrap_or_default())
}

/// The span of a row, with its payloads where their cells were read; the error says what is wrong.
pub(crate) fn span(cells: &[Cell], workspace: &str) -> Result<Span, &'static str> {
    const NONSENSE: &str = "the row contradicts itself";
    let (head, payload) = cells.split_at_checked(HEAD).ok_or("the row is cut off")?;
    let (sum, body) = head.split_last().ok_or(NONSENSE)?;
    if *sum != Cell::Int(checksum(body)) {
        return Err("the checksum does not match");
    }
    let Identity { trace_id, span_id, version } = identity(body).ok_or(NONSENSE)?;
    let record = head_record(body)?;
    let mut span = record.into_span(workspace, trace_id, span_id, version).ok_or(NONSENSE)?;
    if !payload.is_empty() {
        payload_record(payload)?.fill(&mut span).ok_or(NONSENSE)?;
    }
    Ok(span)
}

fn head_record(cells: &[Cell]) -> Result<HeadRecord, &'static str> {
    let rest = cells.last().cloned().unwrap_or(Cell::Null);
    let Cell::Bytes(rest) = rest else { return Err("the rest of the row is missing") };
    let mut head: HeadRecord =
        rmp_serde::from_slice(rest.data()).map_err(|_| "the rest of the row is no record")?;
    let mut walk = Walk(cells.get(IDENTITY..).unwrap_or_default().iter());
    head.parent = walk.bytes().map(Bytes);
    head.dropped = walk.flag().unwrap_or_default();
    head.name = walk.text()?.unwrap_or_default();
    head.kind = walk.text()?.unwrap_or_default();
    head.status = walk.text()?.unwrap_or_default();
    head.start = walk.int().ok_or("the start is missing")?;
    head.end = walk.int();
    for word in words(&mut head) {
        *word = walk.text()?;
    }
    // The totals are for other programs; the record has the buckets they are made of.
    walk.0.nth(2);
    head.cost = walk.int();
    head.client_cost = walk.int();
    head.process = walk.bytes().map(Bytes);
    head.tags = tags(walk.text()?);
    if let Some(json) = walk.text()?
        && head.attrs.is_empty()
    {
        head.attrs = tokens::of_attributes(&attributes_from_json(&json));
    }
    Ok(head)
}

fn tags(json: Option<String>) -> Vec<String> {
    let entries: Attributes = json
        .map(|json| attributes_from_json(&format!("{LIST_BEFORE}{json}}}")))
        .unwrap_or_default();
    let Some((_, Value::Array(items))) = entries.into_iter().next() else { return Vec::new() };
    let tag = |item| if let Value::String(tag) = item { Some(tag) } else { None };
    items.into_iter().filter_map(tag).collect()
}

fn payload_record(cells: &[Cell]) -> Result<PayloadRecord, &'static str> {
    let (body, sums) = cells.split_at_checked(6).ok_or("the payloads are cut off")?;
    if sums.first() != Some(&Cell::Int(checksum(body))) {
        return Err("the checksum of the payloads does not match");
    }
    let mut walk = Walk(body.iter());
    let mut payload = PayloadRecord::default();
    for field in [&mut payload.input, &mut payload.output] {
        let text = walk.text()?;
        let is_json = walk.flag().unwrap_or_default();
        *field = text.map(|text| (is_json, text));
    }
    walk.0.next();
    if let Some(record) = walk.bytes() {
        let record: PayloadRecord =
            rmp_serde::from_slice(&record).map_err(|_| "the events are no record")?;
        payload.events = record.events;
    }
    Ok(payload)
}
