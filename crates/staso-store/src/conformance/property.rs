//! Random writes, then random questions: the engine must answer as the memory store does.
//!
//! Ids, names and times come from tiny pools, so that versions collide, parents meet their
//! children, and filters find something.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use staso_model::{
    Annotation, AnnotationId, INTERRUPTED_ATTRIBUTE, Payload, Span, SpanKind, SpanStatus, Stage,
    Value,
};

use super::build::{annotation, process_id, receipt, span, span_id, trace_id, version};
use super::property_sums::{Sums, compare_sums, sums};
use super::{StoreFactory, reopen};
use crate::batch::Batch;
use crate::deletion::{Deleted, Deletion, TOMBSTONE_NS, Target};
use crate::memory::MemoryStore;
use crate::process::{ProcessSign, Sign};
use crate::query::{
    Comparison, FacetField, FacetQuery, Filter, NumberField, RunState, Sort, TextField, TextMatch,
    TraceQuery,
};
use crate::retention::{Retained, Retention};
use crate::rollup::ALIVE_FOR_NS;
use crate::traits::Store;

const CASES: u32 = 64;
pub(super) const WORKSPACES: [&str; 2] = ["a", "b"];
const WORDS: [&str; 6] = ["alpha", "Alpha", "beta", "βΣ", "a*b", ""];

