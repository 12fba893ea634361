//! A file torn, overwritten or cut at any byte gives back every record that is still whole.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use staso_journal::{RecordKind, SpanFront};
use staso_model::{SpanId, TraceId};

use crate::support::{few, open, recover, small};

/// A journal of these payloads, left behind; its one file, and where each payload lies in it.
fn left_behind(dir: &Path, payloads: &[Vec<u8>], may_map: bool) -> (PathBuf, Vec<Range<usize>>) {
    let mut options = small(may_map);
    options.segment_bytes = 4 << 20;
    let journal = open(dir, staso_journal::Destination::local(), options);
    for (n, payload) in payloads.iter().enumerate() {
        let span = SpanId::from_w3c((n as u64 + 1).to_be_bytes());
        // Every other span is kept in parts.
        let front = SpanFront {
            start_ns: n as i64,
            end_ns: -1,
            parent_id: Some(span),
            is_at_home: n % 4 == 1,
        };
        if n % 2 == 0 {
            journal.append(RecordKind::Span, &TraceId([1; 16]), &span, payload).unwrap();
        } else {
            journal.append_span(&TraceId([1; 16]), &span, &front, payload).unwrap();
        }
    }
    drop(journal);
    let path = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|suffix| suffix == "seg"))
        .unwrap();
    let bytes = fs::read(&path).unwrap();
    let mut from = 0;
    let places = payloads
        .iter()
        .enumerate()
        .map(|(n, payload)| {
            let at = from + memchr::memmem::find(&bytes[from..], payload).unwrap();
            from = at + payload.len();
            // The frame: 48 bytes before the payload, which may begin with 32 bytes of numbers.
            at - if n % 2 == 0 { 48 } else { 80 }..from
        })
        .collect();
    (path, places)
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![8 => 1usize..300, 1 => 60_000usize..200_000];
    (length, 0u8..26).prop_map(|(length, letter)| {
        let mut payload = vec![b'a' + letter; length + 20];
        payload[0] = b'{';
        payload
    })
}

fn distinct(payloads: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    payloads
        .into_iter()
        .enumerate()
        .map(|(n, mut payload)| {
            payload[1..9].copy_from_slice(format!("{n:08}").as_bytes());
            payload
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn cut_at_any_byte(
        payloads in prop::collection::vec(payload(), 1..20).prop_map(distinct),
        cut in 0.0..1.0f64,
        may_map: bool,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (path, places) = left_behind(dir.path(), &payloads, may_map);
        let end = places.last().unwrap().end;
        let length = places[0].start + ((end - places[0].start) as f64 * cut) as usize;
        fs::File::options().write(true).open(&path).unwrap().set_len(length as u64).unwrap();
        let whole: Vec<_> = payloads
            .iter()
            .zip(&places)
            .filter(|(_, place)| place.end <= length)
            .map(|(payload, _)| payload.clone())
            .collect();
        prop_assert_eq!(recover(dir.path()), whole);
    }

    #[test]
    fn overwritten_anywhere(
        payloads in prop::collection::vec(payload(), 1..20).prop_map(distinct),
        at in 0.0..1.0f64,
        noise in prop::collection::vec(any::<u8>(), 1..200),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (path, places) = left_behind(dir.path(), &payloads, true);
        let mut bytes = fs::read(&path).unwrap();
        let end = places.last().unwrap().end;
        let from = places[0].start + ((end - places[0].start) as f64 * at) as usize;
        let to = (from + noise.len()).min(end);
        let before = bytes.clone();
        bytes[from..to].copy_from_slice(&noise[..to - from]);
        fs::write(&path, &bytes).unwrap();
        let whole: Vec<_> = payloads
            .iter()
            .zip(&places)
            .filter(|(_, place)| before[(*place).clone()] == bytes[(*place).clone()])
            .map(|(payload, _)| payload.clone())
            .collect();
        prop_assert_eq!(recover(dir.path()), whole);
    }
}

#[test]
fn every_cut_of_a_small_file() {
    let payloads: Vec<Vec<u8>> = (0..4).map(|n| vec![b'a' + n; 5 + usize::from(n) * 3]).collect();
    let dir = tempfile::tempdir().unwrap();
    let (path, places) = left_behind(dir.path(), &payloads, false);
    let bytes = fs::read(&path).unwrap();
    for length in (places[0].start..=places[3].end).rev() {
        fs::write(&path, &bytes[..length]).unwrap();
        let mut segments = staso_journal::adopt(dir.path(), &staso_journal::Destination::local());
        let batch = segments[0].next_batch(few(10)).unwrap();
        let found = batch.map_or(0, |batch| batch.records.len());
        assert_eq!(found, places.iter().filter(|place| place.end <= length).count(), "{length}");
    }
}

#[test]
fn a_header_that_is_not_ours_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in [("a.seg", &b""[..]), ("b.seg", b"STASOJNL"), ("c.seg", &[0xff; 500])] {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    assert!(recover(dir.path()).is_empty());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
}
