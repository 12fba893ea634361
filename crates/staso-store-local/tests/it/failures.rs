//! A full disk, and bytes that are not what was written.

use rusqlite::Connection;
use staso_model::{Payload, Span};
use staso_store::query::{Filter, Sort, TraceQuery};
use staso_store::{Sign, Store, StoreError};
use staso_store_local::{LocalStore, Options};

use super::{batch, held, signs, span};

pub(crate) fn everything() -> TraceQuery {
    TraceQuery {
        workspace: "default".to_owned(),
        environment: None,
        from_ns: None,
        to_ns: None,
        filter: Filter::everything(),
        sort: Sort::Start,
        after: None,
        limit: 1000,
        now_ns: 0,
    }
}

/// A batch that does not compress, of about a megabyte.
fn bulky(trace: u64) -> staso_store::Batch {
    let mut noise = trace.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut letter = || {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        char::from(b'!' + u8::try_from(noise % 90).unwrap())
    };
    let mut bulky = span(trace, 1);
    bulky.input = Some(Payload::text((0..1 << 20).map(|_| letter()).collect::<String>()));
    batch(vec![bulky])
}

/// Full: refused whole, everything stays readable. Room again: accepted, without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_survived() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { max_bytes: Some(4 << 20), ..Options::default() };
    let store = LocalStore::open(dir.path(), &options).unwrap();
    let mut kept = 0;
    let error = loop {
        match store.append(bulky(kept + 1)).await {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::DiskFull), "{error}");
    assert!((1..10).contains(&kept), "{kept}");
    assert_eq!(store.traces(&everything()).await.unwrap().rows.len() as u64, kept);
    assert_eq!(store.stats().await.unwrap().spans, kept);
    let again = store.append(bulky(kept + 1)).await;
    assert!(matches!(again, Err(StoreError::DiskFull)), "{again:?}");
    store.set_max_bytes(64 << 20).await.unwrap();
    store.append(bulky(kept + 1)).await.unwrap();
    assert_eq!(store.stats().await.unwrap().spans, kept + 1);
    drop(store);
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    assert_eq!(store.traces(&everything()).await.unwrap().rows.len() as u64, kept + 1);
}

/// Overwrites columns of the catalog behind the store's back, while it is closed.
fn damage(dir: &std::path::Path, sql: &str) {
    let conn = Connection::open(dir.join("catalog.db")).unwrap();
    assert!(conn.execute(sql, []).unwrap() > 0, "{sql}");
}

/// The one segment there is.
/// The one segment of a directory.
pub(crate) fn segment(dir: &std::path::Path) -> std::path::PathBuf {
    let mut found = vec![dir.join("segments")];
    loop {
        let path = found.pop().unwrap();
        match path.is_dir() {
            true => found.extend(std::fs::read_dir(path).unwrap().map(|e| e.unwrap().path())),
            false => return path,
        }
    }
}

/// Whatever byte of a segment is flipped: no answer is wrong. The span that it hits says so or comes
/// back as it was, and everything else does.
#[tokio::test]
async fn no_flipped_byte_of_a_segment_changes_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    let mut spans = [span(1, 1), span(1, 2), span(2, 1)];
    for (i, span) in spans.iter_mut().enumerate() {
        span.input = Some(Payload::text(format!("the question number {i}; ").repeat(20)));
        span.attributes = vec![("key".to_owned(), staso_model::Value::Int(7))];
    }
    append(&store, spans.to_vec()).await;
    store.flush().await.unwrap();
    drop(store);
    let path = segment(dir.path());
    let sound = std::fs::read(&path).unwrap();
    let mut told = 0;
    for at in (0..sound.len()).step_by(7) {
        let mut broken = sound.clone();
        broken[at] ^= 0x10;
        std::fs::write(&path, &broken).unwrap();
        let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
        for span in &spans {
            match store.span("default", &span.trace_id, &span.span_id).await {
                Ok(Some(found)) => assert_eq!(found.span, *span, "byte {at}"),
                Err(StoreError::Damaged { .. }) => told += 1,
                other => panic!("byte {at}: {other:?}"),
            }
            let trace = store.trace("default", &span.trace_id, true, 0).await.unwrap().unwrap();
            assert!(trace.spans.iter().all(|tree| spans.contains(&tree.span)), "byte {at}");
        }
        assert_eq!(store.traces(&everything()).await.unwrap().rows.len(), 2, "byte {at}");
    }
    assert!(told > 0, "some byte mattered");
}

/// A damaged payload says so by its span's id; its siblings go on, and a new report mends it.
#[tokio::test]
async fn a_damaged_span_hides_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    let mut broken = span(1, 3);
    broken.parent_span_id = Some(span(1, 1).span_id);
    // A page takes two values of noise, so that three quarters into the file stands the second, with the third value.
    let whole = bulky(1).spans.remove(0);
    let beside = Span { input: bulky(2).spans.remove(0).input, ..span(1, 2) };
    broken.input = bulky(3).spans.remove(0).input;
    append(&store, vec![whole, beside, broken.clone(), held(1, 5), span(2, 1)]).await;
    store.flush().await.unwrap();
    drop(store);
    let path = segment(dir.path());
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() / 4 * 3;
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();

    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    let trace_id = broken.trace_id;
    let found = store.span("default", &trace_id, &broken.span_id).await;
    assert!(matches!(found, Err(StoreError::Damaged { .. })), "{found:?}");
    let trace = store.trace("default", &trace_id, true, 0).await.unwrap().unwrap();
    assert_eq!(trace.spans.len(), 3, "a page of its own is all that is lost");
    store.append(signs(&[Sign::Goodbye(9)], 1)).await.unwrap();
    let row = store.trace_row("default", &trace_id, 0).await.unwrap().unwrap();
    assert_eq!((row.span_count, row.open_count), (4, 0), "what is damaged keeps no other open");

    broken.version.client = 1;
    append(&store, vec![broken.clone(), span(1, 4)]).await;
    let mended = store.span("default", &trace_id, &broken.span_id).await.unwrap();
    assert_eq!(mended.map(|found| found.span), Some(broken));
    let row = store.trace_row("default", &trace_id, 0).await.unwrap().unwrap();
    assert_eq!(row.span_count, 5);
}

/// A segment that is gone takes only its own spans along.
#[tokio::test]
async fn a_missing_segment_hides_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    append(&store, vec![span(1, 1)]).await;
    store.flush().await.unwrap();
    let gone = segment(dir.path());
    append(&store, vec![span(1, 2), span(2, 1)]).await;
    drop(store);
    std::fs::remove_file(gone).unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    let trace_id = span(1, 1).trace_id;
    let trace = store.trace("default", &trace_id, true, 0).await.unwrap().unwrap();
    assert_eq!(trace.spans.len(), 1);
    let found = store.span("default", &trace_id, &span(1, 1).span_id).await;
    assert!(matches!(found, Err(StoreError::Damaged { .. })), "{found:?}");
    assert_eq!(store.traces(&everything()).await.unwrap().rows.len(), 2);
}

/// A damaged row is computed anew from its spans.
#[tokio::test]
async fn a_damaged_row_is_recomputed() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    append(&store, vec![span(1, 1), span(1, 2), span(2, 1)]).await;
    let before = store.traces(&everything()).await.unwrap();
    drop(store);
    damage(dir.path(), "UPDATE traces SET record = x'0102'");
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    assert_eq!(store.traces(&everything()).await.unwrap(), before);
}

async fn append(store: &LocalStore, spans: Vec<staso_model::Span>) {
    store.append(batch(spans)).await.unwrap();
}
