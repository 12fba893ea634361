//! Answers in each format, read back by a reader of that format: the same columns, types and rows.

use std::fs::File;
use std::io::Cursor;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use staso_sql::engine::arrow::array::{Array as _, AsArray as _, RecordBatch};
use staso_sql::engine::arrow::compute::concat_batches;
use staso_sql::engine::arrow::csv::ReaderBuilder;
use staso_sql::engine::arrow::datatypes::{
    DataType, Field, Float64Type, Int64Type, Schema, TimeUnit,
};
use staso_sql::engine::arrow::ipc::reader::StreamReader;
use staso_sql::engine::parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use super::{accept, ask, turn};
use crate::program::{Serving, run, text};

/// Every type that a column of the tables has, and a null in each.
const ALL_TYPES: &str = "select trace_id, start_ns, started_at, tags, cost_incomplete,
      case when trace_id like '%2' then 0.1 end as share, input_preview as said, session_id,
      agents = tags as never
    from traces where trace_id < '00000000000000000000000000000004' order by trace_id";

fn body(server: &Serving, sql: &str, format: &str) -> Vec<u8> {
    let answered = ask(server, &json!({"sql": sql, "format": format}));
    assert_eq!(answered.status, 200, "{format}: {}", String::from_utf8_lossy(&answered.body));
    assert!(answered.cut.is_none());
    answered.body
}

fn read_arrow(bytes: Vec<u8>) -> RecordBatch {
    let reader = StreamReader::try_new(Cursor::new(bytes), None).unwrap();
    let schema = reader.schema();
    concat_batches(&schema, &reader.map(Result::unwrap).collect::<Vec<_>>()).unwrap()
}

fn read_parquet(bytes: Vec<u8>, dir: &std::path::Path) -> RecordBatch {
    let path = dir.join("answer.parquet");
    std::fs::write(&path, bytes).unwrap();
    read_parquet_file(&path)
}

