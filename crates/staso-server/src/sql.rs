//! `POST /api/sql`: a query over one workspace, run in a process of its own.
//!
//! The server looks at no word of the query. It starts the child, hands it the tables it asks for, and
//! passes the answer on; what can go wrong is told with the limit that was reached and the next step. A
//! client that goes away takes its query with it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use staso_sql::{Answer, Failure, Format, Job, Problem, Program, Query, TableName};
use staso_store::StoreError;
use staso_store::tables::{Table, TableFile, TableSink, TablesQuery};
use tokio::sync::Semaphore;
use tokio_util::io::ReaderStream;

use crate::app::App;
use crate::config::SqlLimits;
use crate::error::ApiError;
use crate::params;
use crate::view::sql::{SqlFormat, SqlQuestion, SqlRows};

/// How many rows an answer has where nobody says.
const DEFAULT_ROWS: u64 = 10_000;

/// Threads of one query: more of them take the machine from those who send spans.
const MAX_THREADS: usize = 4;

const ROWS: HeaderName = HeaderName::from_static("staso-rows");
const CUT: HeaderName = HeaderName::from_static("staso-cut");

/// What stands between a query and the machine.
pub(crate) struct Sql {
    /// What a child runs; `None` where this build has no engine.
    program: Option<Program>,
    limits: SqlLimits,
    /// Queries at one time.
    permits: Arc<Semaphore>,
    /// Where files without names are made.
    scratch: PathBuf,
    threads: usize,
}

impl Sql {
    pub(crate) fn new(program: Option<Program>, limits: SqlLimits, scratch: PathBuf) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let permits = Arc::new(Semaphore::new(limits.concurrent));
        Self { program, limits, permits, scratch, threads: cores.min(MAX_THREADS) }
    }

    /// Queries under way.
    pub(crate) fn running(&self) -> u64 {
        self.at_most().saturating_sub(self.permits.available_permits() as u64)
    }

    /// How many may be under way at one time.
    pub(crate) fn at_most(&self) -> u64 {
        self.limits.concurrent as u64
    }

    fn job(&self, question: &SqlQuestion) -> Result<Job, ApiError> {
        let max_rows = self.limits.max_rows;
        let rows = question.max_rows.unwrap_or(DEFAULT_ROWS.min(max_rows));
        if !(1..=max_rows).contains(&rows) {
            return Err(ApiError::bad_request("bad_parameter", format!("max_rows is {rows}"))
                .hint(format!("ask for 1 to {max_rows} rows; sql_max_rows is the setting")));
        }
        Ok(Job {
            sql: question.sql.clone(),
            format: format(question.format.unwrap_or_default()),
            limits: staso_sql::Limits {
                rows,
                bytes: self.limits.max_bytes,
                memory_bytes: self.limits.memory_bytes,
                cpu_secs: self.limits.timeout.as_secs().saturating_mul(self.threads as u64),
                threads: self.threads,
            },
        })
    }
}

/// Asks a workspace in SQL. The tables are `spans`, `traces` and `annotations`; only reading is a query.
/// The headers `Staso-Rows` and `Staso-Cut` say how many rows the answer has, and which limit cut it off
/// (`rows` or `bytes`) where one did.
#[utoipa::path(post, path = "/api/sql", tag = "query",
    request_body = SqlQuestion,
    responses(
        (status = 200, description = "the answer, in the format asked for", content(
            (SqlRows = "application/json"), (String = "text/csv"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"), (Vec<u8> = "application/vnd.apache.parquet"))),
        (status = 400, description = "it is no query, or fails on a value", body = crate::view::refusal::ErrorBody),
        (status = 422, description = "it needs more time or memory than it may have", body = crate::view::refusal::ErrorBody),
        (status = 429, description = "as many queries as may run are running", body = crate::view::refusal::ErrorBody),
        (status = 501, description = "this build has no SQL", body = crate::view::refusal::ErrorBody)))]
pub(crate) async fn sql(
    State(app): State<Arc<App>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let program = app.sql.program.as_ref().ok_or_else(not_built)?;
    let question = read(body)?;
    let job = app.sql.job(&question)?;
    let permit = app.sql.permits.try_acquire().map_err(|_| too_many(app.sql.limits.concurrent))?;
    let timeout = app.sql.limits.timeout;
    let answered = tokio::select! {
        answered = tokio::time::timeout(timeout, answer(&app, program, &job, &question)) => answered,
        () = app.stop.cancelled() => return Err(ApiError::stopping()),
    };
    drop(permit);
    let answered = answered.map_err(|_| out_of_time(timeout))??;
    Ok(response(answered, job.format))
}

fn read(body: Result<Bytes, BytesRejection>) -> Result<SqlQuestion, ApiError> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            ApiError::too_large("the query is too large").hint("a query takes up to 1 MiB")
        }
        status => ApiError::new(status, "bad_body", rejection.body_text()),
    })?;
    serde_json::from_slice(&body).map_err(|error| {
        ApiError::bad_request("bad_body", format!("the body is not a question: {error}"))
            .hint("send {\"sql\": \"...\"}; /api/openapi.json has the other fields")
    })
}

