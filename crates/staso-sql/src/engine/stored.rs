//! A table as it is stored: Parquet files that come after the query was planned, less the rows that do
//! not count. What people ask for are views of these ([`super::views`]).

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;

use super::files::Files;
use crate::protocol::TableName;

/// One stored table.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) table: TableName,
    schema: SchemaRef,
    files: OnceLock<Arc<Files>>,
}

impl Stored {
    pub(super) fn new(table: TableName, schema: SchemaRef) -> Self {
        Self { table, schema, files: OnceLock::new() }
    }

    /// Where its files are found by the engine.
    pub(super) fn url(&self) -> Result<ObjectStoreUrl> {
        ObjectStoreUrl::parse(match self.table {
            TableName::Spans => "staso://spans",
            TableName::Traces => "staso://traces",
            TableName::Annotations => "staso://annotations",
        })
    }

    /// Gives the table its files, once.
    pub(super) fn fill(&self, files: Arc<Files>) {
        // Files come once for each table; a second time would change nothing.
        let _ = self.files.set(files);
    }

    /// The files in as many groups as are read at one time, of about the same size.
    fn groups(files: &Files, groups: usize) -> Vec<FileGroup> {
        let mut numbers: Vec<usize> = (0..files.0.len()).collect();
        numbers.sort_by_key(|number| std::cmp::Reverse(files.0[*number].bytes));
        let mut filled = vec![(0_u64, Vec::new()); groups.clamp(1, numbers.len().max(1))];
        for number in numbers {
            let handed = &files.0[number];
            let mut file = PartitionedFile::new(number.to_string(), handed.bytes);
            if let Some(selection) = handed.selection() {
                file = file.with_extension(ParquetRowSelection::new(selection));
            }
            if let Some((bytes, group)) = filled.iter_mut().min_by_key(|(bytes, _)| *bytes) {
                *bytes += handed.bytes;
                group.push(file);
            }
        }
        filled.into_iter().map(|(_, group)| FileGroup::new(group)).collect()
    }
}

#[async_trait]
impl TableProvider for Stored {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let files = self
            .files
            .get()
            .ok_or_else(|| DataFusionError::Internal("the table has no files yet".to_owned()))?;
        if files.0.is_empty() {
            let schema = match projection {
                Some(columns) => Arc::new(self.schema.project(columns)?),
                None => Arc::clone(&self.schema),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let options = TableParquetOptions {
            global: state.config_options().execution.parquet.clone(),
            ..TableParquetOptions::default()
        };
        let source = ParquetSource::new(Arc::clone(&self.schema))
            .with_table_parquet_options(options)
            .with_pushdown_filters(true);
        // Conditions find their way down by themselves. No statistics are given: those of a file count
        // the rows that do not count.
        let config = FileScanConfigBuilder::new(self.url()?, Arc::new(source))
            .with_file_groups(Self::groups(files, state.config().target_partitions()))
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}