fn read_parquet_file(path: &std::path::Path) -> RecordBatch {
    let reader = ParquetRecordBatchReader::try_new(File::open(path).unwrap(), 1024).unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

/// CSV has no lists: there they are read as texts.
fn read_csv(bytes: Vec<u8>, schema: &Schema) -> RecordBatch {
    let flat = |field: &Arc<Field>| match field.data_type() {
        DataType::List(_) => Field::new(field.name(), DataType::Utf8, true),
        _ => field.as_ref().clone(),
    };
    let schema = Arc::new(Schema::new(schema.fields().iter().map(flat).collect::<Vec<_>>()));
    let reader = ReaderBuilder::new(Arc::clone(&schema)).with_header(true);
    let reader = reader.build(Cursor::new(bytes)).unwrap();
    concat_batches(&schema, &reader.map(Result::unwrap).collect::<Vec<_>>()).unwrap()
}

#[test]
fn every_format_is_read_back_with_the_same_rows() {
    let dir = tempfile::tempdir().unwrap();
    let server = Serving::start(&dir.path().join("home"));
    let mut turns: Vec<Json> = (1..=3).map(turn).collect();
    turns[2]["session_id"] = Json::Null;
    turns[0]["spans"][1]["input"] = json!("a \"quoted\", long\nline · 订单");
    accept(&server, "k", &turns);

    let arrow = read_arrow(body(&server, ALL_TYPES, "arrow"));
    let types: Vec<&DataType> = arrow.schema_ref().fields().iter().map(|f| f.data_type()).collect();
    let utc = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
    assert_eq!(
        [types[0], types[1], types[2], types[5]],
        [&DataType::Utf8, &DataType::Int64, &utc, &DataType::Float64]
    );
    assert_eq!(arrow.num_rows(), 3);
    assert_eq!(arrow.column(0).as_string::<i32>().value(1), format!("{:032x}", 2));
    let starts = arrow.column(1).as_primitive::<Int64Type>();
    assert_eq!(starts.value(2), 1_767_225_603_000_000_000);
    let tags = arrow.column(3).as_list::<i32>().value(0);
    assert_eq!((tags.len(), tags.as_string::<i32>().value(1)), (2, "n1"));
    let share = arrow.column(5).as_primitive::<Float64Type>();
    assert_eq!((share.is_null(0), share.value(1)), (true, 0.1));
    assert_eq!(arrow.column(6).as_string::<i32>().value(0), "a \"quoted\", long\nline · 订单");
    assert!(arrow.column(7).is_null(2) && !arrow.column(8).as_boolean().value(0));

    let parquet = read_parquet(body(&server, ALL_TYPES, "parquet"), dir.path());
    assert_eq!(parquet.schema_ref().fields(), arrow.schema_ref().fields());
    assert_eq!(parquet.columns(), arrow.columns());

    let csv = read_csv(body(&server, ALL_TYPES, "csv"), arrow.schema_ref());
    for (place, column) in arrow.columns().iter().enumerate().filter(|(place, _)| *place != 3) {
        assert_eq!(csv.column(place), column, "column {place}");
    }
    let tags: Json = serde_json::from_str(csv.column(3).as_string::<i32>().value(2)).unwrap();
    assert_eq!(tags, json!(["hot", "n3"]));

    let answer: Json = serde_json::from_slice(&body(&server, ALL_TYPES, "json")).unwrap();
    let names: Vec<&str> =
        answer["columns"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    let fields = arrow.schema_ref().fields();
    assert_eq!(names, fields.iter().map(|field| field.name().as_str()).collect::<Vec<_>>());
    assert_eq!(
        answer["rows"][1],
        json!([
            format!("{:032x}", 2),
            "1767225602000000000",
            "2026-01-01T00:00:02Z",
            ["hot", "n2"],
            true,
            0.1,
            null,
            "c-0",
            false
        ])
    );
    assert_eq!(answer["rows"][0][6], "a \"quoted\", long\nline · 订单");
    assert_eq!((&answer["row_count"], &answer["rows"][2][7]), (&json!(3), &Json::Null));
}

#[test]
fn an_answer_without_rows_has_its_columns_in_every_format() {
    let dir = tempfile::tempdir().unwrap();
    let server = Serving::start(&dir.path().join("home"));
    let sql = "select name, start_ns, tags from spans where false";
    let names = ["name", "start_ns", "tags"];
    let of = |schema: &Schema| -> Vec<String> {
        schema.fields().iter().map(|field| field.name().clone()).collect()
    };
    let arrow = read_arrow(body(&server, sql, "arrow"));
    assert_eq!((of(arrow.schema_ref()), arrow.num_rows()), (names.map(str::to_owned).into(), 0));
    let path = dir.path().join("none.parquet");
    std::fs::write(&path, body(&server, sql, "parquet")).unwrap();
    let mut parquet = ParquetRecordBatchReader::try_new(File::open(&path).unwrap(), 1).unwrap();
    assert!(parquet.next().is_none());
    assert_eq!(body(&server, sql, "csv"), b"name,start_ns,tags\n");
    let answer: Json = serde_json::from_slice(&body(&server, sql, "json")).unwrap();
    assert_eq!((&answer["rows"], &answer["columns"][2]["name"]), (&json!([]), &json!("tags")));
}

#[test]
fn files_of_the_command_line_are_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let server = Serving::start(&dir.path().join("home"));
    accept(&server, "k", &(1..=3).map(turn).collect::<Vec<_>>());
    let write = |format: &str| {
        let path = dir.path().join(format!("answer.{format}"));
        let sql = "select * from spans order by trace_id, span_id";
        let wrote =
            run(&server.home, &["query", sql, "--format", format, "-o", path.to_str().unwrap()]);
        assert!(wrote.status.success(), "{}", text(&wrote.stderr));
        path
    };
    let parquet = read_parquet_file(&write("parquet"));
    let arrow = read_arrow(std::fs::read(write("arrow")).unwrap());
    assert_eq!(parquet.num_rows(), 6);
    assert_eq!(parquet.columns(), arrow.columns());
    let json: Json = serde_json::from_reader(File::open(write("json")).unwrap()).unwrap();
    assert_eq!(json["rows"].as_array().unwrap().len(), 6);
}
