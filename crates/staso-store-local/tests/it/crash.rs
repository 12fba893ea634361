//! SIGKILL at random instants during ingest: nothing acknowledged is lost, nothing is doubled,
//! nothing is half there.
//!
//! The test starts its own binary again as a child (the ignored test below, named by an
//! environment variable's directory). The child ingests numbered batches and prints the number of
//! each after its acknowledgement; the parent kills it and looks.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use staso_model::SpanId;
use staso_store::{Appended, Batch, ReceiptKey, Store};
use staso_store_local::{LocalStore, Options};

use super::{batch, span};

const CRASHES: u32 = 200;
/// Directories are replaced now and then, so that both young and old ones are crashed.
const CRASHES_PER_DIR: u32 = 40;
const DIR: &str = "STASO_CRASH_TEST_DIR";
const FIRST: &str = "STASO_CRASH_TEST_FIRST";
const STEP: &str = "STASO_CRASH_TEST_STEP";
/// Spans of one batch; half of them go to a trace of all batches.
const SPANS: u64 = 6;
const SHARED_TRACE: u64 = 1 << 40;

/// Batch `n`: three spans of its own trace, three more of the shared one.
fn numbered(n: u64) -> Batch {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&n.to_be_bytes());
    let spans = (0..SPANS).map(|i| {
        let trace = if i % 2 == 0 { n } else { SHARED_TRACE };
        let mut span = span(trace, n * SPANS + i + 1);
        span.version.sequence = n * SPANS + i + 1;
        span
    });
    Batch {
        receipt: Some(ReceiptKey { key: format!("batch {n}"), digest }),
        reply: n.to_be_bytes().to_vec(),
        ..batch(spans.collect())
    }
}

/// The child: ingests until it is killed. Not a test of its own.
#[test]
#[ignore = "the child process of the crash test"]
fn child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let die_at_step = std::env::var(STEP).ok().map(|step| step.parse().unwrap());
        // Few bytes, so that flushes are often under way.
        let options = Options { die_at_step, hot_bytes: 40_000, ..Options::default() };
        let store = LocalStore::open(Path::new(&dir), &options).unwrap();
        let mut n = first;
        loop {
            // Several at once, so that group commits are killed too.
            let three = tokio::join!(
                store.append(numbered(n)),
                store.append(numbered(n + 1)),
                store.append(numbered(n + 2)),
            );
            for (i, answer) in [three.0, three.1, three.2].into_iter().enumerate() {
                answer.unwrap();
                let mut out = std::io::stderr().lock();
                // One write, so that no kill can tear the line.
                let line = format!("acknowledged {}\n", n + i as u64);
                out.write_all(line.as_bytes()).unwrap();
            }
            n += 3;
        }
    });
}

