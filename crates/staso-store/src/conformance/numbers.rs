//! Metrics: what counts where, and how it is weighed.
//!
//! Expected amounts are written down, because the memory store adds up with the same code as every
//! engine and cannot witness for it.

use staso_model::{Span, SpanKind, SpanStatus, Stage, Usage};

use super::build::{NOW_NS, WS, append, batch, open_span, process_id, span, trace_id};
use super::groups::{agents, conversations, turns};
use super::{StoreFactory, reopen};
use crate::batch::Batch;
use crate::conversations::{ConversationsQuery, TurnsQuery};
use crate::error::StoreError;
use crate::metrics::{
    AgentsQuery, Amount, GroupBy, MAX_BUCKETS, Measure, MetricsQuery, Percentile, Series,
};
use crate::process::{ProcessSign, Sign};
use crate::query::Filter;
use crate::query::parse::parse;
use crate::traits::Store;

pub(super) const SECOND: i64 = 1_000_000_000;

/// Measures over trace numbers: trace `n` of the builders starts at second `n`.
fn metrics(measures: &[Measure], edges: &[i64]) -> MetricsQuery {
    MetricsQuery {
        workspace: WS.to_owned(),
        environment: None,
        filter: Filter::everything(),
        edges: edges.iter().map(|second| second * SECOND).collect(),
        measures: measures.to_vec(),
        group_by: None,
        limit: 100,
        now_ns: NOW_NS,
    }
}

fn count(n: f64) -> Option<Amount> {
    Some(Amount::Count(n))
}

fn whole(n: i64) -> Option<Amount> {
    Some(Amount::Whole(n))
}

/// The groups and what they come to over the whole time.
fn wholes(series: &Series) -> Vec<(Option<&str>, Vec<Option<Amount>>)> {
    let whole = |group: &crate::metrics::Group| group.whole.amounts.clone();
    series.groups.iter().map(|group| (group.value.as_deref(), whole(group))).collect()
}

/// A model call with tokens and a cost.
pub(super) fn call(trace: u8, id: u64, model: &str, tokens: i64, cost: Option<i64>) -> Span {
    let mut call = span(trace, id, 1);
    call.kind = SpanKind::Llm;
    call.model = Some(model.to_owned());
    call.usage = Usage { input_uncached: Some(tokens), output: Some(1), ..Usage::default() };
    call.cost_nano_usd = cost;
    call
}

/// Every measure, of one trace whose spans differ.
pub async fn measures_are_of_what_is_stored<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let mut root = span(1, 1, 0);
    root.end_ns = Some(root.start_ns + 100_000);
    root.status = SpanStatus::Timeout;
    root.user_id = Some("ann".into());
    root.session_id = Some("c".into());
    let mut other = call(1, 3, "m", 5, Some(30));
    other.status = SpanStatus::Error;
    other.user_id = Some("bob".into());
    let mut gone = call(1, 4, "m", 1_000, Some(1_000));
    gone.dropped = true;
    append(&store, batch(vec![other, gone, call(1, 2, "m", 10, Some(70)), root])).await;
    let measures: Vec<Measure> = Measure::all().collect();
    let (first, rest) = measures.split_at(9);
    let found = store.metrics(&metrics(first, &[0, 2])).await.unwrap();
    assert_eq!(found.groups.len(), 1);
    let whole_of = &found.groups[0].whole;
    // The duration of 100 µs is told within 0.4 %.
    let near = Some(Amount::Whole(100_096));
    assert_eq!(
        whole_of.amounts,
        [count(1.0), count(1.0), near, near, near, near, count(3.0), count(2.0), whole(1_002)]
    );
    assert_eq!(found.groups[0].points, std::slice::from_ref(whole_of));
    assert!(!whole_of.cost_incomplete);
    let found = store.metrics(&metrics(rest, &[0, 2])).await.unwrap();
    let long = whole(100_096);
    assert_eq!(
        found.groups[0].whole.amounts,
        [long, long, long, whole(15), whole(2), whole(17), whole(100), count(2.0), count(1.0)]
    );
}

