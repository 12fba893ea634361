//! What is asked in SQL is what every other path of the API answers.

use serde_json::{Value as Json, json};
use staso_store::Store as _;
use staso_store_local::{LocalStore, Options};

use super::{accept, ask, rows, turn};
use crate::program::{Serving, run, span, text};

/// Everything that two ways of asking must agree on.
pub(super) fn agree(server: &Serving) {
    let metrics = "/api/metrics?measure=spans,runs,errors,input_tokens,output_tokens,tokens&interval=none\
                   &from=2025-12-01&to=2026-02-01";
    let (_, sums) = server.get(metrics);
    let whole = &sums["groups"][0]["whole"];
    let sql = "select count(*), sum(input_tokens), sum(output_tokens), sum(total_tokens),
                 count(*) filter (where status in ('error', 'timeout')), count(distinct trace_id) from spans";
    let found = &rows(server, sql)[0];
    for (place, measure) in
        ["spans", "input_tokens", "output_tokens", "tokens", "errors", "runs"].iter().enumerate()
    {
        assert_eq!(found[place].as_f64(), whole[measure].as_f64(), "{measure}: {found} {whole}");
    }
    let (_, list) = server.get("/api/traces?limit=1000");
    let shown = list["traces"].as_array().unwrap().iter().map(|row| {
        json!([
            row["trace_id"],
            row["name"],
            row["status"],
            row["state"],
            row["start_ns"],
            row["end_ns"],
            row["duration_ns"].as_str().map(|ns| ns.parse::<i64>().unwrap()),
            row["span_count"],
            row["error_count"],
            row["open_count"],
            row["models"],
            row["tags"],
            row["total_tokens"],
            row["session_id"],
            row["input_preview"],
            row["error_message"]
        ])
    });
    let sql = "select trace_id, name, status, state, start_ns, end_ns, duration_ns, span_count, error_count,
                 open_count, models, tags, total_tokens, session_id, input_preview, error_message
               from traces order by start_ns desc, trace_id desc";
    assert_eq!(rows(server, sql), Json::Array(shown.collect()));
    let per_trace = "select t.trace_id from traces t left join
                       (select trace_id, count(*) as n, sum(input_tokens) as i from spans group by 1) s
                       on s.trace_id = t.trace_id
                     where t.span_count <> s.n or t.input_tokens is distinct from s.i";
    assert_eq!(rows(server, per_trace), json!([]));
}

/// The server again, after everything that is not open was moved to segments.
pub(super) fn flushed(server: Serving) -> Serving {
    let home = server.home.clone();
    assert!(server.terminate().success());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = LocalStore::open(&home.join("data"), &Options::default()).unwrap();
        store.flush().await.unwrap();
        store.close().await.unwrap();
    });
    Serving::start(&home)
}

#[test]
fn sums_and_lists_agree_hot_flushed_and_with_late_versions() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let mut server = Serving::start(&home);
    let turns: Vec<Json> = (1..=40).map(turn).collect();
    for (n, few) in turns.chunks(11).enumerate() {
        accept(&server, &format!("k{n}"), few);
        agree(&server);
        server = flushed(server);
        agree(&server);
    }
    // Later versions, open spans, and spans that come into old traces.
    let mut late = turn(5);
    late["spans"][0]["input_tokens"] = 7000.into();
    late["spans"][0]["version"] = 2.into();
    let mut open = span(9, None, "open", 90_000, 0);
    open["end_ns"] = Json::Null;
    open["provisional"] = true.into();
    open["input_tokens"] = 3.into();
    let open = json!({"trace_id": format!("{:032x}", 77), "spans": [open]});
    let more =
        json!({"trace_id": format!("{:032x}", 6), "spans": [span(8, Some(1), "more", 6100, 9)]});
    accept(&server, "late", &[late, open, more]);
    agree(&server);
    assert_eq!(rows(&server, "select count(*) from spans where stage = 'open'"), json!([[1]]));
    let sql = "select input_tokens from spans where trace_id = '00000000000000000000000000000005'
               and span_id = '0000000000000002'";
    assert_eq!(rows(&server, sql), json!([[7000]]));
    // The late versions are in segments now, and what they replaced is deleted where it stands.
    let server = flushed(server);
    agree(&server);
    assert_eq!(rows(&server, sql), json!([[7000]]));
}