fn start(dir: &Path, first: u64, step: Option<u64>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["crash::child", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .env(FIRST, first.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    if let Some(step) = step {
        command.env(STEP, step.to_string());
    }
    command.spawn().unwrap()
}

/// The number in a line that says what was acknowledged. A panic is no crash of the right sort.
fn acknowledged(line: &str) -> Option<u64> {
    assert!(!line.contains("panicked"), "{line}");
    line.strip_prefix("acknowledged ").map(|n| n.parse().unwrap())
}

/// Runs a child until it acknowledged `wanted` batches and a random moment more, kills it, and
/// answers the greatest number it acknowledged.
fn crash(dir: &Path, first: u64, random: &mut u64) -> Option<u64> {
    *random =
        random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let wanted = (*random >> 33) % 12;
    let more = Duration::from_micros((*random >> 40) % 3_000);
    let mut child = start(dir, first, None);
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut last = None;
    let mut seen = 0;
    let mut killed = wanted == 0;
    if killed {
        // Perhaps while it still opens the directory.
        std::thread::sleep(more * 4);
        child.kill().unwrap();
    }
    // The pipe is read to its end: an acknowledgement printed before the kill counts.
    for line in lines {
        let line = line.unwrap();
        if let Some(n) = acknowledged(&line) {
            last = Some(n);
            seen += 1;
        }
        if seen >= wanted && !killed {
            std::thread::sleep(more);
            child.kill().unwrap();
            killed = true;
        }
    }
    child.wait().unwrap();
    last
}

/// Every batch up to the last acknowledged one is there, whole and once; those after it wholly or
/// not at all. Answers the first number not yet used.
async fn check(dir: &Path, acknowledged: &BTreeMap<u64, u64>) -> u64 {
    let store = LocalStore::open(dir, &Options::default()).unwrap();
    let shared = span(SHARED_TRACE, 1).trace_id;
    let trace = store.trace("default", &shared, true, 0).await.unwrap();
    let mut in_shared = BTreeMap::<u64, u64>::new();
    let spans = trace.as_ref().map(|trace| &trace.spans[..]).unwrap_or_default();
    for found in spans {
        let id = u64::from_be_bytes(found.span.span_id.low());
        *in_shared.entry((id - 1) / SPANS).or_default() += 1;
    }
    let greatest = in_shared.keys().last().copied();
    let mut present = 0;
    for n in 1..=greatest.unwrap_or(0) + 4 {
        let own = store.trace_row("default", &span(n, 1).trace_id, 0).await.unwrap();
        let own = own.map_or(0, |row| row.span_count);
        let whole = (own, in_shared.get(&n).copied().unwrap_or(0));
        let must = acknowledged.iter().any(|(first, last)| (*first..=*last).contains(&n));
        assert!(whole == (3, 3) || (whole == (0, 0) && !must), "batch {n}: {whole:?}, {must}");
        present += u64::from(whole == (3, 3));
    }
    let stats = store.stats().await.unwrap();
    assert_eq!(stats.spans, present * SPANS);
    assert_eq!(trace.map_or(0, |trace| trace.row.span_count), present * 3);
    if let Some(n) = greatest {
        assert!(stats.last_sequence > n * SPANS, "the count of versions was kept");
        assert_receipt(&store, n).await;
    }
    store.close().await.unwrap();
    greatest.unwrap_or(0) + 1
}

/// A batch that is there is known by its receipt: sending it again writes nothing.
async fn assert_receipt(store: &LocalStore, n: u64) {
    let again = store.append(numbered(n)).await.unwrap();
    assert_eq!(again, Appended::Repeated { reply: n.to_be_bytes().to_vec() });
    let id = SpanId::from_w3c((n * SPANS + 1).to_be_bytes());
    assert!(store.span("default", &span(n, 1).trace_id, &id).await.unwrap().is_some());
}

#[test]
fn two_hundred_crashes_lose_and_double_nothing() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut random = u64::from(std::process::id());
    println!("seed {random}");
    let mut acknowledged_in_all = 0;
    for _ in 0..CRASHES / CRASHES_PER_DIR {
        let dir = tempfile::tempdir().unwrap();
        let mut acknowledged = BTreeMap::new();
        let mut first = 1;
        for _ in 0..CRASHES_PER_DIR {
            if let Some(last) = crash(dir.path(), first, &mut random) {
                acknowledged.insert(first, last);
                acknowledged_in_all += last - first + 1;
            }
            first = runtime.block_on(check(dir.path(), &acknowledged));
        }
    }
    println!("{acknowledged_in_all} acknowledged batches, {CRASHES} crashes");
    assert!(acknowledged_in_all > u64::from(CRASHES), "the children got to work");
}

/// How many steps are tried: the opening, some dozen appends and several flushes.
const STEPS: u64 = 80;
/// A directory is small, since all of it is read after each crash.
const STEPS_PER_DIR: u64 = 10;

/// Before and after each write, sync, rename, removal and commit, one after another: the process ends
/// there, and nothing is lost or doubled.
#[test]
fn every_step_to_the_disk_can_be_the_last() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut dir = tempfile::tempdir().unwrap();
    let mut all = BTreeMap::new();
    let mut first = 1;
    let mut worked = 0;
    for step in 1..=STEPS {
        if step.is_multiple_of(STEPS_PER_DIR) {
            dir = tempfile::tempdir().unwrap();
            all.clear();
            first = 1;
        }
        let mut child = start(dir.path(), first, Some(step));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let last = lines.filter_map(|line| acknowledged(&line.unwrap())).max();
        assert!(!child.wait().unwrap().success(), "it ended by itself at step {step}");
        if let Some(last) = last {
            all.insert(first, last);
            worked += 1;
        }
        first = runtime.block_on(check(dir.path(), &all));
    }
    assert!(worked > STEPS / 2, "most of them got to work: {worked}");
}
