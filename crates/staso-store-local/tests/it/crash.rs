//! Crashes during ingest: nothing acknowledged is lost, nothing is doubled, nothing is half there, and
//! nothing that was refused comes back.
//!
//! The test starts its own binary again as a child (the ignored test below, named by an
//! environment variable's directory). The child ingests numbered batches and prints the number of
//! each after its answer; it is killed at random instants, or ends itself before or after any
//! operation on the disk, SQLite's own included, or operations fail before it is killed. The parent opens
//! the directory and looks. `cargo test` runs some dozens of crashes; a thousand and more:
//!
//! ```text
//! STASO_CRASHES=1200 cargo test --release -p staso-store-local --test it -- \
//!     --ignored --exact crash::many_crashes --nocapture
//! ```
//!
//! Both print the seed; `STASO_CRASH_SEED` repeats a run's choices.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use staso_model::{Payload, SpanId};
use staso_store::{Appended, Batch, Deletion, ReceiptKey, Retention, Store, Target};
use staso_store_local::{LocalStore, Options, inspect};

use super::sqlite_files::{self, Operation};
use super::{batch, span};

/// Directories are replaced now and then, so that both young and old ones are crashed.
const CRASHES_PER_DIR: u64 = 12;
/// Opening takes milliseconds; a machine under load may take longer, a replay that does not end for ever.
const OPENING: Duration = Duration::from_secs(60);
const DIR: &str = "STASO_CRASH_TEST_DIR";
const FIRST: &str = "STASO_CRASH_TEST_FIRST";
const FAULT: &str = "STASO_CRASH_TEST_FAULT";
/// Spans of one batch; half of them go to a trace of all batches.
const SPANS: u64 = 6;
const SHARED_TRACE: u64 = 1 << 40;

/// What goes wrong in a child. Numbers count operations since the directory was opened: of the store's own
/// files in steps, two for each, of SQLite's files one by one.
#[derive(Debug, Clone, PartialEq)]
enum Fault {
    /// Nothing but the kill.
    None,
    /// It ends itself at a step.
    Die(u64),
    /// It ends itself before an operation of SQLite, or after it.
    DieInSqlite(u64),
    /// Operations fail, and it goes on.
    Fail(Range<u64>),
    /// One operation of SQLite fails, and it goes on.
    FailInSqlite(u64),
}

impl Fault {
    fn words(&self) -> String {
        match self {
            Self::None => "none 0 0".to_owned(),
            Self::Die(at) => format!("die {at} 0"),
            Self::DieInSqlite(at) => format!("die-in-sqlite {at} 0"),
            Self::Fail(steps) => format!("fail {} {}", steps.start, steps.end),
            Self::FailInSqlite(at) => format!("fail-in-sqlite {at} 0"),
        }
    }

    fn of(words: &str) -> Self {
        let words: Vec<_> = words.split(' ').collect();
        let [at, end] = [1, 2].map(|i| words[i].parse::<u64>().unwrap());
        match words[0] {
            "die" => Self::Die(at),
            "die-in-sqlite" => Self::DieInSqlite(at),
            "fail" => Self::Fail(at..end),
            "fail-in-sqlite" => Self::FailInSqlite(at),
            _ => Self::None,
        }
    }

    /// Whether the child goes on until it is killed.
    fn is_survived(&self) -> bool {
        !matches!(self, Self::Die(_) | Self::DieInSqlite(_))
    }

    /// Whether what was refused may be there after all: only where taking it back failed too.
    fn may_keep_refused(&self) -> bool {
        matches!(self, Self::Fail(steps) if steps.end - steps.start > 1)
    }
}

/// What a child was answered, by numbers of batches.
#[derive(Debug, Default)]
struct Answers {
    acknowledged: BTreeSet<u64>,
    refused: BTreeSet<u64>,
    /// Whose own trace is to be deleted, and whose deletion was acknowledged.
    deleting: BTreeSet<u64>,
    deleted: BTreeSet<u64>,
    /// The own traces of earlier batches may have gone for their age.
    retaining: BTreeSet<u64>,
}