#[test]
fn columns_have_the_types_and_units_that_the_page_names() {
    let dir = tempfile::tempdir().unwrap();
    let server = Serving::start(&dir.path().join("home"));
    accept(&server, "k", &(1..=3).map(turn).collect::<Vec<_>>());
    let note = json!({"name": "helpful", "value": 0.5, "comment": "so so", "source": "human"});
    assert_eq!(server.post(&format!("/v1/traces/{:032x}/annotations", 1), &note).0, 201);
    let sql = "select span_id, parent_span_id, model, tags, json_text(attributes, 'tier'),
                 json_number(attributes, 'user.plan'), json_text(input, 'question'), duration_ns,
                 started_at, start_ns, user_id, session_id
               from spans where kind = 'llm' and array_has(tags, 'n2')";
    let expected = json!([[
        "0000000000000002",
        "0000000000000001",
        "m-0",
        ["hot", "n2"],
        "gold",
        2.0,
        "多少？ ما هذا؟",
        100_000_000,
        "2026-01-01T00:00:02.010Z",
        "1767225602010000000",
        "ann",
        "c-0"
    ]]);
    assert_eq!(rows(&server, sql), expected);
    let sql = "select a.name, a.value, a.number, a.data_type, a.source, a.comment, t.name
               from annotations a join traces t using (trace_id)";
    let expected = json!([["helpful", "0.5", 0.5, "numeric", "human", "so so", "turn"]]);
    assert_eq!(rows(&server, sql), expected);
    // What the page lists is what there is.
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/sql.md");
    let page = std::fs::read_to_string(page).unwrap();
    for table in ["spans", "traces", "annotations"] {
        let section = page.split(&format!("\n## `{table}`\n")).nth(1).expect(table);
        let section = section.split("\n## ").next().unwrap();
        let lines = section.lines().filter_map(|line| line.strip_prefix("| `"));
        let mut listed = Vec::new();
        for line in lines {
            let mut cells = line.trim_end_matches('|').split(" | ");
            let names = cells.next().unwrap().trim_end_matches('`');
            let kind = cells.next().unwrap().trim();
            listed.extend(names.split("` `").map(|name| format!("{name} {kind}")));
        }
        listed.sort();
        let described = rows(&server, &format!("describe {table}"));
        let mut found: Vec<String> = described
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                format!("{} {}", row[0].as_str().unwrap(), shown_type(row[1].as_str().unwrap()))
            })
            .collect();
        found.sort();
        assert_eq!(listed, found, "{table}");
    }
}

/// A type in the page's words.
fn shown_type(kind: &str) -> &str {
    match kind {
        "Utf8" => "text",
        "Int64" => "int64",
        "Float64" => "double",
        "Boolean" => "boolean",
        kind if kind.starts_with("Timestamp(ns") => "timestamp",
        kind if kind.starts_with("List(") => "list of text",
        other => other,
    }
}

#[test]
fn another_workspace_is_never_read() {
    let dir = tempfile::tempdir().unwrap();
    let server = Serving::start(&dir.path().join("home"));
    let mut theirs = turn(1);
    theirs["workspace_slug"] = "theirs".into();
    accept(&server, "k1", &[theirs]);
    accept(&server, "k2", &[turn(2)]);
    for (trace, workspace) in [(1, "theirs"), (2, "default")] {
        let note = json!({"name": "good", "value": true, "source": "human"});
        let path = format!("/v1/traces/{trace:032x}/annotations?workspace={workspace}");
        assert_eq!(server.post(&path, &note).0, 201);
    }
    none_of_the_other(&server);
    none_of_the_other(&flushed(server));
}

fn none_of_the_other(server: &Serving) {
    let of = |workspace: &str, table: &str| {
        let sql = format!("select count(*), min(trace_id), max(trace_id) from {table}");
        ask(server, &json!({"sql": sql, "workspace": workspace})).json()["rows"][0].take()
    };
    for (table, count) in [("spans", 2), ("traces", 1), ("annotations", 1)] {
        let of_trace = |n: u64| json!([count, format!("{n:032x}"), format!("{n:032x}")]);
        assert_eq!(of("default", table), of_trace(2), "{table}");
        assert_eq!(of("theirs", table), of_trace(1), "{table}");
        for nobody in ["nobody", "their", "THEIRS", "theirs%", "' or '1'='1"] {
            assert_eq!(of(nobody, table), json!([0, null, null]), "{table} of {nobody}");
        }
    }
    for name in
        ["theirs.spans", "\"theirs\".\"public\".\"spans\"", "stored", "datafusion.public.stored"]
    {
        let answered = ask(server, &json!({"sql": format!("select * from {name}")}));
        assert_eq!(answered.status, 400, "{name}");
    }
}

#[test]
fn the_command_line_shows_a_table_and_writes_files() {
    let dir = tempfile::tempdir().unwrap();
    let server = Serving::start(&dir.path().join("home"));
    accept(&server, "k", &(1..=3).map(turn).collect::<Vec<_>>());
    let query = |args: &[&str]| run(&server.home, &[&["query"], args].concat());
    let shown = query(&[
        "select model, count(*) as calls from spans where kind = 'llm' group by 1 order by 1",
    ]);
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    insta::assert_snapshot!(text(&shown.stdout), @r"
    model  calls
    ─────  ─────
    m-0        1
    m-1        2
    ");
    let few = query(&["select name from spans", "--max-rows", "2"]);
    assert_eq!(text(&few.stdout).lines().count(), 4);
    assert!(text(&few.stderr).contains("only 2 rows are shown"), "{}", text(&few.stderr));
    let file = dir.path().join("answer.csv");
    let path = file.to_str().unwrap();
    assert!(query(&["select 1 as one", "--format", "csv", "-o", path]).status.success());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\n1\n");
    let wrong = query(&["select nmae from spans"]);
    assert!(!wrong.status.success());
    let told = text(&wrong.stderr);
    assert!(told.contains("nmae") && told.contains("hint: the tables are"), "{told}");
}
