//! Durations, kept so that percentiles can be told and sums of distributions are exact.
//!
//! A value goes to a slot: each below 256 has its own, above there are 128 to each doubling. What a
//! slot is said to hold is at most 0.4 % away from what was put in, however many values there are, and
//! a distribution never grows beyond some thousand slots.

use super::measure::Percentile;
use super::weight::Weight;

const EXACT_BELOW: u64 = 256;
const SLOTS_PER_DOUBLING: u64 = 128;
const SLOT_BITS: u32 = SLOTS_PER_DOUBLING.ilog2();
/// Waiting values are put in order when there are so many, or as many as slots.
const WAITING: usize = 512;

/// Weighed values, none of them negative.
#[derive(Debug, Clone, Default)]
pub struct Distribution {
    /// Slots with their weights, ascending, each once.
    slots: Vec<(u16, i128)>,
    waiting: Vec<(u16, Weight)>,
}

impl Distribution {
    /// Adds a value; a negative one counts as zero.
    pub fn add(&mut self, value: i64, weight: Weight) {
        self.waiting.push((slot(value), weight));
        if self.waiting.len() >= WAITING.max(self.slots.len()) {
            self.settle();
        }
    }

    /// Adds everything that another has.
    pub fn merge(&mut self, other: &Self) {
        if self.slots.is_empty() {
            self.slots.clone_from(&other.slots);
        } else if !other.slots.is_empty() {
            self.slots = merged(&self.slots, &other.slots);
        }
        self.waiting.extend(&other.waiting);
        if self.waiting.len() >= WAITING.max(self.slots.len()) {
            self.settle();
        }
    }

    /// About how many bytes it holds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<(u16, i128)>()
            + self.waiting.capacity() * size_of::<(u16, Weight)>()
    }

    /// The value at or below which this share of the weight lies, within 0.4 %; `None` of no values.
    pub fn percentile(&mut self, percentile: Percentile) -> Option<i64> {
        self.settle();
        let total: i128 = self.slots.iter().map(|(_, weight)| weight).sum();
        let wanted = total * i128::from(percentile.percent());
        let mut below = 0;
        let reached = |(_, weight): &&(u16, i128)| {
            below += weight * 100;
            below >= wanted
        };
        self.slots.iter().find(reached).map(|(slot, _)| middle(*slot))
    }

    /// Takes as little room as it can: it is to be kept.
    pub(super) fn shrink(&mut self) {
        self.settle();
        self.waiting = Vec::new();
        self.slots.shrink_to_fit();
    }

    fn settle(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let waiting = self.waiting.drain(..).map(|(slot, weight)| (slot, weight.times(1)));
        self.slots.extend(waiting);
        self.slots.sort_unstable_by_key(|(slot, _)| *slot);
        self.slots.dedup_by(|(slot, weight), (kept, sum)| {
            let is_same = slot == kept;
            if is_same {
                *sum += *weight;
            }
            is_same
        });
    }
}

/// Two rows of slots as one, in their order.
fn merged(a: &[(u16, i128)], b: &[(u16, i128)]) -> Vec<(u16, i128)> {
    let mut all = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    loop {
        match (a.peek(), b.peek()) {
            (Some((x, of_a)), Some((y, of_b))) if x == y => {
                all.push((*x, of_a + of_b));
                a.next();
                b.next();
            }
            (Some((x, _)), Some((y, _))) if x < y => all.extend(a.next()),
            (_, Some(_)) => all.extend(b.next()),
            (Some(_), None) => all.extend(a.next()),
            (None, None) => return all,
        }
    }
}

fn slot(value: i64) -> u16 {
    let value = value.max(0).unsigned_abs();
    let slot = if value < EXACT_BELOW {
        value
    } else {
        let exponent = value.ilog2();
        let within = (value >> (exponent - SLOT_BITS)) % SLOTS_PER_DOUBLING;
        EXACT_BELOW + u64::from(exponent - EXACT_BELOW.ilog2()) * SLOTS_PER_DOUBLING + within
    };
    // The greatest i64 has slot 7,295.
    u16::try_from(slot).unwrap_or(u16::MAX)
}

fn middle(slot: u16) -> i64 {
    let slot = u64::from(slot);
    if slot < EXACT_BELOW {
        return slot.cast_signed();
    }
    let (doubling, within) =
        ((slot - EXACT_BELOW) / SLOTS_PER_DOUBLING, (slot - EXACT_BELOW) % SLOTS_PER_DOUBLING);
    let shift = doubling + u64::from(EXACT_BELOW.ilog2() - SLOT_BITS);
    let low = (SLOTS_PER_DOUBLING + within) << shift;
    (low + ((1 << shift) >> 1)).cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let mut values = Distribution::default();
        assert_eq!(values.percentile(Percentile::P50), None);
        (1..=100).for_each(|n| values.add(n, Weight::ONE));
        let told = [Percentile::P50, Percentile::P90, Percentile::P95, Percentile::P99]
            .map(|p| values.percentile(p));
        assert_eq!(told, [Some(50), Some(90), Some(95), Some(99)]);
    }

    #[test]
    fn a_value_that_stands_for_many_counts_as_many() {
        let mut values = Distribution::default();
        (0..3).for_each(|_| values.add(10, Weight::ONE));
        values.add(200, Weight::of_rate(Some(0.25)));
        assert_eq!(values.percentile(Percentile::P50), Some(200));
    }

    #[test]
    fn the_ends_have_slots() {
        let mut values = Distribution::default();
        values.add(i64::MIN, Weight::ONE);
        assert_eq!(values.percentile(Percentile::P99), Some(0));
        values.add(i64::MAX, Weight::ONE);
        let greatest = values.percentile(Percentile::P99).unwrap_or_default();
        assert!(greatest > i64::MAX / 256 * 255, "{greatest}");
    }

    proptest! {
        #[test]
        fn a_slot_is_near_its_values(value in prop_oneof![0..1_000_000_i64, 0..i64::MAX]) {
            let told = middle(slot(value));
            prop_assert!((told - value).abs() <= value / 256, "{value} is told as {told}");
        }

        #[test]
        fn a_merged_distribution_is_that_of_all_values(
            parts in prop::collection::vec(prop::collection::vec(0..5_000_i64, 0..700), 1..5),
        ) {
            let of = |values: &[i64]| {
                let mut all = Distribution::default();
                values.iter().for_each(|value| all.add(*value, Weight::ONE));
                all
            };
            let mut whole = of(&parts.concat());
            let mut merged = Distribution::default();
            parts.iter().for_each(|part| merged.merge(&of(part)));
            for percentile in Percentile::ALL {
                prop_assert_eq!(merged.percentile(percentile), whole.percentile(percentile));
            }
        }

        #[test]
        fn percentiles_do_not_depend_on_order(mut values in prop::collection::vec(0..5_000_i64, 1..1500)) {
            let told = |values: &[i64]| {
                let mut all = Distribution::default();
                values.iter().for_each(|value| all.add(*value, Weight::ONE));
                all.percentile(Percentile::P90)
            };
            let before = told(&values);
            values.sort_unstable();
            prop_assert_eq!(told(&values), before);
            let rank = (values.len() * 9).div_ceil(10) - 1;
            prop_assert_eq!(before, Some(middle(slot(values[rank]))));
        }
    }
}
