//! Bringing an older directory up: ended at any instant, opened by an older program in between, with
//! damage in it, and with far more in it than memory may hold.
//!
//! The test starts its own binary again as a child, as the crash test does.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rusqlite::{Connection, params};
use serde::Serialize;
use staso_model::{Span, SpanId, TraceId};
use staso_store::{Store, StoreError};
use staso_store_local::{LocalStore, Options};

use super::golden::Golden;

const DIR: &str = "STASO_MIGRATION_TEST_DIR";
const STEP: &str = "STASO_MIGRATION_TEST_STEP";
const GROUP: &str = "STASO_MIGRATION_TEST_GROUP_BYTES";
/// So few bytes that the golden directory moves in several groups.
const FEW_BYTES: usize = 16_000;

/// The child: opens the directory, and closes it. Not a test of its own.
#[test]
#[ignore = "the child process of the migration tests"]
fn child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    tracing_subscriber::fmt().with_ansi(false).init();
    let hot_bytes = std::env::var(GROUP).unwrap().parse().unwrap();
    let die_at_step = std::env::var(STEP).ok().map(|step| step.parse().unwrap());
    let options = Options { die_at_step, hot_bytes, ..Options::default() };
    drop(LocalStore::open(Path::new(&dir), &options).unwrap());
}

fn command(dir: &Path, group_bytes: usize) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["migration::child", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .env(GROUP, group_bytes.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn start(dir: &Path, group_bytes: usize, step: Option<u64>) -> Child {
    let mut command = command(dir, group_bytes);
    if let Some(step) = step {
        command.env(STEP, step.to_string());
    }
    command.spawn().unwrap()
}

/// Opens the directory in a child that ends itself at a step; whether it lived through the opening.
fn lives(dir: &Path, step: u64) -> bool {
    start(dir, FEW_BYTES, Some(step)).wait().unwrap().success()
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(work)
}

/// Files of segments that the catalog does not name.
fn orphans(golden: &Golden) -> usize {
    let mut directories = vec![golden.path().join("segments")];
    let mut files = 0;
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { directories.push(path) } else { files += 1 }
        }
    }
    let known = "SELECT count(*) FROM segments";
    files - golden.catalog().query_row(known, [], |row| row.get::<_, i64>(0)).unwrap() as usize
}

/// One directory, ended a step later each time: it comes to its end all the same.
#[test]
fn a_move_that_ends_again_and_again_comes_to_its_end() {
    for format in [1, 2] {
        let golden = Golden::of(format);
        let ends = (20..).find(|step| lives(golden.path(), *step)).unwrap();
        assert!(ends > 22, "it ended several times: {ends}");
        block_on(golden.assert());
    }
}

/// Killed from outside, at random instants.
#[test]
fn a_move_that_is_killed_at_random_comes_to_its_end() {
    let mut random = u64::from(std::process::id());
    println!("seed {random}");
    let mut kills = 0;
    for _ in 0..8 {
        let golden = Golden::of(2);
        for attempt in 1.. {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let mut child = start(golden.path(), FEW_BYTES, None);
            // Longer each time, so that one attempt is not cut short.
            std::thread::sleep(Duration::from_micros((random >> 40) % (attempt * 40_000)));
            child.kill().unwrap();
            if child.wait().unwrap().success() {
                break;
            }
            kills += 1;
        }
        block_on(golden.assert());
    }
    assert!(kills > 8, "{kills}");
}

