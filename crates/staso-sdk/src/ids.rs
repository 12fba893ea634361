//! New ids: random, per thread, never nil, never repeated after a fork.
//!
//! Each thread owns a generator with 256 bits of state seeded by the operating system, so that
//! two threads or processes do not meet. A forked child finds another process generation and
//! seeds anew.

use std::cell::RefCell;

use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};
use staso_model::{ProcessId, SpanId, TraceId};

use crate::fork::process_generation;

thread_local! {
    static GENERATOR: RefCell<Option<(u32, SmallRng)>> = const { RefCell::new(None) };
}

/// A new trace: 16 random bytes.
#[must_use]
pub fn trace_id() -> TraceId {
    TraceId(random_bytes())
}

/// A new span: 8 random bytes in the low half (W3C).
#[must_use]
#[inline]
pub fn span_id() -> SpanId {
    with_generator(|random| {
        loop {
            let low = random.next_u64();
            if low != 0 {
                return SpanId::from_w3c(low.to_be_bytes());
            }
        }
    })
}

/// A new trace and its first span.
#[inline]
pub(crate) fn trace_and_span_id() -> (TraceId, SpanId) {
    with_generator(|random| {
        loop {
            let [high, low, span] = [random.next_u64(), random.next_u64(), random.next_u64()];
            if high | low != 0 && span != 0 {
                let trace = u128::from(high) << 64 | u128::from(low);
                return (TraceId(trace.to_ne_bytes()), SpanId::from_w3c(span.to_be_bytes()));
            }
        }
    })
}

/// A new run of a process.
pub(crate) fn process_id() -> ProcessId {
    ProcessId(uuid_v4())
}

/// The bytes of a random UUID, for things that are named by one.
#[must_use]
pub fn uuid_v4() -> [u8; 16] {
    *uuid::Builder::from_random_bytes(random_bytes()).as_uuid().as_bytes()
}

/// The bytes of a random UUID as its text.
#[must_use]
pub fn uuid_text() -> String {
    uuid::Uuid::from_bytes(uuid_v4()).to_string()
}

/// The stable id of an agent: the same name, the same id, everywhere.
#[must_use]
pub fn agent_id(name: &str) -> String {
    const NAMESPACE: uuid::Uuid = uuid::uuid!("a1b2c3d4-e5f6-7890-abcd-ef1234567890");
    uuid::Uuid::new_v5(&NAMESPACE, name.as_bytes()).to_string()
}

/// A uniform number in 0..1, for jitter.
pub(crate) fn unit() -> f64 {
    with_generator(|random| f64::from(random.next_u32()) / f64::from(u32::MAX))
}

fn random_bytes() -> [u8; 16] {
    with_generator(|random| {
        loop {
            let (high, low) = (random.next_u64(), random.next_u64());
            if high | low != 0 {
                return (u128::from(high) << 64 | u128::from(low)).to_ne_bytes();
            }
        }
    })
}

#[inline]
fn with_generator<T>(use_it: impl FnOnce(&mut SmallRng) -> T) -> T {
    GENERATOR.with(|cell| match cell.try_borrow_mut() {
        Ok(mut slot) => {
            let generation = process_generation();
            if slot.as_ref().is_none_or(|(made_in, _)| *made_in != generation) {
                *slot = Some((generation, SmallRng::from_os_rng()));
            }
            match slot.as_mut() {
                Some((_, random)) => use_it(random),
                None => use_it(&mut SmallRng::from_os_rng()),
            }
        }
        // Only a signal handler that interrupts this very function comes here.
        Err(_) => use_it(&mut SmallRng::from_os_rng()),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_differ_across_threads() {
        let threads: Vec<_> = (0..4)
            .map(|_| std::thread::spawn(|| (0..5_000).map(|_| span_id()).collect::<Vec<_>>()))
            .collect();
        let all: HashSet<_> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
        assert_eq!(all.len(), 20_000);
        assert!(all.iter().all(|id| !id.is_nil() && id.to_w3c().is_some()));
    }
}
