//! The texts that traces are found by: they follow the rows of the list, and a directory that has none of them
//! yet, or by other rules, gets them when it is opened.

use std::path::Path;

use rusqlite::Connection;
use staso_model::{Span, SpanStatus};
use staso_store::conversations::{ConversationsQuery, TurnsQuery};
use staso_store::memory::MemoryStore;
use staso_store::query::parse::parse;
use staso_store::query::{FacetField, FacetQuery, Filter, Sort, TextField, TraceQuery};
use staso_store::{Deletion, Store, Target};
use staso_store_local::{LocalStore, Options, inspect};

use super::failures::everything;
use super::{batch, span};

/// A trace of one span that has something in every text field.
fn told(trace: u64) -> Span {
    Span {
        session_id: Some(format!("Talk {}", trace % 2)),
        user_id: Some(format!("user {trace}")),
        agent_name: Some(if trace.is_multiple_of(2) { "Planner" } else { "planner" }.to_owned()),
        model: Some("model".to_owned()),
        environment: Some("production".to_owned()),
        tags: vec!["one".to_owned(), "two".to_owned()],
        status: if trace == 3 { SpanStatus::Error } else { SpanStatus::Ok },
        ..span(trace, trace)
    }
}

/// How many traces each of some questions finds.
async fn found(store: &LocalStore) -> Vec<usize> {
    let mut found = Vec::new();
    for text in [
        "agent:planner",
        "session:\"talk 1\"",
        "user:\"USER 2\"",
        "status:error",
        "model:model tag:two",
        "model:none",
    ] {
        let query = TraceQuery { filter: parse(text).unwrap(), ..everything() };
        found.push(store.traces(&query).await.unwrap().rows.len());
    }
    let query = FacetQuery {
        traces: TraceQuery { filter: Filter::everything(), ..everything() },
        field: FacetField::Text(TextField::Agent),
        limit: 10,
    };
    found.extend(store.facet(&query).await.unwrap().iter().map(|value| value.count as usize));
    let turns = TurnsQuery {
        workspace: "default".to_owned(),
        session_id: "Talk 1".to_owned(),
        after: None,
        limit: 10,
        now_ns: 0,
    };
    found.push(store.conversation(&turns).await.unwrap().map_or(0, |turns| turns.rows.len()));
    let list = ConversationsQuery {
        workspace: "default".to_owned(),
        environment: None,
        from_ns: None,
        to_ns: None,
        filter: Filter::everything(),
        after: None,
        limit: 10,
        now_ns: 0,
    };
    found.push(store.conversations(&list).await.unwrap().rows.len());
    found
}

/// Of five traces, numbered from one.
const WANTED: [usize; 10] = [5, 3, 1, 1, 5, 0, 3, 2, 3, 2];

async fn filled(dir: &Path) -> LocalStore {
    let store = LocalStore::open(dir, &Options::default()).unwrap();
    store.append(batch((1..=5).map(told).collect())).await.unwrap();
    store
}

fn catalog(dir: &Path) -> Connection {
    Connection::open(dir.join("catalog.db")).unwrap()
}

