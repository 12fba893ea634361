//! Agents and conversations: who is told apart, what is added up, what comes first.

use staso_model::{Span, SpanStatus};

use super::build::{NOW_NS, WS, append, batch, numbers, open_span, span, span_id, trace_id};
use super::numbers::{SECOND, call};
use super::{StoreFactory, reopen};
use crate::conversations::{ConversationsQuery, TurnsQuery};
use crate::metrics::{AgentSort, AgentsQuery};
use crate::query::parse::parse;
use crate::query::{Filter, RunState};
use crate::traits::Store;

pub(super) fn agents() -> AgentsQuery {
    AgentsQuery {
        workspace: WS.to_owned(),
        environment: None,
        from_ns: None,
        to_ns: None,
        filter: Filter::everything(),
        sort: AgentSort::Runs,
        limit: 100,
        now_ns: NOW_NS,
    }
}

/// Runs are shared by the agents that take part, costs are not; a run of two versions is one run.
pub async fn agents_are_told_apart_by_version<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let named = |span: Span, agent: &str, version: &str| Span {
        agent_name: Some(agent.into()),
        agent_version: (!version.is_empty()).then(|| version.into()),
        ..span
    };
    let mut failed = named(span(1, 1, 0), "planner", "1");
    failed.status = SpanStatus::Error;
    failed.sample_rate = Some(0.5);
    append(
        &store,
        batch(vec![
            failed,
            named(call(1, 2, "m", 10, Some(5)), "planner", "2"),
            named(call(1, 3, "m", 1, Some(100)), "writer", ""),
            named(span(2, 1, 0), "planner", "2"),
            call(2, 2, "m", 20, Some(7)),
            span(3, 1, 0),
        ]),
    )
    .await;
    let page = store.agents(&agents()).await.unwrap();
    let names: Vec<&str> = page.rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!((names, page.omitted), (vec!["planner", "writer"], 0));
    let planner = &page.rows[0];
    let figures = &planner.figures;
    assert_eq!((figures.runs, figures.errors), (3.0, 2.0));
    assert_eq!((figures.cost_nano_usd, figures.input_tokens), (Some(12), Some(30)));
    assert_eq!(figures.latest_start_ns, Some(span(2, 1, 0).start_ns));
    let versions: Vec<_> = planner
        .versions
        .iter()
        .map(|row| (row.version.as_deref(), row.figures.runs, row.figures.cost_nano_usd))
        .collect();
    assert_eq!(versions, [(Some("2"), 3.0, Some(12)), (Some("1"), 2.0, None)]);
    assert_eq!(page.rows[1].versions[0].version, None);
    assert_eq!((page.rows[1].figures.runs, page.rows[1].figures.cost_nano_usd), (2.0, Some(100)));
    let by_cost = AgentsQuery { sort: AgentSort::Cost, limit: 1, ..agents() };
    let page = store.agents(&by_cost).await.unwrap();
    assert_eq!((page.rows[0].name.as_str(), page.omitted), ("writer", 1));
    let later = AgentsQuery { from_ns: Some(2 * SECOND), ..agents() };
    let page = store.agents(&later).await.unwrap();
    assert_eq!((page.rows.len(), page.rows[0].figures.runs), (1, 1.0));
    let filter = parse("status:error").unwrap();
    let failing = store.agents(&AgentsQuery { filter, ..agents() }).await.unwrap();
    assert_eq!(failing.rows[0].figures.cost_nano_usd, Some(5), "only spans of such traces");
}

pub(super) fn conversations() -> ConversationsQuery {
    ConversationsQuery {
        workspace: WS.to_owned(),
        environment: None,
        from_ns: None,
        to_ns: None,
        filter: Filter::everything(),
        after: None,
        limit: 100,
        now_ns: NOW_NS,
    }
}

pub(super) fn turns(session_id: &str) -> TurnsQuery {
    TurnsQuery {
        workspace: WS.to_owned(),
        session_id: session_id.to_owned(),
        after: None,
        limit: 100,
        now_ns: NOW_NS,
    }
}

