//! What an agent costs on disk that sends its whole history again at every turn: as much as what is new in it.

use std::fs;
use std::path::Path;

use staso_model::{Payload, Span};
use staso_store::Store;
use staso_store_local::{LocalStore, Options};

use super::{batch, span};

/// Words that follow no rule that a compressor knows.
struct Words(u64);

impl Words {
    fn next(&mut self) -> String {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("w{:x}", (self.0 >> 33) % 50_000)
    }

    fn message(&mut self) -> String {
        let text: Vec<String> = (0..110).map(|_| self.next()).collect();
        text.join(" ")
    }
}

/// The spans of one trace: at each turn the model is sent all messages so far, asks for a tool, and is told what that
/// found.
fn turns(count: u64) -> Vec<Span> {
    let mut words = Words(count);
    let mut history: Vec<String> = Vec::new();
    let mut spans = Vec::new();
    for n in 0..count {
        let input = format!("[{}]", history.join(","));
        let answer = format!(r#"{{"role":"assistant","content":"{}"}}"#, words.message());
        let found = format!(r#"{{"role":"tool","content":"{}"}}"#, words.message());
        history.extend([answer.clone(), found.clone()]);
        for (at, name, input, output) in
            [(0, "chat", input, answer), (1, "tool", "{}".to_owned(), found)]
        {
            let mut span = Span {
                name: name.to_owned(),
                input: Some(Payload::json(input)),
                output: Some(Payload::json(output)),
                ..span(1, 2 * n + at + 1)
            };
            span.start_ns = i64::try_from(2 * n + at).unwrap() * 1_000_000_000;
            span.end_ns = Some(span.start_ns + 1);
            spans.push(span);
        }
    }
    spans
}

fn bytes_below(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { bytes_below(&path) } else { path.metadata().unwrap().len() })
        .sum()
}

/// Bytes of segments after a flush, and after the compaction of several; and those of the texts that are new in the
/// trace, which is all of its outputs.
async fn stored(count: u64) -> [u64; 3] {
    let spans = turns(count);
    let new =
        spans.iter().map(|span| span.output.as_ref().map_or(0, |it| it.text.len() as u64)).sum();
    let mut sizes = [0; 3];
    for (size, flushes) in sizes.iter_mut().zip([1, 8]) {
        let dir = tempfile::tempdir().unwrap();
        let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
        for some in spans.chunks(spans.len().div_ceil(flushes)) {
            store.append(batch(some.to_vec())).await.unwrap();
            store.flush().await.unwrap();
        }
        store.compact().await.unwrap();
        let found = store.trace("default", &spans[0].trace_id, true, 0).await.unwrap().unwrap();
        assert!(found.spans.iter().zip(&spans).all(|(found, sent)| found.span.input == sent.input));
        store.close().await.unwrap();
        *size = bytes_below(&dir.path().join("segments"));
    }
    sizes[2] = new;
    sizes
}

/// The history of two hundred turns is a hundred times what is new in them.
#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_is_sent_again_costs_what_is_new_in_it() {
    let mut sizes = Vec::new();
    for count in [50, 100, 200] {
        let [flushed, compacted, new] = stored(count).await;
        println!(
            "{count} turns: {flushed} bytes, {compacted} in several flushes, {new} of new text"
        );
        assert!(2 * flushed < 3 * new, "{flushed} of {new}");
        // Each file begins with a whole prompt, and not all files of different sizes are merged.
        assert!(compacted < 3 * new, "{compacted} of {new}");
        sizes.push(flushed);
    }
    assert!(
        sizes[2] < 5 * sizes[0],
        "four times the turns, not sixteen times the bytes: {sizes:?}"
    );
}
