//! What recording costs on the recording thread, CPU nanoseconds: the registry of open spans, and
//! a whole span from Rust, with its end written to the journal.
//!
//! Run with `cargo run --release -p staso-sdk --example record_cost`. A number as argument says how many spans
//! a figure is of, fewer for an instruction counter.
#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use std::sync::OnceLock;

use anyhow::Result;
use staso_sdk::record::SpanHead;
use staso_sdk::{Config, JournalChoice, Overrides, SpanKind, clock, ids};

const RUNS: usize = 7;

/// How many times each thing is done for one figure.
fn times() -> usize {
    static TIMES: OnceLock<usize> = OnceLock::new();
    let asked = || std::env::args().nth(1).and_then(|word| word.parse().ok());
    *TIMES.get_or_init(|| asked().unwrap_or(50_000))
}

fn main() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let overrides = Overrides {
        journal: Some(JournalChoice::At(dir.path().to_owned())),
        ..Overrides::default()
    };
    let client = staso_sdk::init(&Config::resolve(&overrides, &|_| None)?);
    let head = SpanHead {
        trace_id: ids::trace_id(),
        span_id: ids::span_id(),
        parent_span_id: None,
        name: "span".into(),
        kind: SpanKind::Chain,
        start_ns: clock::wall_ns(),
        surroundings: Default::default(),
        input: None,
    };
    println!("{:>24} {:>10} {:>10} {:>10}", "what", "min ns", "median ns", "max ns");
    print("a reading of the clock", || {
        std::hint::black_box(clock::mono_ns());
    });
    // What others do for a span that nothing listens to: `tracing` with its registry and no layer.
    let registry = tracing_subscriber::registry();
    tracing::subscriber::with_default(registry, || {
        print("empty span of tracing", || drop(tracing::info_span!("empty").entered()));
    });
    print("new span id", || {
        std::hint::black_box(ids::span_id());
    });
    print("open and close", || {
        let token = client.open_span(head.clone(), clock::mono_ns());
        client.close_span(token);
    });
    print("empty span from Rust", || drop(staso_sdk::span("empty").start()));
    let _root = staso_sdk::span("root").start();
    print("the same with a parent", || drop(staso_sdk::span("empty").start()));
    for threads in [1, 2, 4] {
        print_threads(threads);
    }
    Ok(())
}

/// The same on several threads at once: what each span costs in CPU time, over all of them.
fn print_threads(threads: usize) {
    let mut figures: Vec<i64> = (0..RUNS).map(|_| on_threads(threads)).collect();
    figures.sort_unstable();
    print_row(&format!("empty span, {threads} threads"), &figures);
}

fn on_threads(threads: usize) -> i64 {
    let cost = || {
        let start = cpu_ns();
        (0..times()).for_each(|_| drop(staso_sdk::span("empty").start()));
        cpu_ns() - start
    };
    let costs = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(cost)).collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).sum::<i64>()
    });
    costs / (times() * threads) as i64
}

fn print(what: &str, run: impl Fn()) {
    let mut figures: Vec<i64> = (0..RUNS)
        .map(|_| {
            let start = cpu_ns();
            (0..times()).for_each(|_| run());
            (cpu_ns() - start) / times() as i64
        })
        .collect();
    figures.sort_unstable();
    print_row(what, &figures);
}

fn print_row(what: &str, figures: &[i64]) {
    println!("{what:>24} {:>10} {:>10} {:>10}", figures[0], figures[RUNS / 2], figures[RUNS - 1]);
}

/// CPU time of this thread, user and kernel.
fn cpu_ns() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place to write to.
    unsafe {
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time);
    }
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