/// A turn of a conversation.
fn turn(trace: u8, session_id: &str) -> Span {
    Span { session_id: Some(session_id.into()), ..span(trace, 1, 0) }
}

/// What a conversation's row says of its turns; it is not weighed.
pub async fn conversations_are_their_turns<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let text = |text: &str| Some(staso_model::Payload::text(text));
    let mut first = turn(1, "c");
    first.input = text("hello");
    first.output = text("hi");
    first.user_id = Some("ann".into());
    first.sample_rate = Some(0.1);
    first.cost_nano_usd = Some(5);
    let mut second = turn(2, "c");
    second.input = text("bye");
    second.output = text("see you");
    second.status = SpanStatus::Error;
    second.agent_name = Some("b".into());
    let open = Span { session_id: Some("C".into()), ..open_span(3, 1, 0) };
    append(&store, batch(vec![second, open, span(4, 1, 0), first, call(1, 2, "m", 9, None)])).await;
    let page = store.conversations(&conversations()).await.unwrap();
    let ids: Vec<&str> = page.rows.iter().map(|row| row.session_id.as_str()).collect();
    assert_eq!((ids, &page.next), (vec!["C", "c"], &None), "letter for letter");
    let (open, row) = (&page.rows[0], &page.rows[1]);
    assert_eq!((open.turns, open.open_turns, open.end_ns), (1, 1, None));
    assert_eq!(open.state, RunState::Unknown);
    assert_eq!((row.turns, row.error_turns, row.open_turns), (2, 1, 0));
    assert_eq!((row.status, row.state), (SpanStatus::Error, RunState::Done));
    assert_eq!(row.first_start_ns, turn(1, "c").start_ns);
    assert_eq!((row.latest_start_ns, row.end_ns), (turn(2, "c").start_ns, turn(2, "c").end_ns));
    assert_eq!((row.user_id.as_deref(), &row.agents[..]), (Some("ann"), &["b".to_owned()][..]));
    assert_eq!(row.models, ["m"]);
    assert_eq!(
        (row.total_tokens, row.cost_nano_usd, row.cost_incomplete),
        (Some(10), Some(5), true)
    );
    assert_eq!(row.input_preview.as_deref(), Some("hello"));
    assert_eq!(row.output_preview.as_deref(), Some("see you"));
    let of_ann = ConversationsQuery { filter: parse("user:ann").unwrap(), ..conversations() };
    let page = store.conversations(&of_ann).await.unwrap();
    assert_eq!((page.rows.len(), page.rows[0].turns), (1, 1), "as far as its turns match");
    let early = ConversationsQuery { to_ns: Some(2 * SECOND), ..conversations() };
    assert_eq!(store.conversations(&early).await.unwrap().rows[0].turns, 1);
}

/// The conversation with the latest turn first, whatever the page size; new turns move it to the top.
pub async fn conversations_are_paged_by_their_latest_turn<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let spans = (1..=20).map(|n| turn(n, &format!("c {}", n % 7))).collect();
    append(&store, batch(spans)).await;
    let whole = store.conversations(&conversations()).await.unwrap();
    let ids: Vec<String> = whole.rows.iter().map(|row| row.session_id.clone()).collect();
    assert_eq!(ids, ["c 6", "c 5", "c 4", "c 3", "c 2", "c 1", "c 0"]);
    for limit in [1, 2, 3, 6, 7, 8] {
        let mut query = ConversationsQuery { limit, ..conversations() };
        let mut rows = Vec::new();
        loop {
            let page = store.conversations(&query).await.unwrap();
            rows.extend(page.rows);
            let Some(next) = page.next else { break };
            query.after = Some(next.to_string().parse().unwrap());
        }
        assert_eq!(rows, whole.rows, "by {limit}");
    }
    append(&store, batch(vec![turn(30, "c 0")])).await;
    let first = store.conversations(&ConversationsQuery { limit: 1, ..conversations() }).await;
    assert_eq!(first.unwrap().rows[0].session_id, "c 0");
}

