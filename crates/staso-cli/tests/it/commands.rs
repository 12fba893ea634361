//! Help, configuration, the description and the doctor.

use std::process::Output;

use crate::program::{Serving, run, span, staso, text};

fn doctor(home: &std::path::Path) -> Output {
    run(home, &["doctor"])
}

#[test]
fn without_a_command_it_helps() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(dir.path(), &[]);
    assert!(!output.status.success());
    for word in ["serve", "show", "doctor", "config", "openapi"] {
        assert!(text(&output.stderr).contains(word), "{word}");
    }
}

#[test]
fn the_description_is_the_committed_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../api/openapi.json");
    let is_current =
        text(&run(dir.path(), &["openapi"]).stdout) == std::fs::read_to_string(path).unwrap();
    assert!(is_current, "api/openapi.json is old: run `staso openapi > api/openapi.json`");
}

#[test]
fn settings_come_from_file_environment_and_flags_and_say_so() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("staso.toml"), "port = 1\nmax_spans = 2\n").unwrap();
    let output = staso(dir.path())
        .args(["config", "show", "--origins"])
        .env("STASO_PORT", "3")
        .output()
        .unwrap();
    let shown = text(&output.stdout);
    let line = |key: &str| shown.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    assert!(line("port").contains('3') && line("port").ends_with("STASO_PORT"), "{shown}");
    assert!(line("max_spans").ends_with("staso.toml"), "{shown}");
    assert!(line("host").ends_with("default"), "{shown}");

    std::fs::write(dir.path().join("staso.toml"), "prot = 1\n").unwrap();
    let output = run(dir.path(), &["serve"]);
    let complaint = text(&output.stderr);
    assert!(!output.status.success());
    assert!(complaint.contains("unknown setting `prot`"), "{complaint}");
    let missing = run(dir.path(), &["--config", "/nowhere.toml", "config", "show"]);
    assert!(text(&missing.stderr).contains("cannot read /nowhere.toml"));
}

#[test]
fn off_the_loopback_it_refuses_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(dir.path(), &["serve", "--host", "0.0.0.0", "--port", "0"]);
    let complaint = text(&output.stderr);
    assert!(!output.status.success());
    assert!(complaint.contains("0.0.0.0 is not a loopback address"), "{complaint}");
    assert!(complaint.contains("keys come with a later version"), "{complaint}");
}

#[test]
fn a_healthy_place_passes_the_doctor() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let before = doctor(&home);
    assert!(before.status.success(), "nothing there yet is not wrong: {}", text(&before.stdout));
    let server = Serving::start(&home);
    let output = doctor(&home);
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains("ok     server"), "{shown}");
    assert!(shown.contains("in use by a server"), "{shown}");
    server.terminate();
    assert!(text(&doctor(&home).stdout).contains("free"));
}

#[cfg(unix)]
#[test]
fn what_is_wrong_is_named_with_a_remedy_and_a_failing_code() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    std::fs::create_dir(&home).unwrap();
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = doctor(&home);
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stdout);
    assert!(shown.contains("open to other users (mode 755)"), "{shown}");
    assert!(shown.contains(&format!("remedy: chmod 700 {}", home.display())), "{shown}");
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700)).unwrap();

    let rejected = home.join("journal/rejected");
    std::fs::create_dir_all(&rejected).unwrap();
    std::fs::write(rejected.join("x.json"), "{}").unwrap();
    let shown = text(&doctor(&home).stdout);
    assert!(shown.contains("1 batch(es) were refused for good"), "{shown}");
    std::fs::remove_dir_all(&rejected).unwrap();

    let segment = home.join("journal/x.seg");
    std::fs::write(&segment, [0; 4096]).unwrap();
    let output = doctor(&home);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains(&format!("{}: its front is damaged", segment.display())), "{shown}");
    assert!(shown.contains("remedy: a running server sets it aside"), "{shown}");
    std::fs::create_dir_all(&rejected).unwrap();
    std::fs::rename(&segment, rejected.join("x.seg")).unwrap();
    let shown = text(&doctor(&home).stdout);
    assert!(shown.contains("1 journal segment(s) could not be read and were set aside"), "{shown}");
    std::fs::remove_dir_all(&rejected).unwrap();

    // A server that is announced, lives, and answers nothing: this test's own process.
    let info = format!(
        "{{\"url\": \"http://127.0.0.1:1\", \"pid\": {}, \"token\": \"t\"}}",
        std::process::id()
    );
    std::fs::write(home.join("server.json"), info).unwrap();
    let output = doctor(&home);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("does not answer"), "{}", text(&output.stdout));
}

/// The one file below a directory whose name ends so.
fn below(dir: &std::path::Path, ends: &str) -> std::path::PathBuf {
    let mut left = vec![dir.to_owned()];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.to_str().unwrap().ends_with(ends) {
            return path;
        }
    }
    panic!("nothing ends in {ends} below {}", dir.display());
}

#[test]
fn damage_in_the_data_directory_is_named_by_its_file_and_the_rest_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let body = |trace: &str| serde_json::json!({"traces": [{"trace_id": trace, "spans": [span(1, None, "s", 1, 1)]}]});
    let traces = [1, 2, 3].map(|n| format!("{n:032x}"));
    let server = Serving::start(&home);
    for trace in &traces {
        assert_eq!(server.ingest(trace, &body(trace)).0, 200);
    }
    let shown = text(&doctor(&home).stdout);
    assert!(shown.contains("its log is looked at when no server runs"), "{shown}");
    server.terminate();
    let shown = text(&doctor(&home).stdout);
    assert!(
        shown.contains("data: no damage; segments: 0, spans in them: 0; log records: 3"),
        "{shown}"
    );

    let log = below(&home.join("data/wal"), ".wal");
    let mut bytes = std::fs::read(&log).unwrap();
    // In the second of three records of the same size.
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    let output = doctor(&home);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains(&format!("WRONG  {}: bytes ", log.display())), "{shown}");
    assert!(shown.contains("records 2 to 2 are lost"), "{shown}");
    assert!(shown.contains("remedy: restore the file from a backup"), "{shown}");
    let server = Serving::start(&home);
    for (trace, spans) in traces.iter().zip([1, 0, 1]) {
        let (_, answer) = server.get(&format!("/api/traces/{trace}"));
        let found = answer["spans"].as_array().map_or(0, Vec::len);
        assert_eq!(found, spans, "{trace}: {answer}");
    }
}

#[test]
fn a_state_directory_has_one_server_whatever_its_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let server = Serving::start(&home);
    let announced = std::fs::read(home.join("server.json")).unwrap();
    let other = dir.path().join("other").display().to_string();
    let output = run(&home, &["serve", "--port", "0", "--data-dir", &other]);
    let complaint = text(&output.stderr);
    assert!(!output.status.success());
    assert!(complaint.contains("already serves the state directory"), "{complaint}");
    assert!(complaint.contains("--home"), "{complaint}");
    assert_eq!(std::fs::read(home.join("server.json")).unwrap(), announced);
    server.kill();
    Serving::start(&home).terminate();
}

#[cfg(unix)]
#[test]
fn an_announcement_that_nobody_stands_behind_holds_no_server_up() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    std::fs::create_dir(&home).unwrap();
    // This test's process lives, and nobody listens there.
    let pid = std::process::id();
    let stale = format!("{{\"url\": \"http://127.0.0.1:1\", \"pid\": {pid}, \"token\": \"t\"}}");
    std::fs::write(home.join("server.json"), stale).unwrap();
    Serving::start(&home).terminate();
}
