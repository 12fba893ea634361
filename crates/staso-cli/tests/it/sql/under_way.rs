//! Queries that have not ended: beginning them, finding their processes, waiting for what becomes of them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use serde_json::{Value as Json, json};

use crate::program::{PATIENCE, Serving};

/// The children of a process, by what the system says of every process.
pub(super) fn children(parent: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        // After the name in parentheses: the state, then the parent.
        let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let mut words = rest.split(' ');
        let (state, ppid) = (words.next(), words.next());
        if ppid == Some(parent.to_string().as_str()) && state != Some("Z") {
            found.push(pid);
        }
    }
    found
}

pub(super) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Begins to ask and does not wait for the answer.
pub(super) fn begin(server: &Serving, sql: &str) -> TcpStream {
    let address = server.url.strip_prefix("http://").unwrap();
    let body = json!({ "sql": sql }).to_string();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /api/sql HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nConnection: close\r\n"
    );
    write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    stream
}

/// Waits for what comes of what was begun: head and body.
pub(super) fn whole(mut asked: TcpStream) -> String {
    let mut text = String::new();
    asked.read_to_string(&mut text).unwrap();
    text
}

/// Waits for the answer to what was begun, which must be one.
pub(super) fn answer(asked: TcpStream) -> Json {
    let text = whole(asked);
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// Whether a child has all its files, and can open no other.
pub(super) fn is_sealed(pid: u32) -> bool {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
    let row = limits.lines().find(|line| line.starts_with("Max open files"));
    row.is_some_and(|row| row.split_whitespace().filter(|word| *word == "1").count() == 2)
}

/// Sends a signal to a process that is there.
pub(super) fn signal(pid: u32, name: &str) {
    let sent = std::process::Command::new("kill").args([name, &pid.to_string()]).status();
    assert!(sent.unwrap().success(), "{name} {pid}");
}
