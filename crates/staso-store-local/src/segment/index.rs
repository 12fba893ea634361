//! What the traces of a segment can be found by, in the segment's own file: names of spans and metadata.
//!
//! It stands between the columns and the footer, where readers of Parquet skip it; [`KEY`] of the footer says from
//! which byte on, how many, and their CRC-32. All numbers are little-endian.
//!
//! ```text
//! header     version u32, Unicode version u32, traces u32, bytes of the traces' lists u32
//! traces     of each: least start of its spans i64 ns, first row u32, id 16 bytes; the latest start first
//! lists      numbers of traces: how many, the first, then each one's distance from the one before (LEB128)
//! terms      a finite-state transducer from term to its list: 2 × the place among the lists, or 2 × the only trace + 1
//! ```
//!
//! A term is `n` and a name, or `m`, a path, the byte FF and a value; names and values as they stand with their letters
//! folded. Dropped spans have none. A trace of which something is too long or too much stands in a list of those that
//! have to be looked at: of the term `?n` for a name, `?m` and a path for a value, `?m` for more of the metadata.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use fst::{IntoStreamer, Map, MapBuilder, Streamer};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::reader::{ChunkReader, FileReader};
use staso_model::{Span, TraceId};
use staso_store::matching::SpanTest;
use staso_store::metadata::each_metadata;
use staso_store::query::TextMatch;
use staso_store::search::fold;

use super::read::Segment;

/// The footer's key; its value is the first byte, the number of bytes and the checksum, as decimal numbers with spaces between.
pub(super) const KEY: &str = "staso.index";

/// Of the layout, and of what becomes a term.
const VERSION: u32 = 1;
const HEADER: usize = 16;
const TRACE: usize = 28;
/// A term that is longer is not there.
const MAX_TERM: usize = 256;
/// A span with more keys in its metadata is not there.
const MAX_KEYS: usize = 256;
/// What the terms of one segment may take together; beyond, traces are not told.
const MAX_TERMS_BYTES: usize = 16 << 20;
const UNTOLD_NAMES: &[u8] = b"?n";
const UNTOLD_METADATA: &[u8] = b"?m";

/// Letters are folded by these tables: a program with others cannot use the terms.
fn unicode() -> u32 {
    let (major, minor, update) = char::UNICODE_VERSION;
    (u32::from(major) << 16) | (u32::from(minor) << 8) | u32::from(update)
}

fn name_term(name: &str) -> Vec<u8> {
    [b"n", fold(name).as_bytes()].concat()
}

/// Ends a path: no text has this byte.
const PATH_END: u8 = 0xff;

fn metadata_term(path: &str, folded: &str) -> Vec<u8> {
    [b"m", path.as_bytes(), &[PATH_END], folded.as_bytes()].concat()
}

/// The term of traces with a value at this path that is too long to be one.
fn untold_term(path: &str) -> Vec<u8> {
    [UNTOLD_METADATA, path.as_bytes()].concat()
}

/// Has `add` take the terms of one span, and the term of what it does not take.
fn add_terms(span: &Span, add: &mut dyn FnMut(Vec<u8>) -> bool) {
    if span.name.len() > MAX_TERM || !add(name_term(&span.name)) {
        add(UNTOLD_NAMES.to_vec());
    }
    let mut is_whole = true;
    let all_told = each_metadata(&span.attributes, MAX_KEYS, MAX_TERM, &mut |path, text| {
        let term = match path.len() + text.len() < MAX_TERM {
            true => metadata_term(path, &fold(text)),
            false => untold_term(path),
        };
        is_whole &= add(term);
        true
    });
    if !(is_whole && all_told) {
        add(UNTOLD_METADATA.to_vec());
    }
}

/// Terms and who has them, in their order.
struct Terms {
    lists: BTreeMap<Vec<u8>, Vec<u32>>,
    room: usize,
}

impl Terms {
    /// `false`: there is no room left for it.
    fn add(&mut self, term: Vec<u8>, number: u32) -> bool {
        if let Some(list) = self.lists.get_mut(&term) {
            if list.last() != Some(&number) {
                list.push(number);
            }
            return true;
        }
        let Some(room) = self.room.checked_sub(term.len()) else { return false };
        self.room = room;
        self.lists.insert(term, vec![number]);
        true
    }
}