/// `edge <= start < next edge`; a bucket of nothing counts nothing and knows nothing.
pub async fn buckets_are_half_open_and_empty_ones_answer<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    append(
        &store,
        batch((1..=4).map(|n| Span { start_ns: i64::from(n) * SECOND, ..span(n, 1, 0) }).collect()),
    )
    .await;
    let measures =
        [Measure::Runs, Measure::Spans, Measure::Cost, Measure::Duration(Percentile::P50)];
    let found = store.metrics(&metrics(&measures, &[0, 1, 3, 4])).await.unwrap();
    assert_eq!(found.starts_ns, [0, SECOND, 3 * SECOND]);
    let points: Vec<_> = found.groups[0].points.iter().map(|p| p.amounts.clone()).collect();
    assert_eq!(points[0], [count(0.0), count(0.0), None, None]);
    assert_eq!(points[1][..2], [count(2.0), count(2.0)]);
    assert_eq!(points[2][..2], [count(1.0), count(1.0)]);
    assert_eq!(found.groups[0].whole.amounts[0], count(3.0), "the fourth begins at the end");
    let nowhere = MetricsQuery { workspace: "nowhere".into(), ..metrics(&measures, &[0, 9]) };
    let found = store.metrics(&nowhere).await.unwrap();
    assert_eq!(wholes(&found), [(None, vec![count(0.0), count(0.0), None, None])]);
    let grouped = MetricsQuery { group_by: Some(GroupBy::Model), ..nowhere };
    assert_eq!(store.metrics(&grouped).await.unwrap().groups, []);
}

/// Runs by one over their root's rate, tokens, costs and durations by one over their own span's.
pub async fn what_was_sampled_is_weighed<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let mut root = span(1, 1, 0);
    root.sample_rate = Some(0.25);
    let mut sampled = call(1, 2, "m", 10, Some(7));
    sampled.sample_rate = Some(0.1);
    append(&store, batch(vec![root, sampled, span(2, 1, 0), call(2, 2, "m", 1, Some(1))])).await;
    let measures =
        [Measure::Runs, Measure::Spans, Measure::InputTokens, Measure::Cost, Measure::Users];
    let query = metrics(&measures, &[0, 9]);
    let wanted = vec![count(5.0), count(16.0), whole(101), whole(71), count(0.0)];
    assert_eq!(wholes(&store.metrics(&query).await.unwrap()), [(None, wanted.clone())]);
    let store = reopen(&factory, store).await;
    assert_eq!(wholes(&store.metrics(&query).await.unwrap()), [(None, wanted)]);
    // The list says what is stored.
    let row = store.trace_row(WS, &trace_id(1), NOW_NS).await.unwrap().unwrap();
    assert_eq!((row.sample_rate, row.cost_nano_usd, row.span_count), (Some(0.25), Some(7), 2));
    // Ninety-nine short runs that are stored, and one long one that stands for three hundred.
    let mut long = span(9, 1, 0);
    long.end_ns = Some(long.start_ns + SECOND);
    long.sample_rate = Some(1.0 / 300.0);
    let mut spans: Vec<Span> = (10..109).map(|n| span(n, 1, 0)).collect();
    spans.push(long);
    append(&store, batch(spans)).await;
    let p50 = [Measure::RunDuration(Percentile::P50), Measure::Duration(Percentile::P50)];
    let found = store.metrics(&metrics(&p50, &[9, 200])).await.unwrap();
    let [Some(Amount::Whole(run)), Some(Amount::Whole(of_span))] =
        found.groups[0].whole.amounts[..]
    else {
        panic!("{found:?}")
    };
    assert_eq!(run, of_span);
    assert!((run - SECOND).abs() < SECOND / 250, "{run}");
}