/// The same over many days, on some of which nothing is new, with turns long after the first ones, between two times, and with
/// an id that is too long for many an index.
pub async fn conversations_are_paged_over_days<F: StoreFactory>(factory: F) {
    const HALF_DAY_NS: i64 = 43_200_000_000_000;
    let store = factory.open().await;
    let on = |n: u8, half_day: i64, conversation: &str| {
        let start_ns = half_day * HALF_DAY_NS + i64::from(n);
        Span { start_ns, end_ns: Some(start_ns + 1), ..turn(n, conversation) }
    };
    let days = [1, 2, 3, 9, 10, 11, 12, 30, 31, 31, 31, 60, -1, -2, -7];
    let spans = (1..).zip(days).map(|(n, half_day)| on(n, half_day, &format!("c {}", n % 6)));
    append(&store, batch(spans.collect())).await;
    let all = ["c 0", "c 5", "c 4", "c 3", "c 2", "c 1"];
    let check = async |query: ConversationsQuery, wanted: &[&str]| {
        for limit in 1..8 {
            let mut query = ConversationsQuery { limit, ..query.clone() };
            let mut ids = Vec::new();
            loop {
                let page = store.conversations(&query).await.unwrap();
                ids.extend(page.rows.into_iter().map(|row| row.session_id));
                let Some(next) = page.next else { break };
                query.after = Some(next);
            }
            assert_eq!(ids, wanted, "by {limit}");
        }
    };
    check(conversations(), &all).await;
    let until = ConversationsQuery { to_ns: Some(10 * HALF_DAY_NS), ..conversations() };
    check(until.clone(), &["c 4", "c 3", "c 2", "c 1"]).await;
    let from = ConversationsQuery { from_ns: Some(2 * HALF_DAY_NS), ..until };
    check(from, &["c 4", "c 3", "c 2"]).await;
    let long = "long ".repeat(100);
    append(&store, batch(vec![on(40, 20, &long)])).await;
    check(conversations(), &[&all[..5], &[long.as_str()], &all[5..]].concat()).await;
}

/// A conversation's turns, oldest first; the whole is told with every page.
pub async fn turns_are_read_in_order<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    append(&store, batch((1..=5).rev().map(|n| turn(n, "c")).collect())).await;
    append(&store, batch(vec![turn(6, "other"), span(7, 1, 0)])).await;
    let store = reopen(&factory, store).await;
    assert_eq!(store.conversation(&turns("C")).await.unwrap(), None);
    let all = store.conversation(&turns("c")).await.unwrap().unwrap();
    assert_eq!((numbers(&all.rows), all.next), (vec![1, 2, 3, 4, 5], None));
    let listed = store.conversations(&conversations()).await.unwrap();
    assert_eq!(listed.rows[1], all.conversation);
    let first = TurnsQuery { limit: 2, ..turns("c") };
    let page = store.conversation(&first).await.unwrap().unwrap();
    assert_eq!((numbers(&page.rows), page.conversation.turns), (vec![1, 2], 5));
    let rest = TurnsQuery { after: page.next, ..turns("c") };
    let page = store.conversation(&rest).await.unwrap().unwrap();
    assert_eq!((numbers(&page.rows), page.next), (vec![3, 4, 5], None));
    assert_eq!(page.conversation, all.conversation);
    let moved = Span { session_id: None, ..turn(3, "c") };
    let version = staso_model::Version { client: 9, ..moved.version };
    append(&store, batch(vec![Span { version, ..moved }])).await;
    let left = store.conversation(&turns("c")).await.unwrap().unwrap();
    assert_eq!((numbers(&left.rows), left.conversation.turns), (vec![1, 2, 4, 5], 4));
    assert!(store.span(WS, &trace_id(3), &span_id(1)).await.unwrap().is_some());
}
