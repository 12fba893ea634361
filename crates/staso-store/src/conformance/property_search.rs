//! Random texts of every script, random phrases out of them: the engine must find what the memory
//! store finds, and the memory store what a plain comparison of folded texts finds.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestCaseError;
use staso_model::{Event, Payload, Span, Stage};

use super::build::{batch, span, trace_id, version};
use super::property::check;
use super::search::{all_hits, hits, phrase};
use super::{StoreFactory, reopen};
use crate::memory::MemoryStore;
use crate::query::Filter;
use crate::search::{SearchQuery, fold, text_of_json};
use crate::traits::Store;

const CASES: u32 = 48;

/// Pieces that meet each other in texts and phrases: cases of several lengths, scripts with and
/// without spaces, what JSON escapes, what stands between its values, and long runs.
const PIECES: [&str; 36] = [
    "order",
    "Order",
    "ORDER",
    " ",
    " ",
    " ",
    "refund",
    "a",
    "s",
    "ſ",
    "k",
    "\u{212a}",
    "σ",
    "Σ",
    "ς",
    "École",
    "ÉCOLE",
    "é",
    "e\u{301}",
    "\"",
    "\\",
    "\n",
    "\\n",
    "\":\"",
    "{",
    "}",
    "我的订单",
    "订",
    "طلبي",
    "أين",
    "😀",
    "👩‍👩‍👧",
    "ไทย",
    "한국어",
    "42",
    "deadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        9 => prop::collection::vec(select(&PIECES[..]), 0..14).prop_map(|pieces| pieces.concat()),
        1 => any::<String>(),
    ]
}

/// Text as a client may send it: plain, as JSON, and as JSON with every letter escaped.
fn payload() -> impl Strategy<Value = Payload> {
    (text(), text(), 0..4_u8).prop_map(|(a, b, how)| match how {
        0 => Payload::text(a),
        1 => {
            Payload::json(serde_json::json!({"messages": [{"role": a, "content": b}]}).to_string())
        }
        2 => Payload::json(
            serde_json::json!([a, {"inner": serde_json::json!({"b": b}).to_string()}]).to_string(),
        ),
        _ => Payload::json(format!("\"{}\"", escaped(&a))),
    })
}

fn escaped(text: &str) -> String {
    text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
}

prop_compose! {
    fn random_span()(
        trace in 0..5_u8,
        id in 1..5_u64,
        name in text(),
        error in prop::option::weighted(0.2, text()),
        input in prop::option::weighted(0.7, payload()),
        output in prop::option::weighted(0.7, payload()),
        event in prop::option::weighted(0.2, (text(), text())),
        start_ns in 0..6_i64,
        session in prop::option::of(select(vec!["c1", "c2"])),
        stage in select(vec![Stage::Open, Stage::Ended, Stage::Ended, Stage::Ended]),
        received_ns in 0..3_i64,
        dropped in prop::bool::weighted(0.1),
    ) -> Span {
        let event = event.map(|(name, value)| Event {
            time_ns: 0,
            name,
            attributes: vec![("k".into(), value.as_str().into())],
            dropped_attributes: 0,
        });
        Span {
            name,
            error_message: error,
            input,
            output,
            events: event.into_iter().collect(),
            start_ns,
            session_id: session.map(str::to_owned),
            version: version(stage, 0, received_ns, 0),
            dropped,
            ..span(trace, id, 0)
        }
    }
}

/// What is looked for: a part of some span's text, or anything.
#[derive(Debug, Clone)]
struct Asked {
    anything: String,
    part_of: prop::sample::Index,
    cut: (prop::sample::Index, prop::sample::Index),
    is_part: bool,
    upper: bool,
    bounds: (Option<i64>, Option<i64>),
    limit: usize,
    trace: Option<u8>,
}

prop_compose! {
    fn asked()(
        anything in text(),
        part_of in any::<prop::sample::Index>(),
        cut in any::<(prop::sample::Index, prop::sample::Index)>(),
        is_part in prop::bool::weighted(0.75),
        upper in prop::bool::weighted(0.3),
        bounds in (prop::option::weighted(0.2, 0..4_i64), prop::option::weighted(0.2, 1..7_i64)),
        limit in prop_oneof![1..4_usize, Just(1000)],
        trace in prop::option::weighted(0.2, 0..5_u8),
    ) -> Asked {
        Asked { anything, part_of, cut, is_part, upper, bounds, limit, trace }
    }
}