async fn answer(
    app: &App,
    program: &Program,
    job: &Job,
    question: &SqlQuestion,
) -> Result<Answer, ApiError> {
    let mut query = Query::start(program, &app.sql.scratch, job).map_err(|error| {
        tracing::error!(%error, "cannot start the process of a query");
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "sql_not_started", error.to_string())
            .hint("the system refuses another process or file; try again in a moment")
            .retry_after(5)
    })?;
    let refused = |failure: Failure| refusal(&failure, &app.sql.limits);
    let needs = query.needs().await.map_err(refused)?;
    let wanted = TablesQuery {
        workspace: params::workspace(question.workspace.clone()),
        tables: needs.into_iter().map(table).collect(),
        now_ns: app.clock.now_ns(),
    };
    match app.store.tables(&wanted, Box::new(FileSink(query.sink()))).await {
        // Where the child refuses files, its end says why.
        Ok(()) | Err(StoreError::Closed) => {}
        Err(error) => return Err(error.into()),
    }
    query.answer().await.map_err(refused)
}

/// The way of the store's files to the child.
struct FileSink(staso_sql::Sink);

impl TableSink for FileSink {
    fn take(&mut self, file: TableFile) -> std::io::Result<()> {
        let name = match file.table {
            Table::Spans => TableName::Spans,
            Table::Traces => TableName::Traces,
            Table::Annotations => TableName::Annotations,
        };
        self.0.give(name, file.rows, &file.deleted, &file.file)
    }
}

fn table(name: TableName) -> Table {
    match name {
        TableName::Spans => Table::Spans,
        TableName::Traces => Table::Traces,
        TableName::Annotations => Table::Annotations,
    }
}

fn format(format: SqlFormat) -> Format {
    match format {
        SqlFormat::Json => Format::Json,
        SqlFormat::Csv => Format::Csv,
        SqlFormat::Arrow => Format::Arrow,
        SqlFormat::Parquet => Format::Parquet,
    }
}

fn response(answer: Answer, format: Format) -> Response {
    let content_type = match format {
        Format::Json => "application/json",
        Format::Csv => "text/csv; charset=utf-8; header=present",
        Format::Arrow => "application/vnd.apache.arrow.stream",
        Format::Parquet => "application/vnd.apache.parquet",
    };
    let file = tokio::fs::File::from_std(answer.file);
    let mut response = Body::from_stream(ReaderStream::new(file)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(answer.bytes));
    headers.insert(ROWS, HeaderValue::from(answer.summary.rows));
    if let Some(cut) = answer.summary.cut {
        headers.insert(CUT, HeaderValue::from_static(cut.as_str()));
    }
    response
}

fn not_built() -> ApiError {
    ApiError::new(StatusCode::NOT_IMPLEMENTED, "sql_not_built", "this build of Staso has no SQL")
        .hint("build it with `cargo build --release -p staso-cli --features sql`; released programs have it")
}

fn too_many(concurrent: usize) -> ApiError {
    let message = format!("{concurrent} queries are running, as many as may");
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "sql_busy", message)
        .hint("ask again after the seconds in Retry-After, or raise sql_concurrent")
        .retry_after(1)
}

fn over_limit(code: &'static str, message: String, setting: &str) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
        .hint(format!("ask for less: fewer days, fewer columns, a limit; or raise {setting}"))
}

fn out_of_time(timeout: Duration) -> ApiError {
    let message = format!("the query took longer than {} s and was ended", timeout.as_secs());
    over_limit("sql_timeout", message, "sql_timeout_secs")
}

fn refusal(failure: &Failure, limits: &SqlLimits) -> ApiError {
    let message = failure.message.clone();
    match failure.problem {
        Problem::Query => ApiError::bad_request("sql_failed", message).hint(
            "the tables are spans, traces and annotations; `describe spans` lists columns, and \
             docs/reference/sql.md has them all",
        ),
        Problem::Forbidden => ApiError::bad_request("sql_read_only", message)
            .hint("only what reads is a query: select, with, values, explain, describe, show"),
        Problem::Depth => ApiError::bad_request("sql_too_deep", message)
            .hint("write it with fewer parentheses and subqueries inside one another"),
        Problem::Memory => {
            let message = format!("{message}; the limit is {} MiB", limits.memory_bytes >> 20);
            over_limit("sql_memory", message, "sql_memory_bytes")
        }
        Problem::Cpu => over_limit("sql_cpu", message, "sql_timeout_secs"),
        Problem::Internal => {
            tracing::error!(problem = %message, "a query failed");
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "sql_broken", message)
                .hint("the server's log says more; `staso doctor` checks the data directory")
        }
    }
}