/// What the program of format 2 does with a directory: it looks at `VERSION`, makes the tables that are
/// missing, and takes in spans. Answers whether it would open it.
fn older_program(dir: &Path, spans: &[(&Span, [u8; 25])]) -> bool {
    const TABLE: &str = "CREATE TABLE IF NOT EXISTS spans (
          span_row INTEGER PRIMARY KEY, ws INTEGER NOT NULL, trace_id BLOB NOT NULL,
          span_id BLOB NOT NULL, version BLOB NOT NULL, head BLOB NOT NULL, payload BLOB
        ) STRICT;
        CREATE UNIQUE INDEX IF NOT EXISTS span_identity ON spans (ws, trace_id, span_id);";
    let version = fs::read_to_string(dir.join("VERSION")).unwrap();
    if version.trim().parse::<u32>().unwrap() > 2 {
        return false;
    }
    let (head, payload) = a_record();
    let catalog = Connection::open(dir.join("catalog.db")).unwrap();
    catalog.execute_batch(TABLE).unwrap();
    for (span, key) in spans {
        let ids = params![span.trace_id.0, span.span_id.0, key, head, payload];
        let sql = "INSERT INTO spans (ws, trace_id, span_id, version, head, payload)
                   VALUES (1, ?1, ?2, ?3, ?4, ?5)";
        catalog.execute(sql, ids).unwrap();
        // It knows of no row of its trace, so it writes one in which this span is all there is.
        let sql = "INSERT INTO traces (ws, trace_id, start_ns, spans, errors, open, interrupted,
                     status, kinds, record)
                   SELECT 1, ?1, start_ns, 1, 0, 0, 0, status, kinds, record FROM traces
                   WHERE trace_row = 1
                   ON CONFLICT (ws, trace_id) DO UPDATE SET spans = 1, record = excluded.record";
        catalog.execute(sql, params![span.trace_id.0]).unwrap();
        let sql = "UPDATE workspaces SET spans = spans + 1 WHERE ws = 1";
        catalog.execute(sql, []).unwrap();
    }
    true
}

/// What the span of [`a_record`] is called.
const A_NAME: &str = "step 4";