/// Repeats, older versions and provisional ones change nothing; children may come days before.
pub async fn sums_follow_versions_in_every_order<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let query = MetricsQuery {
        group_by: Some(GroupBy::Model),
        ..metrics(&[Measure::Tokens, Measure::Spans, Measure::Cost], &[0, 100])
    };
    let mut older = call(1, 2, "old", 500, Some(500));
    older.version.client = 1;
    let mut newer = call(1, 2, "m", 9, Some(3));
    newer.version.client = 2;
    let mut provisional = newer.clone();
    provisional.version.stage = Stage::Open;
    provisional.version.client = 7;
    provisional.usage.output = Some(100);
    append(&store, batch(vec![newer.clone()])).await;
    let wanted = vec![(Some("m"), vec![whole(10), count(1.0), whole(3)])];
    let store = reopen(&factory, store).await;
    for late in [older, provisional, newer.clone()] {
        append(&store, batch(vec![late])).await;
        assert_eq!(wholes(&store.metrics(&query).await.unwrap()), wanted);
    }
    // A newer one moves its tokens to another model and another bucket; nothing stays behind.
    let mut moved = Span { start_ns: 50 * SECOND, ..call(1, 2, "n", 19, None) };
    moved.version.client = 3;
    append(&store, batch(vec![moved])).await;
    let store = reopen(&factory, store).await;
    let found = store.metrics(&query).await.unwrap();
    assert_eq!(wholes(&found), [(Some("n"), vec![whole(20), count(1.0), None])]);
    assert!(found.groups[0].whole.cost_incomplete);
    let early = MetricsQuery { edges: vec![0, 49 * SECOND], ..query };
    assert_eq!(store.metrics(&early).await.unwrap().groups, []);
}

/// An open span counts and may have tokens; its duration comes with its end, its process's too.
pub async fn running_spans_count_without_a_duration<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let mut open = open_span(1, 1, 0);
    open.process_id = Some(process_id(1));
    open.kind = SpanKind::Llm;
    append(&store, batch(vec![open])).await;
    let measures = [
        Measure::Runs,
        Measure::RunErrors,
        Measure::RunDuration(Percentile::P50),
        Measure::Spans,
        Measure::Duration(Percentile::P50),
    ];
    let query = metrics(&measures, &[0, 9]);
    let found = store.metrics(&query).await.unwrap();
    assert_eq!(found.groups[0].whole.amounts, [count(1.0), count(0.0), None, count(1.0), None]);
    assert!(found.groups[0].whole.cost_incomplete, "its cost may still come");
    let goodbye = ProcessSign { process_id: process_id(1), sign: Sign::Goodbye(SECOND + 2_000) };
    append(&store, Batch { processes: vec![goodbye], ..batch(Vec::new()) }).await;
    let found = store.metrics(&query).await.unwrap();
    // From one microsecond after the second to two.
    assert_eq!(
        found.groups[0].whole.amounts,
        [count(1.0), count(1.0), whole(1_002), count(1.0), whole(1_002)]
    );
}

/// A span that names no agent, user, conversation, service or environment counts to its trace's.
pub async fn silent_spans_count_to_their_trace<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let mut root = span(1, 1, 0);
    root.agent_name = Some("planner".into());
    root.agent_version = Some("7".into());
    root.user_id = Some("ann".into());
    let mut own = call(1, 3, "m", 1, Some(1));
    own.agent_name = Some("writer".into());
    append(&store, batch(vec![call(1, 2, "m", 10, Some(5)), own, root, span(2, 1, 0)])).await;
    let by = |group_by| MetricsQuery {
        group_by: Some(group_by),
        ..metrics(&[Measure::Spans, Measure::Cost], &[0, 9])
    };
    let found = store.metrics(&by(GroupBy::Agent)).await.unwrap();
    assert_eq!(
        wholes(&found),
        [
            (Some("planner"), vec![count(2.0), whole(5)]),
            (Some("writer"), vec![count(1.0), whole(1)]),
            (None, vec![count(1.0), None]),
        ]
    );
    let found = store.metrics(&by(GroupBy::AgentVersion)).await.unwrap();
    assert_eq!(
        wholes(&found),
        [(Some("7"), vec![count(2.0), whole(5)]), (None, vec![count(2.0), whole(1)])],
        "the writer does not take the planner's version"
    );
    let found = store.metrics(&by(GroupBy::User)).await.unwrap();
    assert_eq!(found.groups[0].value.as_deref(), Some("ann"));
    assert_eq!(found.groups[0].whole.amounts[0], count(3.0));
    let users = store.metrics(&metrics(&[Measure::Users], &[0, 9])).await.unwrap();
    assert_eq!(users.groups[0].whole.amounts, [count(1.0)]);
}