impl Asked {
    fn query(&self, spans: &[Span]) -> SearchQuery {
        let texts: Vec<String> = spans.iter().flat_map(texts).collect();
        let mut text = self.anything.clone();
        if self.is_part && !texts.is_empty() {
            let letters: Vec<char> = self.part_of.get(&texts).chars().collect();
            let ends = [&self.cut.0, &self.cut.1].map(|index| index.index(letters.len() + 1));
            text = letters[ends[0].min(ends[1])..ends[0].max(ends[1])].iter().take(40).collect();
        }
        if self.upper {
            text = text.to_uppercase();
        }
        if text.trim().is_empty() {
            text = "order".to_owned();
        }
        let filter = match self.trace {
            Some(trace) => Filter::Not(Box::new(Filter::Trace(trace_id(trace)))),
            None => Filter::everything(),
        };
        let text = text.chars().take(crate::search::MAX_PHRASE_LETTERS).collect::<String>();
        let (from_ns, to_ns) = self.bounds;
        SearchQuery { from_ns, to_ns, limit: self.limit, filter, ..phrase(&text) }
    }
}

/// The texts of a span, said once more.
fn texts(span: &Span) -> Vec<String> {
    let payload = |payload: &Payload| match payload.is_json {
        true => text_of_json(&payload.text).into_owned(),
        false => payload.text.clone(),
    };
    let mut texts = vec![span.name.clone()];
    texts.extend(span.error_message.clone());
    texts.extend(span.input.iter().chain(&span.output).map(payload));
    for event in &span.events {
        texts.push(event.name.clone());
        for (_, value) in &event.attributes {
            if let staso_model::Value::String(text) = value {
                texts.push(text.clone());
            }
        }
    }
    texts
}

/// Runs the comparison over many random stores; shrinks the first that differs.
///
/// # Panics
/// Where the engine differs from the memory store, or the memory store from a plain comparison.
pub fn search_equals_memory<F: StoreFactory>(make: impl Fn() -> F) {
    let batches = prop::collection::vec(prop::collection::vec(random_span(), 0..8), 1..6);
    let cases = (batches, any::<bool>(), prop::collection::vec(asked(), 10..30));
    check(CASES, &cases, |(batches, reopens, asked)| compare(make(), batches, reopens, asked));
}

async fn compare<F: StoreFactory>(
    factory: F,
    batches: Vec<Vec<Span>>,
    reopens: bool,
    asked: Vec<Asked>,
) -> Result<(), TestCaseError> {
    let memory = MemoryStore::new();
    let mut engine = factory.open().await;
    let spans: Vec<Span> = batches.iter().flatten().cloned().collect();
    let mut sequence = 0;
    for mut spans in batches {
        for span in &mut spans {
            sequence += 1;
            span.version.sequence = sequence;
        }
        memory.append(batch(spans.clone())).await.unwrap();
        engine.append(batch(spans)).await.unwrap();
    }
    if reopens {
        engine = reopen(&factory, engine).await;
    }
    for asked in asked {
        let query = asked.query(&spans);
        let wanted = hits(&memory, &query).await.unwrap();
        prop_assert_eq!(hits(&engine, &query).await.unwrap(), wanted, "{:?}", &query);
        let wanted = all_hits(&memory, &query).await;
        prop_assert_eq!(&all_hits(&engine, &query).await, &wanted, "{:?}", &query);
        compare_plainly(&memory, &query, wanted.len()).await?;
        let filter = Filter::Anywhere(query.text.clone());
        let list = crate::query::TraceQuery { filter, ..super::build::query() };
        let wanted = memory.traces(&list).await.unwrap();
        prop_assert_eq!(engine.traces(&list).await.unwrap(), wanted, "{:?}", &query);
    }
    Ok(())
}

async fn compare_plainly(
    memory: &MemoryStore,
    query: &SearchQuery,
    found: usize,
) -> Result<(), TestCaseError> {
    let mut count = 0;
    for trace in (0..5).map(trace_id) {
        let whole = memory.trace(&query.workspace, &trace, true, 0).await.unwrap();
        for span in whole.into_iter().flat_map(|whole| whole.spans).map(|tree| tree.span) {
            let is_in_time = query.from_ns.is_none_or(|from_ns| from_ns <= span.start_ns)
                && query.to_ns.is_none_or(|to_ns| span.start_ns < to_ns);
            let is_out = query.filter == Filter::Not(Box::new(Filter::Trace(trace)));
            let has = texts(&span).iter().any(|text| fold(text).contains(&*fold(&query.text)));
            count += usize::from(is_in_time && !is_out && has);
        }
    }
    prop_assert_eq!(found, count, "{:?}", query);
    Ok(())
}
