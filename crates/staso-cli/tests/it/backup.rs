//! Backup and restore with the binary, beside a running server.

use serde_json::json;

use crate::program::{Serving, run, span, text};

fn body(trace: &str, name: &str) -> serde_json::Value {
    json!({"traces": [{"trace_id": trace, "spans": [span(7, None, name, 0, 5)]}]})
}

const FIRST: &str = "0af7651916cd43dd8448eb211c80319c";
const LATER: &str = "1af7651916cd43dd8448eb211c80319c";

#[test]
fn a_backup_of_a_running_server_is_served_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let (home, other) = (dir.path().join("home"), dir.path().join("other"));
    let saved = dir.path().join("saved");
    let saved = saved.to_str().unwrap();
    let serving = Serving::start(&home);
    assert_eq!(serving.ingest("k1", &body(FIRST, "kept")).0, 200);

    let output = run(&home, &["backup", saved]);
    let told = text(&output.stdout);
    assert!(output.status.success(), "{told}{}", text(&output.stderr));
    assert!(told.contains(saved) && told.contains("no damage"), "{told}");
    assert_eq!(serving.ingest("k2", &body(LATER, "too late")).0, 200);

    // Nothing is written over, neither a backup nor the data of a server.
    let again = run(&home, &["backup", saved]);
    assert!(!again.status.success());
    assert!(text(&again.stderr).contains("name a new directory"), "{}", text(&again.stderr));
    let onto = run(&home, &["restore", saved]);
    assert!(!onto.status.success());
    assert!(text(&onto.stderr).contains("name another --data-dir or --home"));
    serving.kill();

    let output = run(&other, &["restore", saved]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let restored = Serving::start(&other);
    assert_eq!(restored.get(&format!("/api/traces/{FIRST}")).0, 200);
    assert_eq!(restored.get(&format!("/api/traces/{LATER}")).0, 404);
    // It knows what it had taken: the same batch again is the same receipt.
    assert_eq!(restored.ingest("k1", &body(FIRST, "kept")).0, 200);
    let health = restored.get("/api/health").1;
    assert_eq!(health["ingest"]["repeated"], json!("1"));
}

#[test]
fn a_damaged_backup_is_restored_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (home, other) = (dir.path().join("home"), dir.path().join("other"));
    let saved = dir.path().join("saved");
    let serving = Serving::start(&home);
    assert_eq!(serving.ingest("k1", &body(FIRST, "kept")).0, 200);
    assert!(run(&home, &["backup", saved.to_str().unwrap()]).status.success());
    assert_eq!(serving.terminate().code(), Some(0));

    let log = saved.join("wal/0000000001.wal");
    let mut bytes = std::fs::read(&log).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    let output = run(&other, &["restore", saved.to_str().unwrap()]);
    let told = text(&output.stdout);
    assert!(!output.status.success() && told.contains("damaged: "), "{told}");
    assert!(other.join("data/VERSION").exists());

    let nothing = run(&dir.path().join("third"), &["restore", "/nowhere/at/all"]);
    assert!(text(&nothing.stderr).contains("no data directory"), "{}", text(&nothing.stderr));
    assert!(!dir.path().join("third").exists());
}
