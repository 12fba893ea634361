//! Golden directories: what every version of the format left on disk, and what is to be read from it.
//!
//! `tests/golden/format-<n>/directory` has the files (`.zst` where that makes them small), and
//! `expected.json` beside it the spans and annotations. `docs/internals/on-disk-format.md` says how
//! one is added.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use staso_model::{Annotation, Span, TraceId};
use staso_store::matching::{Matcher, SpanTest};
use staso_store::metadata::each_metadata;
use staso_store::query::{Filter, TextMatch, TraceQuery};
use staso_store::{Appended, Batch, ReceiptKey, Store};
use staso_store_local::{LocalStore, Options};

use super::failures::everything;

/// What stands in a golden directory.
#[derive(Clone, Deserialize)]
pub(crate) struct Expected {
    pub(crate) spans: Vec<Span>,
    annotations: Vec<Annotation>,
}

/// A copy of a golden directory.
pub(crate) struct Golden {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) expected: Expected,
}

fn place(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/format-{format}"))
}

impl Golden {
    pub(crate) fn of(format: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        unpack(&place(format).join("directory"), dir.path());
        let expected = fs::read(place(format).join("expected.json")).unwrap();
        Self { dir, expected: serde_json::from_slice(&expected).unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn catalog(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path().join("catalog.db")).unwrap()
    }

    /// Opens it, and finds what is expected, nothing else, and nothing twice.
    pub(crate) async fn assert(&self) {
        let store =
            LocalStore::open(self.path(), &Options { compact_bytes: 0, ..Options::default() })
                .unwrap();
        self.expected.assert(&store).await;
        store.close().await.unwrap();
    }
}

fn unpack(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if path.is_dir() {
            unpack(&path, &to.join(name));
        } else if path.extension().is_some_and(|extension| extension == "zst") {
            let bytes = zstd::decode_all(fs::File::open(&path).unwrap()).unwrap();
            fs::write(to.join(path.file_stem().unwrap()), bytes).unwrap();
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

impl Expected {
    pub(crate) async fn assert(&self, store: &LocalStore) {
        self.assert_spans(store).await;
        for number in 1..=6 {
            assert_receipt(store, number).await;
        }
    }

    pub(crate) async fn assert_spans(&self, store: &LocalStore) {
        let mut traces = BTreeMap::<(String, TraceId), Vec<&Span>>::new();
        for span in &self.spans {
            traces.entry((span.workspace.clone(), span.trace_id)).or_default().push(span);
        }
        for ((workspace, trace_id), spans) in &traces {
            let found = store.trace(workspace, trace_id, true, 0).await.unwrap().unwrap();
            let mut shown: Vec<&Span> = found.spans.iter().map(|node| &node.span).collect();
            shown.sort_by_key(|span| span.span_id);
            let (dropped, rest): (Vec<&Span>, Vec<&Span>) =
                spans.iter().partition(|span| span.dropped);
            assert_eq!(shown, rest, "{trace_id}");
            for span in dropped {
                let found = store.span(workspace, trace_id, &span.span_id).await.unwrap();
                assert_eq!(found.unwrap().span, *span);
            }
            let open = spans.iter().filter(|span| span.is_open() && !span.dropped).count();
            let counts = (found.row.span_count, found.row.open_count);
            assert_eq!(counts, (shown.len() as u64, open as u64), "{trace_id}");
            let said = self.annotations.iter().filter(|a| a.trace_id == *trace_id);
            assert_eq!(found.annotations, said.cloned().collect::<Vec<_>>());
        }
        self.assert_found(store).await;
        let stats = store.stats().await.unwrap();
        let sequence = self.spans.iter().map(|span| span.version.sequence).max().unwrap();
        let counts = (stats.spans, stats.traces, stats.last_sequence);
        assert_eq!(counts, (self.spans.len() as u64, traces.len() as u64, sequence));
    }
}

impl Expected {
    /// Lists by the name and the metadata of each span, whether the directory has an index of them or not.
    async fn assert_found(&self, store: &LocalStore) {
        let mut asked = Vec::new();
        for span in &self.spans {
            asked.push((&span.workspace, Filter::SpanName(span.name.clone())));
            each_metadata(&span.attributes, 100, 100, &mut |path, text| {
                let wanted = TextMatch::Equals(text.to_owned());
                asked.push((&span.workspace, Filter::Metadata(path.to_owned(), wanted)));
                true
            });
        }
        assert!(asked.iter().any(|(_, filter)| matches!(filter, Filter::Metadata(..))));
        for (workspace, filter) in asked {
            let matcher = Matcher::new(&filter).unwrap();
            let test = SpanTest::of(matcher.filter()).unwrap();
            let passing = self
                .spans
                .iter()
                .filter(|span| span.workspace == *workspace && !span.dropped && test.holds(span));
            let wanted: BTreeSet<TraceId> = passing.map(|span| span.trace_id).collect();
            let workspace = workspace.clone();
            let query = TraceQuery { workspace, filter, limit: 1_000, ..everything() };
            let rows = store.traces(&query).await.unwrap().rows;
            let found: BTreeSet<TraceId> = rows.iter().map(|row| row.trace_id).collect();
            assert_eq!(found, wanted, "{:?}", query.filter);
        }
    }
}

/// Sent again, a batch of the golden directory is known.
async fn assert_receipt(store: &LocalStore, number: u8) {
    let receipt = ReceiptKey { key: format!("batch {number}"), digest: [number; 32] };
    let again =
        Batch { workspace: "default".to_owned(), receipt: Some(receipt), ..Batch::default() };
    let reply = format!("reply {number}").into_bytes();
    assert_eq!(store.append(again).await.unwrap(), Appended::Repeated { reply });
}