/// A run stands under each of its agents and models, once; spans stand under their own alone.
pub async fn runs_count_under_every_value_of_theirs<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let spans = vec![
        span(1, 1, 0),
        call(1, 2, "a", 1, None),
        call(1, 3, "a", 1, None),
        call(1, 4, "b", 1, None),
        span(2, 1, 0),
    ];
    append(&store, batch(spans)).await;
    let by_model = MetricsQuery {
        group_by: Some(GroupBy::Model),
        ..metrics(&[Measure::Runs, Measure::Spans], &[0, 9])
    };
    let found = store.metrics(&by_model).await.unwrap();
    assert_eq!(
        wholes(&found),
        [
            (Some("a"), vec![count(1.0), count(2.0)]),
            (Some("b"), vec![count(1.0), count(1.0)]),
            (None, vec![count(1.0), count(2.0)]),
        ]
    );
    for by in GroupBy::all().filter(|by| by.is_of_runs()) {
        let query = MetricsQuery { group_by: Some(by), ..by_model.clone() };
        assert!(!store.metrics(&query).await.unwrap().groups.is_empty(), "{}", by.as_str());
    }
}

/// A root's totals of its trace count where no span counted, in whichever order they come.
pub async fn totals_of_the_trace_count_once_in_sums<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let mut root = span(1, 1, 0);
    root.usage = Usage {
        input_uncached: Some(100),
        output: Some(10),
        is_of_trace: true,
        ..Usage::default()
    };
    let query = metrics(&[Measure::InputTokens, Measure::Tokens], &[0, 99]);
    append(&store, batch(vec![root.clone()])).await;
    let amounts = |series: Series| series.groups[0].whole.amounts.clone();
    assert_eq!(amounts(store.metrics(&query).await.unwrap()), [whole(100), whole(110)]);
    // The span that counts lies outside of the time that is asked for; it still counts.
    let late = Span { start_ns: 500 * SECOND, ..call(1, 2, "m", 70, None) };
    append(&store, batch(vec![late])).await;
    assert_eq!(amounts(store.metrics(&query).await.unwrap()), [None, None]);
    let store = reopen(&factory, store).await;
    assert_eq!(amounts(store.metrics(&query).await.unwrap()), [None, None]);
    append(&store, batch(vec![call(1, 3, "m", 30, None)])).await;
    assert_eq!(amounts(store.metrics(&query).await.unwrap()), [whole(30), whole(31)]);
}

/// By the first measure, then by value; what is left out is counted.
pub async fn the_greatest_groups_come_first<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let spans = ["d", "a", "c", "b"].into_iter().zip([Some(1), Some(9), None, Some(1)]);
    let spans = spans.enumerate().map(|(i, (model, cost))| call(1, 2 + i as u64, model, 1, cost));
    append(&store, batch(spans.collect())).await;
    let query = MetricsQuery {
        group_by: Some(GroupBy::Model),
        limit: 3,
        ..metrics(&[Measure::Cost], &[0, 9])
    };
    let found = store.metrics(&query).await.unwrap();
    let names: Vec<_> = wholes(&found).into_iter().map(|(value, _)| value).collect();
    assert_eq!((names, found.omitted), (vec![Some("a"), Some("b"), Some("d")], 1));
    let all = store.metrics(&MetricsQuery { limit: 4, ..query }).await.unwrap();
    assert_eq!((all.groups[3].value.as_deref(), all.omitted), (Some("c"), 0));
}

