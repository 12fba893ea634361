//! Local mode: no server needed, and a server that comes later is found.

use std::time::Duration;

use staso_sdk::Home;

use crate::peer::{Answer, Peer};
use crate::support::{LONG, client, record_all};

fn announce(home: &std::path::Path, url: &str, token: &str) {
    let info = staso_journal::ServerInfo {
        url: url.to_owned(),
        pid: std::process::id(),
        token: token.to_owned(),
        capabilities: vec!["values".to_owned()],
        started_ns: 1,
    };
    info.write(&Home::new(home.to_owned())).unwrap();
}

#[test]
fn without_a_server_flush_returns_at_once_and_all_is_well() {
    let home = tempfile::tempdir().unwrap();
    let client = client(home.path(), None);
    record_all(&client, 40);
    let report = client.flush(Duration::from_secs(3600));
    assert!(report.ok(true) && !report.timed_out, "{report:?}");
    assert_eq!((report.accepted, report.journalled, report.last_failure), (40, 40, None));
}

#[test]
fn a_late_server_gets_everything() {
    let home = tempfile::tempdir().unwrap();
    let client = client(home.path(), None);
    let names = record_all(&client, 40);
    client.flush(LONG);
    let peer = Peer::start(true);
    announce(home.path(), &peer.url, "local-token");
    // Nobody asks for it: the worker looks by itself.
    peer.wait_until("all spans", |requests| crate::peer::stored(requests).len() == names.len());
    assert_eq!(peer.stored(), names);
    assert_eq!(peer.batches()[0].headers["x-api-key"], "local-token");
    // What the announcement says of capabilities counts: no question is asked first.
    assert!(peer.requests().iter().all(|request| request.path != "/api/health"));
}

#[test]
fn a_server_that_moved_is_followed() {
    let home = tempfile::tempdir().unwrap();
    let (first, second) = (Peer::start(true), Peer::start(true));
    announce(home.path(), &first.url, "a");
    let client = client(home.path(), None);
    first.otherwise(Answer::Status(503));
    let names = record_all(&client, 3);
    first.wait_until("an attempt", |requests| !requests.is_empty());
    announce(home.path(), &second.url, "b");
    second.wait_until("all spans", |requests| crate::peer::stored(requests).len() == 3);
    assert_eq!(second.stored(), names);
}

#[test]
fn an_announced_server_that_is_gone_is_no_server() {
    let home = tempfile::tempdir().unwrap();
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    announce(home.path(), &format!("http://{gone}"), "t");
    let client = client(home.path(), None);
    record_all(&client, 2);
    let report = client.flush(Duration::from_secs(3600));
    assert!(!report.timed_out && report.journalled == 2, "{report:?}");
}
