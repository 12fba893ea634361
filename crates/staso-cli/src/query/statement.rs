//! One query in SQL, the answer as a table or a file.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};
use staso_server::view::sql::{SqlFormat, SqlQuestion, SqlRows};

use crate::client::Client;
use crate::output::{self, WithHint as _};
use crate::sql::table;

/// What a query in SQL can be told.
#[derive(Debug, Args)]
#[command(next_help_heading = "In SQL")]
pub(super) struct StatementArgs {
    /// One query; `-` reads it from standard input
    #[arg(value_name = "SQL")]
    pub(super) sql: Option<String>,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t = FormatArg::Table, conflicts_with = "phrase")]
    format: FormatArg,
    /// Where it is written [default: standard output]
    #[arg(long, short, value_name = "FILE", conflicts_with = "phrase")]
    output: Option<PathBuf>,
    /// At most this many rows
    #[arg(long, default_value_t = 10_000, conflicts_with = "phrase")]
    max_rows: u64,
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatArg {
    /// Columns for people
    Table,
    /// One JSON object
    Json,
    /// CSV with a header
    Csv,
    /// An Arrow IPC stream
    Arrow,
    /// A Parquet file
    Parquet,
}

pub(super) fn run(
    client: &Client,
    workspace: &str,
    sql: &str,
    args: &StatementArgs,
) -> anyhow::Result<()> {
    let is_binary = matches!(args.format, FormatArg::Arrow | FormatArg::Parquet);
    if is_binary && args.output.is_none() && output::is_terminal() {
        return Err(anyhow!("this format is not for a terminal"))
            .hint("name a file with --output, or redirect the answer");
    }
    let question = SqlQuestion {
        sql: text(sql)?,
        workspace: Some(workspace.to_owned()),
        format: Some(match args.format {
            FormatArg::Table | FormatArg::Json => SqlFormat::Json,
            FormatArg::Csv => SqlFormat::Csv,
            FormatArg::Arrow => SqlFormat::Arrow,
            FormatArg::Parquet => SqlFormat::Parquet,
        }),
        max_rows: Some(args.max_rows),
    };
    let answer = client.post("/api/sql", &serde_json::to_vec(&question)?)?;
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
    let notice = header("staso-cut").map(|cut| cut_notice(cut, header("staso-rows")));
    let body = answer.into_body().into_reader();
    match args.format {
        FormatArg::Table => {
            let rows: SqlRows = serde_json::from_reader(io::BufReader::new(body))
                .context("the answer broke off")?;
            put(args, &mut table(&rows).as_bytes())?;
        }
        _ => put(args, &mut io::BufReader::new(body))?,
    }
    notice.map_or(Ok(()), |notice| output::remark(&notice))
}

fn text(argument: &str) -> anyhow::Result<String> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).context("cannot read the query")?;
    Ok(text)
}

fn put(args: &StatementArgs, from: &mut dyn io::Read) -> anyhow::Result<()> {
    let copied = match &args.output {
        Some(path) => {
            let mut file =
                File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
            io::copy(from, &mut file).and_then(|_| file.flush())
        }
        None => {
            let mut out = io::stdout().lock();
            io::copy(from, &mut out).and_then(|_| out.flush())
        }
    };
    match copied {
        // A reader that has gone away (`| head`) is no error.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("the answer broke off"),
    }
}

fn cut_notice(cut: &str, rows: Option<&str>) -> String {
    let rows = rows.unwrap_or("the first");
    match cut {
        "rows" => format!("only {rows} rows are shown; --max-rows allows more\n"),
        _ => {
            format!("only {rows} rows are shown: the answer is as large as sql_max_bytes allows\n")
        }
    }
}
