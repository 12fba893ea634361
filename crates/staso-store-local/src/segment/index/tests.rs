//! The index says what the spans say.

use proptest::prelude::*;
use staso_model::{SpanId, Value};

use super::*;

fn span(trace: u8, id: u8, start_ns: i64, attributes: Vec<(String, Value)>) -> Arc<Span> {
    let mut span = Span::new("w", TraceId([trace; 16]), SpanId([id; 16]));
    span.name = format!("Step {id}");
    span.start_ns = start_ns;
    span.attributes = attributes;
    Arc::new(span)
}

fn tier(text: &str) -> Vec<(String, Value)> {
    vec![("tier".to_owned(), text.into())]
}

fn index(spans: &[Arc<Span>]) -> Index {
    Index::decode(&encode(spans).unwrap().into()).unwrap()
}

fn traces(index: &Index, numbers: &[u32]) -> Vec<u8> {
    numbers.iter().map(|number| index.trace(*number).unwrap().trace_id.0[0]).collect()
}

fn find(index: &Index, path: &str, text: &TextMatch) -> Vec<u8> {
    traces(index, &index.find(&SpanTest::Metadata(path, text)).passing)
}

#[test]
fn traces_are_found_the_latest_first() {
    let index = index(&[
        span(1, 1, 10, tier("Gold")),
        span(1, 2, 5, tier("gold")),
        span(2, 1, 30, tier("gold")),
        span(3, 1, 20, tier("silver")),
    ]);
    let equals = |text: &str| TextMatch::Equals(text.to_owned());
    assert_eq!(find(&index, "tier", &equals("gold")), [2, 1]);
    assert_eq!(find(&index, "tier", &equals("silver")), [3]);
    assert_eq!(find(&index, "tier", &equals("gol")), [0; 0]);
    assert_eq!(find(&index, "tie", &equals("gold")), [0; 0]);
    assert_eq!(find(&index, "tier", &TextMatch::Contains("l".to_owned())), [2, 3, 1]);
    assert_eq!(find(&index, "tier", &TextMatch::Pattern("s*r".to_owned())), [3]);
    let named = index.find(&SpanTest::Name("step 2"));
    assert_eq!((traces(&index, &named.passing), named.untold), (vec![1], vec![]));
    let first = index.trace(1).unwrap();
    assert_eq!((first.first_row, first.start_ns), (3, 20));
    assert_eq!(index.trace(3), None);
    let owners: Vec<u32> = {
        let mut owners: Vec<u32> = index.at_rows(&[1, 3]).into_iter().collect();
        owners.sort_unstable();
        owners
    };
    assert_eq!(traces(&index, &owners), [3, 1]);
}

#[test]
fn what_is_too_much_is_said_to_be_untold() {
    let many = (0..=MAX_KEYS).map(|n| (format!("k{n}"), Value::Int(1))).collect();
    let mut dropped = (*span(4, 1, 1, tier("gold"))).clone();
    dropped.dropped = true;
    let mut named = (*span(5, 1, 1, Vec::new())).clone();
    named.name = "n".repeat(MAX_TERM + 1);
    let index = index(&[
        span(1, 1, 4, tier(&"x".repeat(MAX_TERM))),
        span(2, 1, 3, many),
        span(3, 1, 2, tier("gold")),
        Arc::new(dropped),
        Arc::new(named),
    ]);
    let gold = TextMatch::Equals("gold".to_owned());
    let found = index.find(&SpanTest::Metadata("tier", &gold));
    assert_eq!(traces(&index, &found.passing), [3]);
    assert_eq!(traces(&index, &found.untold), [1, 2]);
    let elsewhere = index.find(&SpanTest::Metadata("level", &gold));
    assert_eq!(traces(&index, &elsewhere.untold), [2], "only the one with too many keys");
    let named = index.find(&SpanTest::Name("step"));
    assert_eq!(traces(&index, &named.untold), [5]);
    assert!(index.begins_at(2) && !index.begins_at(3), "what was dropped begins nothing");
}

#[test]
fn terms_have_a_bound_together() {
    let text = |n: u32| format!("{n:0>200}");
    let spans = (0..100_000_u32).map(|n| {
        let trace = (*span(0, 1, 0, tier(&text(n)))).clone();
        Arc::new(Span { trace_id: TraceId(u128::from(n).to_be_bytes()), ..trace })
    });
    let index = index(&spans.collect::<Vec<_>>());
    let first = TextMatch::Equals(text(0));
    let found = index.find(&SpanTest::Metadata("tier", &first));
    assert_eq!(found.passing.len(), 1);
    assert!(found.untold.len() > 10_000 && found.untold.len() < 50_000);
}

proptest! {
    /// The same as asking each span.
    #[test]
    fn the_index_says_what_spans_say(
        values in prop::collection::vec(("[aAbÉé.]{0,2}", "[aAßẞΣσ1]{0,3}", 0..5_u8), 0..40),
        path in "[ab.]{0,2}",
        text in "[aσß1]{0,2}",
        way in 0..3,
    ) {
        let mut spans: Vec<Arc<Span>> = values
            .iter()
            .zip(0..)
            .map(|((key, value, trace), id)| {
                span(*trace, id, i64::from(id), vec![(key.clone(), value.as_str().into())])
            })
            .collect();
        spans.sort_by_key(|span| span.trace_id);
        let text = match way {
            0 => TextMatch::Equals(text),
            1 => TextMatch::Contains(text),
            _ => TextMatch::Pattern(format!("{text}*")),
        };
        let index = index(&spans);
        for test in [SpanTest::Metadata(&path, &text), SpanTest::Name("3")] {
            let passing = spans.iter().filter(|span| test.holds(span));
            let mut wanted: Vec<u8> = passing.map(|span| span.trace_id.0[0]).collect();
            wanted.dedup();
            let mut found = traces(&index, &index.find(&test).passing);
            found.sort_unstable();
            prop_assert_eq!(found, wanted);
        }
    }
}
