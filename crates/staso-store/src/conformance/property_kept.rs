//! The same few questions for sums after each of many writes: an engine that keeps what it added up must see
//! every change, also one to a trace that reaches over hours, and one that moves, hides or takes a span.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::StoreFactory;
use super::property::{Write, check, write, write_both};
use super::property_sums::{Sums, compare_sums, sums};
use crate::memory::MemoryStore;
use crate::query::Filter;

const CASES: u32 = 48;
/// Times of the histories are numbers below ten: so long is one of their steps here.
const STEP_NS: i64 = 7 * 3_600_000_000_000;
const SMALL: i64 = 10;

/// Runs the comparison over many random histories; shrinks the first that differs.
///
/// # Panics
/// Where the engine differs from the memory store.
pub fn kept_sums_follow_changes<F: StoreFactory>(make: impl Fn() -> F) {
    let history = prop::collection::vec(write().prop_map(stretched), 2..20);
    let questions = prop::collection::vec(sums().prop_map(asked), 2..6);
    check(CASES, &(history, questions), |(history, questions)| compare(make(), history, questions));
}

async fn compare<F: StoreFactory>(
    factory: F,
    history: Vec<Write>,
    questions: Vec<Sums>,
) -> Result<(), TestCaseError> {
    let memory = MemoryStore::new();
    let mut engine = factory.open().await;
    for write in history {
        engine = write_both(&factory, engine, &memory, write).await?;
        for question in &questions {
            compare_sums(&engine, &memory, question.clone()).await?;
        }
    }
    Ok(())
}

/// Small times lie hours apart; the others stay at the ends of all times.
fn later(time_ns: i64) -> i64 {
    if (0..SMALL).contains(&time_ns) { time_ns * STEP_NS } else { time_ns }
}

fn stretched(write: Write) -> Write {
    match write {
        Write::Append(mut batch) => {
            for span in &mut batch.spans {
                span.start_ns = later(span.start_ns);
                span.end_ns = span.end_ns.map(later);
            }
            Write::Append(batch)
        }
        Write::Forget(mut deletion) => {
            deletion.at_ns = later(deletion.at_ns);
            Write::Forget(deletion)
        }
        Write::Retain(mut retention) => {
            retention.before_ns = retention.before_ns.map(later);
            Write::Retain(retention)
        }
        other => other,
    }
}

/// Without a filter: else nothing is kept. The edges are hours in most questions, and within them in some.
fn asked(mut sums: Sums) -> Sums {
    sums.metrics.filter = Filter::everything();
    sums.metrics.now_ns = later(sums.metrics.now_ns);
    let is_within = sums.metrics.limit == 1;
    for edge in &mut sums.metrics.edges {
        *edge = later(*edge);
        if is_within {
            *edge = edge.saturating_add(1);
        }
    }
    sums.metrics.edges.sort_unstable();
    sums.metrics.edges.dedup();
    sums
}
