//! One query's engine: what it knows, what it refuses, how it fails.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::catalog::default_table_source::DefaultTableSource;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::files::{Files, Handed};
use super::stored::Stored;
use super::{functions, views};
use crate::protocol::{Failure, Limits, Problem, TableName};

/// The engine counts what it builds up, not what passes through: it may have so much of the memory.
const COUNTED_SHARE: (u64, u64) = (5, 8);

/// One query's engine.
pub(super) struct Session {
    context: SessionContext,
    tables: Vec<Arc<Stored>>,
}

impl Session {
    pub(super) fn new(limits: &Limits) -> std::result::Result<Self, Failure> {
        let context = context(limits).map_err(|e| failure(&e))?;
        Ok(Self { context, tables: Vec::new() })
    }

    /// What the text says, optimised. Only reading is a query.
    pub(super) async fn plan(&mut self, sql: &str) -> std::result::Result<LogicalPlan, Failure> {
        self.tables = views::register(&self.context).await.map_err(|e| failure(&e))?;
        let state = self.context.state();
        let plan = state.create_logical_plan(sql).await.map_err(|e| failure(&e))?;
        let only_reading = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        only_reading
            .verify_plan(&plan)
            .map_err(|e| Failure { problem: Problem::Forbidden, message: words(&e) })?;
        state.optimize(&plan).map_err(|e| failure(&e))
    }

    /// Gives the tables their files.
    pub(super) fn fill(
        &self,
        handed: Vec<(TableName, Handed)>,
    ) -> std::result::Result<(), Failure> {
        let mut handed = handed;
        for table in &self.tables {
            let (own, rest) = handed.into_iter().partition(|(name, _)| *name == table.table);
            handed = rest;
            let files = own.into_iter().map(|(_, file): (_, Handed)| file).collect();
            let files = Arc::new(Files(files));
            let url = table.url().map_err(|e| failure(&e))?;
            self.context.register_object_store(url.as_ref(), Arc::clone(&files) as _);
            table.fill(files);
        }
        Ok(())
    }

    /// Begins to compute.
    pub(super) async fn run(
        &self,
        plan: &LogicalPlan,
    ) -> std::result::Result<SendableRecordBatchStream, Failure> {
        let state = self.context.state();
        let physical = state.query_planner().create_physical_plan(plan, &state).await;
        let physical = physical.map_err(|e| failure(&e))?;
        execute_stream(physical, state.task_ctx()).map_err(|e| failure(&e))
    }
}

fn context(limits: &Limits) -> Result<SessionContext> {
    let mut config = SessionConfig::new()
        .with_target_partitions(limits.threads.max(1))
        .with_information_schema(true)
        // Files are read whole, each by one thread: most have one row group.
        .with_repartition_file_scans(false);
    let options = config.options_mut();
    options.sql_parser.collect_spans = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.execution.parquet.schema_force_view_types = false;
    let counted = limits.memory_bytes / COUNTED_SHARE.1 * COUNTED_SHARE.0;
    let pool: Arc<dyn MemoryPool> =
        Arc::new(GreedyMemoryPool::new(usize::try_from(counted).unwrap_or(usize::MAX)));
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(pool)
        .with_disk_manager_builder(
            DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled),
        )
        .build_arc()?;
    // Nothing can be read by its path. It is registered by default.
    runtime.deregister_object_store(ObjectStoreUrl::parse("file://")?.as_ref())?;
    let context = SessionContext::new_with_state(state(config, runtime));
    functions::public().into_iter().for_each(|function| context.register_udf(function));
    Ok(context)
}

/// Every function there is, no format of files and nothing that makes tables. Formats are not taken away
/// again but never named, so that their readers and writers are not in the program.
fn state(config: SessionConfig, runtime: Arc<RuntimeEnv>) -> SessionState {
    SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_expr_planners(SessionStateDefaults::default_expr_planners())
        .with_scalar_functions(SessionStateDefaults::default_scalar_functions())
        .with_higher_order_functions(SessionStateDefaults::default_higher_order_functions())
        .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
        .with_window_functions(SessionStateDefaults::default_window_functions())
        .with_table_function_list(SessionStateDefaults::default_table_functions())
        .build()
}

/// The tables that a plan reads.
pub(super) fn needs(plan: &LogicalPlan) -> std::result::Result<Vec<TableName>, Failure> {
    let mut needs = BTreeSet::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some(source) = scan.source.downcast_ref::<DefaultTableSource>()
            && let Some(stored) = source.table_provider.downcast_ref::<Stored>()
        {
            needs.insert(stored.table);
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(|e| failure(&e))?;
    Ok(needs.into_iter().collect())
}

/// A failure of the engine, told to who wrote the query.
pub(super) fn failure(error: &DataFusionError) -> Failure {
    let problem = match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => Problem::Memory,
        DataFusionError::Internal(_)
        | DataFusionError::ParquetError(_)
        | DataFusionError::ObjectStore(_)
        | DataFusionError::IoError(_)
        | DataFusionError::ExecutionJoin(_) => Problem::Internal,
        _ => Problem::Query,
    };
    Failure { problem, message: words(error) }
}

fn words(error: &DataFusionError) -> String {
    let mut words = error.strip_backtrace();
    if let Some(span) = error.diagnostic().and_then(|diagnostic| diagnostic.span)
        && span.start.line > 0
    {
        words.push_str(&format!(" (line {}, column {})", span.start.line, span.start.column));
    }
    words
}
