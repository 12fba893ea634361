//! Queries that never end, or want all memory there is: each ends at a limit, which it names.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::json;

use super::under_way::{begin, children, signal, wait_until, whole};
use super::{accept, ask, rows, turn};
use crate::program::Serving;

const MEMORY_BYTES: u64 = 384 << 20;
/// Memory that the kernel does not count as data: the stack of the first thread.
const STACK_BYTES: u64 = 16 << 20;

/// How a query may end, by what it wants most. Which of two limits comes first is a matter of the machine.
#[derive(Clone, Copy)]
enum Wants {
    Time,
    Memory,
    /// More values than there are numbers for: some are refused before they are made.
    Absurd,
    /// All rows, of which the first are soon there.
    Rows,
}
use Wants::{Absurd, Memory, Rows, Time};

impl Wants {
    fn may_end_with(self, code: &str) -> bool {
        match self {
            Time => matches!(code, "sql_timeout" | "sql_cpu"),
            Memory => matches!(code, "sql_timeout" | "sql_cpu" | "sql_memory"),
            Absurd => matches!(code, "sql_failed" | "sql_memory"),
            Rows => matches!(code, "cut" | "sql_timeout"),
        }
    }
}

const QUERIES: [(Wants, &str); 20] = [
    (
        Time,
        "select count(*) from spans a, spans b, spans c, spans d, spans e, spans f, spans g, spans h, spans i, spans j",
    ),
    (
        Memory,
        "select a.name, b.name from spans a, spans b, spans c, spans d, spans e, spans f order by a.input, f.input",
    ),
    (
        Time,
        "with recursive t as (select 1 as n union all select n + 1 from t) select count(*) from t",
    ),
    (
        Memory,
        "with recursive t as (select 'x' as s union all select s || s from t) select max(length(s)) from t",
    ),
    (
        Memory,
        "with recursive t as (select 1 as n union all select n + 1 from t, generate_series(1, 9)) select count(*) from t",
    ),
    (Memory, "select length(repeat('x', 2000000000))"),
    (Memory, "select lpad('x', 2147483647)"),
    (Memory, "select max(length(repeat(name, 100000000))) from spans"),
    (Time, "select count(*) from generate_series(1, 100000000000)"),
    (Memory, "select array_agg(value) from generate_series(1, 100000000000)"),
    (Rows, "select value, count(*) from generate_series(1, 100000000000) group by 1"),
    (
        Memory,
        "select reverse(value::varchar), count(*) from generate_series(1, 100000000000) as t(value) group by 1",
    ),
    (Memory, "select value from generate_series(1, 100000000000) order by value desc"),
    (Memory, "select count(distinct value) from generate_series(1, 100000000000)"),
    (
        Memory,
        "select sum(length(rpad('x', 100000000, value::varchar))) from generate_series(1, 1000000) as t(value)",
    ),
    (Absurd, "select array_length(range(0, 100000000000))"),
    (Memory, "select array_repeat(array_repeat('x', 1000000), 1000000)"),
    (
        Memory,
        "select count(*) from generate_series(1, 100000000) as t(value) where regexp_like(repeat('a', 5000) || value::varchar, '(a*)*(a*)*b')",
    ),
    (Memory, "select string_agg(repeat('x', 1000000), '') from generate_series(1, 1000000)"),
    (Absurd, "select regexp_match(repeat('a', 100000), '(((a{1,100}){1,100}){1,100})')"),
];

/// The most that a process holds of its own, as the system counts it.
fn held_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let row = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    row.and_then(|row| row.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) << 10
}

#[test]
fn what_wants_everything_gets_to_a_limit() {
    let dir = tempfile::tempdir().unwrap();
    let memory = MEMORY_BYTES.to_string();
    let settings = [("STASO_SQL_TIMEOUT_SECS", "4"), ("STASO_SQL_MEMORY_BYTES", &memory)];
    let server = Serving::start_with(&dir.path().join("home"), &settings);
    accept(&server, "k", &(1..=9).map(turn).collect::<Vec<_>>());
    let (most, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|threads| {
        threads.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                for child in children(server.pid()) {
                    most.fetch_max(held_bytes(child), Ordering::Relaxed);
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        });
        let ended =
            std::panic::catch_unwind(|| QUERIES.map(|query| get_to_a_limit(&server, query)));
        is_over.store(true, Ordering::Relaxed);
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    let most = most.into_inner();
    assert!((64 << 20..=MEMORY_BYTES + STACK_BYTES).contains(&most), "{most} bytes at one time");
    assert_eq!(rows(&server, "select count(*) from traces"), json!([[9]]), "the server goes on");
}

fn get_to_a_limit(server: &Serving, (wants, sql): (Wants, &str)) {
    let answered = ask(server, &json!({ "sql": sql }));
    let text = String::from_utf8_lossy(&answered.body).into_owned();
    let text: String = text.chars().take(400).collect();
    if answered.status == 200 {
        assert!(answered.cut.is_some() && wants.may_end_with("cut"), "{sql}: {text}");
        return;
    }
    assert!(matches!(answered.status, 400 | 422), "{sql}: {} {text}", answered.status);
    let error = &answered.json()["error"];
    assert!(wants.may_end_with(error["code"].as_str().unwrap()), "{sql}: {text}");
    assert_ne!(error["hint"], "", "{sql}");
}

/// The processor's time has a limit of its own, which the kernel keeps even where the server could not.
#[test]
fn the_limit_on_processor_time_is_told_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let server =
        Serving::start_with(&dir.path().join("home"), &[("STASO_SQL_TIMEOUT_SECS", "600")]);
    let sql =
        "with recursive t as (select 1 as n union all select n + 1 from t) select count(*) from t";
    let asked = begin(&server, sql);
    wait_until("a child runs", || !children(server.pid()).is_empty());
    let child = children(server.pid())[0];
    signal(child, "-XCPU");
    let told = whole(asked);
    assert!(told.starts_with("HTTP/1.1 422 ") && told.contains("sql_cpu"), "{told}");
    assert!(told.contains("raise sql_timeout_secs"), "{told}");
}
