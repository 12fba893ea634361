//! The looks that `doctor` takes.

use std::fs::{File, TryLockError};
use std::path::Path;

use staso_journal::{Home, ServerInfo, unreadable};
use staso_server::view::health::Health;
use staso_server::{Damage, Inspection};

use super::Finding;
use crate::client::Client;

/// What stands in `server.json`, and what its server answers.
pub(super) struct Announced {
    info: Option<ServerInfo>,
    health: Option<anyhow::Result<Health>>,
}

impl Announced {
    pub(super) fn read(home: &Home) -> Self {
        let info = ServerInfo::read(home);
        let ask = |info: &ServerInfo| {
            Client::new(&info.url, Some(info.token.clone())).get("/api/health", &[])
        };
        let health = info.as_ref().map(ask);
        Self { info, health }
    }

    pub(super) fn is_answering(&self) -> bool {
        matches!(self.health, Some(Ok(_)))
    }
}

/// The state directory: there, ours, writable, private.
pub(super) fn state_directory(home: &Home) -> Vec<Finding> {
    let path = home.path();
    let shown = path.display();
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            vec![Finding::Note(format!(
                "state directory {shown} is not there yet; it is made when needed"
            ))]
        }
        Err(error) => vec![Finding::bad(
            format!("state directory {shown} cannot be looked at: {error}"),
            "correct its permissions, or set STASO_HOME to another place",
        )],
        Ok(data) if !data.is_dir() => vec![Finding::bad(
            format!("state directory {shown} is not a directory"),
            "move that file away, or set STASO_HOME to another place",
        )],
        Ok(data) => {
            let mut findings = permissions(path, &data);
            if findings.is_empty() {
                findings.push(Finding::Good(format!("state directory {shown}")));
            }
            findings
        }
    }
}

#[cfg(unix)]
fn permissions(path: &Path, data: &std::fs::Metadata) -> Vec<Finding> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = data.permissions().mode() & 0o777;
    let shown = path.display();
    let mut findings = Vec::new();
    if mode & 0o077 != 0 {
        findings.push(Finding::bad(
            format!("state directory {shown} is open to other users (mode {mode:03o})"),
            format!("chmod 700 {shown}"),
        ));
    }
    if mode & 0o300 != 0o300 {
        findings.push(Finding::bad(
            format!("state directory {shown} cannot be written to (mode {mode:03o})"),
            format!("chmod 700 {shown}"),
        ));
    }
    findings
}

#[cfg(not(unix))]
fn permissions(_path: &Path, _data: &std::fs::Metadata) -> Vec<Finding> {
    Vec::new()
}

/// The server: announced, reachable, of this version.
pub(super) fn server(home: &Home, announced: &Announced) -> Vec<Finding> {
    match (&announced.info, &announced.health) {
        (Some(info), Some(Ok(health))) => {
            let own = env!("CARGO_PKG_VERSION");
            let mut findings = vec![Finding::Good(format!(
                "server {} at {} (process {}); spans: {}, traces: {}",
                health.version, info.url, info.pid, health.store.spans.0, health.store.traces.0
            ))];
            if health.version != own {
                findings.push(Finding::bad(
                    format!("the server is version {}, this program {own}", health.version),
                    "restart the server with this program",
                ));
            }
            findings
        }
        (Some(info), Some(Err(error))) => vec![Finding::bad(
            format!(
                "server.json names {} (process {}), which does not answer: {error}",
                info.url, info.pid
            ),
            format!(
                "if that process is no server, delete {}; else restart it",
                home.server_json().display()
            ),
        )],
        _ if home.server_json().exists() => vec![Finding::Note(
            "no server runs; server.json is of one that ended without taking it back".to_owned(),
        )],
        _ => vec![Finding::Note("no server runs; `staso serve` starts one".to_owned())],
    }
}

/// Segments by who has them.
#[derive(Default)]
struct Segments {
    held: usize,
    free: usize,
    bytes: u64,
}

