//! Queries of people who mean harm, or do not know better: each is refused or ended, says why, and the
//! server goes on.

use serde_json::json;

use super::{accept, ask, rows, turn};
use crate::program::Serving;

fn server(dir: &std::path::Path, settings: &[(&str, &str)]) -> Serving {
    let server = Serving::start_with(&dir.join("home"), settings);
    accept(&server, "k", &(1..=9).map(turn).collect::<Vec<_>>());
    server
}

/// The code of the refusal, and its words.
fn refused(server: &Serving, sql: &str) -> (u16, String, String) {
    let answered = ask(server, &json!({ "sql": sql }));
    assert_ne!(answered.status, 200, "{sql}: {}", String::from_utf8_lossy(&answered.body));
    let error = &answered.json()["error"];
    assert_ne!(error["hint"], "", "{sql}: {error}");
    let word = |name: &str| error[name].as_str().unwrap().to_owned();
    (answered.status, word("code"), word("message"))
}

#[test]
fn only_reading_is_a_query() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path(), &[]);
    let target = dir.path().join("written.csv");
    for sql in [
        "create table t as select 1".to_owned(),
        "create view v as select 1".to_owned(),
        "create schema s".to_owned(),
        "create database d".to_owned(),
        "create external table t stored as csv location '/etc/passwd'".to_owned(),
        "create function f(int) returns int return $1".to_owned(),
        "drop table spans".to_owned(),
        "insert into spans select * from spans".to_owned(),
        "update spans set name = 'x'".to_owned(),
        "delete from spans".to_owned(),
        format!("copy spans to '{}'", target.display()),
        format!("copy (select 1) to '{}' stored as csv", target.display()),
        "set datafusion.execution.batch_size = 1".to_owned(),
        "reset datafusion.execution.batch_size".to_owned(),
        "begin".to_owned(),
        "prepare p as select 1".to_owned(),
        "execute p".to_owned(),
        "explain insert into spans select * from spans".to_owned(),
        "explain analyze delete from spans".to_owned(),
    ] {
        let (status, code, message) = refused(&server, &sql);
        assert_eq!(status, 400, "{sql}: {code} {message}");
    }
    assert!(!target.exists());
    for sql in [
        "select 1; select 2",
        "select 1; drop table spans",
        "",
        ";",
        "-- nothing",
        "selec 1",
        "select '",
    ] {
        assert_eq!(refused(&server, sql).0, 400, "{sql}");
    }
    for sql in [
        "explain select * from spans",
        "show tables",
        "describe spans",
        "values (1), (2)",
        "with t as (select 1) select * from t",
        "explain analyze select count(*) from spans",
    ] {
        assert_eq!(ask(&server, &json!({ "sql": sql })).status, 200, "{sql}");
    }
}

#[test]
fn nothing_is_read_by_its_path_or_address() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path(), &[]);
    std::fs::write(dir.path().join("secret.csv"), "secret\n42\n").unwrap();
    let path = dir.path().join("secret.csv");
    let path = path.display();
    for sql in [
        format!("select * from '{path}'"),
        format!("select * from \"{path}\""),
        format!("select * from 'file://{path}'"),
        format!("select * from read_csv('{path}')"),
        format!("select * from read_parquet('{path}')"),
        format!("select * from parquet_metadata('{path}')"),
        format!("select * from csv.`{path}`"),
        "select * from 'http://127.0.0.1:1/x.parquet'".to_owned(),
        "select * from 's3://bucket/x.parquet'".to_owned(),
        "select * from 'staso://spans/0'".to_owned(),
        "select load_extension('x')".to_owned(),
        "select getenv('HOME')".to_owned(),
    ] {
        let (status, code, message) = refused(&server, &sql);
        assert_eq!((status, code.as_str()), (400, "sql_failed"), "{sql}: {message}");
        assert!(!message.contains("42"), "{sql}: {message}");
    }
}

