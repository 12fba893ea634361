//! How much may run and come back, and what becomes of a query whose asker has left.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;

use serde_json::json;

use super::under_way::{begin, children, is_sealed, signal, wait_until, whole};
use super::{accept, ask, rows, turn};
use crate::program::Serving;

/// A query that runs into every limit if it is let.
const ENDLESS: &str =
    "with recursive t as (select 1 as n union all select n + 1 from t) select count(*) from t";

#[test]
fn answers_are_cut_at_rows_and_bytes_and_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let settings = [("STASO_SQL_MAX_BYTES", "100000"), ("STASO_SQL_MAX_ROWS", "50000")];
    let server = Serving::start_with(&dir.path().join("home"), &settings);
    for (format, is_json) in [("json", true), ("csv", false), ("arrow", false), ("parquet", false)]
    {
        let sql = "select value, random() from generate_series(1, 1000000) as t(value)";
        let few = ask(&server, &json!({"sql": sql, "format": format, "max_rows": 7}));
        assert_eq!((few.status, few.cut.as_deref()), (200, Some("rows")), "{format}");
        let many = ask(&server, &json!({"sql": sql, "format": format, "max_rows": 50000}));
        assert_eq!((many.status, many.cut.as_deref()), (200, Some("bytes")), "{format}");
        assert!((10_000..400_000).contains(&many.body.len()), "{format}: {}", many.body.len());
        if is_json {
            let (few, many) = (few.json(), many.json());
            assert_eq!((&few["row_count"], &few["cut"]), (&json!(7), &json!("rows")));
            assert_eq!(many["cut"], "bytes");
            assert_eq!(many["row_count"], many["rows"].as_array().unwrap().len());
        }
    }
    let whole = ask(&server, &json!({"sql": "select 1", "max_rows": 1}));
    assert_eq!((whole.cut.as_deref(), &whole.json()["cut"]), (None, &json!(null)));
}

#[test]
fn who_leaves_takes_the_query_along() {
    let dir = tempfile::tempdir().unwrap();
    let server = Serving::start(&dir.path().join("home"));
    let asked = begin(&server, ENDLESS);
    wait_until("a child runs", || !children(server.pid()).is_empty());
    drop(asked);
    wait_until("it is gone", || children(server.pid()).is_empty());
}

/// One of the numbers that the server tells who operates it.
fn number(server: &Serving, name: &str) -> u64 {
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
        .unwrap();
    let text = whole(stream);
    let found = text.lines().find_map(|line| line.strip_prefix(&format!("staso_{name} ")));
    found.unwrap_or_else(|| panic!("{name} is not told: {text}")).parse().unwrap()
}

#[test]
fn no_more_run_than_may_and_the_rest_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let server = Serving::start_with(&home, &[("STASO_SQL_CONCURRENT", "1")]);
    accept(&server, "k", &[turn(1)]);
    let asked = begin(&server, ENDLESS);
    wait_until("a child runs", || !children(server.pid()).is_empty());
    let other = ask(&server, &json!({"sql": "select 1"}));
    assert_eq!((other.status, &other.json()["error"]["code"]), (429, &json!("sql_busy")));
    assert_eq!((number(&server, "sql_queries"), number(&server, "sql_queries_limit")), (1, 1));
    let child = children(server.pid())[0];
    // Everything else is answered meanwhile, and a killed child harms nobody.
    accept(&server, "k2", &[turn(2)]);
    signal(child, "-KILL");
    wait_until("there is room again", || ask(&server, &json!({"sql": "select 1"})).status == 200);
    assert_eq!(rows(&server, "select count(*) from traces"), json!([[2]]));
    drop(asked);
}

#[test]
fn a_server_that_ends_leaves_no_query_behind() {
    let dir = tempfile::tempdir().unwrap();
    let server = Serving::start(&dir.path().join("home"));
    let _asked = begin(&server, ENDLESS);
    wait_until("a child runs", || !children(server.pid()).is_empty());
    let child = children(server.pid())[0];
    server.kill();
    wait_until("it is gone", || !Path::new(&format!("/proc/{child}/cmdline")).exists());
}

/// A child holds the files it was given and can open no other. The query must want what the endless one says: its
/// bare count would be answered without it.
#[test]
fn a_running_query_has_no_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let server = Serving::start(&dir.path().join("home"));
    accept(&server, "k", &[turn(1)]);
    let asked = begin(&server, &format!("select s.name, t.* from spans s, ({ENDLESS}) t"));
    wait_until("the child is sealed", || children(server.pid()).iter().any(|pid| is_sealed(*pid)));
    let child = children(server.pid())[0];
    let limits = std::fs::read_to_string(format!("/proc/{child}/limits")).unwrap();
    // With the settings that stand in the reference.
    let threads = std::thread::available_parallelism().unwrap().get().min(4) as u64;
    for (limit, hard) in [
        ("Max cpu time", 30 * threads + 2),
        ("Max data size", 1 << 30),
        ("Max address space", 6 << 30),
        ("Max file size", (512 << 20) + (64 << 20)),
        ("Max core file size", 0),
    ] {
        let row = limits.lines().find_map(|line| line.strip_prefix(limit)).unwrap();
        let found = row.split_whitespace().nth(1).unwrap();
        assert_eq!(found, hard.to_string(), "{limit}");
    }
    let environment = std::fs::read(format!("/proc/{child}/environ")).unwrap();
    assert!(environment.is_empty(), "nothing of our environment is there");
    let data = server.home.join("data").canonicalize().unwrap().to_string_lossy().into_owned();
    for file in std::fs::read_dir(format!("/proc/{child}/fd")).unwrap().flatten() {
        let target = std::fs::read_link(file.path()).unwrap_or_default();
        let target = target.to_string_lossy().into_owned();
        // Hot spans, the answer, and what is said of failures: none has a name any more. Whoever runs tests
        // may leave pipes open, and an empty file, for all that is started.
        let is_nameless = target.starts_with(&data) && target.ends_with(" (deleted)");
        let is_no_file = !target.starts_with('/') || target == "/dev/null";
        assert!(is_no_file || is_nameless, "{target}");
    }
    drop(asked);
}