#[derive(Debug, Clone)]
pub(super) enum Write {
    Append(Box<Batch>),
    Delete(&'static str, AnnotationId),
    Forget(Deletion),
    Retain(Retention),
    Reopen,
}

/// Runs the comparison over many random histories; shrinks the first that differs.
///
/// # Panics
/// Where the engine differs from the memory store.
pub fn engine_equals_memory<F: StoreFactory>(make: impl Fn() -> F) {
    let history = prop::collection::vec(write(), 1..14);
    let questions = prop::collection::vec(question(), 20..60);
    let sums = prop::collection::vec(sums(), 10..30);
    check(CASES, &(history, questions, sums), |(history, questions, sums)| {
        compare(make(), history, questions, sums)
    });
}

/// Runs a comparison over many random cases; shrinks the first that fails.
///
/// # Panics
/// Where one fails.
pub(super) fn check<S: Strategy, R: Future<Output = Result<(), TestCaseError>>>(
    cases: u32,
    strategy: &S,
    compare: impl Fn(S::Value) -> R,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let run = |case| runtime.block_on(compare(case));
    if let Err(failure) = TestRunner::new(config).run(strategy, run) {
        panic!("{failure}");
    }
}

async fn compare<F: StoreFactory>(
    factory: F,
    history: Vec<Write>,
    questions: Vec<FacetQuery>,
    sums: Vec<Sums>,
) -> Result<(), TestCaseError> {
    let memory = MemoryStore::new();
    let mut engine = factory.open().await;
    for write in history {
        engine = write_both(&factory, engine, &memory, write).await?;
    }
    compare_everything(&engine, &memory).await?;
    for question in questions {
        compare_question(&engine, &memory, question).await?;
    }
    for sums in sums {
        compare_sums(&engine, &memory, sums).await?;
    }
    Ok(())
}

/// Has both do the same, and compares what they answer. Answers the engine, opened again where that was it.
pub(super) async fn write_both<F: StoreFactory>(
    factory: &F,
    engine: F::Store,
    memory: &MemoryStore,
    write: Write,
) -> Result<F::Store, TestCaseError> {
    match write {
        Write::Append(batch) => {
            let wanted = memory.append((*batch).clone()).await.unwrap();
            prop_assert_eq!(engine.append(*batch).await.unwrap(), wanted);
        }
        Write::Delete(workspace, id) => {
            let wanted = memory.delete_annotation(workspace, &id).await.unwrap();
            prop_assert_eq!(engine.delete_annotation(workspace, &id).await.unwrap(), wanted);
        }
        Write::Forget(deletion) => {
            let wanted = memory.delete(&deletion).await.unwrap();
            let found = engine.delete(&deletion).await.unwrap();
            prop_assert_eq!(found.job == 0, wanted.job == 0);
            prop_assert_eq!(Deleted { job: 0, ..found }, Deleted { job: 0, ..wanted });
        }
        Write::Retain(retention) => {
            let wanted = memory.retain(&retention).await.unwrap();
            let found = engine.retain(&retention).await.unwrap();
            prop_assert_eq!(Retained { bytes: 0, ..found }, wanted);
        }
        Write::Reopen => return Ok(reopen(factory, engine).await),
    }
    Ok(engine)
}

async fn compare_everything<S: Store>(
    engine: &S,
    memory: &MemoryStore,
) -> Result<(), TestCaseError> {
    let (found, wanted) = (engine.stats().await.unwrap(), memory.stats().await.unwrap());
    prop_assert_eq!(
        (found.spans, found.traces, found.last_sequence),
        (wanted.spans, wanted.traces, wanted.last_sequence)
    );
    prop_assert_eq!(engine.workspaces().await.unwrap(), memory.workspaces().await.unwrap());
    let found = engine.open_processes().await.unwrap();
    prop_assert_eq!(found, memory.open_processes().await.unwrap());
    let processes = [2, 0, 3, 1].map(process_id);
    for workspace in WORKSPACES {
        let found = engine.lives(workspace, &processes).await.unwrap();
        prop_assert_eq!(found, memory.lives(workspace, &processes).await.unwrap());
        for trace in TRACES.map(trace_id) {
            for payloads in [true, false] {
                let now_ns = ALIVE_FOR_NS;
                let found = engine.trace(workspace, &trace, payloads, now_ns).await.unwrap();
                let wanted = memory.trace(workspace, &trace, payloads, now_ns).await.unwrap();
                prop_assert_eq!(&found, &wanted);
                for tree in found.into_iter().flat_map(|trace| trace.spans) {
                    let place = tree.place();
                    let id = tree.span.span_id;
                    let alone = engine.span(workspace, &trace, &id).await.unwrap();
                    prop_assert_eq!(alone.and_then(|found| found.place), Some(place));
                }
            }
            let found = engine.annotations(workspace, &trace).await.unwrap();
            prop_assert_eq!(found, memory.annotations(workspace, &trace).await.unwrap());
            for span in (0..6).map(span_id) {
                let found = engine.span(workspace, &trace, &span).await.unwrap();
                prop_assert_eq!(found, memory.span(workspace, &trace, &span).await.unwrap());
            }
        }
    }
    Ok(())
}

async fn compare_question<S: Store>(
    engine: &S,
    memory: &MemoryStore,
    question: FacetQuery,
) -> Result<(), TestCaseError> {
    let found = engine.facet(&question).await.unwrap();
    prop_assert_eq!(found, memory.facet(&question).await.unwrap());
    let mut query = question.traces;
    loop {
        let found = engine.traces(&query).await.unwrap();
        let wanted = memory.traces(&query).await.unwrap();
        prop_assert_eq!(&found, &wanted);
        match wanted.next {
            Some(next) => query.after = Some(next),
            None => return Ok(()),
        }
    }
}

const TRACES: [u8; 4] = [0, 1, 2, 3];

pub(super) fn write() -> impl Strategy<Value = Write> {
    let workspace = select(&WORKSPACES[..]);
    prop_oneof![
        12 => batch().prop_map(|batch| Write::Append(Box::new(batch))),
        2 => (workspace, 0..4_u8).prop_map(|(ws, id)| Write::Delete(ws, AnnotationId([id; 16]))),
        3 => deletion().prop_map(Write::Forget),
        2 => retention().prop_map(Write::Retain),
        1 => Just(Write::Reopen),
    ]
}

/// Tombstones that stand, with times amid those of the spans, and some that do not.
fn deletion() -> impl Strategy<Value = Deletion> {
    let target = prop_oneof![
        2 => select(&TRACES[..]).prop_map(|trace| Target::Trace(trace_id(trace))),
        1 => word().prop_map(Target::Session),
        2 => word().prop_map(Target::User),
    ];
    let at_ns = prop_oneof![6 => 0..6_i64, 1 => Just(2 - TOMBSTONE_NS), 1 => time()];
    (select(&WORKSPACES[..]), target, at_ns).prop_map(|(workspace, target, at_ns)| Deletion {
        workspace: workspace.to_owned(),
        target,
        at_ns,
    })
}

/// By age at any time; by size only where it is certain what an engine makes of it.
fn retention() -> impl Strategy<Value = Retention> {
    let before_ns = prop::option::weighted(0.9, prop_oneof![6 => 0..7_i64, 1 => time()]);
    let max_bytes = prop::option::weighted(0.2, select(vec![0, u64::MAX]));
    (select(&WORKSPACES[..]), before_ns, max_bytes).prop_map(|(workspace, before_ns, max_bytes)| {
        Retention { workspace: workspace.to_owned(), before_ns, max_bytes }
    })
}

prop_compose! {
    fn batch()(
        workspace in select(&WORKSPACES[..]),
        receipt_of in prop::option::weighted(0.3, (select(vec!["k1", "k2"]), 0..2_u8)),
        reply in prop::collection::vec(any::<u8>(), 0..3),
        spans in prop::collection::vec(random_span(), 0..6),
        annotations in prop::collection::vec(random_annotation(), 0..2),
        processes in prop::collection::vec(sign(), 0..2),
        received_ns in 1..3_i64,
    ) -> Batch {
        Batch {
            workspace: workspace.to_owned(),
            receipt: receipt_of.and_then(|(key, digest)| receipt(key, digest)),
            reply,
            spans,
            annotations,
            processes,
            received_ns,
        }
    }
}

/// Times at which states turn.
pub(super) fn time() -> impl Strategy<Value = i64> {
    prop_oneof![0..5_i64, ALIVE_FOR_NS..ALIVE_FOR_NS + 5, Just(i64::MIN), Just(i64::MAX)]
}

fn sign() -> impl Strategy<Value = ProcessSign> {
    let sign = (select(vec![Sign::Alive, Sign::Goodbye, Sign::Lost]), time());
    let sign = sign.prop_map(|(sign, ns)| sign(ns));
    (0..3_u8, sign)
        .prop_map(|(process, sign)| ProcessSign { process_id: process_id(process), sign })
}

fn random_annotation() -> impl Strategy<Value = Annotation> {
    let parts = (select(&WORKSPACES[..]), 0..4_u8, select(&TRACES[..]), 0..2_u8, 0..3_i64);
    parts.prop_map(|(workspace, id, trace, name, created_ns)| Annotation {
        workspace: workspace.to_owned(),
        created_ns,
        span_id: (id == 3).then(|| span_id(1)),
        ..annotation(id, trace, &format!("name {name}"), 0.5)
    })
}

/// Now and then a text so long that an index may have only its beginning, which is that of another, too.
pub(super) fn word() -> impl Strategy<Value = String> {
    let ends = select(vec!["", "a", "A", "é"]);
    prop_oneof![
        12 => select(&WORDS[..]).prop_map(str::to_owned),
        1 => (0..2_usize, ends).prop_map(|(more, end)| "é".repeat(127 + more) + end),
    ]
}

fn maybe_word() -> impl Strategy<Value = Option<String>> {
    prop::option::weighted(0.4, word())
}

prop_compose! {
    fn identity()(
        workspace in select(&WORKSPACES[..]),
        trace in select(&TRACES[..]),
        id in 0..6_u64,
        parent in 0..6_u64,
        stage in select(vec![Stage::Open, Stage::Interrupted, Stage::Ended]),
        client in 0..3_u64,
        received_ns in prop_oneof![0..3_i64, time()],
        sequence in 0..3_u64,
        start_ns in prop_oneof![8 => 0..6_i64, 1 => any::<i64>()],
        end_ns in prop::option::weighted(0.7, prop_oneof![8 => 0..9_i64, 1 => any::<i64>()]),
    ) -> Span {
        Span {
            workspace: workspace.to_owned(),
            version: version(stage, client, received_ns, sequence),
            start_ns,
            end_ns,
            ..span(trace, id, parent)
        }
    }
}

prop_compose! {
    fn random_span()(
        base in identity(),
        name in word(),
        kind in select(SpanKind::ALL),
        status in select(SpanStatus::ALL),
        dropped in prop::bool::weighted(0.15),
        interrupted in prop::bool::weighted(0.15),
        texts in prop::array::uniform9(maybe_word()),
        numbers in prop::array::uniform2(prop::option::of(prop_oneof![0..4_i64, any::<i64>()])),
        process in prop::option::of(0..3_u8),
        attribute in prop::option::of(value()),
        of_trace in any::<bool>(),
        sample_rate in prop::option::weighted(0.3, select(vec![1.0, 0.5, 0.3, 0.01, 1e-9])),
    ) -> Span {
        let [error, input, environment, service, agent, version, session, model, tag] = texts;
        let mut span = Span {
            name,
            kind,
            status,
            dropped,
            error_message: error,
            input: input.map(Payload::text),
            environment: environment.clone(),
            service,
            agent_name: agent,
            agent_version: version,
            session_id: session,
            user_id: environment,
            provider: model.clone(),
            model,
            tags: tag.into_iter().collect(),
            cost_nano_usd: numbers[0],
            process_id: process.map(process_id),
            sample_rate,
            attributes: attribute.map(|value| ("k".to_owned(), value)).into_iter().collect(),
            ..base
        };
        span.usage.output = numbers[1];
        span.usage.is_of_trace = of_trace;
        if interrupted {
            span.attributes.push((INTERRUPTED_ATTRIBUTE.to_owned(), Value::Bool(true)));
        }
        span
    }
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        word().prop_map(Value::String),
        any::<bool>().prop_map(Value::Bool),
        (0..2_i64).prop_map(Value::Int),
        Just(Value::Double(f64::NAN)),
        Just(Value::Null),
        word().prop_map(|word| Value::Map(vec![("n".to_owned(), Value::String(word))])),
    ]
}

