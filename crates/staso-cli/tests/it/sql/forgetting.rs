//! What was deleted is in no answer, and who asked before it was deleted is not disturbed.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::answers::{agree, flushed};
use super::under_way::{answer, begin, children, is_sealed, signal, wait_until};
use super::{accept, rows, turn};
use crate::program::{Serving, span};

/// Bytes are forgotten half a minute after a deletion, on a machine that has time.
const FORGETS_WITHIN: Duration = Duration::from_secs(300);

fn delete(server: &Serving, path: &str) -> String {
    let (status, job) = server.delete(path);
    assert_eq!(status, 202, "{job}");
    job["id"].as_str().unwrap().to_owned()
}

fn annotate(server: &Serving, trace: u64) {
    let note = json!({"name": "helpful", "value": trace, "source": "human"});
    let path = format!("/v1/traces/{trace:032x}/annotations");
    assert_eq!(server.post(&path, &note).0, 201);
}

/// What each table has: how many spans of which traces, rows of which traces, whose annotations.
fn tables(server: &Serving) -> Json {
    let number = |column| format!("cast(right({column}, 4) as int)");
    let of = |table, and| {
        let id = number("trace_id");
        rows(server, &format!("select {id}{and} from {table} group by 1 order by 1"))
    };
    json!({"spans": of("spans", ", count(*)"), "traces": of("traces", ""),
           "annotations": of("annotations", "")})
}

/// A trace in which two people's content stands.
fn shared(n: u64) -> Json {
    let said = |id: u64, who: &str| {
        let mut said = span(id, None, "said", n * 1000, 10);
        said["user_id"] = who.into();
        said["input"] = format!("{who} says a secret").into();
        said["metadata"] = json!({"whose": who});
        said
    };
    json!({"trace_id": format!("{n:032x}"), "spans": [said(1, "cleo"), said(2, "dan")]})
}

fn without(rows: &Json, gone: &[u64]) -> Json {
    let stays = |row: &&Json| !gone.contains(&row[0].as_u64().unwrap());
    rows.as_array().unwrap().iter().filter(stays).cloned().collect()
}

#[test]
fn what_is_deleted_is_in_no_answer_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let server = Serving::start(&dir.path().join("home"));
    accept(&server, "k1", &(1..=6).map(turn).chain([shared(7)]).collect::<Vec<_>>());
    (1..=6).for_each(|trace| annotate(&server, trace));
    let server = flushed(server);
    accept(&server, "k2", &[turn(8), shared(9)]);
    annotate(&server, 8);
    let before = tables(&server);
    assert_eq!((&before["traces"][8], &before["annotations"][6]), (&json!([9]), &json!([8])));
    // A trace in a segment, a hot one, and what one of two people said.
    for path in [1, 8].map(|trace| format!("/api/traces/{trace:032x}")) {
        delete(&server, &path);
    }
    delete(&server, "/api/data?user_id=cleo");
    let forgotten = |server: &Serving, gone: &[u64]| {
        agree(server);
        let now = tables(server);
        for table in ["spans", "traces", "annotations"] {
            assert_eq!(now[table], without(&before[table], gone), "{table}");
        }
        let secrets = "select user_id, input, attributes like '%cleo%' from spans
                       where name = 'said' or user_id in ('cleo', 'dan') order by trace_id, span_id";
        let dans = |_| json!(["dan", "dan says a secret", false]);
        let told: Vec<Json> = rows(server, secrets)
            .as_array()
            .unwrap()
            .iter()
            .filter(|row| row[0] == "dan")
            .cloned()
            .collect();
        assert_eq!(told, (0..2).map(dans).collect::<Vec<_>>());
        let leaks = "select count(*) from spans where user_id = 'cleo'
                       or concat_ws(' ', name, input, output, attributes, events) like '%cleo%'";
        assert_eq!(rows(server, leaks), json!([[0]]));
        let leaks = "select count(*) from traces where user_id = 'cleo'
                       or concat_ws(' ', name, input_preview, output_preview) like '%cleo%'";
        assert_eq!(rows(server, leaks), json!([[0]]));
    };
    forgotten(&server, &[1, 8]);
    // What is sent again stays away, and nothing comes back over a flush and a restart.
    accept(&server, "k3", &[turn(1), turn(8)]);
    forgotten(&server, &[1, 8]);
    let server = flushed(server);
    forgotten(&server, &[1, 8]);
    delete(&server, "/api/data?session_id=c-0");
    forgotten(&server, &[1, 2, 4, 6, 8]);
}

/// The child stands still between having its files and reading them to the end, so long that all that it
/// reads is deleted, written anew and removed.
#[test]
fn a_query_under_way_answers_though_its_files_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let server = Serving::start(&home);
    accept(&server, "k", &(1..=9).map(turn).collect::<Vec<_>>());
    // No more than the flush: the server that runs now is the one that is asked.
    drop(flushed(server));
    let server = Serving::start_with(&home, &[("STASO_SQL_TIMEOUT_SECS", "600")]);
    let files = segments(&home.join("data/segments"));
    assert!(!files.is_empty());
    let slow = "with recursive t as (select 1 as n union all select n + 1 from t where n < 3000)
                select max(n), (select count(*) from spans), (select count(distinct trace_id) from spans),
                  (select sum(input_tokens) from spans where kind = 'llm') from t";
    let asked = begin(&server, slow);
    wait_until("the child has its files", || children(server.pid()).into_iter().any(is_sealed));
    let child = children(server.pid())[0];
    signal(child, "-STOP");

    let job = delete(&server, &format!("/api/traces/{:032x}", 4));
    let count = "select count(*), count(distinct trace_id) from spans";
    assert_eq!(rows(&server, count), json!([[16, 8]]));
    let deadline = Instant::now() + FORGETS_WITHIN;
    while server.get(&format!("/api/jobs/{job}")).1["state"] != "gone" {
        assert!(Instant::now() < deadline, "the job's end");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(files.iter().all(|file| !file.exists()), "they were written anew");

    signal(child, "-CONT");
    assert_eq!(answer(asked)["rows"], json!([[3000, 18, 9, 945]]));
    assert_eq!(rows(&server, count), json!([[16, 8]]));
}

/// Every segment's file below a directory.
fn segments(dir: &Path) -> Vec<std::path::PathBuf> {
    let below = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let files = below.flat_map(|path| if path.is_dir() { segments(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|end| end == "parquet")).collect()
}