fn terms(dir: &Path) -> i64 {
    catalog(dir).query_row("SELECT count(*) FROM trace_terms", [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn a_directory_without_terms_gets_them_when_it_is_opened() {
    for damage in [
        "DROP TABLE trace_terms; DELETE FROM meta WHERE key = 'terms'",
        // Made by other rules, and of other traces.
        "UPDATE trace_terms SET folded = folded || 'x'; UPDATE meta SET value = 1 WHERE key = 'terms'",
        "UPDATE traces SET record = x'0102' WHERE start_ns = 3; DROP TABLE trace_terms;
         DELETE FROM meta WHERE key = 'terms'",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let store = filled(dir.path()).await;
        assert_eq!(found(&store).await, WANTED);
        store.flush().await.unwrap();
        store.close().await.unwrap();
        let before = terms(dir.path());
        catalog(dir.path()).execute_batch(damage).unwrap();
        let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
        assert_eq!(found(&store).await, WANTED, "{damage}");
        store.close().await.unwrap();
        assert_eq!(terms(dir.path()), before, "{damage}");
    }
}

#[tokio::test]
async fn the_terms_of_a_trace_go_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path()).await;
    let targets = [
        Target::Trace(told(1).trace_id),
        Target::Session("Talk 1".to_owned()),
        Target::User("user 2".to_owned()),
        Target::Session("Talk 0".to_owned()),
    ];
    for target in targets {
        let deletion = Deletion { workspace: "default".to_owned(), target, at_ns: 1_000 };
        store.delete(&deletion).await.unwrap();
    }
    assert_eq!(found(&store).await, [0; 8]);
    store.close().await.unwrap();
    assert_eq!(terms(dir.path()), 0);
}

/// Pages of a list over many days, some before 1970, in every order, are those of the memory store.
#[tokio::test]
async fn lists_over_many_days_are_in_order() {
    const DAY_NS: i64 = 86_400_000_000_000;
    let dir = tempfile::tempdir().unwrap();
    let (local, memory) = (filled(dir.path()).await, MemoryStore::default());
    let at = |trace: u64| (trace.cast_signed() % 11 - 4) * DAY_NS + trace.cast_signed() % 3 - 1;
    let spans = (1..=60).map(|trace| {
        let mut span = told(trace);
        span.version.sequence = 100;
        span.start_ns = at(trace);
        span.end_ns = Some(span.start_ns + trace.cast_signed() * 37 % 11);
        span
    });
    let spans: Vec<Span> = spans.collect();
    local.append(batch(spans.clone())).await.unwrap();
    memory.append(batch(spans)).await.unwrap();
    let all = TraceQuery { limit: 7, ..everything() };
    for text in ["", "agent:planner", "agent:planner session:\"talk 1\" tag:one", "user:\"user 7\""]
    {
        for sort in [Sort::Start, Sort::Duration, Sort::Cost, Sort::Spans] {
            for (from_ns, to_ns) in [(None, None), (Some(-DAY_NS), Some(3 * DAY_NS + 1))] {
                let filter = parse(text).unwrap();
                let mut query = TraceQuery { filter, sort, from_ns, to_ns, ..all.clone() };
                loop {
                    let page = local.traces(&query).await.unwrap();
                    assert_eq!(page, memory.traces(&query).await.unwrap(), "{text} {sort:?}");
                    let Some(next) = page.next else { break };
                    query.after = Some(next);
                }
            }
        }
    }
}

/// Filters by numbers that few of many traces pass, that half of them do and that all do.
#[tokio::test]
async fn numbers_that_few_or_many_have_are_found_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let local = LocalStore::open(dir.path(), &Options::default()).unwrap();
    let memory = MemoryStore::default();
    let spans = (1..=2_100_u64).map(|trace| {
        let long = i64::try_from(trace * 7919 % 2_100).unwrap();
        let mut span = Span { cost_nano_usd: Some(long % 2), ..span(trace, 1) };
        span.end_ns = Some(span.start_ns + long);
        span
    });
    let spans: Vec<Span> = spans.collect();
    local.append(batch(spans.clone())).await.unwrap();
    memory.append(batch(spans)).await.unwrap();
    for text in
        ["duration>2090ns", "duration>=0ns", "duration<20ns cost:0", "cost:0", "spans>1 cost>1"]
    {
        for sort in [Sort::Start, Sort::Duration, Sort::Tokens] {
            let filter = parse(text).unwrap();
            let mut query = TraceQuery { filter, sort, limit: 400, ..everything() };
            loop {
                let page = local.traces(&query).await.unwrap();
                assert_eq!(page, memory.traces(&query).await.unwrap(), "{text} {sort:?}");
                let Some(next) = page.next else { break };
                query.after = Some(next);
            }
        }
    }
}

#[tokio::test]
async fn terms_that_contradict_the_rows_are_found_and_the_remedy_mends_them() {
    for (damage, words) in [
        ("DELETE FROM trace_terms WHERE folded = 'planner' AND start_ns = 2", "1 trace(s) among"),
        (
            "UPDATE trace_terms SET start_ns = 7 WHERE field = 7 AND start_ns > 3",
            "2 trace(s) among",
        ),
        ("INSERT INTO trace_terms VALUES (1, 0, 7, 'none', 1, x'00', '')", "more than the rows"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path()).await.close().await.unwrap();
        assert_eq!(inspect(dir.path()).damage, []);
        assert!(catalog(dir.path()).execute(damage, []).unwrap() > 0);
        let told = inspect(dir.path()).damage;
        assert!(told.len() == 1 && told[0].problem.contains(words), "{told:?}");
        let (_, remedy) = told[0].remedy.split_once("catalog.db \"").unwrap();
        catalog(dir.path()).execute(remedy.trim_end_matches('"'), []).unwrap();
        let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
        assert_eq!(found(&store).await, WANTED);
        store.close().await.unwrap();
        assert_eq!(inspect(dir.path()).damage, []);
    }
}

/// Also where nobody knows any more what they were.
#[tokio::test]
async fn the_terms_of_a_trace_whose_row_is_damaged_are_those_of_its_spans() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await.close().await.unwrap();
    let before = terms(dir.path());
    catalog(dir.path()).execute_batch("UPDATE traces SET record = x'0102'").unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    let newer = (1..=5).map(|trace| {
        let mut newer = told(trace);
        newer.version.sequence = 100;
        newer.start_ns += 10;
        newer.end_ns = Some(newer.start_ns + 1);
        newer
    });
    store.append(batch(newer.collect())).await.unwrap();
    assert_eq!(found(&store).await, WANTED);
    store.close().await.unwrap();
    assert_eq!(terms(dir.path()), before);
}