fn text_match() -> impl Strategy<Value = TextMatch> {
    prop_oneof![
        word().prop_map(TextMatch::Equals),
        select(vec!["a", "ET", "", "Σ", "x"]).prop_map(|part| TextMatch::Contains(part.into())),
        select(vec!["*", "a*", "*A", "*l*h*", "b"]).prop_map(|p| TextMatch::Pattern(p.into())),
    ]
}

fn text_field() -> impl Strategy<Value = TextField> {
    use TextField::{Agent, AgentVersion, Environment, Model, Name, Service, Session, Tag, User};
    select(vec![Name, Agent, AgentVersion, Service, Environment, Session, User, Model, Tag])
}

/// What people ask most: a text or two that must be there whole, and perhaps something else.
fn texts() -> impl Strategy<Value = Filter> {
    let text = || {
        (text_field(), word())
            .prop_map(|(field, text)| Filter::Text(field, TextMatch::Equals(text)))
    };
    let status = || select(SpanStatus::ALL).prop_map(Filter::Status);
    let term = move || prop_oneof![4 => text(), 1 => status()];
    prop::collection::vec(term(), 1..3).prop_map(Filter::All)
}

/// What a name or metadata must say, perhaps with a text or a time beside: what an engine may find by other means than
/// by reading spans.
fn of_spans() -> impl Strategy<Value = Filter> {
    let part = || select(vec!["ALPHA", "a", "", "σ", "nothing"]).prop_map(str::to_owned);
    let term = move || {
        prop_oneof![
            1 => part().prop_map(Filter::SpanName),
            3 => (select(vec!["k", "k.n"]), text_match())
                .prop_map(|(path, text)| Filter::Metadata(path.to_owned(), text)),
        ]
    };
    let beside = prop::option::weighted(0.3, texts());
    (prop::collection::vec(term(), 1..3), beside).prop_map(|(mut all, beside)| {
        all.extend(beside);
        Filter::All(all)
    })
}