/// The index of spans that are sorted: those of a trace stand together.
pub(super) fn encode(spans: &[Arc<Span>]) -> Result<Vec<u8>, fst::Error> {
    let mut traces = Vec::new();
    let mut first = 0;
    for spans in spans.chunk_by(|a, b| a.trace_id == b.trace_id) {
        let shown: Vec<_> = spans.iter().filter(|span| !span.dropped).collect();
        if let Some(start_ns) = shown.iter().map(|span| span.start_ns).min() {
            traces.push((start_ns, u32::try_from(first).unwrap_or(u32::MAX), shown));
        }
        first += spans.len();
    }
    traces.sort_by_key(|(start_ns, first, _)| (std::cmp::Reverse(*start_ns), *first));
    let mut terms = Terms { lists: BTreeMap::new(), room: MAX_TERMS_BYTES };
    // These have their room whatever comes.
    for untold in [UNTOLD_NAMES, UNTOLD_METADATA] {
        terms.lists.insert(untold.to_vec(), Vec::new());
    }
    let mut table = Vec::with_capacity(traces.len() * TRACE);
    for ((start_ns, first, spans), number) in traces.iter().zip(0_u32..) {
        table.extend(start_ns.to_le_bytes());
        table.extend(first.to_le_bytes());
        table.extend(spans.first().map(|span| span.trace_id.0).unwrap_or_default());
        for span in spans {
            add_terms(span, &mut |term| terms.add(term, number));
        }
    }
    assemble(&table, &terms.lists)
}

fn assemble(table: &[u8], terms: &BTreeMap<Vec<u8>, Vec<u32>>) -> Result<Vec<u8>, fst::Error> {
    let mut lists = Vec::new();
    let mut map = MapBuilder::memory();
    for (term, numbers) in terms {
        let value = match numbers[..] {
            [only] => u64::from(only) * 2 + 1,
            _ => {
                let place = lists.len() as u64;
                append_list(&mut lists, numbers);
                place * 2
            }
        };
        map.insert(term, value)?;
    }
    let count = u32::try_from(table.len() / TRACE).unwrap_or(u32::MAX);
    let list_bytes = u32::try_from(lists.len()).unwrap_or(u32::MAX);
    let header = [VERSION, unicode(), count, list_bytes];
    let mut bytes: Vec<u8> = header.iter().flat_map(|n| n.to_le_bytes()).collect();
    bytes.extend(table);
    bytes.extend(lists);
    bytes.extend(map.into_inner()?);
    Ok(bytes)
}

fn append_list(lists: &mut Vec<u8>, numbers: &[u32]) {
    append_number(lists, u32::try_from(numbers.len()).unwrap_or(u32::MAX));
    let mut before = 0;
    for number in numbers {
        append_number(lists, number - before);
        before = *number;
    }
}

fn append_number(lists: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        lists.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    lists.push(number as u8);
}

fn next_number(bytes: &mut impl Iterator<Item = u8>) -> Option<u32> {
    let mut number = 0_u32;
    for shift in (0..32).step_by(7) {
        let byte = bytes.next()?;
        number |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// An index in memory.
pub(crate) struct Index {
    traces: Bytes,
    lists: Bytes,
    terms: Map<Bytes>,
    /// Of its traces, in ascending order.
    first_rows: Vec<u32>,
}

/// A trace of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Indexed {
    pub(crate) trace_id: TraceId,
    pub(crate) first_row: u64,
    /// The least of its spans here.
    pub(crate) start_ns: i64,
}

/// Numbers of traces of one index.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// Some span here passes, or did before it was replaced; in ascending order.
    pub(crate) passing: Vec<u32>,
    /// Of these it cannot be said.
    pub(crate) untold: Vec<u32>,
}

impl Index {
    /// `None`: another program wrote it, by other rules.
    fn decode(bytes: &Bytes) -> Option<Self> {
        let number = |at: usize| {
            let bytes = bytes.get(4 * at..4 * at + 4)?;
            Some(u32::from_le_bytes(bytes.try_into().ok()?))
        };
        if number(0)? != VERSION || number(1)? != unicode() {
            return None;
        }
        let part = |at: usize, length: usize| -> Option<Range<usize>> {
            let end = at.checked_add(length).filter(|end| *end <= bytes.len())?;
            Some(at..end)
        };
        let traces = part(HEADER, (number(2)? as usize).checked_mul(TRACE)?)?;
        let lists = part(traces.end, number(3)? as usize)?;
        let terms = Map::new(bytes.slice(lists.end..)).ok()?;
        let (traces, lists) = (bytes.slice(traces), bytes.slice(lists));
        let mut index = Self { traces, lists, terms, first_rows: Vec::new() };
        let rows = index.all().map(|(_, trace)| trace.first_row);
        index.first_rows = rows.filter_map(|row| u32::try_from(row).ok()).collect();
        index.first_rows.sort_unstable();
        Some(index)
    }

    /// Every trace, with its number.
    fn all(&self) -> impl Iterator<Item = (u32, Indexed)> {
        (0..).map_while(|number| Some((number, self.trace(number)?)))
    }

    /// Whether the rows of some trace begin here.
    pub(crate) fn begins_at(&self, row: u64) -> bool {
        u32::try_from(row).is_ok_and(|row| self.first_rows.binary_search(&row).is_ok())
    }

    /// How many bytes it holds.
    pub(crate) fn bytes(&self) -> usize {
        let lists = self.traces.len() + self.lists.len() + 4 * self.first_rows.len();
        lists + self.terms.as_fst().size()
    }

