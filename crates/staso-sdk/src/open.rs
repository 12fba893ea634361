//! The registry of open spans: how the worker knows what is running without a second message for
//! spans that end at once.
//!
//! Each thread uses its own shard, so its lock is free unless the worker is looking at that very
//! shard, which it does without I/O.

use crate::brief::BriefLock;
use crate::record::SpanHead;
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

type Mutex<T> = lock_api::Mutex<BriefLock, T>;

const SHARDS: usize = 16;

/// A span in the registry of open ones: shard, place and a nonce that tells reuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenToken(pub u64);

/// Open spans of one engine.
#[derive(Debug)]
pub(crate) struct OpenSpans {
    shards: [Mutex<Shard>; SHARDS],
}

/// Two threads that record do not share a line of the cache.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    slots: Vec<Slot>,
    free: Vec<u32>,
    nonce: u32,
}

/// A place for one span, used again and again.
#[derive(Debug)]
struct Slot {
    /// Of the span that is or was here last.
    nonce: u32,
    is_due: bool,
    start_mono_ns: u64,
    is_open: bool,
    /// Of the span that is here. A head is large: it is written here field by field, never moved.
    head: SpanHead,
}

/// A span that has been open long enough to be shown.
pub(crate) struct Due {
    pub(crate) token: OpenToken,
    pub(crate) head: SpanHead,
}

thread_local! {
    static SHARD: Cell<usize> = const { Cell::new(usize::MAX) };
}

impl OpenSpans {
    /// An empty registry. Tokens of another registry are, but for the nonce, its own: the nonce
    /// begins at random so that a token from before a fork closes nothing here.
    pub(crate) fn new() -> Self {
        let shard = |_| {
            let nonce = u32::from_le_bytes(first_four(crate::ids::uuid_v4()));
            Mutex::new(Shard { nonce, ..Shard::default() })
        };
        Self { shards: std::array::from_fn(shard) }
    }

    /// Registers what `write` makes of a head that says nothing, under the shard's lock: it calls nobody.
    #[inline]
    pub(crate) fn open(&self, write: impl FnOnce(&mut SpanHead), start_mono_ns: u64) -> OpenToken {
        let number = own_shard();
        let mut shard = self.shards[number].lock();
        let Shard { slots, free, nonce } = &mut *shard;
        *nonce = nonce.wrapping_add(1);
        let at = free.pop().unwrap_or_else(|| {
            slots.push(Slot::new());
            u32::try_from(slots.len() - 1).unwrap_or(u32::MAX)
        });
        let slot = &mut slots[at as usize];
        (slot.nonce, slot.is_due, slot.start_mono_ns) = (*nonce, true, start_mono_ns);
        slot.is_open = true;
        write(&mut slot.head);
        OpenToken::new(number, at, *nonce)
    }

    #[inline]
    pub(crate) fn close(&self, token: OpenToken) {
        let mut shard = self.shards[token.shard()].lock();
        if let Some(slot) = shard.find(token) {
            slot.is_open = false;
            slot.head.forget();
            shard.free.push(token.slot());
        }
    }

    /// Spans opened at or before `opened_by` that were not told yet.
    pub(crate) fn take_due(&self, opened_by: u64) -> Vec<Due> {
        let mut due = Vec::new();
        for (number, shard) in self.shards.iter().enumerate() {
            let mut shard = shard.lock();
            for (at, slot) in shard.slots.iter_mut().enumerate() {
                if slot.is_open && slot.is_due && slot.start_mono_ns <= opened_by {
                    slot.is_due = false;
                    let at = u32::try_from(at).unwrap_or(u32::MAX);
                    let token = OpenToken::new(number, at, slot.nonce);
                    due.push(Due { token, head: slot.head.clone() });
                }
            }
        }
        due
    }

    /// Whether this span is still in the registry.
    pub(crate) fn is_open(&self, token: OpenToken) -> bool {
        self.shards[token.shard()].lock().find(token).is_some()
    }

    pub(crate) fn count(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| {
                let shard = shard.lock();
                shard.slots.len() - shard.free.len()
            })
            .sum()
    }
}

impl Slot {
    #[cold]
    fn new() -> Self {
        Self {
            nonce: 0,
            is_due: false,
            start_mono_ns: 0,
            is_open: false,
            head: SpanHead::default(),
        }
    }
}

impl Shard {
    #[inline]
    fn find(&mut self, token: OpenToken) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(token.slot() as usize)?;
        (slot.nonce == token.nonce() && slot.is_open).then_some(slot)
    }
}

impl OpenToken {
    /// The token of a span that was not registered; closing it does nothing.
    pub const NONE: Self = Self(0x0fff_ffff << 32);

    fn new(shard: usize, slot: u32, nonce: u32) -> Self {
        Self((shard as u64) << 60 | u64::from(slot & 0x0fff_ffff) << 32 | u64::from(nonce))
    }

    fn shard(self) -> usize {
        (self.0 >> 60) as usize
    }

    fn slot(self) -> u32 {
        ((self.0 >> 32) & 0x0fff_ffff) as u32
    }

    fn nonce(self) -> u32 {
        self.0 as u32
    }
}

/// The shard of this thread; threads are dealt round.
fn own_shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    SHARD.with(|own| {
        if own.get() == usize::MAX {
            own.set(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS);
        }
        own.get()
    })
}

fn first_four(bytes: [u8; 16]) -> [u8; 4] {
    [bytes[0], bytes[1], bytes[2], bytes[3]]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(name: &str) -> impl FnOnce(&mut SpanHead) {
        move |head| {
            (head.trace_id, head.span_id) = (crate::ids::trace_id(), crate::ids::span_id());
            head.name = name.into();
        }
    }

    #[test]
    fn a_span_is_due_once() {
        let spans = OpenSpans::new();
        let token = spans.open(head("a"), 10);
        spans.open(head("later"), 20);
        assert!(spans.take_due(9).is_empty());
        let due = spans.take_due(10);
        assert_eq!((due.len(), &*due[0].head.name, due[0].token), (1, "a", token));
        assert!(spans.take_due(10).is_empty());
        assert_eq!(spans.count(), 2);
    }

    #[test]
    fn a_stale_token_closes_nothing() {
        let spans = OpenSpans::new();
        let first = spans.open(head("a"), 0);
        spans.close(first);
        let second = spans.open(head("b"), 0);
        assert_eq!(first.slot(), second.slot());
        spans.close(first);
        assert!(spans.is_open(second) && !spans.is_open(first));
        OpenSpans::new().close(second);
        spans.close(OpenToken(u64::MAX));
        assert_eq!(spans.count(), 1);
    }
}