/// Batch `n`: three spans of its own trace, three more of the shared one.
fn numbered(n: u64) -> Batch {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&n.to_be_bytes());
    let spans = (0..SPANS).map(|i| {
        let trace = if i % 2 == 0 { n } else { SHARED_TRACE };
        let mut span = span(trace, n * SPANS + i + 1);
        span.version.sequence = n * SPANS + i + 1;
        span.input = Some(Payload::text(format!("what went into span {i} of batch {n}")));
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
    let dir = Path::new(&dir);
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let fault = Fault::of(&std::env::var(FAULT).unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // Few bytes, so that flushes are often under way.
    let mut options =
        Options { hot_bytes: 40_000, forget_after: Duration::ZERO, ..Options::default() };
    let _hooked = sqlite_faults(dir, &fault);
    match fault {
        Fault::Die(step) => options.die_at_step = Some(step),
        Fault::Fail(steps) => options.fail_at_steps = Some(steps),
        _ => {}
    }
    // Where an operation fails while it opens, it declines; that is no crash.
    let Ok(store) = LocalStore::open(dir, &options) else { return };
    runtime.block_on(ingest(&store, first));
}

fn sqlite_faults(dir: &Path, fault: &Fault) -> Option<sqlite_files::Hooked> {
    let (at, dies) = match fault {
        Fault::DieInSqlite(at) => (*at, true),
        Fault::FailInSqlite(at) => (*at, false),
        _ => return None,
    };
    let count = AtomicU64::new(0);
    Some(sqlite_files::hook(dir, move |_: Operation, _: &Path| {
        let is_it = count.fetch_add(1, Ordering::Relaxed) + 1 == at;
        if is_it && dies {
            std::process::abort();
        }
        is_it
    }))
}

/// Several batches at once, so that group commits are killed too.
async fn ingest(store: &LocalStore, first: u64) {
    for n in (first..).step_by(3) {
        let three = tokio::join!(
            store.append(numbered(n)),
            store.append(numbered(n + 1)),
            store.append(numbered(n + 2)),
        );
        for (i, answer) in (n..).zip([three.0, three.1, three.2]) {
            let word = if answer.is_ok() { "acknowledged" } else { "refused" };
            say(word, i);
        }
        // One of them is deleted, while flushes and compactions go on.
        say("deleting", n);
        if store.delete(&of_trace(n)).await.is_ok_and(|deleted| deleted.traces == 1) {
            say("deleted", n);
        }
        // Own traces of earlier batches are old at times; the shared one began later than all of them.
        if n.is_multiple_of(2) {
            say("retaining", n);
            let before_ns = Some(n.cast_signed());
            let workspace = "default".to_owned();
            let _ = store.retain(&Retention { workspace, before_ns, max_bytes: None }).await;
        }
    }
}

/// One write, so that no kill can tear the line.
fn say(word: &str, n: u64) {
    std::io::stderr().lock().write_all(format!("{word} {n}\n").as_bytes()).unwrap();
}

/// The deletion of batch `n`'s own trace.
fn of_trace(n: u64) -> Deletion {
    let target = Target::Trace(span(n, 1).trace_id);
    Deletion { workspace: "default".to_owned(), target, at_ns: 1_000 }
}

fn start(dir: &Path, first: u64, fault: &Fault) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["crash::child", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .env(FIRST, first.to_string())
        .env(FAULT, fault.words())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

impl Answers {
    /// Takes in a line of the child. A panic is no crash of the right sort.
    fn take(&mut self, line: &str) -> bool {
        assert!(!line.contains("panicked"), "{line}");
        for (word, numbers) in [
            ("acknowledged ", &mut self.acknowledged),
            ("refused ", &mut self.refused),
            ("deleting ", &mut self.deleting),
            ("deleted ", &mut self.deleted),
            ("retaining ", &mut self.retaining),
        ] {
            if let Some(n) = line.strip_prefix(word) {
                return numbers.insert(n.parse().unwrap());
            }
        }
        false
    }

    fn extend(&mut self, more: Self) {
        self.acknowledged.extend(more.acknowledged);
        self.refused.extend(more.refused);
        self.deleting.extend(more.deleting);
        self.deleted.extend(more.deleted);
        self.retaining.extend(more.retaining);
    }
}

/// Runs a child until it printed `wanted` answers and a moment more, and kills it if it did not end
/// before.
fn crash(dir: &Path, first: u64, fault: &Fault, wanted: u64, more: Duration) -> Answers {
    let mut child = start(dir, first, fault);
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut answers = Answers::default();
    let mut seen = 0;
    let mut killed = wanted == 0;
    if killed {
        // Perhaps while it still opens the directory.
        std::thread::sleep(more * 4);
        child.kill().unwrap();
    }
    // The pipe is read to its end: an answer printed before the kill counts.
    for line in lines {
        seen += u64::from(answers.take(&line.unwrap()));
        if seen >= wanted && !killed {
            std::thread::sleep(more);
            child.kill().unwrap();
            killed = true;
        }
    }
    child.wait().unwrap();
    answers
}

/// Every acknowledged batch is there, whole and once; no refused one is; the others wholly or
/// not at all. Answers the first number not yet used.
async fn check(dir: &Path, answers: &Answers, case: &str) -> u64 {
    let began = Instant::now();
    let store = LocalStore::open(dir, &Options::default()).unwrap();
    assert!(began.elapsed() < OPENING, "{case}: it opened after {:?}", began.elapsed());
    let shared = span(SHARED_TRACE, 1).trace_id;
    let trace = store.trace("default", &shared, true, 0).await.unwrap();
    let mut in_shared = BTreeSet::new();
    let mut sent = BTreeMap::new();
    for found in trace.as_ref().map(|trace| &trace.spans[..]).unwrap_or_default() {
        let id = u64::from_be_bytes(found.span.span_id.low()) - 1;
        assert!(in_shared.insert(id), "{case}: a span is there twice");
        let sent = sent.entry(id / SPANS).or_insert_with_key(|n| numbered(*n).spans);
        assert_eq!(found.span, sent[usize::try_from(id % SPANS).unwrap()], "{case}");
    }
    let greatest = in_shared.last().map(|id| id / SPANS);
    let known = [greatest, answers.acknowledged.last().copied(), answers.refused.last().copied()];
    let last = known.into_iter().flatten().max().unwrap_or_default();
    let (mut present, mut in_all) = (0, 0);
    for n in 1..=last + 4 {
        let own = store.trace_row("default", &span(n, 1).trace_id, 0).await.unwrap();
        let own = own.map_or(0, |row| row.span_count);
        let whole = (own, in_shared.range(n * SPANS..(n + 1) * SPANS).count());
        let (must, must_not) = (answers.acknowledged.contains(&n), answers.refused.contains(&n));
        let is_deleted = answers.deleted.contains(&n);
        let may_be_deleted =
            answers.deleting.contains(&n) || answers.retaining.last().is_some_and(|last| n < *last);
        let is_right = (whole == (3, 3) && !must_not && !is_deleted)
            || (whole == (0, 3) && !must_not && may_be_deleted)
            || (whole == (0, 0) && !must);
        assert!(
            is_right,
            "{case}: batch {n}: {whole:?}, acknowledged {must}, refused {must_not}, deleted {is_deleted}"
        );
        present += own + whole.1 as u64;
        in_all += u64::from(whole.1 == 3);
    }
    let stats = store.stats().await.unwrap();
    assert_eq!(stats.spans, present, "{case}");
    assert_eq!(trace.map_or(0, |trace| trace.row.span_count), in_all * 3, "{case}");
    if let Some(n) = greatest {
        assert!(stats.last_sequence > n * SPANS, "{case}: the count of versions was kept");
        assert_receipt(&store, n).await;
    }
    store.close().await.unwrap();
    assert_eq!(inspect(dir).damage, [], "{case}");
    last + 1
}

/// A batch that is there is known by its receipt: sending it again writes nothing.
async fn assert_receipt(store: &LocalStore, n: u64) {
    let again = store.append(numbered(n)).await.unwrap();
    assert_eq!(again, Appended::Repeated { reply: n.to_be_bytes().to_vec() });
    let id = SpanId::from_w3c((n * SPANS + 2).to_be_bytes());
    assert!(store.span("default", &span(SHARED_TRACE, 1).trace_id, &id).await.unwrap().is_some());
}

/// Choices that a seed determines.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn fault(&mut self) -> Fault {
        match self.below(8) {
            0 | 1 => Fault::Die(1 + self.below(240)),
            2 | 3 => Fault::DieInSqlite(1 + self.below(500)),
            4 => {
                let step = 1 + self.below(240);
                Fault::Fail(step..step + 1)
            }
            5 => {
                let step = 1 + self.below(240);
                Fault::Fail(step..step + 2 + self.below(20))
            }
            6 => Fault::FailInSqlite(1 + self.below(500)),
            _ => Fault::None,
        }
    }
}

/// As many crashes of all sorts, in directories of different ages.
#[expect(
    clippy::print_stdout,
    reason = "the seed repeats a run, and a long one says how far it is"
)]
fn crashes(count: u64) {
    let seed = std::env::var("STASO_CRASH_SEED")
        .map_or(std::process::id().into(), |seed| seed.parse::<u64>().unwrap());
    println!("seed {seed}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut random = Random(seed);
    let (mut acknowledged, mut refused, mut done) = (0, 0, 0);
    while done < count {
        let dir = tempfile::tempdir().unwrap();
        let mut all = Answers::default();
        let mut first = 1;
        for _ in 0..CRASHES_PER_DIR.min(count - done) {
            done += 1;
            let fault = random.fault();
            // Such a child is killed when it had the time to get there, and a little more.
            let wanted = random.below(if fault == Fault::None { 12 } else { 60 });
            let wanted = if fault.is_survived() { wanted } else { u64::MAX };
            let more = Duration::from_micros(random.below(3_000));
            let mut answers = crash(dir.path(), first, &fault, wanted, more);
            acknowledged += answers.acknowledged.len();
            refused += answers.refused.len();
            if fault.may_keep_refused() {
                answers.refused.clear();
            }
            all.extend(answers);
            let case = format!("seed {seed}, crash {done}, {fault:?}");
            first = runtime.block_on(check(dir.path(), &all, &case));
        }
        println!("{done} crashes, {acknowledged} batches acknowledged, {refused} refused");
    }
    assert!(acknowledged as u64 > count, "the children got to work");
}

#[test]
fn crashes_lose_and_double_nothing() {
    crashes(60);
}

#[test]
#[ignore = "takes minutes: see above for how to run it"]
fn many_crashes() {
    crashes(std::env::var("STASO_CRASHES").map_or(1_200, |count| count.parse().unwrap()));
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
    let mut all = Answers::default();
    let mut first = 1;
    let mut worked = 0;
    for step in 1..=STEPS {
        if step.is_multiple_of(STEPS_PER_DIR) {
            dir = tempfile::tempdir().unwrap();
            all = Answers::default();
            first = 1;
        }
        let answers = crash(dir.path(), first, &Fault::Die(step), u64::MAX, Duration::ZERO);
        worked += u64::from(!answers.acknowledged.is_empty());
        all.extend(answers);
        first = runtime.block_on(check(dir.path(), &all, &format!("step {step}")));
    }
    assert!(worked > STEPS / 2, "most of them got to work: {worked}");
}