/// A filter finds traces; all their spans count, also those it does not name.
pub async fn a_filter_chooses_traces_not_spans<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let mut prod = span(1, 1, 0);
    prod.environment = Some("prod".into());
    let spans = vec![prod, call(1, 2, "a", 1, None), call(1, 3, "b", 1, None)];
    append(&store, batch(spans)).await;
    append(&store, batch(vec![span(2, 1, 0), call(2, 2, "b", 1, None)])).await;
    let query =
        MetricsQuery { group_by: Some(GroupBy::Model), ..metrics(&[Measure::Spans], &[0, 9]) };
    let total = |series: Series| -> usize { wholes(&series).len() };
    for (filter, groups) in
        [("", 3), ("model:a", 3), ("model:b", 3), ("-model:a", 2), ("model:x", 0)]
    {
        let query = MetricsQuery { filter: parse(filter).unwrap(), ..query.clone() };
        assert_eq!(total(store.metrics(&query).await.unwrap()), groups, "{filter}");
    }
    let filter = parse("-model:a").unwrap();
    let found = store.metrics(&MetricsQuery { filter, ..query.clone() }).await.unwrap();
    assert_eq!(wholes(&found), [(Some("b"), vec![count(1.0)]), (None, vec![count(1.0)])]);
    let of_prod = MetricsQuery {
        environment: Some("prod".into()),
        group_by: None,
        measures: vec![Measure::Spans, Measure::Runs],
        ..query
    };
    let found = store.metrics(&of_prod).await.unwrap();
    assert_eq!(wholes(&found), [(None, vec![count(3.0), count(1.0)])], "spans of such traces");
}

/// Nonsense is refused, whatever the workspace.
pub async fn impossible_sums_are_refused<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let good = metrics(&[Measure::Spans], &[0, 9]);
    let nested = (0..1_000).fold(Filter::everything(), |inner, _| Filter::Not(Box::new(inner)));
    let refused = [
        MetricsQuery { edges: vec![], ..good.clone() },
        MetricsQuery { edges: vec![1], ..good.clone() },
        MetricsQuery { edges: vec![2, 2], ..good.clone() },
        MetricsQuery { edges: (0..=MAX_BUCKETS as i64 + 1).collect(), ..good.clone() },
        MetricsQuery { measures: vec![], ..good.clone() },
        MetricsQuery { measures: vec![Measure::Spans; 13], ..good.clone() },
        MetricsQuery { limit: 0, ..good.clone() },
        MetricsQuery { limit: 201, ..good.clone() },
        MetricsQuery { filter: nested, ..good.clone() },
        MetricsQuery {
            measures: vec![Measure::Runs],
            group_by: Some(GroupBy::Provider),
            ..good.clone()
        },
    ];
    for query in refused {
        for workspace in [WS, "nowhere"] {
            let query = MetricsQuery { workspace: workspace.to_owned(), ..query.clone() };
            let answer = store.metrics(&query).await;
            assert!(matches!(answer, Err(StoreError::BadQuery { .. })), "{answer:?}");
        }
    }
    let most = MetricsQuery { edges: (0..=MAX_BUCKETS as i64).collect(), ..good };
    assert_eq!(store.metrics(&most).await.unwrap().starts_ns.len(), MAX_BUCKETS);
    for limit in [0, 1_001] {
        assert!(store.agents(&AgentsQuery { limit, ..agents() }).await.is_err());
        let list = ConversationsQuery { limit, ..conversations() };
        assert!(store.conversations(&list).await.is_err());
        assert!(store.conversation(&TurnsQuery { limit, ..turns("c") }).await.is_err());
    }
}
