//! The engine without its process: rows that do not count, and answers that read back the same.

use std::fs::File;
use std::io::Seek as _;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::ipc::reader::StreamReader;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use datafusion::parquet::file::properties::WriterProperties;

use super::files::Handed;
use super::session::{Session, needs};
use super::{answer, views};
use crate::protocol::{Format, Job, Limits, Problem, Summary, TableName};

const LIMITS: Limits =
    Limits { rows: 1000, bytes: 1 << 20, memory_bytes: 1 << 30, cpu_secs: 60, threads: 2 };

/// A file of annotations, numbered by when they were made, in row groups of ten.
fn annotations(range: std::ops::Range<i64>, deleted: Vec<(u64, u64)>) -> Handed {
    let schema = views::schema(TableName::Annotations);
    let rows = range.clone().count();
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            "created_ns" => Arc::new(Int64Array::from_iter_values(range.clone())) as ArrayRef,
            "name" => Arc::new(StringArray::from_iter_values(range.clone().map(|n| n.to_string()))),
            _ => datafusion::arrow::array::new_null_array(field.data_type(), rows),
        })
        .collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    let file = tempfile::tempfile().unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(10)).build();
    let mut writer =
        ArrowWriter::try_new(file.try_clone().unwrap(), schema, Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    Handed::new(file, rows as u64, deleted).unwrap()
}

/// The answer to a query over a hundred annotations, of which twenty do not count.
async fn answered(sql: &str, format: Format) -> (File, Summary) {
    let mut session = Session::new(&LIMITS).unwrap();
    let plan = session.plan(sql).await.unwrap();
    assert_eq!(needs(&plan).unwrap(), [TableName::Annotations], "{sql}");
    let first = annotations(0..50, vec![(0, 1), (7, 6), (45, 5)]);
    let second = annotations(50..100, vec![(10, 8)]);
    let handed = [first, second].map(|file| (TableName::Annotations, file));
    session.fill(handed.into()).unwrap();
    let batches = session.run(&plan).await.unwrap();
    let mut file = tempfile::tempfile().unwrap();
    let job = Job { sql: sql.to_owned(), format, limits: LIMITS };
    let summary = answer::write(batches, file.try_clone().unwrap(), &job).await.unwrap();
    file.rewind().unwrap();
    (file, summary)
}

async fn rows(sql: &str) -> serde_json::Value {
    let (file, _) = answered(sql, Format::Json).await;
    let mut answer: serde_json::Value = serde_json::from_reader(file).unwrap();
    answer["rows"].take()
}

#[tokio::test]
async fn rows_that_do_not_count_are_in_no_answer() {
    use serde_json::json;
    let counts = |n: i64| {
        !(n == 0 || (7..13).contains(&n) || (45..50).contains(&n) || (60..68).contains(&n))
    };
    let live: Vec<i64> = (0..100).filter(|n| counts(*n)).collect();
    let of =
        |numbers: Vec<i64>| serde_json::Value::from_iter(numbers.into_iter().map(|n| json!([n])));
    assert_eq!(rows("select count(*) from annotations").await, json!([[80]]));
    assert_eq!(
        rows("select min(created_ns), max(created_ns) from annotations").await,
        json!([[1, 99]])
    );
    assert_eq!(rows("select created_ns from annotations order by 1").await, of(live.clone()));
    // Conditions prune row groups and pages; limits count rows that count.
    for from in [5, 12, 44, 49, 59, 65, 99] {
        let expected: Vec<i64> = live.iter().copied().filter(|n| *n >= from).collect();
        let sql =
            format!("select created_ns from annotations where created_ns >= {from} order by 1");
        assert_eq!(rows(&sql).await, of(expected.clone()));
        for limit in [1, 9, 30] {
            let sql = format!(
                "select count(*) from (select 1 from annotations where created_ns >= {from} limit {limit})"
            );
            assert_eq!(rows(&sql).await, json!([[expected.len().min(limit)]]), "{sql}");
        }
    }
    let sql = "select count(*) from annotations where name = '9' or name = '60' or name = '61' or name = '69'";
    assert_eq!(rows(sql).await, json!([[1]]));
}

#[tokio::test]
async fn every_format_has_the_same_rows() {
    let sql = "select name, created_ns, created_at, make_array(name, null) as list from annotations order by 2";
    let (arrow, summary) = answered(sql, Format::Arrow).await;
    assert_eq!(summary, Summary { rows: 80, cut: None });
    let arrow: Vec<_> = StreamReader::try_new(arrow, None).unwrap().map(Result::unwrap).collect();
    let schema = arrow[0].schema();
    let arrow = datafusion::arrow::compute::concat_batches(&schema, &arrow).unwrap();
    let (parquet, _) = answered(sql, Format::Parquet).await;
    let parquet: Vec<_> =
        ParquetRecordBatchReader::try_new(parquet, 1000).unwrap().map(Result::unwrap).collect();
    let parquet =
        datafusion::arrow::compute::concat_batches(&parquet[0].schema(), &parquet).unwrap();
    assert_eq!(parquet.columns(), arrow.columns());
    let (csv, _) = answered(sql, Format::Csv).await;
    let csv = std::io::read_to_string(csv).unwrap();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "name,created_ns,created_at,list");
    assert_eq!(lines[1], "1,1,1970-01-01T00:00:00.000000001Z,\"[\"\"1\"\",null]\"");
    assert_eq!(lines.len(), 81);
}

#[tokio::test]
async fn a_file_named_in_a_query_is_nothing_known() {
    for sql in
        ["select * from '/etc/passwd'", "select * from stored", "select * from \"file:///x\""]
    {
        let mut session = Session::new(&LIMITS).unwrap();
        let failure = session.plan(sql).await.unwrap_err();
        assert_eq!(failure.problem, Problem::Query, "{sql}: {failure}");
    }
    for sql in ["drop table spans", "set x = 1", "delete from spans"] {
        let mut session = Session::new(&LIMITS).unwrap();
        let failure = session.plan(sql).await.unwrap_err();
        assert_eq!(failure.problem, Problem::Forbidden, "{sql}: {failure}");
    }
}