pub(super) fn filter() -> impl Strategy<Value = Filter> {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
    use NumberField::{CostNanoUsd, DurationNs, Errors, Spans, Tokens};
    let number = (
        select(vec![DurationNs, CostNanoUsd, Tokens, Spans, Errors]),
        select(vec![Equal, Less, LessOrEqual, Greater, GreaterOrEqual]),
        prop_oneof![6 => 0..6_i64, 1 => time()],
    );
    let part = || select(vec!["ALPHA", "a", "", "σ", "nothing"]).prop_map(str::to_owned);
    let leaf = prop_oneof![
        2 => select(&RunState::ALL[..]).prop_map(Filter::State),
        1 => select(SpanStatus::ALL).prop_map(Filter::Status),
        1 => select(SpanKind::ALL).prop_map(Filter::Kind),
        2 => (text_field(), text_match()).prop_map(|(field, text)| Filter::Text(field, text)),
        1 => part().prop_map(Filter::SpanName),
        1 => part().prop_map(Filter::Anywhere),
        1 => select(&TRACES[..]).prop_map(|trace| Filter::Trace(trace_id(trace))),
        3 => number.prop_map(|(field, comparison, n)| Filter::Number(field, comparison, n)),
        1 => (select(vec!["k", "k.n", "n"]), text_match())
            .prop_map(|(path, text)| Filter::Metadata(path.to_owned(), text)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::All),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::Any),
            inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    })
}

prop_compose! {
    fn question()(
        workspace in select(vec!["a", "b", "nowhere"]),
        environment in prop::option::weighted(0.2, word()),
        from_ns in prop::option::weighted(0.2, 0..4_i64),
        to_ns in prop::option::weighted(0.2, 0..6_i64),
        filter in prop_oneof![2 => Just(Filter::everything()), 2 => texts(), 3 => of_spans(), 8 => filter()],
        sort in select(vec![Sort::Start, Sort::Duration, Sort::Cost, Sort::Tokens, Sort::Spans]),
        limit in 1..4_usize,
        now_ns in time(),
        field in prop_oneof![
            text_field().prop_map(FacetField::Text),
            select(vec![FacetField::Kind, FacetField::Status, FacetField::State]),
        ],
    ) -> FacetQuery {
        let traces = TraceQuery {
            workspace: workspace.to_owned(),
            environment,
            from_ns,
            to_ns,
            filter,
            sort,
            after: None,
            limit,
            now_ns,
        };
        FacetQuery { traces, field, limit: 3 }
    }
}