/// Head and payload of a span, as the program of format 2 wrote them.
fn a_record() -> (Vec<u8>, Option<Vec<u8>>) {
    let sql = "SELECT head, payload FROM spans WHERE span_row = 2";
    Golden::of(2).catalog().query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

/// The version of an ended span, as that program wrote it.
fn version(client: u8, received_ns: i64, sequence: u8) -> [u8; 25] {
    let sql = "SELECT version FROM spans WHERE span_row = 2";
    let mut key: [u8; 25] = Golden::of(2).catalog().query_row(sql, [], |row| row.get(0)).unwrap();
    key[9..17].copy_from_slice(&(received_ns.cast_unsigned() ^ (1 << 63)).to_be_bytes());
    (key[8], key[24]) = (client, sequence);
    key
}

fn new_span(n: u64) -> Span {
    Span::new("default", TraceId([9; 16]), SpanId::from_w3c(n.to_be_bytes()))
}

/// Before and after each write, sync, rename and commit, the shrinking of the catalog included. The
/// program of format 2 comes next, then this one: either that program declines, or what it took in is
/// there as well.
#[test]
fn every_step_of_the_move_can_be_the_last_and_an_older_program_the_next() {
    let (mut opened, mut declined) = (0, 0);
    let mut halves = BTreeSet::new();
    for step in 1.. {
        let golden = Golden::of(2);
        let lived = lives(golden.path(), step);
        let half = "SELECT count(*) FROM meta WHERE key IN ('moved', 'shrink')";
        halves.insert(golden.catalog().query_row(half, [], |row| row.get::<_, i64>(0)).unwrap());
        let span = new_span(1);
        if older_program(golden.path(), &[(&span, version(0, 1, 1))]) {
            opened += 1;
            block_on(assert_with(&golden, &span));
        } else {
            declined += 1;
            block_on(golden.assert());
        }
        assert_eq!(orphans(&golden), 0, "step {step}");
        if lived {
            break;
        }
    }
    println!("opened {opened} times, declined {declined} times");
    assert!(opened > 0 && declined > 60, "several groups, with many steps each");
    assert_eq!(halves, BTreeSet::from([0, 1]), "some ended in the middle");
}

/// Everything of the golden directory is there, and the span that the older program took in.
async fn assert_with(golden: &Golden, span: &Span) {
    let store = LocalStore::open(golden.path(), &Options::default()).unwrap();
    let found = store.span("default", &span.trace_id, &span.span_id).await.unwrap();
    assert_eq!(found.unwrap().span.name, A_NAME);
    assert_eq!(store.stats().await.unwrap().spans, 31);
    for span in &golden.expected.spans {
        let found = store.span(&span.workspace, &span.trace_id, &span.span_id).await.unwrap();
        assert_eq!(found.unwrap().span, *span);
    }
    store.close().await.unwrap();
}

/// The state that a kill in the catalog's shrinking once left: everything in segments, `VERSION` of
/// before. The program of format 2 then wrote a table of its own.
#[tokio::test]
async fn what_an_older_program_wrote_beside_segments_is_brought_together() {
    let mut golden = Golden::of(2);
    golden.assert().await;
    fs::write(golden.path().join("VERSION"), "2\n").unwrap();
    let (newer, older) = (golden.expected.spans[0].clone(), golden.expected.spans[1].clone());
    let new = new_span(1);
    let wrote = [(&newer, version(3, 1, 7)), (&older, version(0, 1, 1)), (&new, version(0, 1, 1))];
    assert!(older_program(golden.path(), &wrote));
    for _ in 0..2 {
        let store = LocalStore::open(golden.path(), &Options::default()).unwrap();
        let trace = store.trace("default", &newer.trace_id, true, 0).await.unwrap().unwrap();
        assert_eq!((trace.row.span_count, trace.spans.len()), (5, 5), "each once");
        let of = async |span: &Span| {
            store.span("default", &span.trace_id, &span.span_id).await.unwrap().unwrap().span
        };
        assert_eq!((of(&newer).await.name, of(&newer).await.version.client), (A_NAME.into(), 3));
        assert_eq!(of(&older).await, older, "the version in the segment is newer");
        assert_eq!(of(&new).await.name, A_NAME);
        assert_eq!(store.open_processes().await.unwrap().len(), 2);
        let stats = store.stats().await.unwrap();
        assert_eq!((stats.spans, stats.traces), (31, 6));
        store.close().await.unwrap();
    }
    // What it did not touch is as it was.
    golden.expected.spans.retain(|span| span.trace_id != newer.trace_id);
    let store = LocalStore::open(golden.path(), &Options::default()).unwrap();
    for span in &golden.expected.spans {
        let found = store.span(&span.workspace, &span.trace_id, &span.span_id).await.unwrap();
        assert_eq!(found.unwrap().span, *span);
    }
}

/// A full disk ends the move with an answer that says so; with room it goes on.
#[test]
fn a_move_that_fills_the_disk_goes_on_when_there_is_room() {
    let golden = Golden::of(2);
    let mut full = 0;
    for max_bytes in (0..).map(|n| n * 9_000) {
        let options =
            Options { hot_bytes: FEW_BYTES, max_bytes: Some(max_bytes), ..Options::default() };
        match LocalStore::open(golden.path(), &options) {
            Ok(_) => break,
            Err(StoreError::DiskFull) => full += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(full > 2, "{full}");
    block_on(golden.assert());
}

/// A damaged record, and a damaged page of the table: all else moves, and the damaged rows are kept.
#[tokio::test]
async fn damage_in_the_old_table_costs_only_what_is_damaged() {
    let golden = Golden::of(2);
    let catalog = golden.catalog();
    let change = "UPDATE spans SET head = zeroblob(40) WHERE span_row = 3;
                  UPDATE spans SET version = x'00' WHERE span_row = 7;";
    catalog.execute_batch(change).unwrap();
    drop(catalog);
    let lost = assert_rest(&golden).await;
    assert_eq!(lost, 2);
    let rows = "SELECT group_concat(span_row) FROM older_spans";
    let rows: String = golden.catalog().query_row(rows, [], |row| row.get(0)).unwrap();
    assert_eq!(rows, "3,7");

    let golden = Golden::of(2);
    let sql = "SELECT head FROM spans WHERE span_row = 12";
    let head: Vec<u8> = golden.catalog().query_row(sql, [], |row| row.get(0)).unwrap();
    let path = golden.path().join("catalog.db");
    let mut bytes = fs::read(&path).unwrap();
    let mut places = bytes.windows(head.len()).enumerate().filter(|(_, window)| *window == head);
    // A leaf of a table; elsewhere are traces of earlier states.
    let page = places.find_map(|(at, _)| Some(at / 8192 * 8192).filter(|page| bytes[*page] == 13));
    let page = page.unwrap();
    bytes[page..page + 16].fill(0xff);
    fs::write(&path, bytes).unwrap();
    let lost = assert_rest(&golden).await;
    assert!((1..30).contains(&lost), "{lost}");
    let kept = "SELECT count(*) FROM sqlite_master WHERE name = 'older_spans'";
    assert_eq!(golden.catalog().query_row(kept, [], |row| row.get(0)), Ok(1_i64));
}

/// Opens it twice; answers how many spans are gone. Those that are there are whole.
async fn assert_rest(golden: &Golden) -> usize {
    let mut lost = 0;
    for _ in 0..2 {
        let store = LocalStore::open(golden.path(), &Options::default()).unwrap();
        lost = 0;
        for span in &golden.expected.spans {
            match store.span(&span.workspace, &span.trace_id, &span.span_id).await.unwrap() {
                Some(found) => assert_eq!(found.span, *span),
                None => lost += 1,
            }
        }
        store.close().await.unwrap();
    }
    lost
}

/// Whoever waits for it is told how far it is, on the first way and when it goes on.
#[test]
fn progress_is_told() {
    let moved = "SELECT EXISTS (SELECT 1 FROM meta WHERE key = 'moved')";
    let half = (40..).step_by(10).find_map(|step| {
        let golden = Golden::of(2);
        assert!(!lives(golden.path(), step), "none ended half-way");
        let is_half: bool = golden.catalog().query_row(moved, [], |row| row.get(0)).unwrap();
        is_half.then_some(golden)
    });
    let golden = half.unwrap();
    let output = command(golden.path(), FEW_BYTES).stdout(Stdio::piped()).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let place = |words: &str| told.find(words).unwrap_or_else(|| panic!("{words} in: {told}"));
    let moved: u32 = told[place("done=") + 5..].split(' ').next().unwrap().parse().unwrap();
    assert!(moved > 0 && place("of=30") > 0, "it goes on where it was: {told}");
    assert!(place("its spans move to segments") < place("percent=100"), "{told}");
    assert!(place("percent=100") < place("has this program's format now"), "{told}");
}

#[derive(Serialize)]
struct PayloadRecord {
    input: (bool, String),
}

/// A payload of so many bytes, as the program of format 2 wrote it.
fn payload(bytes: usize) -> Vec<u8> {
    let text = "the same words again and again; ".repeat(bytes / 32);
    let record = PayloadRecord { input: (false, text) };
    let plain = rmp_serde::to_vec_named(&record).unwrap();
    let body = zstd::bulk::compress(&plain, 1).unwrap();
    let length = u32::try_from(plain.len()).unwrap();
    let head = [&[1, 1][..], &crc32fast::hash(&body).to_le_bytes(), &length.to_le_bytes()];
    [head.concat(), body].concat()
}

/// How many spans of a mebibyte each are moved, and how many mebibytes of memory of its own the
/// process may have at any moment. A group has two.
const LARGE: i64 = 256;
const MAX_MIB: u64 = 96;

#[test]
fn memory_is_bounded_by_the_group_and_not_by_the_directory() {
    let golden = Golden::of(2);
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
               INSERT INTO spans (ws, trace_id, span_id, version, head, payload)
               SELECT 1, zeroblob(16), CAST(printf('%016d', n.i) AS BLOB), s.version, s.head, ?2
               FROM n JOIN spans AS s ON s.span_row = 2";
    golden.catalog().execute(sql, params![LARGE, payload(1 << 20)]).unwrap();
    let mut child = start(golden.path(), 2 << 20, None);
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        most = most.max(own_kib(&fs::read_to_string(&status).unwrap_or_default()));
    }
    assert!(child.wait().unwrap().success());
    println!("at most {most} KiB");
    assert!(most > 2 << 10, "it was measured: {most} KiB");
    assert!(most < MAX_MIB << 10, "{most} KiB");
    let moved = "SELECT sum(rows) FROM segments";
    let moved: i64 = golden.catalog().query_row(moved, [], |row| row.get(0)).unwrap();
    assert_eq!(moved, LARGE + 30);
}

/// Memory that is the process's own, from its status.
fn own_kib(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