#[test]
fn mistakes_are_told_with_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path(), &[]);
    for (sql, words) in [
        ("select *\nfrom spans wher x = 1", "Line: 2"),
        ("select nmae\nfrom spans", "nmae"),
        ("select 1 / 0", "Divide by zero"),
        ("select cast(name as int) from spans", "Cannot cast string '"),
        ("select nosuch(1)", "nosuch"),
    ] {
        let (status, _, message) = refused(&server, sql);
        assert_eq!(status, 400, "{sql}: {message}");
        assert!(message.contains(words), "{sql}: {message}");
    }
    for (body, words) in [
        (json!({}), "missing field `sql`"),
        (json!({"sql": 1}), "sql"),
        (json!({"sql": "select 1", "fromat": "csv"}), "fromat"),
        (json!({"sql": "select 1", "format": "xml"}), "xml"),
        (json!({"sql": "select 1", "max_rows": 0}), "max_rows is 0"),
        (json!({"sql": "select 1", "max_rows": 1_000_001}), "max_rows is 1000001"),
    ] {
        let answered = ask(&server, &body);
        let text = String::from_utf8_lossy(&answered.body).into_owned();
        assert!(answered.status == 400 && text.contains(words), "{body}: {text}");
    }
}

/// What the engine tells of itself names neither this machine nor anybody else's data.
#[test]
fn nothing_is_told_of_the_machine_or_of_other_workspaces() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path(), &[("STASO_SQL_MAX_ROWS", "100000")]);
    let mut theirs = turn(1);
    theirs["workspace_slug"] = "rivals".into();
    accept(&server, "theirs", &[theirs]);
    let home = server.home.to_string_lossy().into_owned();
    let secrets = [home.as_str(), "rivals", "/proc", "/tmp", "STASO_", "127.0.0.1"];
    let catalog =
        ["tables", "views", "columns", "df_settings", "schemata", "routines", "parameters"];
    let catalog = catalog.map(|table| format!("select * from information_schema.{table}"));
    let others = [
        "show all",
        "show functions",
        "show columns from spans",
        "select version()",
        "explain analyze verbose select * from spans, traces, annotations",
    ];
    for sql in catalog.into_iter().chain(others.map(str::to_owned)) {
        let answered = ask(&server, &json!({"sql": sql, "max_rows": 100_000}));
        let told = String::from_utf8_lossy(&answered.body).into_owned();
        assert_eq!(answered.status, 200, "{sql}: {told}");
        for secret in secrets {
            assert!(!told.contains(secret), "{sql} tells {secret}");
        }
    }
    let tables = "select table_name from information_schema.tables
                  where table_schema <> 'information_schema' order by 1";
    assert_eq!(rows(&server, tables), json!([["annotations"], ["spans"], ["traces"]]));
}

/// However deep it is nested, only the child can fall.
#[test]
fn depth_is_refused_and_harms_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path(), &[]);
    let nested = |open: &str, inner: &str, close: &str, times: usize| {
        format!("select {}{inner}{}", open.repeat(times), close.repeat(times))
    };
    for sql in [
        nested("(", "1", ")", 100_000),
        nested("(select ", "1", ")", 50_000),
        nested("abs(", "1", ")", 50_000),
        nested("not ", "true", "", 100_000),
        nested("- ", "1", "", 100_000),
        nested("case when true then ", "1", " end", 20_000),
        nested("[", "1", "]", 50_000),
        format!("select * from {}spans{}", "(select * from ".repeat(20_000), ")".repeat(20_000)),
    ] {
        let answered = ask(&server, &json!({ "sql": sql }));
        let text = String::from_utf8_lossy(&answered.body).into_owned();
        let text: String = text.chars().take(300).collect();
        assert!(matches!(answered.status, 400 | 422), "{}: {} {text}", &sql[..40], answered.status);
    }
    // Long chains are not deep for the parser; for what comes after it they are.
    for sql in [
        format!(
            "select regexp_like('x', '{}')",
            "(".repeat(200) + &"x{1000}".repeat(200) + &")".repeat(200)
        ),
        format!("select 1{}", " + 1".repeat(30_000)),
        format!("select 1{}", " union all select 1".repeat(5_000)),
        format!("select name from spans where {}", vec!["name = 'x'"; 30_000].join(" or ")),
    ] {
        let answered = ask(&server, &json!({ "sql": sql }));
        assert!(matches!(answered.status, 200 | 400 | 422), "{}: {}", &sql[..40], answered.status);
    }
    assert_eq!(rows(&server, "select count(*) from traces"), json!([[9]]), "the server goes on");
}
