//! Export and import with the binary: whole, cut off and gone on with, and from other hands.

use std::fs;
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::program::{Serving, run, span, text};

/// More than a page of traces.
const TRACES: u64 = 150;

fn id(n: u64) -> String {
    format!("{n:032x}")
}

fn filled(home: &Path) -> Serving {
    let serving = Serving::start(home);
    let trace =
        |n| json!({"trace_id": id(n), "spans": [span(7, None, &format!("turn {n}"), n, 5)]});
    let traces: Vec<Json> = (1..=TRACES).map(trace).collect();
    assert_eq!(serving.ingest("k1", &json!({"traces": traces})).0, 200);
    serving
}

fn count(serving: &Serving, workspace: &str) -> u64 {
    let (_, answer) = serving.get("/api/workspaces");
    let rows = answer["workspaces"].as_array().unwrap();
    let found = rows.iter().find(|row| row["slug"] == workspace);
    found.map_or(0, |row| row["traces"].as_u64().unwrap())
}

fn export(home: &Path, file: &Path) -> String {
    let output = run(home, &["export", file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    fs::read_to_string(file).unwrap()
}

#[test]
fn an_export_is_imported_into_another_server() {
    let dir = tempfile::tempdir().unwrap();
    let (home, other) = (dir.path().join("home"), dir.path().join("other"));
    let file = dir.path().join("traces.jsonl");
    let serving = filled(&home);
    let whole = export(&home, &file);
    assert_eq!(whole.lines().count() as u64, TRACES);
    assert_eq!(text(&run(&home, &["export", "-"]).stdout), whole);
    let again = run(&home, &["export", file.to_str().unwrap()]);
    assert!(text(&again.stderr).contains("exists already"));
    let some = text(&run(&home, &["export", "-", "--filter", "name:\"turn 150\""]).stdout);
    assert_eq!(some.lines().count(), 1, "{some}");

    let receiving = Serving::start(&other);
    for workspace in ["default", "copies"] {
        let file = file.to_str().unwrap();
        let output = run(&other, &["import", file, "--workspace", workspace]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(text(&output.stdout).contains(&format!("{TRACES} lines")));
        assert_eq!(count(&receiving, workspace), TRACES);
    }
    let (ours, theirs) =
        [&serving, &receiving].map(|it| it.get(&format!("/api/spans/{}/7", id(3)))).into();
    assert_eq!(ours, theirs);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3, "notes are gone when all is done");
}

#[test]
fn an_export_that_was_cut_off_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let serving = filled(&home);
    let whole = export(&home, &dir.path().join("whole"));

    // As a kill leaves it: a page that is noted, and a torn one behind it.
    let file = dir.path().join("cut");
    let (partial, notes) = (dir.path().join("cut.partial"), dir.path().join("cut.partial.state"));
    let (page, cursor) = serving.page("/api/export?limit=100");
    let state = json!({"query": [["limit", "100"]], "cursor": cursor, "bytes": page.len()});
    fs::write(&partial, format!("{page}{{\"trace_id\": \"torn")).unwrap();
    fs::write(&notes, state.to_string()).unwrap();
    assert_eq!(export(&home, &file), whole);
    assert!(!partial.exists() && !notes.exists());

    // What another question left behind is not taken for the beginning of this one.
    let file = dir.path().join("other");
    fs::write(dir.path().join("other.partial"), page).unwrap();
    let state = json!({"query": [["limit", "100"], ["filter", "x"]], "cursor": cursor, "bytes": 5});
    fs::write(dir.path().join("other.partial.state"), state.to_string()).unwrap();
    assert_eq!(export(&home, &file), whole);
}

#[test]
fn an_import_stops_at_a_bad_line_and_goes_on_from_there() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let serving = Serving::start(&home);
    let line =
        |n: u64| json!({"trace_id": id(n), "spans": [span(7, None, "turn", n, 5)]}).to_string();
    let file = dir.path().join("lines");
    let import = || run(&home, &["import", file.to_str().unwrap()]);
    let written = |middle: &str| {
        let mut lines: Vec<String> = (1..=50).map(line).collect();
        lines.insert(30, middle.to_owned());
        fs::write(&file, lines.join("\n")).unwrap();
    };
    for bad in ["{\"spans\": [", "[1]", "{\"name\": \"no trace\"}", "\u{fffd}"] {
        written(bad);
        let output = import();
        let told = text(&output.stderr);
        assert!(!output.status.success() && told.contains("line 31 cannot"), "{told}");
        // Whole batches before it are stored, and are not sent again.
        assert_eq!(count(&serving, "default"), 20);
    }
    let (_, health) = serving.get("/api/health");
    assert_eq!(health["ingest"]["repeated"], json!("0"));
    written("");
    let output = import();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(count(&serving, "default"), 50);

    // All of it once more is the same once more.
    assert!(import().status.success());
    assert_eq!(count(&serving, "default"), 50);
    let nowhere = run(&home, &["import", "/nowhere"]);
    assert!(text(&nowhere.stderr).contains("cannot read /nowhere"));
}

#[test]
fn without_a_server_nothing_is_exported_or_imported() {
    let dir = tempfile::tempdir().unwrap();
    for command in ["export", "import"] {
        let output = run(dir.path(), &[command, "file"]);
        let told = text(&output.stderr);
        assert!(!output.status.success() && told.contains("staso serve"), "{told}");
    }
}
