//! The tables that people ask: names, types and units as `docs/reference/sql.md` has them, made from the
//! columns that are stored.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::datasource::ViewTable;
use datafusion::prelude::SessionContext;

use super::functions;
use super::stored::Stored;
use crate::protocol::TableName;

/// A table's name, and what makes it from the stored one of the same name.
const VIEWS: [(TableName, &str, &str); 3] = [
    (TableName::Spans, "spans", SPANS),
    (TableName::Traces, "traces", TRACES),
    (TableName::Annotations, "annotations", ANNOTATIONS),
];

const SPANS: &str = "
    SELECT id_text(trace_id, 32) AS trace_id, id_text(span_id, 16) AS span_id,
      id_text(parent_span_id, 16) AS parent_span_id, name, kind,
      CASE status WHEN 'unset' THEN 'ok' ELSE status END AS status, stage,
      arrow_cast(start_ns, 'Timestamp(Nanosecond, Some(\"UTC\"))') AS started_at,
      arrow_cast(end_ns, 'Timestamp(Nanosecond, Some(\"UTC\"))') AS ended_at,
      start_ns, end_ns, end_ns - start_ns AS duration_ns, error_message, environment, service,
      agent_name, agent_id, agent_version, session_id, user_id, provider, model, requested_model,
      reasoning_effort, input_tokens, output_tokens, total_tokens, tokens_are_of_trace,
      cost_nano_usd, client_cost_nano_usd, json_texts(tags) AS tags, attributes, input, output, events,
      sample_rate, id_text(process_id, 32) AS process_id, received_ns
    FROM stored WHERE dropped IS NOT TRUE";

const TRACES: &str = "
    SELECT trace_id, root_span_id, name, kind, status, state,
      arrow_cast(start_ns, 'Timestamp(Nanosecond, Some(\"UTC\"))') AS started_at,
      arrow_cast(end_ns, 'Timestamp(Nanosecond, Some(\"UTC\"))') AS ended_at,
      start_ns, end_ns, end_ns - start_ns AS duration_ns, span_count, error_count, open_count,
      environment, service, agent_name, agent_version, session_id, user_id,
      json_texts(agents) AS agents, json_texts(models) AS models, json_texts(kinds) AS kinds,
      json_texts(tags) AS tags, input_tokens, output_tokens, total_tokens, cost_nano_usd,
      cost_incomplete, input_preview, output_preview, error_message, repaired_count, sample_rate,
      received_ns
    FROM stored";

const ANNOTATIONS: &str = "
    SELECT id, trace_id, span_id, name, data_type,
      coalesce(label, arrow_cast(number, 'Utf8'), arrow_cast(boolean, 'Utf8')) AS value,
      number, label, boolean, comment, source, author,
      arrow_cast(created_ns, 'Timestamp(Nanosecond, Some(\"UTC\"))') AS created_at, created_ns
    FROM stored";

/// Ids, texts, integers, numbers and flags of the stored columns.
const ID: DataType = DataType::FixedSizeBinary(16);
const TEXT: DataType = DataType::Utf8;
const INT: DataType = DataType::Int64;
const REAL: DataType = DataType::Float64;
const FLAG: DataType = DataType::Boolean;

/// The stored columns that the views read, by their names in the files.
fn stored_columns(table: TableName) -> Vec<(&'static str, DataType)> {
    let all = |kind: &DataType, names: &'static str| -> Vec<(&'static str, DataType)> {
        names.split_whitespace().map(|name| (name, kind.clone())).collect()
    };
    match table {
        TableName::Spans => [
            all(&ID, "trace_id span_id parent_span_id process_id"),
            all(
                &TEXT,
                "stage name kind status error_message environment service agent_name agent_id \
                 agent_version session_id user_id provider model requested_model reasoning_effort \
                 tags attributes input output events",
            ),
            all(
                &INT,
                "received_ns start_ns end_ns input_tokens output_tokens total_tokens cost_nano_usd \
                 client_cost_nano_usd",
            ),
            all(&REAL, "sample_rate"),
            all(&FLAG, "dropped tokens_are_of_trace"),
        ]
        .concat(),
        TableName::Traces => [
            all(
                &TEXT,
                "trace_id root_span_id name kind status state environment service agent_name \
                 agent_version session_id user_id agents models kinds tags input_preview \
                 output_preview error_message",
            ),
            all(
                &INT,
                "start_ns end_ns span_count error_count open_count input_tokens output_tokens \
                 total_tokens cost_nano_usd repaired_count received_ns",
            ),
            all(&REAL, "sample_rate"),
            all(&FLAG, "cost_incomplete"),
        ]
        .concat(),
        TableName::Annotations => [
            all(&TEXT, "id trace_id span_id name data_type label comment source author"),
            all(&INT, "created_ns"),
            all(&REAL, "number"),
            all(&FLAG, "boolean"),
        ]
        .concat(),
    }
}

pub(super) fn schema(table: TableName) -> SchemaRef {
    let columns = stored_columns(table).into_iter();
    let fields: Vec<Field> = columns.map(|(name, kind)| Field::new(name, kind, true)).collect();
    Arc::new(Schema::new(fields))
}

/// Registers the views, and answers the tables that they need filled.
pub(super) async fn register(context: &SessionContext) -> Result<Vec<Arc<Stored>>> {
    let mut tables = Vec::new();
    for (table, name, sql) in VIEWS {
        let stored = Arc::new(Stored::new(table, schema(table)));
        // In a context of its own, so that nobody can name what is stored.
        let workshop = SessionContext::new();
        functions::inner().into_iter().for_each(|function| workshop.register_udf(function));
        workshop.register_table("stored", Arc::clone(&stored) as _)?;
        let plan = workshop.sql(sql).await?.into_unoptimized_plan();
        context.register_table(name, Arc::new(ViewTable::new(plan, None)))?;
        tables.push(stored);
    }
    Ok(tables)
}
