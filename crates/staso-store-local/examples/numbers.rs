//! Lists, values, metrics, agents and conversations, measured over a generated store of narrow spans.
//!
//! `cargo run --release -p staso-store-local --example numbers [dir] [spans]`. Thirty days of traces of
//! eight spans or so, fifty agents of several versions, twenty models, two thousand users, conversations
//! of about six turns; no payloads, so that the disk bill is not what is measured. Each question is
//! asked eleven times; the median and the slowest are printed.

#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use std::path::PathBuf;
use std::time::Instant;

use staso_model::{Span, SpanId, SpanKind, SpanStatus, Stage, TraceId, Usage, Version};
use staso_store::conversations::{ConversationsQuery, TurnsQuery};
use staso_store::metrics::{AgentSort, AgentsQuery, GroupBy, Measure, MetricsQuery, Percentile};
use staso_store::query::parse::parse;
use staso_store::query::{FacetField, FacetQuery, Filter, Sort, TextField, TraceQuery};
use staso_store::{Batch, Store, StoreError};
use staso_store_local::{LocalStore, Options};

const BATCH: usize = 500;
const ROUNDS: usize = 11;
const HOUR_NS: i64 = 3_600_000_000_000;
const DAY_NS: i64 = 24 * HOUR_NS;
/// 2026-06-30T00:00:00Z.
const END_NS: i64 = 1_782_777_600_000_000_000;
const DAYS: i64 = 30;

/// Small, fast and the same on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: i64) -> i64 {
        (self.next() >> 11).cast_signed() % n
    }

    fn id(&mut self) -> [u8; 16] {
        ((u128::from(self.next()) << 64) | u128::from(self.next())).to_be_bytes()
    }
}

/// The spans of one trace: a root, and model and tool calls in turn.
fn trace(random: &mut Random, number: i64, start_ns: i64, traces: i64) -> Vec<Span> {
    let trace_id = TraceId(random.id());
    let session = random.below(traces / 6 + 1);
    let agent = (random.below(50) * random.below(50)) / 50;
    let spans = 4 + random.below(9);
    let root = SpanId::from_w3c(random.next().to_be_bytes());
    (0..spans)
        .map(|i| {
            let id = if i == 0 { root } else { SpanId::from_w3c(random.next().to_be_bytes()) };
            let mut span = Span::new("default", trace_id, id);
            let most = 1 << (20 + random.below(12));
            let duration_ns = 2_000_000 + random.below(most);
            span.parent_span_id = (i > 0).then_some(root);
            span.start_ns = start_ns + i * 1_500_000_000;
            span.end_ns = Some(span.start_ns + duration_ns);
            span.name =
                ["turn", "chat", "search", "refund"][usize::try_from(i % 4).unwrap_or(0)].into();
            span.kind = [SpanKind::Agent, SpanKind::Llm, SpanKind::Tool]
                [usize::try_from(i % 3).unwrap_or(0)];
            span.status = if random.below(40) == 0 { SpanStatus::Error } else { SpanStatus::Ok };
            span.environment = Some("production".into());
            span.agent_name = Some(format!("agent-{agent}"));
            span.agent_version = Some(format!("1.{}", start_ns / (7 * DAY_NS) % 5));
            span.session_id = Some(format!("conversation-{session}"));
            span.user_id = Some(format!("user-{}", session % 2_000));
            if span.kind == SpanKind::Llm {
                span.model = Some(format!("model-{}", (session + i) % 20));
                let (input, output) = (random.below(8_000), random.below(900));
                span.usage =
                    Usage { input_uncached: Some(input), output: Some(output), ..Usage::default() };
                span.cost_nano_usd = Some(input * 2_500 + output * 10_000);
            }
            span.version = Version {
                stage: Stage::Ended,
                client: 0,
                received_ns: start_ns,
                sequence: number.cast_unsigned() * 16 + i.cast_unsigned() + 1,
            };
            span
        })
        .collect()
}

async fn fill(store: &LocalStore, spans: i64) -> Result<(), StoreError> {
    let mut random = Random(7);
    let traces = spans / 8;
    let mut waiting = Vec::new();
    for number in 0..traces {
        let start_ns = END_NS - DAYS * DAY_NS + number * (DAYS * DAY_NS / traces);
        waiting.extend(trace(&mut random, number, start_ns, traces));
        if waiting.len() >= BATCH || number + 1 == traces {
            let spans = std::mem::take(&mut waiting);
            let batch = Batch {
                workspace: "default".into(),
                spans,
                received_ns: start_ns,
                ..Batch::default()
            };
            store.append(batch).await?;
        }
    }
    store.flush().await
}

fn over(
    days: i64,
    interval_ns: i64,
    measures: &[Measure],
    group_by: Option<GroupBy>,
) -> MetricsQuery {
    let from_ns = END_NS - days * DAY_NS;
    let buckets = days * DAY_NS / interval_ns;
    MetricsQuery {
        workspace: "default".into(),
        environment: None,
        filter: Filter::everything(),
        edges: (0..=buckets).map(|i| from_ns + i * interval_ns).collect(),
        measures: measures.to_vec(),
        group_by,
        limit: 20,
        now_ns: END_NS,
    }
}