    /// A trace by its number.
    pub(crate) fn trace(&self, number: u32) -> Option<Indexed> {
        let at = (number as usize).checked_mul(TRACE)?;
        let entry = self.traces.get(at..at.checked_add(TRACE)?)?;
        let (start, rest) = entry.split_first_chunk::<8>()?;
        let (first, id) = rest.split_first_chunk::<4>()?;
        Some(Indexed {
            trace_id: TraceId(id.try_into().ok()?),
            first_row: u64::from(u32::from_le_bytes(*first)),
            start_ns: i64::from_le_bytes(*start),
        })
    }

    /// The traces to which some of these rows, in ascending order, belong.
    pub(crate) fn at_rows(&self, rows: &[u64]) -> HashSet<u32> {
        let mut first: Vec<(u64, u32)> =
            self.all().map(|(number, trace)| (trace.first_row, number)).collect();
        first.sort_unstable();
        let owner = |row: &u64| {
            let after = first.partition_point(|(first_row, _)| first_row <= row);
            Some(first.get(after.checked_sub(1)?)?.1)
        };
        rows.iter().filter_map(owner).collect()
    }

    /// The traces that have a span which passes a test.
    pub(crate) fn find(&self, test: &SpanTest<'_>) -> Numbers {
        let mut passing = Vec::new();
        match test {
            SpanTest::Metadata(path, TextMatch::Equals(text)) => {
                let list = self.terms.get(metadata_term(path, text));
                list.into_iter().for_each(|list| self.read(list, &mut passing));
            }
            SpanTest::Metadata(path, text) => {
                let begin = metadata_term(path, "");
                self.each_below(&begin, &mut |value| text.agrees(value), &mut passing);
            }
            SpanTest::Name(part) => {
                self.each_below(b"n", &mut |name| name.contains(part), &mut passing);
            }
        }
        let lists = match test {
            SpanTest::Name(_) => vec![UNTOLD_NAMES.to_vec()],
            SpanTest::Metadata(path, _) => vec![UNTOLD_METADATA.to_vec(), untold_term(path)],
        };
        let mut untold = Vec::new();
        for list in lists.iter().filter_map(|term| self.terms.get(term)) {
            self.read(list, &mut untold);
        }
        untold.sort_unstable();
        untold.dedup();
        Numbers { passing, untold }
    }

    /// The lists of all terms with this beginning whose rest is admitted, merged.
    fn each_below(
        &self,
        begin: &[u8],
        admits: &mut dyn FnMut(&str) -> bool,
        numbers: &mut Vec<u32>,
    ) {
        let mut terms = self.terms.range().ge(begin).into_stream();
        let mut lists = 0;
        while let Some((term, list)) = terms.next() {
            let Some(rest) = term.strip_prefix(begin) else { break };
            if std::str::from_utf8(rest).is_ok_and(&mut *admits) {
                self.read(list, numbers);
                lists += 1;
            }
        }
        if lists > 1 {
            numbers.sort_unstable();
            numbers.dedup();
        }
    }

    fn read(&self, list: u64, numbers: &mut Vec<u32>) {
        let place = list / 2;
        if list % 2 == 1 {
            numbers.extend(u32::try_from(place));
            return;
        }
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        let mut bytes = self.lists.get(place..).unwrap_or_default().iter().copied();
        let count = next_number(&mut bytes).unwrap_or_default();
        let mut number = 0_u32;
        for _ in 0..count {
            let Some(distance) = next_number(&mut bytes) else { break };
            number = number.saturating_add(distance);
            numbers.push(number);
        }
    }
}

impl Segment {
    /// Its index; `None` where it has none that this program understands. The error says what is wrong.
    pub(super) fn read_index(&self) -> Result<Option<Index>, String> {
        let known = self.reader.metadata().file_metadata().key_value_metadata();
        let said = known.into_iter().flatten().find(|pair| pair.key == KEY);
        let Some(said) = said.and_then(|pair| pair.value.as_deref()) else { return Ok(None) };
        let mut numbers = said.split(' ').map(|number| number.parse::<u64>().ok());
        let mut next = || numbers.next().flatten();
        let (Some(from), Some(length), Some(sum)) = (next(), next(), next()) else {
            return Ok(None);
        };
        let length = usize::try_from(length).map_err(|e| e.to_string())?;
        let bytes = self.file.get_bytes(from, length).map_err(|e| e.to_string())?;
        // Where the catalog was lost, the checksums of the file's blocks were made from what was there.
        if u64::from(crc32fast::hash(&bytes)) != sum {
            return Err("the checksum of its index does not match".to_owned());
        }
        Ok(Index::decode(&bytes))
    }
}

/// What the footer says of an index.
pub(super) fn place(from: usize, index: &[u8]) -> KeyValue {
    let (length, sum) = (index.len(), crc32fast::hash(index));
    KeyValue::new(KEY.to_owned(), format!("{from} {length} {sum}"))
}

/// An error of the transducer as one of the file.
pub(super) fn failed(error: &fst::Error) -> ParquetError {
    ParquetError::General(format!("the index: {error}"))
}

#[cfg(test)]
mod tests;