/// The journal: what waits in it, and for whom.
pub(super) fn journal(home: &Home, has_server: bool) -> Vec<Finding> {
    let dir = home.journal_dir();
    let bad = unreadable(&dir);
    let Segments { held, mut free, bytes } = count(&dir);
    free = free.saturating_sub(bad.len());
    let mut findings: Vec<Finding> = bad
        .iter()
        .map(|segment| {
            let problem =
                format!("journal segment {}: {}", segment.path.display(), segment.trouble);
            Finding::bad(problem, segment.trouble.remedy())
        })
        .collect();
    let text = format!(
        "journal: {held} segment(s) of running programs, {free} left by ended ones, {bytes} bytes"
    );
    findings.push(match (free, has_server) {
        (0, _) => Finding::Good(text),
        (_, true) => {
            Finding::Note(format!("{text}; the server takes up what is for it within seconds"))
        }
        (_, false) => Finding::Note(format!("{text}; `staso serve` takes up what is for it")),
    });
    findings.extend(set_aside(&dir.join("rejected")));
    findings
}

/// What was set aside because nobody could take it.
fn set_aside(dir: &Path) -> Vec<Finding> {
    let count = |extension: &str| {
        let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
        entries.flatten().filter(|e| e.path().extension().is_some_and(|x| x == extension)).count()
    };
    let shown = dir.display();
    let kinds = [
        (count("json"), "batch(es) were refused for good and"),
        (count("seg"), "journal segment(s) could not be read and were"),
    ];
    let found = kinds.into_iter().filter(|(n, _)| *n > 0);
    let bad = found.map(|(n, what)| {
        Finding::bad(
            format!("{n} {what} set aside in {shown}"),
            "each has its reason beside it as .reason.txt; delete both files when you have read them",
        )
    });
    bad.collect()
}

fn count(dir: &Path) -> Segments {
    let mut segments = Segments::default();
    let Ok(entries) = std::fs::read_dir(dir) else { return segments };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension().is_none_or(|extension| extension != "seg") {
            continue;
        }
        // What cannot be opened is found, and told, as unreadable.
        let Ok(file) = File::open(&path) else { continue };
        segments.bytes += file.metadata().map_or(0, |data| data.len());
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => segments.held += 1,
            Ok(()) | Err(TryLockError::Error(_)) => segments.free += 1,
        }
    }
    segments
}

/// What is in the data directory: every byte that has a checksum is read.
pub(super) fn data(dir: &Path) -> Vec<Finding> {
    if !dir.is_dir() {
        return Vec::new();
    }
    let Inspection { is_in_use, segments, rows, log_records, notes, damage } =
        staso_server::inspect(dir);
    let mut findings: Vec<Finding> = notes.into_iter().map(Finding::Note).collect();
    if damage.is_empty() {
        let log = match is_in_use {
            true => "its log is looked at when no server runs".to_owned(),
            false => format!("log records: {log_records}"),
        };
        let text = format!("data: no damage; segments: {segments}, spans in them: {rows}; {log}");
        findings.push(Finding::Good(text));
    }
    findings.extend(damage.into_iter().map(|Damage { file, problem, remedy }| {
        Finding::bad(format!("{}: {problem}", file.display()), remedy)
    }));
    findings
}

/// The data directory: there, and in whose hands.
pub(super) fn data_directory(dir: &Path, has_server: bool) -> Vec<Finding> {
    let shown = dir.display();
    if !dir.exists() {
        return vec![Finding::Note(format!(
            "data directory {shown} is not there yet; `staso serve` makes it"
        ))];
    }
    let lock = File::open(dir.join("LOCK")).map(|file| file.try_lock_shared());
    match (lock, has_server) {
        (Ok(Err(TryLockError::WouldBlock)), true) => {
            vec![Finding::Good(format!("data directory {shown}, in use by a server"))]
        }
        (Ok(Err(TryLockError::WouldBlock)), false) => vec![Finding::bad(
            format!(
                "data directory {shown} is locked, but the server that holds it does not answer here"
            ),
            "another server runs on it: stop that one, or give this state directory its own --data-dir",
        )],
        (Ok(Ok(())), _) => vec![Finding::Good(format!("data directory {shown}, free"))],
        (Ok(Err(TryLockError::Error(error))) | Err(error), _) => vec![Finding::bad(
            format!("data directory {shown} cannot be looked at: {error}"),
            "correct its permissions, or name the right directory with --data-dir",
        )],
    }
}