/// Prints the median and the greatest of so many times.
macro_rules! timed {
    ($name:expr, $answer:expr) => {{
        let mut millis = Vec::new();
        for _ in 0..ROUNDS {
            let before = Instant::now();
            $answer;
            millis.push(before.elapsed().as_secs_f64() * 1e3);
        }
        millis.sort_by(f64::total_cmp);
        println!(
            "{:<58} p50 {:>8.1} ms  max {:>8.1} ms",
            $name,
            millis[ROUNDS / 2],
            millis[ROUNDS - 1]
        );
    }};
}

async fn ask(store: &LocalStore) -> Result<(), StoreError> {
    let by_model = [
        Measure::Duration(Percentile::P50),
        Measure::Duration(Percentile::P95),
        Measure::Errors,
        Measure::Tokens,
        Measure::Cost,
    ];
    let hourly = over(7, HOUR_NS, &by_model, Some(GroupBy::Model));
    timed!("hourly p50, p95, errors, tokens, cost by model, 7 days", store.metrics(&hourly).await?);
    let monthly = over(DAYS, HOUR_NS, &by_model, Some(GroupBy::Model));
    timed!("the same, 30 days", store.metrics(&monthly).await?);
    let cost = over(DAYS, DAYS * DAY_NS, &[Measure::Cost], Some(GroupBy::Agent));
    timed!("top agents by cost, 30 days", store.metrics(&cost).await?);
    let users = over(DAYS, DAY_NS, &[Measure::Users], None);
    timed!("distinct users per day, 30 days", store.metrics(&users).await?);
    let runs = [Measure::Runs, Measure::RunErrors, Measure::RunDuration(Percentile::P95)];
    let runs = over(7, HOUR_NS, &runs, Some(GroupBy::Agent));
    timed!("hourly runs, errors, p95 by agent, 7 days", store.metrics(&runs).await?);
    let filter = parse("status:error").unwrap_or_else(|_| Filter::everything());
    let failing = MetricsQuery { filter: filter.clone(), ..hourly };
    timed!("hourly by model of failed traces, 7 days", store.metrics(&failing).await?);
    let agents = AgentsQuery {
        workspace: "default".into(),
        environment: None,
        from_ns: Some(END_NS - DAYS * DAY_NS),
        to_ns: None,
        filter: Filter::everything(),
        sort: AgentSort::Cost,
        limit: 50,
        now_ns: END_NS,
    };
    timed!("agents and versions, 30 days", store.agents(&agents).await?);
    let list = ConversationsQuery {
        workspace: "default".into(),
        environment: None,
        from_ns: Some(END_NS - DAY_NS),
        to_ns: None,
        filter: Filter::everything(),
        after: None,
        limit: 50,
        now_ns: END_NS,
    };
    timed!("newest 50 conversations of one day", store.conversations(&list).await?);
    let all = ConversationsQuery { from_ns: None, ..list };
    timed!("newest 50 conversations of everything", store.conversations(&all).await?);
    let session_id = "conversation-7".to_owned();
    let turns = TurnsQuery {
        workspace: "default".into(),
        session_id,
        after: None,
        limit: 50,
        now_ns: END_NS,
    };
    timed!("one conversation", store.conversation(&turns).await?);
    Ok(())
}

/// The newest traces of some filters, by filter and by sort, and the values beside them.
async fn ask_for_lists(store: &LocalStore) -> Result<(), StoreError> {
    let newest = TraceQuery {
        workspace: "default".into(),
        environment: None,
        from_ns: None,
        to_ns: None,
        filter: Filter::everything(),
        sort: Sort::Start,
        after: None,
        limit: 50,
        now_ns: END_NS,
    };
    for text in [
        "",
        "status:error",
        "agent:agent-3",
        "agent:agent-47",
        "model:model-7",
        "user:user-11",
        "session:conversation-7",
        "model:model-7 agent:agent-47 status:error",
        "agent:nobody",
    ] {
        let filter = parse(text).unwrap_or_else(|_| Filter::everything());
        let query = TraceQuery { filter, ..newest.clone() };
        timed!(format!("newest 50 traces {text}"), store.traces(&query).await?);
        if text.starts_with("agent:agent-47") {
            let dearest = TraceQuery { sort: Sort::Cost, ..query };
            timed!(format!("dearest 50 traces {text}"), store.traces(&dearest).await?);
        }
    }
    for (name, field) in [("agents", TextField::Agent), ("users", TextField::User)] {
        let query =
            FacetQuery { traces: newest.clone(), field: FacetField::Text(field), limit: 20 };
        timed!(format!("values of {name}, all time"), store.facet(&query).await?);
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), StoreError> {
    let mut arguments = std::env::args().skip(1);
    let dir =
        arguments.next().map_or_else(|| std::env::temp_dir().join("staso-numbers"), PathBuf::from);
    let spans = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(200_000);
    let store = LocalStore::open(&dir, &Options::default())?;
    if store.stats().await?.spans == 0 {
        let before = Instant::now();
        fill(&store, spans).await?;
        println!("filled in {:.1} s", before.elapsed().as_secs_f64());
    }
    let stats = store.stats().await?;
    println!("{} spans, {} traces, {} MB", stats.spans, stats.traces, stats.bytes >> 20);
    ask_for_lists(&store).await?;
    ask(&store).await?;
    store.close().await
}
