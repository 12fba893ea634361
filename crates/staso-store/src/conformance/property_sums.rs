//! Random questions for sums: metrics, agents, conversations.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestCaseError;

use super::build::trace_id;
use super::property::{filter, time, word};
use crate::conversations::{ConversationsQuery, TurnsQuery};
use crate::memory::MemoryStore;
use crate::metrics::{AgentSort, AgentsQuery, GroupBy, Measure, MetricsQuery};
use crate::query::Filter;
use crate::traits::Store;

/// One random scope, asked for in every way.
#[derive(Debug, Clone)]
pub(super) struct Sums {
    pub(super) metrics: MetricsQuery,
    sort: AgentSort,
    turns: TurnsQuery,
}

/// The engine's answers must be the memory store's, refusals included.
pub(super) async fn compare_sums<S: Store>(
    engine: &S,
    memory: &MemoryStore,
    sums: Sums,
) -> Result<(), TestCaseError> {
    let Sums { metrics, sort, mut turns } = sums;
    let wanted = memory.metrics(&metrics).await.map_err(|e| e.to_string());
    prop_assert_eq!(engine.metrics(&metrics).await.map_err(|e| e.to_string()), wanted);
    let agents = agents(&metrics, sort);
    let wanted = memory.agents(&agents).await.unwrap();
    prop_assert_eq!(engine.agents(&agents).await.unwrap(), wanted);
    let mut list = ConversationsQuery {
        workspace: agents.workspace,
        environment: agents.environment,
        from_ns: agents.from_ns,
        to_ns: agents.to_ns,
        filter: agents.filter,
        after: None,
        limit: agents.limit,
        now_ns: agents.now_ns,
    };
    loop {
        let wanted = memory.conversations(&list).await.unwrap();
        prop_assert_eq!(&engine.conversations(&list).await.unwrap(), &wanted);
        list.after = wanted.next;
        if list.after.is_none() {
            break;
        }
    }
    loop {
        let wanted = memory.conversation(&turns).await.unwrap();
        prop_assert_eq!(&engine.conversation(&turns).await.unwrap(), &wanted);
        turns.after = wanted.and_then(|turns| turns.next);
        if turns.after.is_none() {
            return Ok(());
        }
    }
}

fn agents(metrics: &MetricsQuery, sort: AgentSort) -> AgentsQuery {
    AgentsQuery {
        workspace: metrics.workspace.clone(),
        environment: metrics.environment.clone(),
        from_ns: Some(metrics.from_ns()).filter(|_| metrics.limit > 1),
        to_ns: Some(metrics.to_ns()).filter(|_| metrics.limit > 2),
        filter: metrics.filter.clone(),
        sort,
        limit: metrics.limit,
        now_ns: metrics.now_ns,
    }
}

prop_compose! {
    pub(super) fn sums()(
        workspace in select(vec!["a", "b", "nowhere"]),
        environment in prop::option::weighted(0.2, word()),
        filter in prop_oneof![1 => Just(Filter::everything()), 1 => filter()],
        edges in prop::collection::btree_set(prop_oneof![6 => 0..7_i64, 1 => time()], 2..5),
        measures in prop::collection::vec(select(Measure::all().collect::<Vec<_>>()), 1..5),
        group_by in prop::option::weighted(0.8, select(GroupBy::all().collect::<Vec<_>>())),
        limit in 1..4_usize,
        now_ns in time(),
        sort in select(vec![
            AgentSort::Runs, AgentSort::Errors, AgentSort::Duration, AgentSort::Tokens,
            AgentSort::Cost, AgentSort::Latest,
        ]),
        session_id in word(),
        after in prop::option::weighted(0.2, (0..4_i64, 0..4_u8)),
    ) -> Sums {
        let workspace = workspace.to_owned();
        let after = after.map(|(start_ns, trace)| (start_ns, trace_id(trace)));
        let turns = TurnsQuery { workspace: workspace.clone(), session_id, after, limit, now_ns };
        let edges = edges.into_iter().collect();
        let metrics = MetricsQuery {
            workspace, environment, filter, edges, measures, group_by, limit, now_ns,
        };
        Sums { metrics, sort, turns }
    }
}
